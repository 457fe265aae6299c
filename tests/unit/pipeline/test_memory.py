"""The garbage collector is off inside the block and as it was after it; the heap can be trimmed on any system."""

from __future__ import annotations

import gc

import pytest

from analyzer.pipeline import memory


def _fail_without_collector() -> None:
    with memory.without_garbage_collection():
        assert not gc.isenabled()
        raise KeyError


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_off_inside_and_as_before_afterwards(*, enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError):
            _fail_without_collector()
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_trimming_the_heap_fails_on_no_system(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    memory.trim_heap()

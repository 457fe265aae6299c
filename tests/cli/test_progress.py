"""What a person sees on a terminal while a long job runs."""

from __future__ import annotations

import os
import pty
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from analyzer.cli import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def terminal() -> Iterator[Callable[[], str]]:
    """Let standard error be a terminal; give what to call for what was written to it since."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)

    def read() -> str:
        try:
            return os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            return ""

    with pytest.MonkeyPatch.context() as patch, os.fdopen(theirs, "w") as end:
        patch.setattr(sys, "stderr", end)
        patch.setenv("TERM", "xterm")
        yield read
    os.close(ours)


def test_a_job_that_goes_on_is_seen_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.05)
    with terminal() as drawn:
        with progress.shown() as tell:
            assert tell is not None
            time.sleep(0.5)
            assert "reading" in drawn()
            tell("x\x1b[31m.pcap", 12345)
            time.sleep(0.5)
            seen = drawn()
        assert "12,345 frames" in seen
        assert "\x1b[31m.pcap" not in seen
        assert "\x1b[?25h" in drawn()  # the cursor is there again


def test_what_was_told_before_anything_was_drawn_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.3)
    with terminal() as drawn:
        with progress.shown() as tell:
            assert tell is not None
            tell("x.pcap", 7)
            time.sleep(1)
        assert "x.pcap: 7 frames" in drawn()


def test_a_short_job_draws_nothing() -> None:
    with terminal() as drawn:
        with progress.shown() as tell:
            assert tell is not None
            tell("x.pcap", 7)
        assert not drawn()


@pytest.mark.parametrize(("quiet", "kind"), [(True, "xterm"), (False, "dumb")])
def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, *, quiet: bool, kind: str) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    with terminal() as drawn:
        monkeypatch.setenv("TERM", kind)
        with progress.shown(quiet=quiet) as tell:
            assert tell is None
            time.sleep(0.2)
        assert not drawn()

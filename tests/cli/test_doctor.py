from __future__ import annotations

import platform
import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_everything_is_named_with_its_version(pcaplint: Run) -> None:
    status, out, err = pcaplint("doctor")
    assert (status, err) == (0, "")
    said = {line.split()[0]: line.split()[1:3] for line in out.splitlines() if not line.startswith(" ")}
    assert said["python"] == ["ok", platform.python_version()]
    assert said["pyshark"] == ["ok", version("pyshark")]
    assert said["pandas"] == ["ok", version("pandas")]
    assert said["tshark"][0] == "ok"
    assert said["rules"][0] == "ok"


def test_a_missing_tshark_is_status_7_with_the_way_to_get_it(pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.capture.tshark.probe._USUAL_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    status, out, _ = pcaplint("doctor")
    assert status == 7
    assert "MISSING" in out
    assert "apt install tshark" in out


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_what_a_version_of_tshark_loses_is_said(pcaplint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from analyzer import capture

    known = capture.probe()
    monkeypatch.setattr(capture, "probe", lambda _: replace(known, version="9.0.1", missing=("tcp.checksum.partial", "vlan.id")))
    status, out, err = pcaplint("doctor")
    assert (status, err) == (0, "")
    _, lines = out.split("tshark      ok       9.0.1")
    assert [line.split()[0] for line in lines.splitlines()[1:4]] == ["lacks", "lacks", "loses"]
    assert "tcp.checksum.partial: worked out here instead" in lines
    assert "vlan.id: connections on different VLANs are not distinguished" in lines
    assert "nothing is known yet of versions after 4.6" in lines

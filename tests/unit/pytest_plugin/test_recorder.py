from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

TEST = """
    import socket

    import pytest

    @pytest.mark.parametrize("passes", [True, False])
    def test_bulk(pcap_recorder, pcaplint, passes):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with pcap_recorder(port=port) as capture:
                with socket.create_connection(("127.0.0.1", port)) as client:
                    accepted, _ = server.accept()
                    with accepted:
                        client.sendall(b"x" * 200_000)
                        received = 0
                        while received < 200_000:
                            received += len(accepted.recv(1 << 20))
        report = pcaplint(capture)
        report.assert_clean(fail_on="note")
        report.assert_verdicts({"complete": 1})
        assert report.flow(server_port=port)["client_bytes"] == 200_000
        assert passes
"""


@pytest.mark.parametrize(("keep", "kept"), [("always", 2), ("never", 0), ("on-failure", 1)])
def test_all_traffic_is_recorded_without_findings_and_kept_as_asked(project: pytest.Pytester, tmp_path: Path, keep: str, kept: int) -> None:
    project.makepyfile(TEST)
    base = tmp_path / "base"
    result = project.runpytest_subprocess("-rs", "--basetemp", str(base), "--pcaplint-keep", keep)
    outcomes = result.parseoutcomes()
    if outcomes.get("skipped"):
        pytest.skip("capturing on loopback is not permitted here")
    assert outcomes == {"passed": 1, "failed": 1}
    captures = sorted(path for path in base.rglob("*") if path.is_file())
    assert len(captures) == kept
    if kept:
        result.stdout.fnmatch_lines(["capture: *capture-1.pcapng"])


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({}, "neither dumpcap nor tcpdump is installed"),
        ({"dumpcap": "echo 'You do not have permission to capture on lo' >&2; exit 1"}, "dumpcap: You do not have permission*"),
    ],
    ids=["absent", "not permitted"],
)
def test_where_nothing_can_record_the_reason_is_given(
    project: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: dict[str, str], reason: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(folder) + (os.pathsep + "/nowhere"))
    project.makepyfile("""
        def test_one(pcap_recorder):
            with pcap_recorder(port=80):
                assert False
    """)
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED*pcap_recorder cannot record on lo*: {reason}*"])

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def test_importing_the_plugin_imports_nothing_slow() -> None:
    slow = ("pandas", "numpy", "typer", "pyshark", "rich", "jsonschema")
    script = f"import sys, NAME; print([name for name in {slow} if name in sys.modules])"
    done, before = (
        subprocess.run([sys.executable, "-c", script.replace("NAME", name)], capture_output=True, text=True, check=True)
        for name in ("analyzer.pytest_plugin", "pytest")
    )
    assert "pandas" not in done.stdout
    assert "typer" not in done.stdout
    assert done.stdout == before.stdout


def test_assertions_that_hold_pass(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest

        def test_clean(pcaplint):
            report = pcaplint("good.pcap")
            report.assert_clean(fail_on="warning")
            report.assert_verdicts({"complete": 1})
            flow = report.flow(verdict="complete")
            assert (flow.verdict, flow["client_bytes"], flow.findings) == ("complete", 10, [])
            assert "complete" in flow.show()

        def test_wrong(pcaplint):
            report = pcaplint("wrong.pcap")
            report.assert_verdicts({"invalid": 1})
            assert "synack-ack-wrong" in report.flow().findings
            report.assert_clean(fail_on="never")

        @pytest.mark.pcaplint(fail_on="never")
        def test_marker(pcaplint):
            pcaplint("wrong.pcap").assert_clean()
    """)
    project.runpytest_subprocess().assert_outcomes(passed=3)


def kept(project: pytest.Pytester, base: Path) -> list[Path]:
    del project
    return sorted(base.rglob("*-failed.pcapng"))


def test_a_failure_shows_and_keeps_the_connection(project: pytest.Pytester, tmp_path: Path) -> None:
    project.makepyfile("""
        def test_wrong(pcaplint):
            pcaplint("wrong.pcap").assert_clean()

        def test_verdicts(pcaplint):
            pcaplint("wrong.pcap").assert_verdicts({"complete": 1})

        def test_flow(pcaplint):
            pcaplint("good.pcap").flow(server_port=25)

        def test_absent(pcaplint):
            pcaplint("absent.pcap")
    """)
    base = tmp_path / "base"
    result = project.runpytest_subprocess("--basetemp", str(base))
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(["*wrong.pcap is not clean: it has findings", "*verdict  invalid*", "*synack-ack-wrong*"])
    result.stdout.fnmatch_lines(["*complete: expected 1, found 0; invalid: expected 0, found 1"])
    result.stdout.fnmatch_lines(["*0 connections have server_port=25, not 1*", "*there is no capture absent.pcap; looked for *"])
    files = kept(project, base)
    assert len(files) == 2
    for file in files:
        result.stdout.fnmatch_lines([f"*the failing connections: {file}"])
        frames = subprocess.run(
            [str(shutil.which("tshark")), "-r", str(file), "-T", "fields", "-e", "tcp.flags.str"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(frames.stdout.splitlines()) == 3

"""The pre-commit hook and the GitHub Action, run as their users run them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GIT, BASH = shutil.which("git") or "", shutil.which("bash") or ""

pytestmark = pytest.mark.skipif(not (shutil.which("tshark") and GIT and BASH), reason="tshark, git or bash is not installed")


def write_command(folder: Path) -> Path:
    """Write a program `pcaplint` that runs this checkout, and return it."""
    folder.mkdir(parents=True)
    program = folder / "pcaplint"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m analyzer "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a repository with a clean capture, one with a refused connection, and files that are none."""
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    shutil.copy(ROOT / "sample_pcaps" / "http-download.pcap", folder / "tests" / "Good one.PCAP")
    shutil.copy(ROOT / "sample_pcaps" / "closed-port.pcap", folder / "tests" / "refused.pcap")
    (folder / "tests" / "pcap.txt").write_text("no capture")
    subprocess.run([GIT, "init", "-q", folder], check=True)
    subprocess.run([GIT, "-C", folder, "add", "-A"], check=True)
    return folder


def hook(project: Path, folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Run the hook by pre-commit; only its environment is ours, for building one would need the network."""
    hooks: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (own,) = hooks
    assert own["entry"].split()[0] == "pcaplint"
    program = write_command(folder / "bin")
    local = own | {"language": "system", "entry": own["entry"].replace("pcaplint", str(program), 1), "verbose": True}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": [local]}]}))
    environment = os.environ | {"PRE_COMMIT_HOME": str(folder / "cache"), "HOME": str(folder), "PRE_COMMIT_COLOR": "never"}
    command = [sys.executable, "-m", "pre_commit", "run", "pcaplint", *(["--files", *files] if files else ["--all-files"])]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_the_hook_judges_the_captures_of_a_commit_and_nothing_else(project: Path, tmp_path: Path) -> None:
    done = hook(project, tmp_path)
    assert done.returncode == 1
    assert "refused" in done.stdout
    assert "pcap.txt" not in done.stdout


def test_the_hook_passes_what_is_clean_or_meant(project: Path, tmp_path: Path) -> None:
    done = hook(project, tmp_path, "tests/Good one.PCAP", "tests/pcap.txt")
    assert done.returncode == 0, done.stdout
    assert "Passed" in done.stdout


def test_the_action_checks_annotates_and_leaves_reports(project: Path, tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    assert "${{" not in step["run"]
    given = {"paths": "tests/Good one.PCAP\n\ntests/refused.pcap\n", "arguments": "--fail-on error  --no-expect"}
    inputs = {name: given.get(name, entry.get("default")) for name, entry in action["inputs"].items()}
    write_command(tmp_path / "pcaplint" / "bin")
    summary = tmp_path / "summary.md"
    own = {name: inputs[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()}
    environment = os.environ | own | {"RUNNER_TEMP": str(tmp_path), "GITHUB_STEP_SUMMARY": str(summary)}
    command = [BASH, "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "::warning file=tests/refused.pcap,line=1,title=refused::" in done.stdout
    assert (project / "pcaplint.sarif").is_file()
    assert (project / "pcaplint.xml").is_file()
    assert "`tests/refused.pcap`" in summary.read_text()

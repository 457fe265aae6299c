"""The set-ups of docs/guides/ci.md: their commands run in a made-up project, what they leave is what each system reads."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from junitparser import JUnitXml

from analyzer import notation

ROOT = Path(__file__).resolve().parents[2]
GIT = shutil.which("git")
GUIDE = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
OPENED = """\
> S  100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 101 win 65535 <mss 1460>
> .  101:101(0) ack 301 win 64240
"""
UNANSWERED = """\
> S  100:100(0) win 64240 <mss 1460>
+1 > S  100:100(0) win 64240 <mss 1460>
+2 > S  100:100(0) win 64240 <mss 1460>
"""


def block(heading: str, language: str) -> str:
    """Return the first fenced block of a language below a heading of the guide."""
    found = re.search(rf"^## {heading}\n.*?^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with tests/pcaps on its branch `main`, where one capture has got worse since."""
    folder = tmp_path / "project"
    pcaps = folder / "tests" / "pcaps"
    pcaps.mkdir(parents=True)
    (pcaps / "login.pcap").write_bytes(notation.build(notation.parse(OPENED)))
    for command in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "x"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
    ):
        subprocess.run([str(GIT), *command], cwd=folder, check=True)
    (pcaps / "login.pcap").write_bytes(notation.build(notation.parse(UNANSWERED)))
    return folder


def run(script: str, folder: Path, **variables: str) -> int:
    """Run a job's shell script as its system would, `pcaplint` being ours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    done = subprocess.run(
        [str(shutil.which("bash")), "-e", "-c", script], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done.returncode


pytestmark = [
    pytest.mark.skipif(GIT is None, reason="git is not installed"),
    pytest.mark.skipif(not shutil.which("pcaplint", path=str(Path(sys.executable).parent)), reason="no pcaplint here"),
]


def test_gitlab_gets_a_code_quality_report_and_junit(project: Path) -> None:
    job = yaml.safe_load(block("GitLab", "yaml"))["captures"]
    assert run("\n".join(job["script"]), project) == 1
    written = job["artifacts"]["reports"]
    entries = json.loads((project / written["codequality"]).read_text(encoding="utf-8"))
    assert {entry["location"]["path"] for entry in entries} == {"tests/pcaps/login.pcap"}
    assert "unanswered" in {entry["check_name"] for entry in entries}
    assert JUnitXml.fromfile(str(project / written["junit"])).failures > 0


def test_github_gets_a_comment_of_what_is_new(project: Path, tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = yaml.safe_load(block("GitHub Actions", "yaml"))["jobs"]["captures"]["steps"]
    (script,) = [step["run"] for step in steps if "pcaplint diff" in step.get("run", "")]
    programs = tmp_path / "bin"
    programs.mkdir()
    # GitHub's own program cannot be asked here: this one says with what it was called.
    (programs / "gh").write_text('#!/bin/sh\necho "$@" >called\n')
    (programs / "gh").chmod(0o755)
    temporary = tmp_path / "runner" / "pcaplint" / "bin"
    temporary.mkdir(parents=True)
    (temporary / "pcaplint").symlink_to(Path(sys.executable).parent / "pcaplint")
    (temporary / "gh").symlink_to(programs / "gh")
    assert run(script, project, GITHUB_BASE_REF="main", RUNNER_TEMP=str(tmp_path / "runner"), NUMBER="7") == 0
    comment = (project / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- pcaplint diff -->\n")
    assert "| warning | `unanswered` | `login.pcap` |" in comment
    assert (project / "called").read_text() == "pr comment 7 --body-file comment.md --edit-last --create-if-none\n"


def test_the_action_takes_what_the_guide_gives_it() -> None:
    steps = yaml.safe_load(block("GitHub Actions", "yaml"))["jobs"]["captures"]["steps"]
    (ours,) = [step for step in steps if "/pcaplint@" in step.get("uses", "")]
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    assert set(ours["with"]) <= set(action["inputs"])
    assert {name for name, entry in action["inputs"].items() if entry.get("required")} <= set(ours["with"])
    outputs = re.findall(r"steps\.pcaplint\.outputs\.(\w+)", block("GitHub Actions", "yaml"))
    assert outputs
    assert set(outputs) <= set(action["outputs"])


def test_jenkins_gets_junit_and_sarif(project: Path) -> None:
    pipeline = block("Jenkins", "groovy")
    (script,) = re.findall(r"sh '(.*)'", pipeline)
    assert run(script, project) == 1
    (junit,) = re.findall(r"junit '(.*)'", pipeline)
    (sarif,) = re.findall(r"sarif\(pattern: '(.*)'\)", pipeline)
    assert JUnitXml.fromfile(str(project / junit)).failures > 0
    assert json.loads((project / sarif).read_text(encoding="utf-8"))["version"] == "2.1.0"


def test_the_hook_that_pre_commit_is_told_of_exists() -> None:
    (repository,) = yaml.safe_load(block("pre-commit", "yaml"))["repos"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in repository["hooks"]} <= {hook["id"] for hook in hooks}

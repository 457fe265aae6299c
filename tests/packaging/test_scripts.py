"""What scripts/setup.sh and scripts/test_on do when the system does not do what they ask of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SETUP, TEST_ON = ROOT / "scripts" / "setup.sh", ROOT / "scripts" / "test_on"
BASH = shutil.which("bash") or ""
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)"
UNKNOWN = "E: Unable to locate package frobnicate"

pytestmark = pytest.mark.skipif(not BASH, reason="bash is not installed")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder at the head of PATH, whose `id` says that this is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    write(folder / "id", "echo 0")
    return folder


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def run(programs: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([BASH, *command], env=inherited | environment, capture_output=True, text=True, check=False)


def install(programs: Path, answers: list[str], seconds: int = 60) -> tuple[int, list[str], list[str]]:
    """Install by an apt-get that gives these answers, and then agrees; return status, what was said, what apt-get was asked."""
    for number, answer in enumerate(answers):
        (programs / f"answer{number}").write_text(answer)
    write(
        programs / "apt-get",
        f'cd {programs}; echo "$*" >>asked; n=$(($(wc -l <asked) - 1)); [ ! -s answer$n ] || {{ cat answer$n; exit 100; }}',
    )
    script = f'source "{SETUP}"; install_packages frobnicate'
    limits = {"PCAPLINT_APT_PAUSE_SECONDS": "0", "PCAPLINT_APT_SECONDS": str(seconds)}
    done = run(programs, "-c", script, **limits)
    asked = [line.split(" ")[3] for line in (programs / "asked").read_text().splitlines()]
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines(), asked


def test_what_apt_installs_at_once_is_one_line(programs: Path) -> None:
    assert install(programs, []) == (0, ["installing frobnicate"], ["update", "install"])


def test_a_lock_held_by_another_run_is_told_in_apts_words_and_waited_for(programs: Path) -> None:
    status, said, asked = install(programs, [LOCKED, LOCKED, "", "E: Could not get lock /var/lib/dpkg/lock-frontend."])
    assert (status, asked) == (0, ["update", "update", "update", "install", "update", "install"])
    assert said.count(LOCKED) == 2
    assert said.count("trying again in 0 s") == 3


def test_a_lock_that_is_never_released_ends_in_a_failure(programs: Path) -> None:
    status, said, asked = install(programs, [LOCKED] * 3, seconds=0)
    assert (status, asked) == (7, ["update"])
    assert said[1:3] == [LOCKED, "apt-get has failed for 0 s"]
    assert "as root: apt-get update && apt-get install" in said[3]


def test_what_waiting_does_not_mend_is_told_in_apts_words_and_not_tried_again(programs: Path) -> None:
    status, said, asked = install(programs, ["", UNKNOWN])
    assert (status, asked) == (7, ["update", "install"])
    assert UNKNOWN in said
    assert not any("again" in line for line in said)


def test_without_root_it_is_said_what_root_should_do(programs: Path) -> None:
    write(programs / "id", "echo 1000")
    write(programs / "sudo", "exit 1")
    write(programs / "apt-get", "echo must not be called; exit 1")
    done = run(programs, "-c", f'source "{SETUP}"; install_packages frobnicate')
    assert done.returncode == 7
    assert "as root: apt-get update && apt-get install -y --no-install-recommends frobnicate" in done.stderr
    assert "must not" not in done.stdout + done.stderr


@pytest.mark.parametrize("release", ["", "../etc", "Trixie", "-x"])
def test_a_release_that_is_none_is_refused(programs: Path, release: str) -> None:
    done = run(programs, str(TEST_ON), *([release] if release else []))
    assert (done.returncode, done.stdout) == (7, "")
    assert ("usage" if not release else "is not the name of a Debian release") in done.stderr


def test_another_system_is_not_possible_without_root(programs: Path, tmp_path: Path) -> None:
    write(programs / "id", "echo 1000")
    done = run(programs, str(TEST_ON), "trixie", PCAPLINT_ROOTS=str(tmp_path / "roots"))
    assert done.returncode == 77
    assert "need root" in done.stderr
    assert not (tmp_path / "roots").exists()


def test_a_system_that_allows_no_mounts_is_a_failure_that_says_so(programs: Path, tmp_path: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("git") and shutil.which("flock")):
        pytest.skip("this is not Debian")
    made = tmp_path / "roots" / "trixie" / ".made-by-test_on"
    made.parent.mkdir(parents=True)
    made.touch()
    write(programs / "unshare", "echo unshare failed: Operation not permitted >&2; exit 1")
    done = run(programs, str(TEST_ON), "trixie", PCAPLINT_ROOTS=str(tmp_path / "roots"))
    assert done.returncode == 7
    assert "allows no mounts and no chroot" in done.stderr
    assert made.exists()


@pytest.mark.parametrize("status", [0, 1, 5])
def test_the_status_is_that_of_the_tests(programs: Path, tmp_path: Path, status: int) -> None:
    if not (shutil.which("apt-get") and shutil.which("git") and shutil.which("flock")):
        pytest.skip("this is not Debian")
    made = tmp_path / "roots" / "trixie" / ".made-by-test_on"
    made.parent.mkdir(parents=True)
    made.touch()
    write(programs / "unshare", f'for last; do :; done; [ "$last" = true ] || exit {status}')
    assert run(programs, str(TEST_ON), "trixie", PCAPLINT_ROOTS=str(tmp_path / "roots")).returncode == status


def test_the_workflow_names_the_pythons_that_the_project_does() -> None:
    import tomllib

    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if line.startswith("Programming Language :: Python :: 3.")]
    assert jobs["python"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"
    commands = [step.get("run") for job in jobs.values() for step in job["steps"]]
    scripts = {word for command in commands if command for word in command.split() if word.startswith("scripts/")}
    assert scripts == {"scripts/check", "scripts/run", "scripts/test"}
    assert all((ROOT / script).is_file() for script in scripts)

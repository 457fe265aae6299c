"""The wheel: built, installed into an empty environment, used far from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from analyzer import notation

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.xdist_group("wheel"),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]

SEGMENTS = """
> S  100:100(0) win 64240 <mss 1460>
< S. 300:300(0) ack 102 win 65535 <mss 1460>
""".strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def shipped() -> set[str]:
    return {path.relative_to(ROOT / "rules").as_posix() for path in (ROOT / "rules").rglob("*") if path.suffix in {".toml", ".json"}}


def test_both_carry_every_rule_and_schema_and_the_licence(built: Path) -> None:
    [wheel], [sdist] = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.removeprefix("analyzer/_rules/") for name in names if name.startswith("analyzer/_rules/")} >= shipped()
    assert any(name.endswith("/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "sample_pcaps/")) for name in names)
    with tarfile.open(sdist) as archive_:
        packed = {name.partition("/")[2] for name in archive_.getnames()}
    assert {f"rules/{name}" for name in shipped()} | {"LICENSE", "README.md", "pyproject.toml"} <= packed


def test_it_works_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, env=environment, timeout=540, capture_output=True)
    (tmp_path / "wrong.pcap").write_bytes(notation.build(notation.parse(SEGMENTS)))
    command = [str(tmp_path / "venv" / "bin" / "pcaplint"), "check", "wrong.pcap"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "error synack-ack-wrong" in done.stdout
    assert done.stderr == ""
    where = [str(python), "-c", "import analyzer; print(analyzer.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert str(tmp_path) in found.stdout

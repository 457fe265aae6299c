from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer.cli.config import SETTINGS, Config, find
from analyzer.errors import UsageError
from analyzer.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[int, str, str]]

SCHEMA = json.loads((Path(__file__).parents[2] / "rules" / "schema" / "config.schema.json").read_text())


def test_the_schema_the_table_and_the_formats_agree() -> None:
    assert list(SCHEMA["properties"]) == list(SETTINGS)
    assert SCHEMA["properties"]["format"]["enum"] == sorted(FORMATS, key=SCHEMA["properties"]["format"]["enum"].index)


def test_the_nearest_file_up_to_the_repository_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pcaplint.toml").write_text('fail-on = "never"')
    monkeypatch.chdir(inner)
    assert find() == Config()
    (tmp_path / "repository" / ".git").mkdir()
    assert find() == Config()
    (tmp_path / "repository" / "pyproject.toml").write_text('[tool.pcaplint]\nfail-on = "error"\nrules = ["own"]')
    found = find()
    assert found.settings == {"fail-on": "error", "rules": ["own"]}
    assert found.defaults()["rules"] == [str(tmp_path / "repository" / "own")]
    (tmp_path / "repository" / "a" / "pyproject.toml").write_text("[tool.other]\npcaplint = 1")
    assert find() == found
    (tmp_path / "repository" / "a" / "pcaplint.toml").write_text("expect = false")
    assert find().defaults() == {"no_expect": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fail_on = 'error'", "did you mean fail-on"),
        ("tshark = '/tmp/evil'", "no setting is called tshark"),
        ("fail-on = 'sometimes'", "fail-on"),
        ("timeout = 0", "timeout"),
        ("select = 'a'", "select"),
        ("a = [", "pcaplint.toml"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pcaplint.toml").write_text(text)
    with pytest.raises(UsageError, match=said) as error:
        find()
    assert "\n" not in str(error.value)


def test_show_prints_each_setting_and_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pcaplint: Run) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text('[tool.pcaplint]\nfail-on = "error"\n')
    status, out, _ = pcaplint("config", "show")
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert status == 0
    assert lines["fail-on"] == ['"error"', "pyproject.toml"]
    assert lines["format"] == ['"text"', "default"]
    assert list(lines) == list(SETTINGS)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_configuration_holds_until_the_command_line_speaks(captures: Path, pcaplint: Run) -> None:
    (captures / "pcaplint.toml").write_text('fail-on = "error"\nformat = "json"\nignore = ["syn-retransmitted"]')
    status, out, _ = pcaplint("check", "unanswered.pcap")
    assert status == 0
    assert json.loads(out)["fail_on"] == "error"
    status, out, _ = pcaplint("check", "--fail-on", "warning", "-f", "github", "unanswered.pcap")
    assert status == 1
    assert out.startswith("::warning file=unanswered.pcap")


def test_a_refused_configuration_is_status_2_and_help_still_works(captures: Path, pcaplint: Run) -> None:
    (captures / "pcaplint.toml").write_text("colour = 'never'")
    status, out, err = pcaplint("check", "good.pcap")
    assert (status, out) == (2, "")
    assert "did you mean color?" in err
    assert pcaplint("check", "--help")[0] == 0

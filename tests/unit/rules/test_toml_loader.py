"""Rule files are read within bounds, and refused with file and place."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from analyzer.errors import RuleError
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * (toml_loader.MAX_DEPTH + 1) + "]" * (toml_loader.MAX_DEPTH + 1), "nested too deeply (line 1)"),
        ("\n" + ".".join("a" * (toml_loader.MAX_KEY_PARTS + 1)) + " = 1", "a key of more than 8 parts (line 2)"),
        ("#" * (toml_loader.MAX_BYTES + 1), "larger than 64000 bytes"),
    ],
)
def test_a_document_beyond_a_bound_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RuleError) as refusal:
        toml_loader.read(path)
    assert str(refusal.value) == f"{path}: {reason}"


def test_brackets_in_strings_are_not_nesting(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('a = "' + "[" * 50 + '"', encoding="utf-8")
    assert toml_loader.read(path) == {"a": "[" * 50}


@pytest.mark.parametrize("text", ["plain", 'a "quote" and \\', "line\nend\t\x00\x7f", "caf\u00e9 \u202e", "\udcff"])
def test_quoted_text_reads_back(text: str) -> None:
    """A byte that was not UTF-8 reads back as its escape, since TOML cannot hold it."""
    expected = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    assert tomllib.loads(f"a = {toml_loader.quote(text)}") == {"a": expected}


def test_rule_files_are_listed_sorted_with_those_of_folders_below(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("z.toml", "b/a.toml", "b/notes.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert toml_loader.list_files(tmp_path) == [tmp_path / "b" / "a.toml", tmp_path / "z.toml"]


def test_a_folder_without_rule_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="holds no rule file"):
        toml_loader.list_files(tmp_path)

"""Keys of rule files that have a new name: all of a file in one refusal, and only where they are keys of the format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analyzer.errors import RuleError
from analyzer.rules import renamed_keys

if TYPE_CHECKING:
    from pathlib import Path


def test_all_old_keys_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RuleError) as refusal:
        renamed_keys.refuse({"peers": {}, "check": {"scope": "job", "see": ["any syn"]}}, tmp_path)
    assert str(refusal.value).splitlines() == [
        f"{tmp_path}: peers: this key is now called other_tools",
        f"{tmp_path}: check.see: this key is now called match",
        f'{tmp_path}: check.scope: the scope "job" is now called "correlation"',
    ]


@pytest.mark.parametrize(
    "document",
    [
        {"variables": {"see": "int"}, "row": [{"id": "x", "set": {"see": "1", "say": "2", "cite": "3"}}]},
        {"check": {"values": {"say": "seq", "of": "ack"}, "match": ["any syn"]}},
        {"row": [7, {"hold": {"values": {"see": "seq: seq"}}}], "verdict": "cite", "check": ["over"]},
    ],
)
def test_a_name_of_the_authors_own_may_be_an_old_key(tmp_path: Path, document: dict[str, object]) -> None:
    """Variables, placeholders and values have names of their own; a document of any shape is left to the schema."""
    renamed_keys.refuse(document, tmp_path)

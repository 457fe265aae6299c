from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.report.escaping import disarm, printable, unicode

ANY_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=()))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\x07b", r"a\x07b"),
        ("\x9b2J", r"\x9b2J"),
        ("\x7f", r"\x7f"),
        ("\t\r\n", r"\t\r\n"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("\u200b", r"\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("caf\udce9", r"caf\xe9"),
        ("[bold]x[/nope]", "[bold]x[/nope]"),
        ("größe → 東京", "größe → 東京"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@given(ANY_TEXT)
def test_no_control_format_or_surrogate_character_is_left(raw: str) -> None:
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in printable(raw):
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in bidirectional


@given(ANY_TEXT)
def test_unicode_can_always_be_encoded_and_leaves_proper_text_alone(raw: str) -> None:
    assert unicode(raw).encode().decode() == unicode(raw)
    assert unicode(raw) == raw or any("\ud800" <= character <= "\udfff" for character in raw)


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", '"=1', "'=1", "=", "-", "--5", "+"])
def test_formulas_are_disarmed(cell: str) -> None:
    assert disarm(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", "-1", "+1", "-1.5", "1e5", "-2E-3", "complete", "10.0.0.1", "a=b", "f1", "1:LQU9="])
def test_numbers_and_words_are_left_alone(cell: str) -> None:
    assert disarm(cell) == cell

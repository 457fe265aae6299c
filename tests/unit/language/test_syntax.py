"""Text to trees: what each text means, and where a text that means nothing goes wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.language import ExpressionError, parse, records_of, walk
from analyzer.language.syntax import MAX_LENGTH, Binary, Literal, Name, Node, Not, OneOf, RecordField, StateQuery, Within, transform

A, B, C = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a", A),
        ("a-b", Name("a-b")),
        ("a - b", Binary("-", A, B)),
        ("a+b", Binary("+", A, B)),
        ("a - b + c", Binary("+", Binary("-", A, B), C)),
        ("a - (b + c)", Binary("-", A, Binary("+", B, C))),
        ("a or b and c", Binary("or", A, Binary("and", B, C))),
        ("(a or b) and c", Binary("and", Binary("or", A, B), C)),
        ("not a and b", Binary("and", Not(A), B)),
        ("not not a", Not(Not(A))),
        ("not a == b", Not(Binary("==", A, B))),
        ("a + b <= c", Binary("<=", Binary("+", A, B), C)),
        ("a in (b, c]", Within(A, B, C, open_low=True, open_high=False)),
        ("a in [b, c)", Within(A, B, C, open_low=False, open_high=True)),
        ("a + 1 in [b - 1, c]", Within(Binary("+", A, Literal(1)), Binary("-", B, Literal(1)), C, open_low=False, open_high=False)),
        ("a in {B}", OneOf(A, ("B",))),
        ("a in {B, by-client,C_2}", OneOf(A, ("B", "by-client", "C_2"))),
        ("a not in {B}", Not(OneOf(A, ("B",)))),
        ("not a not in [b, c)", Not(Not(Within(A, B, C, open_low=False, open_high=True)))),
        ("syn.isn == a", Binary("==", RecordField("syn", "isn"), A)),
        ('seen("ack3-data")', StateQuery("seen", "ack3-data")),
        ('lost("syn")', StateQuery("lost", "syn")),
        ("true", Literal(1, "flag")),
        ("false", Literal(0, "flag")),
        ("truth", Name("truth")),
        ("notable", Name("notable")),
        ("4294967295", Literal(4294967295)),
        ("3s", Literal(3_000_000_000, "time")),
        ("1.5ms", Literal(1_500_000, "time")),
        ("20us", Literal(20_000, "time")),
        ("7ns", Literal(7, "time")),
        ("  a\t==\nb  ", Binary("==", A, B)),
    ],
)
def test_text_becomes_this_tree(text: str, tree: Node) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("   ", 4),
        ("a b", 3),
        ("a ==", 5),
        ("== a", 1),
        ("a == b == c", 8),
        ("a and", 6),
        ("and a", 1),
        ("a in b", 6),
        ("a in (b c]", 9),
        ("a in (b, c", 11),
        ("a in {}", 7),
        ("a not {B}", 3),
        ("a not", 3),
        ("a in {1}", 7),
        ("(a", 3),
        ("a)", 2),
        ("a.b.c", 4),
        ("a.", 3),
        ("seen(a)", 6),
        ('seen("a"', 9),
        ('frob("a")', 5),
        ("-1", 1),
        ("a*b", 2),
        ("a=b", 2),
        ("a; b", 2),
        ("a\x00b", 2),
        ("3 s", 3),
        ("é", 1),
        ('a == "b"', 6),
        (f"{2**62}", 1),
        ("(" * 9 + "a" + ")" * 9, 9),
    ],
)
def test_text_outside_the_grammar_is_refused_with_its_column(text: str, column: int) -> None:
    with pytest.raises(ExpressionError, match=rf"^column {column} of ") as refused:
        parse(text)
    assert "\n" not in str(refused.value)


def test_a_single_equals_sign_is_answered_with_the_comparison() -> None:
    with pytest.raises(ExpressionError, match="column 3 of 'a = b': write == to compare"):
        parse("a = b")


def test_length_and_nesting_are_bounded() -> None:
    assert parse("(" * 7 + "a" + ")" * 7) == A
    assert parse("a" * MAX_LENGTH) == Name("a" * MAX_LENGTH)
    with pytest.raises(ExpressionError, match=f"{MAX_LENGTH} are allowed"):
        parse("a" * (MAX_LENGTH + 1))


def test_walk_yields_every_part_and_records_come_in_order() -> None:
    node = parse('not (peer.isn in (syn.isn, syn.end]) and a in {B} or seen("x") or peer.end == 1')
    assert records_of(node) == ("peer", "syn")
    assert {part.name for part in walk(node) if isinstance(part, RecordField | Name)} == {"isn", "end", "a"}
    assert [part for part in walk(node) if isinstance(part, StateQuery)] == [StateQuery("seen", "x")]


def test_transform_changes_every_part() -> None:
    text = "not (hold.x in (a, b + hold.x]) and hold.y == c and hold.z in {D}"
    changed = transform(parse(text), lambda part: Name(f"h-{part.name}") if isinstance(part, RecordField) else part)
    assert changed == parse(text.replace("hold.", "h-"))


_SIGNS = ["==", "!=", "<", ">=", "+", "-", "(", ")", "[", "]", "{", "}", ",", ".", '"', "'", "\\", "\n", "é", "\x00"]
_NAMES = ["a", "b-c", "syn.isn", "not", "and", "or", "in", "0", "4294967296", "3s", "1.5ms", "true", "seen", "lost", "lambda", "__class__"]
_WORDS = st.sampled_from([*_SIGNS, *_NAMES])
_SOUP = st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=14).map(" ".join), st.lists(_WORDS, max_size=14).map("".join))


@settings(deadline=None, max_examples=2000)
@given(text=_SOUP)
def test_any_text_parses_or_is_an_expression_error(text: str) -> None:
    try:
        node = parse(text)
    except ExpressionError:
        return
    assert parse(f"({text})") == node
    assert node in walk(node)

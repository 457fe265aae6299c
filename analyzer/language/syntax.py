"""Parse the expressions in rule files.

The language has no loops, no attribute access and no calls but `seen` and `lost`. Text is never evaluated as Python; length and nesting
are bounded. A minus operator is written between spaces, since names may contain hyphens.

Grammar, lowest precedence first:

    or     := and ("or" and)*
    and    := not ("and" not)*
    not    := "not" not | test
    test   := sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum | ["not"] "in" (interval | set)]
    sum    := term (("+" | "-") term)*
    term   := number | time | name ["." name] | ("seen" | "lost") "(" string ")" | "(" or ")"
    interval := ("(" | "[") sum "," sum (")" | "]")        set := "{" name ("," name)* "}"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from analyzer.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_LENGTH: Final = 400
"""Characters of an expression."""
MAX_DEPTH: Final = 8
"""Nested parentheses."""
MAX_NUMBER: Final = 2**62 - 1
"""Largest literal: sums of two fit in 64 bits."""
CONSTANTS: Final = {"true": 1, "false": 0}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<time>\d+(?:\.\d+)?(?:ns|us|ms|s)\b)|(?P<number>\d+)|(?P<name>[A-Za-z_][A-Za-z0-9_-]*[A-Za-z0-9_]|[A-Za-z_])"
    r"|(?P<text>\"[^\"]*\")|(?P<symbol>==|!=|<=|>=|[-+<>()\[\]{},.]))"
)
_NANOSECONDS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")


class ExpressionError(RuleError):
    """An expression does not parse or does not fit its scope; the message gives the column."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal of type int, time (nanoseconds) or flag."""

    value: int
    type: str = "int"


@dataclass(frozen=True, slots=True)
class Name:
    """A segment field, variable, built-in or member of an enumeration."""

    name: str


@dataclass(frozen=True, slots=True)
class RecordField:
    """A field of one member of a candidate record."""

    record: str
    name: str


@dataclass(frozen=True, slots=True)
class StateQuery:
    """`seen("id")` or `lost("record")`."""

    what: str
    id: str


@dataclass(frozen=True, slots=True)
class Not:
    """Kleene negation."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """`and`, `or`, a comparison, `+` or `-`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Within:
    """`operand in (low, high]`; for sequence numbers by forward distance from `low`."""

    operand: Node
    low: Node
    high: Node
    open_low: bool
    open_high: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """`operand in {a, b}` over an enumeration."""

    operand: Node
    names: tuple[str, ...]


Node = Literal | Name | RecordField | StateQuery | Not | Binary | Within | OneOf


def _fail(text: str, column: int, reason: str) -> NoReturn:
    message = f"column {column + 1} of {text!r}: {reason}"
    raise ExpressionError(message)


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            column = at + len(text[at:]) - len(text[at:].lstrip())
            _fail(text, column, "write == to compare" if text[column] == "=" else "not a part of the expression language")
        kind = match.lastgroup or ""
        found.append((kind, match.group(kind), match.start(kind)))
        at = match.end()
    return [*found, ("end", "", len(text))]


class _Parser:
    """Recursive descent over the grammar in the module's docstring, one method per line of it."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at, self.depth = text, _tokens(text), 0, 0

    def peek(self) -> str:
        return self.tokens[self.at][1]

    def take(self, *expected: str) -> str:
        kind, value, column = self.tokens[self.at]
        if expected and (value not in expected or kind == "text"):
            _fail(self.text, column, f"expected {' or '.join(expected)}, found {value or 'the end'}")
        self.at += 1
        return value

    def any_of(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            _fail(self.text, self.tokens[self.at][2], f"nested deeper than {MAX_DEPTH}")
        left = self.all_of()
        while self.peek() == "or":
            self.take()
            left = Binary("or", left, self.all_of())
        self.depth -= 1
        return left

    def all_of(self) -> Node:
        left = self.negation()
        while self.peek() == "and":
            self.take()
            left = Binary("and", left, self.negation())
        return left

    def negation(self) -> Node:
        count = 0
        while self.peek() == "not":
            self.take()
            count += 1
        node = self.test()
        for _ in range(count):
            node = Not(node)
        return node

    def test(self) -> Node:
        left = self.sum()
        if self.peek() in COMPARISONS:
            return Binary(self.take(), left, self.sum())
        if self.peek() == "not" and self.tokens[self.at + 1][1] == "in":
            self.take()
            return Not(self.membership(left))
        return self.membership(left) if self.peek() == "in" else left

    def membership(self, operand: Node) -> Node:
        self.take("in")
        return self.set(operand) if self.peek() == "{" else self.interval(operand)

    def interval(self, operand: Node) -> Node:
        opening = self.take("(", "[")
        low = self.sum()
        self.take(",")
        high = self.sum()
        return Within(operand, low, high, opening == "(", self.take(")", "]") == ")")

    def set(self, operand: Node) -> Node:
        self.take("{")
        names = [self.name()]
        while self.peek() == ",":
            self.take()
            names.append(self.name())
        self.take("}")
        return OneOf(operand, tuple(names))

    def sum(self) -> Node:
        left = self.term()
        while self.peek() in {"+", "-"}:
            left = Binary(self.take(), left, self.term())
        return left

    def name(self) -> str:
        kind, value, column = self.tokens[self.at]
        if kind != "name" or value in {"and", "or", "not", "in"}:
            _fail(self.text, column, f"expected a name, found {value or 'the end'}")
        self.at += 1
        return value

    def term(self) -> Node:
        kind, value, column = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return Literal(_bounded(self.text, column, int(value)))
        if kind == "time":
            self.at += 1
            digits, unit = re.fullmatch(r"([\d.]+)(\w+)", value).groups()  # type: ignore[union-attr]
            return Literal(_bounded(self.text, column, round(float(digits) * _NANOSECONDS[unit])), "time")
        if kind == "symbol" and value == "(":
            self.at += 1
            inner = self.any_of()
            self.take(")")
            return inner
        name = self.name()
        if name in CONSTANTS:
            return Literal(CONSTANTS[name], "flag")
        if name in {"seen", "lost"}:
            return self.query(name)
        if self.peek() == ".":
            self.take()
            return RecordField(name, self.name())
        return Name(name)

    def query(self, what: str) -> Node:
        self.take("(")
        kind, value, column = self.tokens[self.at]
        if kind != "text":
            _fail(self.text, column, f"{what} takes one quoted id")
        self.at += 1
        self.take(")")
        return StateQuery(what, value[1:-1])


def _bounded(text: str, column: int, value: int) -> int:
    if value > MAX_NUMBER:
        _fail(text, column, "the number is too large")
    return value


def parse(text: str) -> Node:
    """Return the tree of `text`. Raises `ExpressionError` with the column."""
    if len(text) > MAX_LENGTH:
        message = f"an expression of {len(text)} characters: {MAX_LENGTH} are allowed"
        raise ExpressionError(message)
    parser = _Parser(text)
    node = parser.any_of()
    if parser.peek():
        _fail(text, parser.tokens[parser.at][2], f"did not expect {parser.peek()}")
    return node


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and all its descendants, in preorder."""
    yield node
    match node:
        case Not(operand):
            yield from walk(operand)
        case Binary(_, left, right):
            yield from walk(left)
            yield from walk(right)
        case Within(operand, low, high):
            for part in (operand, low, high):
                yield from walk(part)
        case OneOf(operand):
            yield from walk(operand)


def records_of(node: Node) -> tuple[str, ...]:
    """Return the candidate records that `node` names, in order of appearance."""
    return tuple(dict.fromkeys(part.record for part in walk(node) if isinstance(part, RecordField)))


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """Return `node` with `change` applied to every part of it, innermost first."""
    match node:
        case Not():
            node = Not(transform(node.operand, change))
        case Binary():
            node = Binary(node.operator, transform(node.left, change), transform(node.right, change))
        case Within():
            low, high = transform(node.low, change), transform(node.high, change)
            node = Within(transform(node.operand, change), low, high, node.open_low, node.open_high)
        case OneOf():
            node = OneOf(transform(node.operand, change), node.names)
    return change(node)

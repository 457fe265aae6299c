"""Check the types of expressions.

A tree that `check` accepts can be evaluated in its scope without a type error. Sequence numbers (`seq`) are mod 2^32: they may be added
to, subtracted, compared for equality and tested for membership of an interval; `<` between two of them is refused, since modular numbers
have no order (RFC 9293 section 3.4).
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NoReturn

from analyzer.language.syntax import Binary, ExpressionError, Literal, Name, Node, Not, OneOf, RecordField, StateQuery, Within

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name. A type is seq, int, time, flag or the name of an enumeration."""

    names: Mapping[str, str]
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()
    """Rows and findings that `seen` may name."""


COMPARE: Final = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMERIC: Final = frozenset({"seq", "int", "time", "flag"})
COUNTABLE: Final = frozenset({"int", "time", "flag"})


def check(node: Node, scope: Scope, *, wanted: str | None = None) -> str:
    """Return the type of `node` in `scope`. Raises `ExpressionError` when it has none, or is not of the `wanted` type."""
    found = _type(node, scope)
    fits = wanted in {None, found} or (wanted in {"int", "time"} and found in COUNTABLE)
    if not fits:
        _refuse(f"a {wanted} is needed here, not a {found.removeprefix('member:')}")
    return found


def _type(node: Node, scope: Scope) -> str:
    match node:
        case Literal():
            return node.type
        case Name():
            return _name_type(node.name, scope)
        case RecordField():
            return _field_type(node, scope)
        case StateQuery():
            if node.id not in (scope.ids if node.what == "seen" else scope.records):
                _refuse(f'{node.what}("{node.id}"): "{node.id}" does not exist')
        case Not():
            check(node.operand, scope, wanted="flag")
        case Within():
            operand = _type(node.operand, scope)
            bounds = [_type(part, scope) for part in (node.low, node.high)]
            # Two literals are an interval of sequence numbers: seq in [4294901760, 4294967295]. With one literal the types must agree.
            literal = operand == "seq" and _is_literal(node.low) and _is_literal(node.high)
            _check_interval(["seq"] * 3 if literal else [operand, *bounds])
        case OneOf():
            _check_members(_type(node.operand, scope), node.names, scope)
        case Binary():
            return _binary_type(node, scope)
    return "flag"


def _refuse(reason: str) -> NoReturn:
    raise ExpressionError(reason)


def _field_type(node: RecordField, scope: Scope) -> str:
    if node.name not in scope.records.get(node.record, {}):
        _refuse(f"{node.record}.{node.name} is not declared")
    return scope.records[node.record][node.name]


def _name_type(name: str, scope: Scope) -> str:
    if name in scope.names:
        return scope.names[name]
    owners = [enum for enum, members in scope.enums.items() if name in members]
    if not owners:
        nearest = get_close_matches(name, scope.names, 1)
        _refuse(f"{name} is not declared" + (f": did you mean {nearest[0]}?" if nearest else ""))
    return f"member:{name}"


def _check_members(type_: str, names: tuple[str, ...], scope: Scope) -> None:
    unknown = set(names) - set(scope.enums.get(type_, ()))
    if unknown:
        _refuse(f"{', '.join(sorted(unknown))}: not of {type_.removeprefix('member:')}")


def _is_literal(node: Node) -> bool:
    return isinstance(node, Literal) and node.type == "int"


def _check_interval(types: list[str]) -> None:
    if "seq" in types and types != ["seq", "seq", "seq"]:
        _refuse(f"an interval of {types[1]} and {types[2]} around a {types[0]}")
    if any(type_ not in {"seq", "int", "time"} for type_ in types):
        _refuse("an interval needs numbers")


def _binary_type(node: Binary, scope: Scope) -> str:
    if node.operator in {"and", "or"}:
        check(node.left, scope, wanted="flag")
        check(node.right, scope, wanted="flag")
        return "flag"
    types = (_type(node.left, scope), _type(node.right, scope))
    if node.operator in {"+", "-"}:
        return _sum_type(node.operator, types)
    if "seq" in types and node.operator not in {"==", "!="}:
        _refuse(f"{node.operator} has no meaning between sequence numbers: use an interval")
    for one, other in (types, types[::-1]):
        if one.startswith("member:"):
            _check_members(other, (one.removeprefix("member:"),), scope)
            return "flag"
    _check_comparable(node, types)
    return "flag"


def _check_comparable(node: Binary, types: tuple[str, str]) -> None:
    literal = any(isinstance(part, Literal) and part.type == "int" for part in (node.left, node.right))
    alike = types[0] == types[1] and (types[0] in NUMERIC or node.operator in {"==", "!="})
    if not alike and not (literal and set(types) in ({"seq", "int"}, {"time", "int"})):
        _refuse(f"{types[0]} {node.operator} {types[1]} does not fit")


def _sum_type(symbol: str, types: tuple[str, str]) -> str:
    if types == ("seq", "seq") and symbol == "-":
        return "int"
    if types[0] == "seq" and types[1] in {"int", "flag"}:
        return "seq"
    if set(types) <= COUNTABLE:
        return "time" if "time" in types else "int"
    _refuse(f"{types[0]} {symbol} {types[1]} does not fit")


def resolve(part: Node, other: Node, scope: Scope) -> Node:
    """Return `part`, or the code of the member that it names of the enumeration that is the type of `other`."""
    if isinstance(part, Name) and part.name not in scope.names:
        return Literal(scope.enums[check(other, scope)].index(part.name))
    return part

"""The kinds of values, and which expression has which.

Promises: a tree that passes `check` can be evaluated in its scope without a type fault. Sequence numbers (`seq`) are
mod 2^32: they may be added to, subtracted, compared for equality and tested for lying in an interval; `<` between two
of them is refused, since it has no meaning on a circle (RFC 9293 section 3.4).
Must not know: where values come from, or how they are stored.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from analyzer.language.syntax import Binary, ExpressionError, Field, Name, Node, Not, Number, OneOf, StateQuery, Within

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may name. A type is seq, int, time, flag or the name of an enumeration."""

    names: Mapping[str, str]
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ids: frozenset[str] = frozenset()
    """What `seen` may ask for."""


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
    """Return the kind of `node` in `scope`. Raises `ExpressionError` when it has none, or does not fit the `wanted` one."""
    found = _kind(node, scope)
    fits = wanted in {None, found} or (wanted in {"int", "time"} and found in COUNTABLE)
    if not fits:
        _refuse(f"a {wanted} is needed here, not a {found.removeprefix('member:')}")
    return found


def _kind(node: Node, scope: Scope) -> str:
    match node:
        case Number():
            return node.kind
        case Name():
            return _name_kind(node.name, scope)
        case Field():
            return _field_kind(node, scope)
        case StateQuery():
            if node.id not in (scope.ids if node.what == "seen" else scope.records):
                _refuse(f'{node.what}("{node.id}") asks for what does not exist')
        case Not():
            check(node.operand, scope, wanted="flag")
        case Within():
            operand = _kind(node.operand, scope)
            bounds = [_kind(part, scope) for part in (node.low, node.high)]
            # Two literals name a stretch of the circle: seq in [4294901760, 4294967295]. One of them beside a number says nothing.
            named = operand == "seq" and _is_literal(node.low) and _is_literal(node.high)
            _check_interval(["seq"] * 3 if named else [operand, *bounds])
        case OneOf():
            _check_members(_kind(node.operand, scope), node.names, scope)
        case Binary():
            return _binary_kind(node, scope)
    return "flag"


def _refuse(reason: str) -> NoReturn:
    raise ExpressionError(reason)


def _field_kind(node: Field, scope: Scope) -> str:
    if node.name not in scope.records.get(node.record, {}):
        _refuse(f"{node.record}.{node.name} is not declared")
    return scope.records[node.record][node.name]


def _name_kind(name: str, scope: Scope) -> str:
    if name in scope.names:
        return scope.names[name]
    owners = [enum for enum, members in scope.enums.items() if name in members]
    if not owners:
        _refuse(f"{name} is not declared")
    return f"member:{name}"


def _check_members(kind: str, names: tuple[str, ...], scope: Scope) -> None:
    strangers = set(names) - set(scope.enums.get(kind, ()))
    if strangers:
        _refuse(f"{', '.join(sorted(strangers))}: not of {kind.removeprefix('member:')}")


def _is_literal(node: Node) -> bool:
    return isinstance(node, Number) and node.kind == "int"


def _check_interval(kinds: list[str]) -> None:
    if "seq" in kinds and kinds != ["seq", "seq", "seq"]:
        _refuse(f"an interval of {kinds[1]} and {kinds[2]} around a {kinds[0]}")
    if any(kind not in {"seq", "int", "time"} for kind in kinds):
        _refuse("an interval needs numbers")


def _binary_kind(node: Binary, scope: Scope) -> str:
    if node.sign in {"and", "or"}:
        check(node.left, scope, wanted="flag")
        check(node.right, scope, wanted="flag")
        return "flag"
    kinds = (_kind(node.left, scope), _kind(node.right, scope))
    if node.sign in {"+", "-"}:
        return _sum_kind(node.sign, kinds)
    if "seq" in kinds and node.sign not in {"==", "!="}:
        _refuse(f"{node.sign} has no meaning between sequence numbers: use an interval")
    for one, other in (kinds, kinds[::-1]):
        if one.startswith("member:"):
            _check_members(other, (one.removeprefix("member:"),), scope)
            return "flag"
    _check_comparable(node, kinds)
    return "flag"


def _check_comparable(node: Binary, kinds: tuple[str, str]) -> None:
    literal = any(isinstance(part, Number) and part.kind == "int" for part in (node.left, node.right))
    alike = kinds[0] == kinds[1] and (kinds[0] in NUMERIC or node.sign in {"==", "!="})
    if not alike and not (literal and set(kinds) in ({"seq", "int"}, {"time", "int"})):
        _refuse(f"{kinds[0]} {node.sign} {kinds[1]} does not fit")


def _sum_kind(sign: str, kinds: tuple[str, str]) -> str:
    if kinds == ("seq", "seq") and sign == "-":
        return "int"
    if kinds[0] == "seq" and kinds[1] in {"int", "flag"}:
        return "seq"
    if set(kinds) <= COUNTABLE:
        return "time" if "time" in kinds else "int"
    _refuse(f"{kinds[0]} {sign} {kinds[1]} does not fit")


def resolve(part: Node, other: Node, scope: Scope) -> Node:
    """Return `part`, or the code of the enumeration's member it names beside `other`."""
    if isinstance(part, Name) and part.name not in scope.names:
        return Number(scope.enums[check(other, scope)].index(part.name))
    return part

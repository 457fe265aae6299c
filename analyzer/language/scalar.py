"""Compile a checked expression to a function over one flow: plain integers, None for unknown.

Promises: the same answers as `arrays`, one flow at a time; used to finish the few flows that are much longer than the rest.
Must not know: rows, states, or where the values come from.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, Protocol

from analyzer.language.syntax import Binary, Field, Name, Node, Not, Number, OneOf, StateQuery, Within
from analyzer.language.types import COMPARE, Scope, check, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    Evaluate = Callable[["ScalarNames"], int | None]

MASK: Final = 0xFFFFFFFF
HALF: Final = 2**31


class ScalarNames(Protocol):
    """Where a compiled expression finds the values of one flow."""

    def name(self, name: str) -> int | None:
        """Value of a segment field, variable or built-in."""

    def field(self, record: str, name: str) -> int | None:
        """Value of the record member this evaluation is about."""

    def seen(self, id_: str) -> bool:
        """Whether that row or finding has been seen."""

    def lost(self, record: str) -> bool:
        """Whether a member of that record had to make room."""


def compile_(node: Node, scope: Scope) -> Evaluate:
    """Return the function that evaluates `node`, which `check` has passed in `scope`."""
    match node:
        case Number():
            return lambda _flow: node.value
        case Name():
            return lambda flow: flow.name(node.name)
        case Field():
            return lambda flow: flow.field(node.record, node.name)
        case StateQuery():
            if node.what == "seen":
                return lambda flow: flow.seen(node.id)
            return lambda flow: flow.lost(node.id)
        case Not():
            operand = compile_(node.operand, scope)
            return lambda flow: None if (value := operand(flow)) is None else not value
        case OneOf():
            return _one_of(node, scope)
        case Within():
            return _interval(node, scope)
        case Binary():
            return _binary(node, scope)


def _one_of(node: OneOf, scope: Scope) -> Evaluate:
    operand = compile_(node.operand, scope)
    members = scope.enums[check(node.operand, scope)]
    codes = frozenset(members.index(name) for name in node.names)
    return lambda flow: None if (value := operand(flow)) is None else (value in codes)


def _interval(node: Within, scope: Scope) -> Evaluate:
    operand, low, high = (compile_(part, scope) for part in (node.operand, node.low, node.high))
    circular = check(node.operand, scope) == "seq"
    above = operator.gt if node.open_low else operator.ge
    below = operator.lt if node.open_high else operator.le

    def evaluate(flow: ScalarNames) -> bool | None:
        value, start, end = operand(flow), low(flow), high(flow)
        if value is None or start is None or end is None:
            return None
        if not circular:
            return bool(above(value, start) and below(value, end))
        width, distance = (end - start) & MASK, (value - start) & MASK
        return bool(above(distance, 0) and below(distance, width) and width < HALF)

    return evaluate


def _binary(node: Binary, scope: Scope) -> Evaluate:
    left, right = compile_(resolve(node.left, node.right, scope), scope), compile_(resolve(node.right, node.left, scope), scope)
    if node.sign == "and":
        return _conjunction(left, right)
    if node.sign == "or":
        return _disjunction(left, right)
    if node.sign in {"+", "-"}:
        return _sum(left, right, node.sign, circular=check(node.left, scope) == "seq")
    compare = COMPARE[node.sign]

    def evaluate(flow: ScalarNames) -> bool | None:
        one, other = left(flow), right(flow)
        return None if one is None or other is None else bool(compare(one, other))

    return evaluate


def _conjunction(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(flow: ScalarNames) -> bool | None:
        one = left(flow)
        if one is not None and not one:
            return False
        other = right(flow)
        if other is not None and not other:
            return False
        return None if one is None or other is None else True

    return evaluate


def _disjunction(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(flow: ScalarNames) -> bool | None:
        one = left(flow)
        if one:
            return True
        other = right(flow)
        if other:
            return True
        return None if one is None or other is None else False

    return evaluate


def _sum(left: Evaluate, right: Evaluate, sign: str, *, circular: bool) -> Evaluate:
    combine = operator.add if sign == "+" else operator.sub

    def evaluate(flow: ScalarNames) -> int | None:
        one, other = left(flow), right(flow)
        if one is None or other is None:
            return None
        total: int = combine(one, other)
        return total & MASK if circular else total

    return evaluate

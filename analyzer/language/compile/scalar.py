"""Compile a checked expression to a function over one connection: plain integers, None for unknown.

This is the specification of `vector`. In production it finishes the few connections that are much longer than the others.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

from analyzer.language.syntax import Binary, Literal, Name, Node, Not, OneOf, RecordField, StateQuery, Within
from analyzer.language.types import COMPARE, Scope, check, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.language.compile.names import MachineNames

    ScalarNames = MachineNames[int | None, bool]
    Evaluate = Callable[[ScalarNames], int | None]

MASK: Final = 0xFFFFFFFF
HALF: Final = 2**31
"""Half of the sequence space: a wider interval cannot be told from its complement (RFC 9293 section 3.4)."""


def compile_(node: Node, scope: Scope) -> Evaluate:
    """Return the function that evaluates `node`; `check` must have accepted it in `scope`."""
    match node:
        case Literal():
            return lambda _flow: node.value
        case Name():
            return lambda flow: flow.name(node.name)
        case RecordField():
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
    if node.operator == "and":
        return _conjunction(left, right)
    if node.operator == "or":
        return _disjunction(left, right)
    if node.operator in {"+", "-"}:
        return _sum(left, right, node.operator, circular=check(node.left, scope) == "seq")
    compare = COMPARE[node.operator]

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


def _sum(left: Evaluate, right: Evaluate, symbol: str, *, circular: bool) -> Evaluate:
    combine = operator.add if symbol == "+" else operator.sub

    def evaluate(flow: ScalarNames) -> int | None:
        one, other = left(flow), right(flow)
        if one is None or other is None:
            return None
        total: int = combine(one, other)
        return total & MASK if circular else total

    return evaluate

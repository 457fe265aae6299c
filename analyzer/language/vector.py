"""Compile a checked expression to a function over arrays: one answer a flow.

Promises: a compiled expression maps an `Arrays` to (values, known): values is an array or a scalar, known is a bool array
or None when everything is known. A condition's values are False wherever it is unknown.
Must not know: rows, states, or how the arrays were gathered.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from analyzer.language.syntax import Binary, Field, Name, Node, Not, Number, OneOf, StateQuery, Within
from analyzer.language.types import COMPARE, Scope, check, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    Known = np.ndarray | None
    Answer = tuple[Any, Known]
    Evaluate = Callable[["VectorNames"], Answer]

HALF: Final = 2**31


class VectorNames(Protocol):
    """Where a compiled expression finds its values; each answer is as long as the group of flows it is about."""

    def name(self, name: str) -> Answer:
        """Values of a segment field, variable or built-in."""

    def field(self, record: str, name: str) -> Answer:
        """Values of the record member this evaluation is about."""

    def seen(self, id_: str) -> np.ndarray:
        """Whether that row or finding has been seen."""

    def lost(self, record: str) -> np.ndarray:
        """Whether a member of that record had to make room."""


def both(left: Known, right: Known) -> Known:
    """Return where both are known."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _mask(values: Any, known: Known) -> Answer:  # noqa: ANN401 - array or scalar
    return (values, None) if known is None else (values & known, known)


def _circle(values: Any) -> Any:  # noqa: ANN401 - array or scalar
    return values.astype(np.uint32, copy=False) if isinstance(values, np.ndarray) else np.uint32(int(values) & 0xFFFFFFFF)


def compile_(node: Node, scope: Scope) -> Evaluate:
    """Return the function that evaluates `node`, which `check` has passed in `scope`."""
    match node:
        case Number():
            value = bool(node.value) if node.kind == "flag" else node.value
            return lambda _arrays: (value, None)
        case Name():
            return lambda arrays: arrays.name(node.name)
        case Field():
            return lambda arrays: arrays.field(node.record, node.name)
        case StateQuery():
            if node.what == "seen":
                return lambda arrays: (arrays.seen(node.id), None)
            return lambda arrays: (arrays.lost(node.id), None)
        case Not():
            return _negation(compile_(node.operand, scope))
        case OneOf():
            return _one_of(node, scope)
        case Within():
            return _interval(node, scope)
        case Binary():
            return _binary(node, scope)


def _negation(operand: Evaluate) -> Evaluate:
    def evaluate(arrays: VectorNames) -> Answer:
        values, known = operand(arrays)
        return _mask(np.logical_not(values), known)

    return evaluate


def _one_of(node: OneOf, scope: Scope) -> Evaluate:
    operand = compile_(node.operand, scope)
    members = scope.enums[check(node.operand, scope)]
    codes = [members.index(name) for name in node.names]

    def evaluate(arrays: VectorNames) -> Answer:
        values, known = operand(arrays)
        return _mask(np.isin(values, codes), known)

    return evaluate


def _interval(node: Within, scope: Scope) -> Evaluate:
    operand, low, high = (compile_(part, scope) for part in (node.operand, node.low, node.high))
    circular = check(node.operand, scope) == "seq"
    above = operator.gt if node.open_low else operator.ge
    below = operator.lt if node.open_high else operator.le

    def evaluate(arrays: VectorNames) -> Answer:
        (values, known), (start, start_known), (end, end_known) = operand(arrays), low(arrays), high(arrays)
        known = both(known, both(start_known, end_known))
        if not circular:
            return _mask(above(values, start) & below(values, end), known)
        # The function, not the sign: between two plain numbers that one warns where it goes round.
        width, distance = np.subtract(_circle(end), _circle(start)), np.subtract(_circle(values), _circle(start))
        return _mask(above(distance, 0) & below(distance, width) & (width < HALF), known)

    return evaluate


def _binary(node: Binary, scope: Scope) -> Evaluate:
    left, right = compile_(resolve(node.left, node.right, scope), scope), compile_(resolve(node.right, node.left, scope), scope)
    if node.sign in {"and", "or"}:
        return _conjunction(left, right) if node.sign == "and" else _disjunction(left, right)
    if node.sign in {"+", "-"}:
        return _sum(left, right, node.sign, check(node.left, scope), check(node, scope))
    compare = COMPARE[node.sign]

    def evaluate(arrays: VectorNames) -> Answer:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        return _mask(compare(one, other), both(one_known, other_known))

    return evaluate


def _conjunction(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(arrays: VectorNames) -> Answer:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        values = one & other
        if one_known is None and other_known is None:
            return values, None
        one_sure, other_sure = (True if known is None else known for known in (one_known, other_known))
        known = (one_sure & other_sure) | (one_sure & np.logical_not(one)) | (other_sure & np.logical_not(other))
        return values, known

    return evaluate


def _disjunction(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(arrays: VectorNames) -> Answer:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        values = one | other
        known = both(one_known, other_known)
        return values, None if known is None else known | values

    return evaluate


def _sum(left: Evaluate, right: Evaluate, sign: str, first: str, kind: str) -> Evaluate:
    combine = operator.add if sign == "+" else operator.sub
    circular = first == "seq"

    def evaluate(arrays: VectorNames) -> Answer:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        if circular:
            values = combine(_circle(one), _circle(other))
            values = values if kind == "seq" else values.astype(np.int64)
        else:
            values = combine(_countable(one), _countable(other))
        return values, both(one_known, other_known)

    return evaluate


def _countable(values: Any) -> Any:  # noqa: ANN401 - array or scalar
    return values.astype(np.int64, copy=False) if isinstance(values, np.ndarray) else values

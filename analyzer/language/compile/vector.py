"""Compile a checked expression to a function over arrays: one answer per connection, segment or row.

A compiled expression returns (values, known): values is an array or a scalar, known is a bool array or None when everything is
known. Values of a condition are False wherever it is unknown. `scalar` is the specification.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from analyzer.language.syntax import Binary, Literal, Name, Node, Not, OneOf, RecordField, StateQuery, Within
from analyzer.language.types import COMPARE, Scope, check, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer._typing import BoolArray
    from analyzer.language.compile.names import MachineNames, Names

    Known = BoolArray | None
    Computed = tuple[Any, Known]
    VectorNames = Names[Computed]
    VectorMachineNames = MachineNames[Computed, BoolArray]
    Evaluate = Callable[[VectorNames], Computed]
    EvaluateMachine = Callable[[VectorMachineNames], Computed]

HALF: Final = 2**31
"""Half of the sequence space: a wider interval cannot be told from its complement (RFC 9293 section 3.4)."""


def both(left: Known, right: Known) -> Known:
    """Return where both are known."""
    if left is None or right is None:
        return right if left is None else left
    return left & right


def _mask(values: Any, known: Known) -> Computed:  # noqa: ANN401 - array or scalar
    return (values, None) if known is None else (values & known, known)


def _circle(values: Any) -> Any:  # noqa: ANN401 - array or scalar
    return values.astype(np.uint32, copy=False) if isinstance(values, np.ndarray) else np.uint32(int(values) & 0xFFFFFFFF)


def compile_(node: Node, scope: Scope) -> Evaluate:
    """Return the function that evaluates `node` over facts alone; `check` must have accepted it in `scope`, which has no records and ids.

    Raises `ValueError` for a scope with records or ids: those need `compile_machine`.
    """
    if scope.records or scope.ids:
        message = "an expression over a state machine is compiled by compile_machine"
        raise ValueError(message)
    # `check` refuses fields, `seen` and `lost` in such a scope, so that only `name` is called.
    return cast("Evaluate", compile_machine(node, scope))


def compile_machine(node: Node, scope: Scope) -> EvaluateMachine:
    """Return the function that evaluates `node`; `check` must have accepted it in `scope`."""
    match node:
        case Literal():
            value = bool(node.value) if node.type == "flag" else node.value
            return lambda _arrays: (value, None)
        case Name():
            return lambda arrays: arrays.name(node.name)
        case RecordField():
            return lambda arrays: arrays.field(node.record, node.name)
        case StateQuery():
            if node.what == "seen":
                return lambda arrays: (arrays.seen(node.id), None)
            return lambda arrays: (arrays.lost(node.id), None)
        case Not():
            return _negation(compile_machine(node.operand, scope))
        case OneOf():
            return _one_of(node, scope)
        case Within():
            return _interval(node, scope)
        case Binary():
            return _binary(node, scope)


def _negation(operand: EvaluateMachine) -> EvaluateMachine:
    def evaluate(arrays: VectorMachineNames) -> Computed:
        values, known = operand(arrays)
        return _mask(np.logical_not(values), known)

    return evaluate


def _one_of(node: OneOf, scope: Scope) -> EvaluateMachine:
    operand = compile_machine(node.operand, scope)
    members = scope.enums[check(node.operand, scope)]
    codes = [members.index(name) for name in node.names]

    def evaluate(arrays: VectorMachineNames) -> Computed:
        values, known = operand(arrays)
        return _mask(np.isin(values, codes), known)

    return evaluate


def _interval(node: Within, scope: Scope) -> EvaluateMachine:
    operand, low, high = (compile_machine(part, scope) for part in (node.operand, node.low, node.high))
    circular = check(node.operand, scope) == "seq"
    above = operator.gt if node.open_low else operator.ge
    below = operator.lt if node.open_high else operator.le

    def evaluate(arrays: VectorMachineNames) -> Computed:
        (values, known), (start, start_known), (end, end_known) = operand(arrays), low(arrays), high(arrays)
        known = both(known, both(start_known, end_known))
        if not circular:
            return _mask(above(values, start) & below(values, end), known)
        # np.subtract, not `-`: subtracting scalar uint32 values warns when the result wraps.
        width, distance = np.subtract(_circle(end), _circle(start)), np.subtract(_circle(values), _circle(start))
        return _mask(above(distance, 0) & below(distance, width) & (width < HALF), known)

    return evaluate


def _binary(node: Binary, scope: Scope) -> EvaluateMachine:
    left, right = (
        compile_machine(resolve(node.left, node.right, scope), scope),
        compile_machine(resolve(node.right, node.left, scope), scope),
    )
    if node.operator in {"and", "or"}:
        return _conjunction(left, right) if node.operator == "and" else _disjunction(left, right)
    if node.operator in {"+", "-"}:
        return _sum(left, right, node.operator, check(node.left, scope), check(node, scope))
    compare = COMPARE[node.operator]

    def evaluate(arrays: VectorMachineNames) -> Computed:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        return _mask(compare(one, other), both(one_known, other_known))

    return evaluate


def _conjunction(left: EvaluateMachine, right: EvaluateMachine) -> EvaluateMachine:
    def evaluate(arrays: VectorMachineNames) -> Computed:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        values = one & other
        if one_known is None and other_known is None:
            return values, None
        one_sure, other_sure = (True if known is None else known for known in (one_known, other_known))
        known = (one_sure & other_sure) | (one_sure & np.logical_not(one)) | (other_sure & np.logical_not(other))
        return values, known

    return evaluate


def _disjunction(left: EvaluateMachine, right: EvaluateMachine) -> EvaluateMachine:
    def evaluate(arrays: VectorMachineNames) -> Computed:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        values = one | other
        known = both(one_known, other_known)
        return values, None if known is None else known | values

    return evaluate


def _sum(left: EvaluateMachine, right: EvaluateMachine, symbol: str, first: str, type_: str) -> EvaluateMachine:
    combine = operator.add if symbol == "+" else operator.sub
    circular = first == "seq"

    def evaluate(arrays: VectorMachineNames) -> Computed:
        (one, one_known), (other, other_known) = left(arrays), right(arrays)
        if circular:
            values = combine(_circle(one), _circle(other))
            values = values if type_ == "seq" else values.astype(np.int64)
        else:
            values = combine(_countable(one), _countable(other))
        return values, both(one_known, other_known)

    return evaluate


def _countable(values: Any) -> Any:  # noqa: ANN401 - array or scalar
    return values.astype(np.int64, copy=False) if isinstance(values, np.ndarray) else values

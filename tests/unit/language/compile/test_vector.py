"""Expressions run: the vector and the scalar compiler give the answers of the definition.

The definition is in this file: every generated expression comes with a plain Python function over one flow (Kleene's
logic; forward distance mod 2^32, RFC 9293 section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analyzer.language import ExpressionError, Node, Scope, check, parse
from analyzer.language.compile import scalar, vector
from analyzer.language.syntax import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

M = 2**32
HALF = 2**31
STATES = ("CLOSED", "LISTEN", "SYN_SENT")
SCOPE = Scope(
    names={
        "seq": "seq", "ack": "seq", "len": "int", "ttl": "int", "time": "time", "syn_time": "time", "fin": "flag", "has-ack": "flag",
        "client": "state",
    },
    records={"syn": {"isn": "seq", "end": "seq", "window": "int"}},
    enums={"state": STATES},
    ids=frozenset({"row-1", "never"}),
)  # fmt: skip
DTYPES: Mapping[str, type[np.generic]] = {
    "seq": np.uint32, "ack": np.uint32, "len": np.int64, "ttl": np.int16, "time": np.int64, "syn_time": np.int64,
    "fin": np.bool_, "has-ack": np.bool_, "client": np.int8, "syn.isn": np.uint32, "syn.end": np.uint32, "syn.window": np.int32,
}  # fmt: skip

Flow = dict[str, int | None]
"""The values of one flow, by name and RECORD.FIELD; None is unknown. `seen row-1` and `lost syn` are among them."""


# ── Two ways to run an expression ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Columns:
    """Flows as `VectorMachineNames`."""

    flows: Sequence[Flow]

    def name(self, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        column = [flow[name] for flow in self.flows]
        known = np.array([value is not None for value in column])
        # What stands where nothing is known must not matter, but a flag that is not known is False as conditions are.
        blank = 0 if DTYPES[name] is np.bool_ else 1
        values = np.array([blank if value is None else value for value in column], DTYPES[name])
        return values, None if known.all() else known

    def field(self, record: str, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
        return self.name(f"{record}.{name}")

    def seen(self, id_: str) -> np.ndarray[Any, Any]:
        return np.array([bool(flow.get(f"seen {id_}")) for flow in self.flows])

    def lost(self, record: str) -> np.ndarray[Any, Any]:
        return np.array([bool(flow.get(f"lost {record}")) for flow in self.flows])


@dataclass(frozen=True, slots=True)
class One:
    """One flow as `ScalarNames`."""

    flow: Flow

    def name(self, name: str) -> int | None:
        return self.flow[name]

    def field(self, record: str, name: str) -> int | None:
        return self.flow[f"{record}.{name}"]

    def seen(self, id_: str) -> bool:
        return bool(self.flow.get(f"seen {id_}"))

    def lost(self, record: str) -> bool:
        return bool(self.flow.get(f"lost {record}"))


def _by_arrays(node: Node, flows: Sequence[Flow], scope: Scope = SCOPE) -> list[int | None]:
    values, known = vector.compile_machine(node, scope)(Columns(flows))
    wide = np.broadcast_to(np.asarray(values), len(flows)).tolist()
    sure = [True] * len(flows) if known is None else np.broadcast_to(known, len(flows)).tolist()
    return [int(value) if is_known else None for value, is_known in zip(wide, sure, strict=True)]


def _by_scalars(node: Node, flows: Sequence[Flow], scope: Scope = SCOPE) -> list[int | None]:
    run = scalar.compile_(node, scope)
    answers = [run(One(flow)) for flow in flows]
    return [None if answer is None else int(answer) for answer in answers]


def _both(text: str, *flows: Flow) -> list[int | None]:
    """Return the answers of both compilers, which must be the same."""
    node = parse(text)
    check(node, SCOPE)
    answers = _by_arrays(node, flows)
    assert answers == _by_scalars(node, flows)
    return answers


def _flow(**values: int | None) -> Flow:
    """Return a flow of which only `values` are known; a double underscore stands for a dot."""
    return dict.fromkeys(DTYPES) | {name.replace("__", "."): value for name, value in values.items()}


# ── Unknown ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

# Kleene's strong logic; None is unknown.
AND = {(1, 1): 1, (1, 0): 0, (0, 0): 0, (1, None): None, (0, None): 0, (None, None): None}
OR = {(1, 1): 1, (1, 0): 1, (0, 0): 0, (1, None): 1, (0, None): None, (None, None): None}
NOT = {1: 0, 0: 1, None: None}
TRUTHS = (0, 1, None)


@pytest.mark.parametrize("left", TRUTHS)
@pytest.mark.parametrize("right", TRUTHS)
@pytest.mark.parametrize(("sign", "table"), [("and", AND), ("or", OR)])
def test_and_and_or_follow_kleene(sign: str, table: Mapping[Any, int | None], left: int | None, right: int | None) -> None:
    expected = table.get((left, right), table.get((right, left)))
    flows = [_flow(**{"fin": left, "has-ack": right}), _flow(**{"fin": 1, "has-ack": 1}), _flow(**{"fin": 0, "has-ack": 0})]
    assert _both(f"fin {sign} has-ack", *flows) == [expected, 1, 0]


@pytest.mark.parametrize("value", TRUTHS)
def test_not_follows_kleene(value: int | None) -> None:
    assert _both("not fin", _flow(fin=value), _flow(fin=1)) == [NOT[value], 0]


@pytest.mark.parametrize(
    "text",
    [
        "seq == ack", "seq != ack", "not seq == ack", "ack == seq", "len < ttl", "seq in (ack, syn.end]", "syn.isn in [seq, ack]",
        "len in [0, ttl]", "client == CLOSED", "client != CLOSED", "client in {CLOSED}", "not client in {CLOSED}", "seq - ack == 0",
        "seq + len == seq", "time - syn_time > 3s",
    ],
)  # fmt: skip
def test_comparison_with_something_unknown_is_unknown(text: str) -> None:
    whole = _flow(seq=5, ack=5, len=5, ttl=5, time=5, syn_time=5, client=0, syn__isn=5, syn__end=5)
    for name in ("ack", "ttl", "syn_time", "client", "syn.isn", "syn.end", "len"):
        if name in text:
            assert _both(text, whole | {name: None}) == [None]
    assert None not in _both(text, whole)


def test_unset_is_not_zero() -> None:
    assert _both("seq == 0", _flow(seq=0), _flow(seq=None)) == [1, None]
    assert _both("seq != 0", _flow(seq=0), _flow(seq=None)) == [0, None]


def test_unknown_condition_holds_nowhere_in_arrays() -> None:
    for text in ("not seq == ack", "seq == 5 or fin", "seq in [0, 9]", "seq != ack"):
        values, known = vector.compile_machine(parse(text), SCOPE)(Columns([_flow(), _flow(seq=5, ack=6, fin=1)]))
        assert known is not None
        assert not known[0]
        assert not np.asarray(values)[0]


# ── The circle ───────────────────────────────────────────────────────────────────────────────────────────────────────────

EDGES = (0, 1, 2, HALF - 1, HALF, HALF + 1, M - 2, M - 1)


def _within(value: int, low: int, high: int, *, open_low: bool, open_high: bool) -> bool:
    """Whether walking forward from `low` meets `value` before it has passed `high`, which lies less than half a turn on."""
    width, distance = (high - low) % M, (value - low) % M
    return width < HALF and distance >= open_low and distance <= width - open_high


@pytest.mark.parametrize("low", EDGES)
@pytest.mark.parametrize(("opening", "closing"), [("(", "]"), ("[", "]"), ("[", ")"), ("(", ")")])
def test_interval_goes_by_forward_distance(low: int, opening: str, closing: str) -> None:
    widths = (0, 1, 5, HALF - 1, HALF, HALF + 1, M - 1)
    flows, expected = [], []
    for width in widths:
        for distance in (0, 1, 4, 5, 6, HALF - 1, HALF, HALF + 1, M - 1):
            value, high = (low + distance) % M, (low + width) % M
            flows.append(_flow(seq=value, syn__isn=low, syn__end=high))
            expected.append(int(_within(value, low, high, open_low=opening == "(", open_high=closing == ")")))
    assert _both(f"seq in {opening}syn.isn, syn.end{closing}", *flows) == expected


@pytest.mark.parametrize("isn", EDGES)
def test_antipode_is_in_no_interval(isn: int) -> None:
    opposite = _flow(ack=(isn + HALF) % M, syn__isn=isn, syn__end=(isn + 1) % M)
    beyond = _flow(ack=(isn + 1 + HALF) % M, syn__isn=isn, syn__end=(isn + 1) % M)
    right = _flow(ack=(isn + 1) % M, syn__isn=isn, syn__end=(isn + 1) % M)
    itself = _flow(ack=isn, syn__isn=isn, syn__end=(isn + 1) % M)
    assert _both("ack in (syn.isn, syn.end]", opposite, beyond, right, itself) == [0, 0, 1, 0]
    assert _both("ack in (syn.isn, syn.isn + 2147483648]", opposite, right) == [0, 0]
    assert _both("ack in (syn.isn, syn.isn + 2147483647]", opposite, right) == [0, 1]


def test_sums_and_differences_of_sequence_numbers_wrap() -> None:
    last = _flow(seq=M - 1, ack=0, len=10, fin=1)
    assert _both("seq + 1 == ack", last) == [1]
    assert _both("seq + 1 + len + fin", last) == [11]
    assert _both("ack - 1 == seq", last) == [1]
    assert _both("ack - seq", last) == [1]
    assert _both("seq - ack", last) == [M - 1]


def test_narrow_columns_do_not_overflow() -> None:
    assert _both("ttl + 40000 == 40255", _flow(ttl=255)) == [1]
    assert _both("syn.window + 4294967296 == 4294967305", _flow(syn__window=9)) == [1]
    assert _both("ttl - 70000 < 0", _flow(ttl=255)) == [1]
    assert _both("ttl in [0, 70000]", _flow(ttl=255)) == [1]


@pytest.mark.parametrize("text", ["not " * 99 + "fin", "fin or " * 56 + "fin", "0+" * 197 + "0 == 0"])
def test_longest_chains_still_run(text: str) -> None:
    assert len(text) <= MAX_LENGTH
    assert _both(text, _flow(fin=0)) == [text.startswith(("not", "0"))]


# ── Any expression, any values: both compilers and the definition agree ──────────────────────────────────────────────────

Pair = tuple[str, Any]
"""Text, and what it means for one flow."""

_SEQS = st.one_of(st.sampled_from(EDGES), st.integers(0, M - 1))
_COUNTS = st.integers(-3, 70_000)
_VALUES = {
    np.uint32: _SEQS,
    np.int64: _COUNTS,
    np.int32: _COUNTS,
    np.int16: st.integers(0, 255),
    np.bool_: st.integers(0, 1),
    np.int8: st.integers(0, len(STATES) - 1),
}
_FLOWS = st.lists(
    st.fixed_dictionaries(
        {name: st.one_of(st.none(), _VALUES[dtype]) for name, dtype in DTYPES.items()}
        | {"seen row-1": st.integers(0, 1), "lost syn": st.integers(0, 1)}
    ),
    min_size=1,
    max_size=6,
)


def _lift(work: Callable[..., int], *parts: Any) -> Any:  # noqa: ANN401 - functions over flows
    """Return the definition that is unknown as soon as one of its `parts` is."""

    def mean(flow: Flow) -> int | None:
        values = [part(flow) for part in parts]
        return None if None in values else int(work(*values))

    return mean


def _leaf(name: str) -> Pair:
    return name, lambda flow: flow[name]


def _constant(text: str, value: int) -> Pair:
    return text, lambda _flow: value


def _plus(one: Pair, other: Pair, sign: str, *, circular: bool) -> Pair:
    def work(left: int, right: int) -> int:
        total = left + right if sign == "+" else left - right
        return total % M if circular else total

    return f"({one[0]} {sign} {other[0]})", _lift(work, one[1], other[1])


_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_LITERALS = st.integers(0, 70_000).map(lambda value: _constant(str(value), value))
_FLAG_NAMES = st.sampled_from([_leaf("fin"), _leaf("has-ack")])


@st.composite
def _seq(draw: st.DrawFn, depth: int = 2) -> Pair:
    pair = draw(st.sampled_from([_leaf("seq"), _leaf("ack"), _leaf("syn.isn"), _leaf("syn.end")]))
    if depth and draw(st.booleans()):
        step = draw(st.one_of(_LITERALS, _FLAG_NAMES, _count(depth - 1)))
        pair = _plus(pair, step, draw(st.sampled_from("+-")), circular=True)
    return pair


@st.composite
def _count(draw: st.DrawFn, depth: int = 2) -> Pair:
    leaf = st.one_of(st.sampled_from([_leaf("len"), _leaf("ttl"), _leaf("syn.window")]), _LITERALS)
    if not depth or draw(st.booleans()):
        return draw(leaf)
    if draw(st.booleans()):
        return _plus(draw(_seq(depth - 1)), draw(_seq(depth - 1)), "-", circular=True)
    return _plus(draw(_count(depth - 1)), draw(st.one_of(_count(depth - 1), _FLAG_NAMES)), draw(st.sampled_from("+-")), circular=False)


@st.composite
def _time(draw: st.DrawFn, depth: int = 1) -> Pair:
    times = [_leaf("time"), _leaf("syn_time"), _constant("3s", 3_000_000_000), _constant("1.5us", 1_500), _constant("7ns", 7)]
    pair = draw(st.sampled_from(times))
    if depth and draw(st.booleans()):
        pair = _plus(pair, draw(_time(depth - 1)), draw(st.sampled_from("+-")), circular=False)
    return pair


@st.composite
def _comparison(draw: st.DrawFn) -> Pair:
    kind = draw(st.sampled_from([_seq, _count, _time]))
    one, other = draw(kind()), draw(st.one_of(kind(), _LITERALS) if kind is _seq else kind())
    sign = draw(st.sampled_from(["==", "!="] if kind is _seq else list(_COMPARE)))
    return f"{one[0]} {sign} {other[0]}", _lift(_COMPARE[sign], one[1], other[1])


@st.composite
def _interval(draw: st.DrawFn) -> Pair:
    kind = draw(st.sampled_from([_seq, _count, _time]))
    value, low, high = draw(kind()), draw(kind()), draw(kind())
    opening, closing = draw(st.sampled_from("([")), draw(st.sampled_from(")]"))

    def straight(at: int, start: int, end: int) -> bool:
        return start + (opening == "(") <= at <= end - (closing == ")")

    def circular(at: int, start: int, end: int) -> bool:
        return _within(at, start, end, open_low=opening == "(", open_high=closing == ")")

    text = f"{value[0]} in {opening}{low[0]}, {high[0]}{closing}"
    return text, _lift(circular if kind is _seq else straight, value[1], low[1], high[1])


@st.composite
def _state(draw: st.DrawFn) -> Pair:
    names = draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=3, unique=True))
    codes = [STATES.index(name) for name in names]
    if draw(st.booleans()):
        return f"client in {{{', '.join(names)}}}", _lift(lambda state: state in codes, _leaf("client")[1])
    sides = ["client", names[0]]
    sign = draw(st.sampled_from(["==", "!="]))
    text = f" {sign} ".join(sides if draw(st.booleans()) else sides[::-1])
    return text, _lift(lambda state: (state == codes[0]) == (sign == "=="), _leaf("client")[1])


_ATOMS = st.one_of(
    _FLAG_NAMES,
    _comparison(),
    _interval(),
    _state(),
    st.sampled_from(
        [
            _constant("true", 1),
            _constant("false", 0),
            ('seen("row-1")', lambda flow: flow["seen row-1"]),
            ('seen("never")', lambda _flow: 0),
            ('lost("syn")', lambda flow: flow["lost syn"]),
        ]
    ),
)


def _negate(pair: Pair) -> Pair:
    return f"not ({pair[0]})", lambda flow: NOT[pair[1](flow)]


def _join(one: Pair, sign: str, other: Pair) -> Pair:
    table = AND if sign == "and" else OR

    def mean(flow: Flow) -> int | None:
        left, right = one[1](flow), other[1](flow)
        return table[left, right] if (left, right) in table else table[right, left]

    return f"({one[0]}) {sign} ({other[0]})", mean


_CONDITIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(inner.map(_negate), st.builds(_join, inner, st.sampled_from(["and", "or"]), inner)),
    max_leaves=5,
)


@settings(deadline=None, max_examples=400)
@given(pair=st.one_of(_CONDITIONS, _seq(), _count(), _time()), flows=_FLOWS)
def test_both_compilers_follow_the_definition(pair: Pair, flows: list[Flow]) -> None:
    text, mean = pair
    assume(len(text) <= MAX_LENGTH)
    node = parse(text)
    check(node, SCOPE)
    expected = [mean(flow) for flow in flows]
    assert _by_arrays(node, flows) == expected
    assert _by_scalars(node, flows) == expected


# ── Anything at all ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _is_member(node: Node) -> bool:
    """Whether the whole expression is one word of an enumeration, which is a kind but no value."""
    return check(node, SCOPE).startswith("member:")


_ANY_TERM = st.one_of(
    st.sampled_from(["seq", "ack", "len", "ttl", "time", "fin", "has-ack", "client", "CLOSED", "syn.isn", "syn.window", "true", "7ns"]),
    st.sampled_from(["0", "1", "40000", "4294967296", "4611686018427387903", 'seen("never")', 'lost("syn")']),
)


def _compose(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, signs, inner),
        st.builds("(not {})".format, inner),
        st.builds("({} in [{}, {}))".format, inner, inner, inner),
        st.builds("({} in {{CLOSED, LISTEN}})".format, inner),
    )


@settings(deadline=None, max_examples=1000)
@given(text=st.recursive(_ANY_TERM, _compose, max_leaves=4), flows=_FLOWS)
def test_what_has_a_kind_runs(text: str, flows: list[Flow]) -> None:
    try:
        node = parse(text)
        check(node, SCOPE)
    except ExpressionError:
        return
    if not _is_member(node):
        assert _by_arrays(node, flows) == _by_scalars(node, flows)


def test_an_expression_over_facts_reads_names_alone() -> None:
    class Facts:
        def name(self, _name: str) -> tuple[np.ndarray[Any, Any], None]:
            return np.array([1, 5, 9]), None

    facts = Scope({"len": "int"})
    values, known = vector.compile_(parse("len in [2, 9)"), facts)(Facts())
    assert (values.tolist(), known) == ([False, True, False], None)


@pytest.mark.parametrize("scope", [Scope({"len": "int"}, records={"syn": {"isn": "seq"}}), Scope({"len": "int"}, ids=frozenset({"row-1"}))])
def test_an_expression_over_a_machine_is_refused_as_one_over_facts(scope: Scope) -> None:
    with pytest.raises(ValueError, match="compile_machine"):
        vector.compile_(parse("len == 1"), scope)

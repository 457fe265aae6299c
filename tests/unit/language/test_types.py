"""Trees to kinds: what may be compared, added and tested with what."""

from __future__ import annotations

import pytest

from analyzer.language import ExpressionError, Scope, check, parse

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


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("seq", "seq"),
        ("syn.isn", "seq"),
        ("seq + 1", "seq"),
        ("seq + 1 + len + fin", "seq"),
        ("seq - 1", "seq"),
        ("seq - ack", "int"),
        ("len + fin", "int"),
        ("time - syn_time", "time"),
        ("time + 3s", "time"),
        ("client", "state"),
        ("fin", "flag"),
        ("seq == ack", "flag"),
        ("seq != 0", "flag"),
        ("seq - ack < 100", "flag"),
        ("len in [0, 3]", "flag"),
        ("time - syn_time > 3s", "flag"),
        ("seq in (syn.isn, syn.end + 65535]", "flag"),
        ("client == CLOSED", "flag"),
        ("CLOSED != client", "flag"),
        ("client in {CLOSED, LISTEN}", "flag"),
        ("fin == true", "flag"),
        ('seen("row-1") or lost("syn")', "flag"),
    ],
)
def test_expression_has_this_kind(text: str, kind: str) -> None:
    assert check(parse(text), SCOPE) == kind


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seq < ack", "no meaning between sequence numbers"),
        ("seq >= 0", "no meaning between sequence numbers"),
        ("len < seq", "no meaning between sequence numbers"),
        ("seq == len", "does not fit"),
        ("seq == time", "does not fit"),
        ("seq == 3s", "does not fit"),
        ("seq == fin", "does not fit"),
        ("fin == 1", "does not fit"),
        ("seq + ack", "does not fit"),
        ("len - seq", "does not fit"),
        ("seq + time", "does not fit"),
        ("client + 1", "does not fit"),
        ("client == 1", "does not fit"),
        ("seq in (0, ack]", "interval"),
        ("len in (seq, ack]", "interval"),
        ("client in [CLOSED, LISTEN]", "interval needs numbers"),
        ("fin in [false, true]", "interval needs numbers"),
        ("client in {CLOSED, OPEN}", "OPEN"),
        ("seq in {CLOSED}", "CLOSED"),
        ("client == OPEN", "OPEN is not declared"),
        ("seq == CLOSED", "CLOSED"),
        ("CLOSED == LISTEN", "LISTEN"),
        ("frob", "frob is not declared"),
        ("syn.frob == 1", "syn.frob is not declared"),
        ("frob.isn == 1", "frob.isn is not declared"),
        ('seen("frob")', "frob"),
        ('lost("frob")', "frob"),
        ("not seq", "a flag is needed here, not a seq"),
        ("fin and len", "a flag is needed here, not a int"),
        ("fin or client", "a flag is needed here, not a state"),
        ("not CLOSED", "a flag is needed here, not a CLOSED"),
    ],
)
def test_expression_without_a_kind_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        check(parse(text), SCOPE)
    assert reason in str(refused.value)


def test_an_undeclared_name_is_answered_with_the_nearest_declared_one() -> None:
    scope = Scope({"mss": "int", "window": "int"})
    with pytest.raises(ExpressionError, match=r"^msss is not declared: did you mean mss\?$"):
        check(parse("msss != 1460"), scope)
    with pytest.raises(ExpressionError, match=r"^zebra is not declared$"):
        check(parse("zebra == 1"), scope)

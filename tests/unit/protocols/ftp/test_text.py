"""Passwords stay inside, wherever they are typed and however the server repeats them."""

from __future__ import annotations

import pytest

from tests.unit.protocols.ftp.scripts import talk

PLANTED = "hunter2-XyZ"
HELLO = "S: 220 x\n"


def everything(script: str, *, secrets: bool = False) -> str:
    dialogue = talk(script, secrets=secrets)
    told = [one.facts for one in dialogue.exchanges]
    return repr((dialogue.summary, dialogue.facts, dialogue.rows, told, dialogue.announced))


@pytest.mark.parametrize(
    "script",
    [
        f"C: USER jo\nS: 331 p\nC: PASS {PLANTED}\nS: 230 in",
        f"C: USER jo\nS: 331 p\nC: pass {PLANTED}\nS: 530 {PLANTED} is wrong",
        f"C: USER jo\nS: 331 p\nC: PaSs\\t{PLANTED}\nS: 530 no",
        f"C: USER anonymous\nS: 331 p\nC: PASS {PLANTED}\nS: 230 welcome {PLANTED}",
        f"C: USER jo\nS: 331 p\nC: ACCT {PLANTED}\nS: 530 no",
        f"C: USER jo\nS: 331 p\nC: {PLANTED}\nS: 500 '{PLANTED.upper()}' not understood",
        f"C: USER jo\nS: 331 p\nC: PAS {PLANTED}\nS: 500 PAS {PLANTED}: what",
        f"C: USER jo\nS: 331 p\nC: PASSWORD={PLANTED}\nS: 500 what",
        f"C: USER jo\nC: {PLANTED} and more\nS: 331 p\nS: 500 '{PLANTED}': what",
        f"C: {PLANTED}\nS: 500 what",
        f"C: USER jo {PLANTED}\nS: 331 p for jo {PLANTED}",
        f"C: USER jo:{PLANTED}@gate\nS: 331 p",
        f"C: USER jo\nS: 331 p\nC: PASS {PLANTED}\nS: 230-hello\nS: password {PLANTED}\nS: 230 you typed {PLANTED}",
        f"C: USER jo\nC: PASS {PLANTED}\nC: SYST\nS: 331 p\nS: 230 x\nS: 215 {PLANTED}",
        f"C: USER jo\nS: 331 p\nC: PASS x\nS: 230 in\nC: SITE PSWD x {PLANTED}\nS: 200 now {PLANTED}",
        f"C: USER jo\nS: 331 p\nC: PASS x\nS: 230 in\nC: RETR ftp://jo:{PLANTED}@host/a\nS: 550 ftp://jo:{PLANTED}@host/a: no",
        f"C: USER jo\nS: 331 p\nC: PASS x\nS: 230 in\nC: {PLANTED}\nS: 500 what",
        f"C: AUTH GSSAPI\nS: 334 go\nC: ADAT {PLANTED}\nS: 235 done",
        f"C: AUTH GSSAPI\nS: 334 go\nC: ADAT x\nS: 335 ADAT={PLANTED}",
        f"C: ENC x\nS: 632 {PLANTED}",
        f"C: \\xff\\xf4PASS {PLANTED}\nS: 530 no",
        f"C: PA\\xff\\xf1SS {PLANTED}\nS: 530 no",
    ],
)
def test_a_secret_is_hidden(script: str) -> None:
    shown = everything(HELLO + script)
    assert PLANTED.lower() not in shown.lower()
    assert "(hidden)" in shown
    assert PLANTED.lower() in everything(HELLO + script, secrets=True).lower()


def test_a_secret_in_the_middle_of_a_stream_is_hidden() -> None:
    for script in (f"C: {PLANTED}\nS: 230 in", f"C: SS {PLANTED}\nS: 230 in", f"C: PASS {PLANTED}\nS: 230 in"):
        dialogue = talk(script, whole=False)
        assert PLANTED not in repr((dialogue.rows, dialogue.summary))


def test_a_short_secret_is_hidden_as_a_word_only() -> None:
    rows = talk(HELLO + "C: USER jo\nS: 331 p\nC: PASS in\nS: 230 Logging in with in\n").rows
    assert rows[1]["reply"] == "Logging (hidden) with (hidden)"


def test_what_is_no_secret_is_shown() -> None:
    dialogue = talk(
        HELLO + "C: USER jo\nS: 331 p\nC: PASS x\nS: 230 in\nC: SITE CHMOD 644 a\nS: 200 ok\nC: XYZW a\nS: 500 no\nC: RETR a@b\nS: 550 no\n"
    )
    assert [row["request"] for row in dialogue.rows] == ["USER jo", "PASS (hidden)", "SITE CHMOD 644 a", "XYZW (hidden)", "RETR a@b"]


def test_texts_are_bounded_and_keep_odd_bytes() -> None:
    row = talk(HELLO + "C: CWD \\xe4" + "a" * 70_000 + "\nS: 550 " + "b" * 5_000 + "\n").rows[0]
    assert str(row["argument"]).startswith("\udce4a")
    assert len(str(row["argument"])) == 200
    assert len(str(row["reply"])) == 200

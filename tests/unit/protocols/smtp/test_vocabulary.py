"""What rules/protocols/smtp.toml and a user's rules say of commands, mechanisms and ports."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from analyzer import rules
from analyzer.protocols.smtp.vocabulary import vocabulary_of
from tests.unit.protocols.smtp.scripts import exchange, read

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.rules.protocols import Protocol

LAYER = """
schema = 1
extends = "smtp"
[enums]
command = ["XCHECK"]
[data]
submission_ports = [5870]
[data.replies]
XCHECK = [251]
QUIT = [250]
[data.mechanisms]
X-TICKET = { secret = false, answers = 2 }
"""
HELLO = "S: 220 mx ESMTP\nC: EHLO c\nS: 250 mx\n"


def layered(folder: Path) -> Protocol:
    (folder / "our-server.toml").write_text(LAYER)
    return rules.load([folder]).protocols["smtp"]


def test_names_are_those_of_the_enumerations() -> None:
    enums = rules.load().protocols["smtp"].enums
    known = vocabulary_of(None)
    commands = {word.lower() for word in enums["command"]}
    assert set(known.verbs.values()) == commands - {"none", "content", "other"}
    assert known.replies.keys() <= commands
    assert known.extensions.keys() == set(enums["extension"]) - {"none"}


def test_a_user_s_rules_add_commands_and_replies(tmp_path: Path) -> None:
    script = HELLO + "C: XCHECK a\nS: 251 b\nC: QUIT\nS: 250 bye\n"
    extended = read(script, protocol=layered(tmp_path))
    assert exchange(extended, "xcheck")["reply_expected"] is True
    assert exchange(extended, "quit")["reply_expected"] is True
    shipped = read(script)
    assert exchange(shipped, "other")["reply_code"] == 251
    assert exchange(shipped, "quit")["reply_expected"] is False


def test_a_user_s_rules_add_mechanisms(tmp_path: Path) -> None:
    script = HELLO + f"C: AUTH X-TICKET {base64.b64encode(b'ticket-proof').decode()}\nS: 235 ok\n"
    assert exchange(read(script), "auth")["credentials"] is True
    assert exchange(read(script, protocol=layered(tmp_path)), "auth")["credentials"] is False


def test_a_user_s_rules_add_ports(tmp_path: Path) -> None:
    protocol = layered(tmp_path)
    # RFC 6409: 587; RFC 8314: 465.
    for port, submission, submissions in ((25, False, False), (587, True, False), (465, False, True), (5870, True, False)):
        told = read(HELLO, protocol=protocol, server_port=port).facts
        assert (told["submission_port"], told["submissions_port"]) == (submission, submissions)
    assert read(HELLO, server_port=5870).facts["submission_port"] is False

"""A client's line taken apart, and the table of commands and replies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from analyzer import rules
from analyzer.errors import RuleError
from analyzer.protocols.ftp import commands
from tests.unit.protocols.ftp.scripts import facts, requests, talk

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.rules.protocols import Protocol

TABLE = commands.table_of(None)


@pytest.mark.parametrize(
    ("line", "verb", "argument"),
    [
        (b"RETR a b", "RETR", b"a b"),
        (b"retr a", "RETR", b"a"),
        (b"  QUIT", "QUIT", b""),
        (b"PASS\tx", "PASS", b"x"),
        (b"CWD  a", "CWD", b" a"),
        (b"", "", b""),
        (b"\xff\xf4\xff\xf2ABOR", "ABOR", b""),
        (b"\xff\xfb\x06STAT", "STAT", b""),
        (b"\xff\xfa\x18\x00vt\xff\xf0STAT", "STAT", b""),
        (b"RE\xff\xf1TR a", "RETR", b"a"),
        (b"RETR a\xff\xffb", "RETR", b"a\xffb"),
        (b"RETR a\xffb", "RETR", b"a\xffb"),
    ],
)
def test_lines(line: bytes, verb: str, argument: bytes) -> None:
    command = commands.parse(line, TABLE)
    assert (command.verb, command.argument) == (verb, argument)


@pytest.mark.parametrize(
    ("line", "telnet", "inside"),
    [
        (b"ABOR", False, False),
        (b"\xff\xf4\xff\xf2ABOR", True, False),
        (b"\xff\xf4 \xff\xf2ABOR", True, False),
        (b"AB\xff\xf1OR", True, True),
        (b"RETR a\xff\xffb", False, False),
        (b"\xff\xffABOR", False, False),
    ],
)
def test_telnet(line: bytes, *, telnet: bool, inside: bool) -> None:
    command = commands.parse(line, TABLE)
    assert (command.telnet, command.inside) == (telnet, inside)


@pytest.mark.parametrize(
    ("command", "replies"),
    [
        # RFC 959 5.4, RFC 2428, RFC 3659, RFC 4217.
        ("USER", {230, 530, 500, 501, 421, 331, 332}),
        ("PASS", {230, 202, 530, 500, 501, 503, 421, 332}),
        ("CWD", {250, 500, 501, 502, 421, 530, 550}),
        ("PORT", {200, 500, 501, 421, 530}),
        ("PASV", {227, 500, 501, 502, 421, 530}),
        ("RETR", {226, 250, 425, 426, 451, 450, 550, 500, 501, 421, 530}),
        ("STOR", {226, 250, 425, 426, 451, 551, 552, 532, 450, 452, 553, 500, 501, 421, 530}),
        ("RNTO", {250, 532, 553, 500, 501, 502, 503, 421, 530}),
        ("ABOR", {225, 226, 500, 501, 502, 421}),
        ("STAT", {211, 212, 213, 450, 500, 501, 502, 421, 530}),
        ("MKD", {257, 500, 501, 502, 421, 530, 550}),
        ("EPRT", {200, 522}),
        ("EPSV", {229, 522}),
        ("AUTH", {234, 334, 431, 502, 504, 534}),
        ("PROT", {200, 504, 536, 534}),
        ("SIZE", {213, 550}),
    ],
)
def test_replies_of_the_rfcs_are_known(command: str, replies: set[int]) -> None:
    assert replies <= TABLE.commands[command].replies


def test_the_enumeration_and_the_table_hold_the_same_commands() -> None:
    words = rules.load().protocols["ftp"].enums["command"]
    assert set(words) - {"none", "other"} == {known.name for known in TABLE.commands.values()}


def test_another_spelling_is_the_same_command() -> None:
    command = commands.parse(b"P@SW", TABLE)
    assert (command.verb, command.known.name) == ("P@SW", "PASV")


LAYER = """
schema = 1
extends = "ftp"
[enums]
command = ["XTOK"]
[data]
guests = ["visitor"]
[data.commands]
XTOK = { replies = [299], secret = true }
SYST = { replies = [214] }
"""


def layered(folder: Path, text: str = LAYER) -> Protocol:
    (folder / "our-server.toml").write_text(text)
    return rules.load([folder]).protocols["ftp"]


def test_a_user_s_rules_add_commands(tmp_path: Path) -> None:
    script = "S: 220 x\nC: XTOK hunter2-XyZ\nS: 299 hunter2-XyZ\nC: SYST\nS: 214 x\n"
    shipped, extended = talk(script), talk(script, protocol=layered(tmp_path))
    assert [facts(one, "SYST")["reply_listed"] for one in (shipped, extended)] == [False, True]
    assert facts(extended, "XTOK")["reply_listed"] is True
    assert requests(extended)[0] == ("XTOK (hidden)", 299)
    assert "hunter2" not in repr(extended.rows)
    assert facts(shipped, "other")["command"] == "other"


def test_a_user_s_rules_add_guests(tmp_path: Path) -> None:
    script = "S: 220 x\nC: USER visitor\nS: 230 in\n"
    assert talk(script, protocol=layered(tmp_path)).facts["anonymous"] is True
    assert talk(script).facts["anonymous"] is False


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('command = ["XTOK"]', 'command = ["XTAK"]', "data.commands.XTOK: enums.command does not list it"),
        ('extends = "ftp"', 'extends = "tftp"', "extends: no protocol is called tftp"),
        ("secret = true", 'secret = "yes"', "data.commands.XTOK.secret"),
        ("guests", "gusts", "'gusts' was unexpected"),
    ],
)
def test_faults_in_a_user_s_protocol_file_are_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    with pytest.raises(RuleError, match=re.escape(fault)) as caught:
        layered(tmp_path, LAYER.replace(old, new))
    assert "our-server.toml" in str(caught.value) or "ftp.toml" in str(caught.value)

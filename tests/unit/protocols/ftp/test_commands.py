"""A client's line taken apart, and the table of commands and replies."""

from __future__ import annotations

import pytest

from analyzer import rules
from analyzer.protocols.ftp import commands


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
    command = commands.parse(line)
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
    command = commands.parse(line)
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
    assert replies <= commands.table().commands[command].replies


def test_the_enumeration_and_the_table_hold_the_same_commands() -> None:
    words = rules.load().protocols["ftp"].enums["command"]
    assert set(words) - {"none", "other"} == {known.name for known in commands.table().commands.values()}


def test_another_spelling_is_the_same_command() -> None:
    command = commands.parse(b"P@SW")
    assert (command.verb, command.known.name) == ("P@SW", "PASV")

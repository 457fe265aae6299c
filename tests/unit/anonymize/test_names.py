"""What is replaced in payload, and what is not; lengths and case stay."""

from __future__ import annotations

import base64

import pytest

from analyzer.anonymize.addresses import AddressMap
from analyzer.anonymize.names import NameMap

ADDRESSES = AddressMap(b"key")
NAMES = NameMap(b"key", ADDRESSES, ["alice", "intranet", "anonymous"], ["hunter2hunter2"])


def rewritten(text: bytes) -> bytes:
    """Return a run with its edits."""
    for start, end, new in sorted(NAMES.search(text), reverse=True):
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        (b"220 mx1.example.org ESMTP Postfix\r\n", b"mx1.example"),
        (b"250-mx1.example.org\r\n250 SIZE 10240000\r\n", b"mx1.example"),
        (b"MAIL FROM:<bob.smith@example.net> SIZE=240\r\n", b"bob.smith"),
        (b"GET / HTTP/1.1\r\nHost: intranet\r\n\r\n", b"intranet"),
        (b"USER alice\r\n", b"alice"),
        (b"PASS hunter2hunter2\r\n", b"hunter2"),
        (b"GET /?k=hunter2%68unter2 HTTP/1.1\r\n", b"hunter2%68unter2"),
        (b"Received: from [11.22.33.44] by x\r\n", b"11.22.33.44"),
        (b"Host: [2a00:1450::99]:80\r\n", b"2a00:1450::99"),
        (b"Authorization: Basic " + base64.b64encode(b"alice:pw") + b"\r\n", base64.b64encode(b"alice:pw")),
    ],
)
def test_it_is_replaced_by_as_many_bytes(text: bytes, gone: bytes) -> None:
    found = rewritten(text)
    assert gone not in found
    assert len(found) == len(text)
    assert found.split(b" ")[0] == text.split(b" ")[0] or text.startswith(b"250-")
    assert [byte for byte in found if not chr(byte).isalnum()] == [byte for byte in text if not chr(byte).isalnum()] or b"Basic" in text


def test_codes_of_replies_and_domains_without_a_name_stay() -> None:
    found = rewritten(b"250-mx1.example.org\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n")
    assert found.startswith(b"250-")
    assert found.endswith(b".org\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n")


@pytest.mark.parametrize(
    "text", [b"USER anonymous\r\n", b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n", b"Host: localhost\r\n", b"EHLO x\r\n"]
)
def test_what_names_nobody_stays(text: bytes) -> None:
    assert rewritten(text) == text


def test_a_command_is_never_taken_for_a_name() -> None:
    names = NameMap(b"key", ADDRESSES, ["mail"], [])
    text = b"MAIL FROM:<>\r\nMAIL FROM:<>\r\n"
    assert [edit for edit in names.search(text) if text[edit[0] : edit[1]].lower() == b"mail"] == []


def test_the_same_name_has_the_same_pseudonym_whatever_its_case() -> None:
    found = rewritten(b"x MX1.example.org y mx1.EXAMPLE.org z")
    one, other = found.split()[1], found.split()[3]
    assert one.lower() == other.lower()
    assert one[:2].isupper()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"PORT 11,22,33,44,4,1\r\n", lambda new: b"PORT " + new.replace(".", ",").encode() + b",4,1\r\n"),
        (
            b"227 Entering Passive Mode (11,22,33,44,200,9).\r\n",
            lambda new: b"227 Entering Passive Mode (" + new.replace(".", ",").encode() + b",200,9).\r\n",
        ),
        (b"EPRT |1|11.22.33.44|6446|\r\n", lambda new: b"EPRT |1|" + new.encode() + b"|6446|\r\n"),
    ],
)
def test_ftp_names_the_endpoint_that_the_frames_name(text: bytes, shown: object) -> None:
    assert callable(shown)
    assert rewritten(text) == shown(ADDRESSES.text("11.22.33.44"))


def test_base64_of_a_login_stays_base64_of_a_login() -> None:
    found = rewritten(b"AUTH PLAIN " + base64.b64encode(b"\0alice\0hunter2hunter2") + b"\r\n")
    plain = base64.b64decode(found.split()[2])
    assert plain.count(b"\0") == 2
    assert b"alice" not in plain
    assert b"hunter2" not in plain

"""What the recording script holds captures against: lines as nginx 1.22, Postfix 3.7 and vsftpd 3.0.3 wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from analyzer import analyze
from tests.recording import logs
from tests.recording.tools import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_pcaps"
KEEPALIVE = SAMPLES / "http-keepalive.pcap"

MAIL = """\
Nov 26 00:48:03 mail postfix/smtpd[97]: connect from unknown[192.0.2.10]:34782
Nov 26 00:48:03 mail postfix/smtpd[97]: 7426F232BA9: client=unknown[192.0.2.10]:34782
Nov 26 00:48:03 mail postfix/smtpd[97]: 7426F232BA9: reject: RCPT from unknown[192.0.2.10]:34782: 550 5.1.1 <nobody@example.org>: \
Recipient address rejected: User unknown in local recipient table; from=<sender@client.example.net> to=<nobody@example.org> proto=ESMTP
Nov 26 00:48:03 mail postfix/qmgr[94]: 7426F232BA9: from=<sender@client.example.net>, size=240, nrcpt=1 (queue active)
Nov 26 00:48:03 mail postfix/discard[91]: 7426F232BA9: to=<bob@example.org>, relay=none, delay=0.01, dsn=2.0.0, status=sent (example.org)
Nov 26 00:48:03 mail postfix/qmgr[94]: 7426F232BA9: removed
Nov 26 00:48:03 mail postfix/smtpd[97]: disconnect from unknown[192.0.2.10]:34782 ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6
Nov 26 00:48:04 mail postfix/smtpd[97]: connect from unknown[2001:db8:1::10]:60862
Nov 26 00:48:04 mail postfix/smtpd[97]: Anonymous TLS connection established from unknown[2001:db8:1::10]:60862: TLSv1.3 with cipher X
Nov 26 00:48:04 mail postfix/smtpd[97]: 3456B232BB4: client=unknown[2001:db8:1::10]:60862
Nov 26 00:48:04 mail postfix/qmgr[94]: 3456B232BB4: from=<sender@client.example.net>, size=240, nrcpt=1 (queue active)
Nov 26 00:48:04 mail postfix/discard[91]: 3456B232BB4: to=<alice@example.org>, relay=none, delay=0, dsn=2.0.0, status=sent (example.org)
"""

FTP = """\
Thu Nov 26 00:48:05 2026 [pid 60] CONNECT: Client "::ffff:192.0.2.10"
Thu Nov 26 00:48:05 2026 [pid 60] FTP response: Client "::ffff:192.0.2.10", "220 (vsFTPd 3.0.3)"
Thu Nov 26 00:48:05 2026 [pid 60] [sample] FTP command: Client "::ffff:192.0.2.10", "PASS <password>"
Thu Nov 26 00:48:05 2026 [pid 59] [sample] OK LOGIN: Client "::ffff:192.0.2.10"
Thu Nov 26 00:48:05 2026 [pid 61] [sample] FTP response: Client "::ffff:192.0.2.10", "230 Login successful."
Thu Nov 26 00:48:05 2026 [pid 61] [sample] FTP command: Client "::ffff:192.0.2.10", "RETR welcome.txt"
Thu Nov 26 00:48:05 2026 [pid 61] [sample] FTP response: Client "::ffff:192.0.2.10", "150 Opening BINARY mode data connection."
Thu Nov 26 00:48:05 2026 [pid 61] [sample] OK DOWNLOAD: Client "::ffff:192.0.2.10", "/welcome.txt", 600 bytes, 1365.82Kbyte/sec
Thu Nov 26 00:48:05 2026 [pid 61] [sample] FTP response: Client "::ffff:192.0.2.10", "226 Transfer complete."
Thu Nov 26 00:48:10 2026 [pid 54] [sample] FAIL LOGIN: Client "2001:db8:1::10"
"""


def test_postfix_tells_sessions_messages_and_recipients_but_not_what_tls_hides() -> None:
    client = "192.0.2.10 port 34782"
    assert logs.read_postfix(MAIL.splitlines()) == {
        "session": [{"client": client, "TLS": False}, {"client": "2001:db8:1::10 port 60862", "TLS": True}],
        "message": [{"client": client, "queue id": "7426F232BA9", "sender": "sender@client.example.net", "size": 240, "recipients": 1}],
        "recipient": [
            {"client": client, "address": "bob@example.org", "answer": "accepted"},
            {"client": client, "address": "nobody@example.org", "answer": "550"},
        ],
    }


def test_vsftpd_tells_commands_logins_and_transfers() -> None:
    client = {"client": "192.0.2.10"}
    assert logs.read_vsftpd(FTP.splitlines()) == {
        "connection": [client],
        "command": [
            client | {"command": "PASS", "announced": -1, "answer": "230 Login successful."},
            client | {"command": "RETR welcome.txt", "announced": 150, "answer": "226 Transfer complete."},
        ],
        "login": [client | {"user": "sample", "accepted": True}, {"client": "2001:db8:1::10", "user": "sample", "accepted": False}],
        "transfer": [client | {"user": "sample", "command": "RETR", "file": "/welcome.txt", "bytes": 600}],
    }


def test_nginx_tells_each_request() -> None:
    entry = {"client": "192.0.2.10 port 46310", "method": "HEAD", "target": "/index.html", "status": 200}
    sizes = {"request bytes": 77, "response bytes": 236, "response body bytes": 0}
    assert logs.read_nginx(["192.0.2.10 46310 HEAD /index.html 77 200 236 0"]) == {"request": [entry | sizes]}
    with pytest.raises(RecordingError, match="nginx logged what is no request: 192"):
        logs.read_nginx(["192.0.2.10 46310   0 400 150 150"])


@pytest.mark.parametrize(
    ("logged", "shown", "differs"),
    [
        ([{"a": 1, "b": 2}], [{"a": 1}], ""),
        ([{"a": 1}], [{"a": 2}], "login 1: a is 1 in the log, 2 in the capture"),
        ([{}], [{"a": None}], "login 1: a is 'absent' in the log, None in the capture"),
        ([{"a": 1}, {"a": 2}], [{"a": 1}], "login 2 is only in the log: {'a': 2}"),
        ([], [{"a": 1}], "login 1 is only in the capture: {'a': 1}"),
    ],
)
def test_the_first_difference_is_told(logged: list[dict[str, object]], shown: list[dict[str, object]], differs: str) -> None:
    assert logs.difference({"login": logged}, {"login": shown}) == differs


def rows(name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return flows and transactions of a sample, as the script hands them on."""
    report = analyze([SAMPLES / name], expect=False, engine="native")
    tables = (report.flows.to_dict("records"), report.transactions.to_dict("records"))
    return cast("tuple[list[dict[str, Any]], list[dict[str, Any]]]", tables)


def test_what_a_capture_shows_of_mail_is_what_the_script_sends() -> None:
    shown = logs.show_smtp(*rows("smtp-rejected-recipient.pcap"))
    assert [one["TLS"] for one in shown["session"]] == [False]
    assert [(one["sender"], one["recipients"]) for one in shown["message"]] == [("sender@client.example.net", 2)]
    answers = [(str(one["address"]).partition("@")[0], one["answer"]) for one in shown["recipient"]]
    assert answers == [("alice", "accepted"), ("bob", "accepted"), ("nobody", "550")]
    hidden = logs.show_smtp(*rows("smtp-starttls.pcap"))
    assert ([one["TLS"] for one in hidden["session"]], hidden["message"], hidden["recipient"]) == ([True], [], [])


def test_what_a_capture_shows_of_files_is_what_the_script_moves() -> None:
    shown = logs.show_ftp(*rows("ftp-passive-ipv6.pcap"))
    client = {"client": "2001:db8:1::10", "user": "sample"}
    assert shown["login"] == [client | {"accepted": True}]
    assert shown["transfer"] == [
        client | {"command": "RETR", "file": "/welcome.txt", "bytes": len("Welcome to the sample server.\n" * 20)},
        client | {"command": "STOR", "file": "/upload.txt", "bytes": len("Stored by the sample client.\n" * 10)},
    ]


@pytest.mark.parametrize(
    ("side", "facts"), [("server", {"status", "response bytes", "response body bytes"}), ("client", {"method", "target", "request bytes"})]
)
def test_of_one_side_only_its_own_facts_are_compared(side: str, facts: set[str]) -> None:
    shown = logs.show_http(*rows(f"http-one-sided-{side}.pcap"))["request"]
    assert [set(one) for one in shown] == [facts | {"client"}] * 3


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what compares a capture with the logs of three servers, of which nginx has written one line before the recording."""
    monkeypatch.setattr(logs, "LIMIT_S", 0)
    paths = {server: tmp_path / server for server in logs.SERVERS}
    paths["nginx"].write_text("192.0.2.10 1 GET /earlier 10 200 100 10\n", encoding="utf-8")
    kept: Callable[[Path], None] = logs.Logs(paths).hold
    return kept


def served(*targets: str) -> str:
    """Return what nginx logs for pages of the sample `KEEPALIVE`."""
    port = analyze([KEEPALIVE], expect=False, engine="native").flows["client_port"].iloc[0]
    sizes = {"/index.html": "96 200 293 57", "/second.html": "97 200 294 58", "/third.txt": "95 200 267 30"}
    return "".join(f"192.0.2.10 {port} GET {target} {sizes[target]}\n" for target in targets)


def test_a_capture_that_agrees_with_the_logs_passes(hold: Callable[[Path], None], tmp_path: Path) -> None:
    with (tmp_path / "nginx").open("a", encoding="utf-8") as log:
        log.write(served("/index.html", "/second.html", "/third.txt"))
    hold(KEEPALIVE)


def test_a_capture_that_lacks_or_exchanges_a_request_ends_the_recording(hold: Callable[[Path], None], tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"http-keepalive\.pcap: the log of nginx .* differ: request 1 is only in the capture"):
        hold(KEEPALIVE)
    with (tmp_path / "nginx").open("a", encoding="utf-8") as log:
        log.write(served("/index.html", "/third.txt", "/second.html"))
    with pytest.raises(RecordingError, match=r"request 2: target is '/third\.txt' in the log, '/second\.html' in the capture"):
        hold(KEEPALIVE)

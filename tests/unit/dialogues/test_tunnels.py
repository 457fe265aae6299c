"""Dialogues in CONNECT tunnels: rows, findings and secrets as elsewhere, marked with where the tunnel leads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from analyzer import analyze, notation
from analyzer.cli.commands.show import explanations
from analyzer.report import Layout, render
from analyzer.report.terminal import ladder
from analyzer.rules import load
from tests.unit.protocols.scripted import CLIENT, SERVER, Talk, Turn
from tests.unit.protocols.scripted import notation as script

if TYPE_CHECKING:
    from pathlib import Path

    from analyzer.model import Report

OPENED = Turn(SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n")
GET = Turn(CLIENT, b"GET /a?password=hunter22222 HTTP/1.1\r\nHost: b.example\r\n\r\n")
FAILED = Turn(SERVER, b"HTTP/1.1 503 hunter22222 away\r\nContent-Length: 0\r\n\r\n")
MAIL = (
    "S 220 mx.example ESMTP", "C EHLO c.example", "S 250-mx.example", "S 250 AUTH PLAIN", "C AUTH PLAIN AGpvAHNlY3JldDEyMzQ1", "S 235 in",
    "C MAIL FROM:<a@example.org>", "S 250 ok", "C RCPT TO:<b@example.org>", "S 250 ok", "C DATA", "S 354 go", "C hi", "C .", "S 250 taken",
    "C QUIT", "S 221 bye",
)  # fmt: skip
FILES = ("S 220 FTP ready", "C USER jo", "S 331 password", "C PASS secret99999", "S 530 not secret99999")


def connect(target: str) -> tuple[Turn, Turn]:
    return Turn(CLIENT, f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()), OPENED


def lines(text: tuple[str, ...]) -> tuple[Turn, ...]:
    return tuple(Turn(CLIENT if line[0] == "C" else SERVER, line[2:].encode() + b"\r\n") for line in text)


def report(path: Path, *turns: Turn) -> Report:
    capture = path / "tunnel.pcap"
    capture.write_bytes(notation.build(notation.parse(script([Talk(3128, turns)]))))
    return analyze(capture, engine="native")


def rows_of(found: Report) -> list[tuple[object, ...]]:
    columns = ["protocol", "number", "first_frame", "request", "code", "inside"]
    return [tuple(row) for row in found.transactions[columns].itertuples(index=False)]


def cited(found: Report) -> dict[str, list[int]]:
    return {id_: [frame for _, frame in frames] for id_, frames in zip(found.findings["id"], found.findings["frames"], strict=True)}


def test_requests_through_a_tunnel(tmp_path: Path) -> None:
    found = report(tmp_path, *connect("b.example:80"), GET, FAILED)
    assert rows_of(found) == [
        ("http", 1, 4, "CONNECT b.example:80", 200, ()),
        ("http", 1, 6, "GET /a?password=(hidden)", 503, ("b.example:80",)),
    ]
    assert found.flows["transactions"].tolist() == [2]
    assert (cited(found)["http-server-error"], cited(found)["cleartext-credentials"]) == ([6, 7], [6])
    assert "hunter" not in "".join(render(found, "json"))
    text = ladder.render(found, "f1", explanations(load()), Layout())
    assert "through the tunnel to b.example:80" in " ".join(text.split())


def test_mail_and_files_through_tunnels(tmp_path: Path) -> None:
    found = report(tmp_path, *connect("mx.example:25"), *lines(MAIL))
    assert rows_of(found)[1:] == [("smtp", 1, 12, "MAIL FROM:<a@example.org>", 250, ("mx.example:25",))]
    assert cited(found)["cleartext-credentials"] == [10]
    row = json.loads("".join(render(found, "json")))["transactions"][1]
    assert (row["auth_user"], row["rcpt_to"], row["inside"]) == ("jo", ["b@example.org"], ["mx.example:25"])
    assert "AGpv" not in "".join(render(found, "json"))
    found = report(tmp_path, *connect("[2001:db8::21]:21"), *lines(FILES))
    assert [row[3:] for row in rows_of(found)[1:]] == [
        ("USER jo", 331, ("[2001:db8::21]:21",)),
        ("PASS (hidden)", 530, ("[2001:db8::21]:21",)),
    ]
    assert cited(found)["ftp-login-refused"][-1] == 10
    assert "secret99999" not in "".join(render(found, "json"))


def test_tls_in_a_tunnel_has_no_rows(tmp_path: Path) -> None:
    hello = Turn(CLIENT, b"\x16\x03\x01\x00\x2a\x01\x00\x00\x26\x03\x03" + bytes(36))
    found = report(tmp_path, *connect("s.example:443"), hello)
    assert [row[0] for row in rows_of(found)] == ["http"]
    assert found.flows[["service_after", "encrypted_by", "tls_frame"]].to_numpy().tolist() == [["tls", "connect", 6]]


def test_a_tunnel_in_a_tunnel(tmp_path: Path) -> None:
    found = report(tmp_path, *connect("p.example:3128"), *connect("b.example:80"), GET, FAILED)
    assert [row[3:] for row in rows_of(found)] == [
        ("CONNECT p.example:3128", 200, ()),
        ("CONNECT b.example:80", 200, ("p.example:3128",)),
        ("GET /a?password=(hidden)", 503, ("p.example:3128", "b.example:80")),
    ]
    assert cited(found)["http-connect-tunnel"] == [4, 5, 6, 7]
    assert cited(found)["http-server-error"] == [8, 9]


def test_tunnels_in_tunnels_are_bounded(tmp_path: Path) -> None:
    found = report(tmp_path, *(turn for number in range(40) for turn in connect(f"p{number}.example:1")), GET, FAILED)
    assert [len(row[5]) for row in rows_of(found)] == [0, 1, 2, 3, 4]  # type: ignore[arg-type] # a tuple


def test_a_request_in_the_clear_to_a_port_of_tls_through_a_tunnel(tmp_path: Path) -> None:
    assert cited(report(tmp_path, *connect("b.example:443"), GET, FAILED))["http-on-tls-port"] == [6]
    assert "http-on-tls-port" not in cited(report(tmp_path, *connect("b.example:80"), GET, FAILED))


@pytest.mark.parametrize("reply", [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\n\r\n"])
def test_a_tunnel_that_is_refused_holds_nothing(tmp_path: Path, reply: bytes) -> None:
    found = report(tmp_path, connect("b.example:80")[0], Turn(SERVER, reply))
    assert [row[5] for row in rows_of(found)] == [()]
    assert {"http-client-error", "http-server-error"} & cited(found).keys()

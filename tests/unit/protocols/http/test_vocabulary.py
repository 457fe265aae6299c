"""Method and port lists are those of the protocol file that the parser is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from analyzer import rules
from analyzer.protocols.http import vocabulary
from analyzer.protocols.http.fast_path import FastPath
from tests.unit.protocols.http.scripts import OK, contiguous_stream, facts, read

if TYPE_CHECKING:
    from analyzer.rules.protocols import Protocol
    from tests.unit.protocols.http.scripts import Part

IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}
"""RFC 9110 9.2.2: PUT, DELETE and the safe methods."""
HTTP = rules.load().protocols["http"]
OWN = replace(
    HTTP,
    enums={**HTTP.enums, "method": ("none", "other", "BREW", "GET")},
    data={"not_idempotent": ["BREW"], "plain_methods": ["BREW"]},
    tls_ports=(8000,),
)


def test_the_shipped_file_follows_the_rfc() -> None:
    found = vocabulary.of(None)
    assert found == vocabulary.of(HTTP)
    assert found.idempotent >= IDEMPOTENT
    assert found.idempotent.isdisjoint({"POST", "PATCH", "CONNECT"})
    assert set(found.plain) <= found.methods
    assert set(HTTP.data["not_idempotent"]) <= found.methods


@pytest.mark.parametrize(("protocol", "known"), [(None, "other"), (OWN, "BREW")])
def test_a_method_is_known_where_the_file_lists_it(protocol: Protocol | None, known: str) -> None:
    dialogue = read(("client", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n"), ("server", OK), protocol=protocol)
    assert facts(dialogue)["method"] == known


@pytest.mark.parametrize(
    ("protocol", "unsafe"), [(None, True), (OWN, True), (replace(OWN, data={**OWN.data, "not_idempotent": []}), False)]
)
def test_a_pipelined_request_is_judged_by_the_method_before_it(protocol: Protocol | None, *, unsafe: bool) -> None:
    request = b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n"
    dialogue = read(("client", request), ("client", request), ("server", OK), ("server", OK), protocol=protocol)
    assert dialogue.exchanges[1].facts["after_unsafe"] is unsafe


@pytest.mark.parametrize(("protocol", "port"), [(HTTP, 443), (OWN, 8000)])
def test_ports_of_tls_are_those_of_the_file(protocol: Protocol, port: int) -> None:
    parts: tuple[Part, ...] = (("client", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("server", OK))
    for number in (443, 8000):
        assert read(*parts, protocol=protocol, server_port=number).facts["on_tls_port"] is (number == port)


@pytest.mark.parametrize(("protocol", "method"), [(HTTP, b"GET"), (OWN, b"BREW")])
def test_the_fast_path_reads_the_methods_of_the_file(protocol: Protocol, method: bytes) -> None:
    for name in (b"GET", b"BREW"):
        parts: list[Part] = [("client", name + b" / HTTP/1.1\r\nHost: a\r\n\r\n"), ("server", OK)]
        assert FastPath(secrets=False, protocol=protocol).take(
            0, contiguous_stream(parts, "client", "fin"), contiguous_stream(parts, "server", "fin"), 80
        ) is (name == method)

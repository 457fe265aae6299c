"""Facts of an HTTP exchange for rules, and the frames that findings cite as evidence.

Names and words are those of rules/protocols/http.toml. A fact that the capture does not show is None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols import redaction, timing
from analyzer.protocols.http import upgrade

if TYPE_CHECKING:
    from analyzer.protocols.api import Fact
    from analyzer.protocols.http.model import HttpExchange, Request, Response
    from analyzer.protocols.http.vocabulary import HttpVocabulary
    from analyzer.reassembly.reader import Reader
    from analyzer.rules.secrets import SecretPatterns

Facts = dict[str, "Fact"]
Evidence = dict[str, int | None]

FAULTS: Final = (
    "leading_empty",
    "bare_lf",
    "fold",
    "field",
    "control",
    "long",
    "version_case",
    "length_malformed",
    "length_differs",
    "length_repeated",
    "length_forbidden",
    "encoding_and_length",
    "encoding_old",
    "encoding_unknown",
    "encoding_not_chunked",
    "chunk",
    "chunk_lf",
    "body_short",
)
"""Facts whose value is the side that committed the fault first; each is an evidence name too."""
_CLEAN: Final[Facts] = dict.fromkeys(FAULTS, "none")
_UNKNOWN: Final[Facts] = dict.fromkeys(FAULTS)
_NO_REQUEST: Final[Facts] = dict.fromkeys(
    (
        "method", "request_line", "request_version", "target_form", "target_size", "request_framing", "request_length", "request_body",
        "request_fields", "hosts", "host_differs", "host_invalid", "auth", "proxy_auth", "cookies", "form_secret", "target_secret",
        "key_field", "credentials", "expects_continue", "continue_wait", "content_withheld", "asks_upgrade", "asks_close", "request_excess",
    )
)  # fmt: skip
_NO_RESPONSE: Final[Facts] = dict.fromkeys(
    (
        "status_line", "reply_version", "reply_framing", "reply_length", "reply_body", "reply_fields", "set_cookies", "unframed",
        "upgraded_to", "upgrade_unasked", "upgrade_other", "accept_wrong", "tunnel_opened", "pushed_reply", "reply_excess",
        "challenge_taken",
    )
)  # fmt: skip
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "ntlm", "negotiate"})
_EXPOSED: Final = frozenset({"basic", "bearer", "other"})
"""Schemes that send the secret itself; Digest, NTLM and Negotiate send a proof of it."""
_PUSHED_CODES: Final = frozenset({400, 408})
_HOST_INVALID: Final = re.compile(rb'[ \t/@?#,\\<>"]')


def of_exchange(
    exchange: HttpExchange, client: Reader, server: Reader, patterns: SecretPatterns, vocabulary: HttpVocabulary
) -> tuple[Facts, Evidence]:
    """Return the facts and the evidence of an exchange."""
    request, response = exchange.request, exchange.response
    complete = request is not None and response is not None and request.head.whole and response.head.whole
    facts: Facts = dict(_CLEAN if complete else _UNKNOWN)
    evidence: Evidence = {}
    facts["number"] = exchange.number
    facts["request_seen"] = request is not None
    facts["replied"] = exchange.responded
    facts["reply_lost"] = exchange.lost
    facts["unasked"] = exchange.unrequested
    facts["pipelined"] = exchange.pipelined
    facts["after_close"] = exchange.after_close
    facts["after_unsafe"] = exchange.after_unsafe
    facts["interim"] = len(exchange.interim)
    facts["continued"] = any(one.line.code == 100 for one in exchange.interim)  # noqa: PLR2004
    if request is None:
        facts |= _NO_REQUEST
    else:
        method = request.line.method
        facts["method"] = method if method in vocabulary.methods else "other" if method else "none"
        _add_request(facts, evidence, request, patterns)
        if request.head.faults:
            _add_faults(facts, evidence, request.head.faults, client)
    facts["reply_code"] = facts["words"] = facts["latency"] = None
    if response is None:
        facts |= _NO_RESPONSE
    else:
        _add_response(facts, evidence, exchange, response, server)
    for one in exchange.interim:
        if one.head.faults:
            _add_faults(facts, evidence, one.head.faults, server)
    return facts, evidence


def _add_request(facts: Facts, evidence: Evidence, request: Request, patterns: SecretPatterns) -> None:
    head, line, body = request.head, request.line, request.body
    fields = head.fields
    evidence["request"], evidence["request_end"] = head.first.frame, request.last.frame
    facts["request_line"] = line.form
    facts["request_version"] = line.version
    facts["target_form"] = target_form(line.method, line.target)
    facts["target_size"] = len(line.target)
    facts["request_framing"] = body.framing
    facts["request_length"] = body.stated
    facts["request_body"] = body.size
    facts["request_fields"] = sum(map(len, fields.values()))
    hosts = fields.get(b"host")
    if head.whole:
        facts["hosts"] = len(hosts) if hosts else 0
        facts["host_differs"] = hosts is not None and facts["target_form"] == "absolute" and _authority(line.target) != _host(hosts[0])
        facts["host_invalid"] = hosts is not None and is_host_invalid(hosts)
    else:
        facts["hosts"] = facts["host_differs"] = facts["host_invalid"] = None
    facts["auth"] = _scheme(fields, b"authorization")
    facts["proxy_auth"] = _scheme(fields, b"proxy-authorization")
    facts["cookies"] = sum(value.count(b";") + 1 for value in fields.get(b"cookie", ()))
    facts["form_secret"] = bool(request.secrets)
    facts["target_secret"] = request.shown is not line.target and redaction.carries_credentials(line.target, patterns)
    facts["key_field"] = not patterns.keys.isdisjoint(fields)
    facts["expects_continue"] = b"expect" in fields and "100-continue" in head.words(b"expect")
    facts["continue_wait"] = request.waited
    facts["content_withheld"] = request.withheld
    facts["credentials"] = bool(
        facts["target_secret"] or facts["key_field"] or request.secrets or not _EXPOSED.isdisjoint((facts["auth"], facts["proxy_auth"]))
    )
    facts["asks_upgrade"] = b"upgrade" in fields
    facts["asks_close"] = b"connection" in fields and "close" in head.words(b"connection")
    facts["request_excess"] = 0


def _add_response(facts: Facts, evidence: Evidence, exchange: HttpExchange, response: Response, server: Reader) -> None:
    head, line, body, request = response.head, response.line, response.body, exchange.request
    evidence["reply"], evidence["reply_end"] = head.first.frame, response.last.frame
    facts["reply_code"] = line.code
    facts["latency"] = timing.latency(request.last, head.first) if request is not None else None
    facts["status_line"] = line.form
    facts["reply_version"] = line.version
    facts["reply_framing"] = body.framing
    facts["reply_length"] = body.stated
    facts["reply_body"] = body.size
    facts["reply_fields"] = sum(map(len, head.fields.values()))
    facts["set_cookies"] = len(head.fields.get(b"set-cookie", ()))
    facts["unframed"] = exchange.unframed
    facts["tunnel_opened"] = body.framing == "tunnel"
    facts["pushed_reply"] = exchange.unrequested is True and pushed(exchange, server)
    facts["reply_excess"] = 0
    facts["challenge_taken"] = False
    if line.code == 101:  # noqa: PLR2004
        _add_upgrade(facts, exchange)
    else:
        facts["upgraded_to"], facts["upgrade_unasked"], facts["upgrade_other"], facts["accept_wrong"] = "none", False, False, None
    if head.faults:
        _add_faults(facts, evidence, head.faults, server)
    if not body.whole and request is not None and body.framing in {"length", "chunked"} and not body.lost and server.closing == "fin":
        _add_faults(facts, evidence, {"body_short": max(body.stop - 1, 0)}, server)


def _add_upgrade(facts: Facts, exchange: HttpExchange) -> None:
    """Add the facts about a 101 (RFC 9110 7.8, 15.2.2)."""
    request, response = exchange.request, exchange.response
    facts["upgraded_to"] = upgrade.upgrade(exchange)
    facts["accept_wrong"] = upgrade.accept_wrong(exchange)
    facts["upgrade_unasked"] = facts["upgrade_other"] = None
    if request is not None and response is not None and request.head.whole:
        requested, offered = request.head.words(b"upgrade"), response.head.words(b"upgrade")
        facts["upgrade_unasked"] = not requested
        facts["upgrade_other"] = bool(requested) and any(word not in requested for word in offered)


def _add_faults(facts: Facts, evidence: Evidence, faults: dict[str, int], reader: Reader) -> None:
    for name, offset in faults.items():
        if facts[name] in {None, "none"}:
            position = reader.position(offset)
            facts[name] = reader.side
            evidence[name] = position.frame if position else None


def pushed(exchange: HttpExchange, server: Reader) -> bool:
    """Return whether a response without a request ends an idle connection (RFC 9110 15.5.9)."""
    response = exchange.response
    if response is None or response.line.code not in _PUSHED_CODES:
        return False
    return "close" in response.head.words(b"connection") or bool(server.closing)


def is_host_invalid(hosts: list[bytes]) -> bool:
    """Return whether a Host field has a byte that is not allowed in a host and port."""
    return any(map(_HOST_INVALID.search, hosts))


def target_form(method: str, target: str) -> str:
    """Return the form of a request target (RFC 9112 3.2)."""
    if target.startswith("/"):
        return "origin"
    if method == "CONNECT":
        return "authority"
    if target == "*":
        return "asterisk"
    if "://" in target:
        return "absolute"
    return "other" if target else "none"


def _scheme(fields: dict[bytes, list[bytes]], name: bytes) -> str:
    values = fields.get(name)
    if values is None:
        return "none"
    scheme = values[0].partition(b" ")[0].lower().decode("latin-1")
    return scheme if scheme in _SCHEMES else "other"


def _authority(target: str) -> str:
    """Return host and port of an absolute target."""
    return target.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2].lower().removesuffix(":80")


def _host(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape").lower().removesuffix(":80")

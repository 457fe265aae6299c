"""Collect the exchanges of one HTTP dialogue: facts, evidence, rows, and a summary line for a person."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final

from analyzer.protocols.api import Dialogue, Exchange
from analyzer.protocols.http import facts as facts_
from analyzer.protocols.http import rows, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.protocols.api import Cell, Fact, ParserContext
    from analyzer.protocols.http.model import HttpExchange
    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Reader

MAX_EXCHANGES: Final = 10_000
"""Exchanges kept per dialogue."""
MAX_SUMMARY_REQUESTS: Final = 3
"""Requests that the summary shows."""
MAX_TARGET_SHOWN: Final = 60
MIN_REFUSAL: Final = 400
"""The lowest code of a response that refuses (RFC 9110 15.5)."""
_CHALLENGES: Final[dict[Fact, str]] = {401: "auth", 407: "proxy_auth"}
"""Codes that challenge for credentials, and the fact about those of a request."""


class ExchangeLog:
    """Collects the exchanges of one dialogue."""

    def __init__(self, client: Reader, server: Reader, context: ParserContext, redactor: Redactor) -> None:
        self.dialogue = Dialogue("http")
        self.count = 0
        self._readers = client, server
        self._context = context
        self._redactor = redactor
        self._vocabulary = vocabulary.of(context.protocol)
        self._writer = rows.RowWriter(redactor)
        self._requests = self._responses = self._unrequested = self._lost = 0
        self._max_pipelined = 0
        self._open = deque[int]()
        """First frames of responses, those before the next request removed."""
        self._excess = {"client": 0, "server": 0}
        self._pushed: int | None = None
        """Frame of a response that ended an idle connection."""
        self._server_name = self._inner_summary = ""

    def add(self, exchange: HttpExchange) -> None:
        """Add an exchange that is complete."""
        self.count += 1
        self._count(exchange)
        if self.count > MAX_EXCHANGES:
            self.dialogue.dropped += 1
            return
        facts, evidence = facts_.of_exchange(exchange, *self._readers, self._redactor.patterns, self._vocabulary)
        if self.dialogue.exchanges:
            _answer_challenge(self.dialogue.exchanges[-1].facts, facts)
        row = self._writer.row(exchange)
        self.dialogue.exchanges.append(Exchange(facts, evidence))
        self.dialogue.rows.append(row)
        self._inner_summary = exchange.inner_summary
        if not self._server_name and row["server"]:
            self._server_name = str(row["server"])

    def add_excess(self, reader: Reader, start: int) -> None:
        """Note that the bytes from `start` to the reader belong to no message."""
        size, side = reader.at - start, reader.side
        position = reader.position(start)
        self._excess[side] += size
        self.dialogue.evidence.setdefault(f"{side}_excess", position.frame if position else None)
        name = "request_excess" if side == "client" else "reply_excess"
        if self.dialogue.exchanges and not self.dialogue.dropped:
            last = self.dialogue.exchanges[-1]
            last.facts[name] = size
            last.evidence[name] = position.frame if position else None

    def finish(self) -> Dialogue:
        """Return the dialogue, after all exchanges were added."""
        dialogue, context = self.dialogue, self._context
        known = context.whole and not context.one_sided
        dialogue.facts |= {
            "requests": self._requests,
            "replies": self._responses,
            "unasked_replies": self._unrequested if known else None,
            "lost_replies": self._lost,
            "pipelined_most": self._max_pipelined,
            "client_excess": self._excess["client"],
            "server_excess": self._excess["server"],
            "pushed": self._pushed is not None,
            "early_excused": self._pushed is not None,
            "on_tls_port": context.server_port in self._vocabulary.tls_ports,
        }
        dialogue.facts.setdefault("tls_missing", False)
        dialogue.evidence["pushed"] = self._pushed
        dialogue.summary = self._summary()
        return dialogue

    def _count(self, exchange: HttpExchange) -> None:
        request, response = exchange.request, exchange.response
        if response is not None:
            self._responses += 1
        if request is None:
            self._unrequested += exchange.unrequested is True
            if exchange.unrequested and response is not None and facts_.pushed(exchange, self._readers[1]):
                self._pushed = response.head.first.frame
            return
        self._requests += 1
        self._lost += exchange.lost
        while self._open and self._open[0] < request.head.first.frame:
            self._open.popleft()
        self._max_pipelined = max(self._max_pipelined, len(self._open) + 1)
        if response is not None:
            self._open.append(response.head.first.frame)

    def _summary(self) -> str:
        outcomes = [_outcome_of(row, exchange) for row, exchange in islice(self._with_request(), MAX_SUMMARY_REQUESTS)]
        text = of_requests(self._requests, outcomes)
        if not outcomes:
            text = f"{self._responses} {'reply' if self._responses == 1 else 'replies'} without a captured request"
        after = f"then {self.dialogue.after}" if self.dialogue.after else ""
        parts = [text, self._server_name, f"{after}: {self._inner_summary}" if after and self._inner_summary else after]
        return ", ".join(part for part in parts if part)

    def _with_request(self) -> Iterator[tuple[dict[str, Cell], Exchange]]:
        pairs = zip(self.dialogue.rows, self.dialogue.exchanges, strict=True)
        return (pair for pair in pairs if pair[1].facts["request_seen"])


def add_texts(dialogue: Dialogue) -> None:
    """Fill the facts that are text, and where a tunnel leads, from rows that were redacted."""
    if dialogue.inner is not None:
        last = dialogue.rows[-1] if not dialogue.dropped else {}
        dialogue.leads_to = str((last.get("target") if last.get("method") == "CONNECT" else last.get("upgrade")) or "?")
    for exchange, row in zip(dialogue.exchanges, dialogue.rows, strict=True):
        code = exchange.facts["reply_code"]
        exchange.facts["words"] = str(row["reply"]) if code is not None and int(code) >= MIN_REFUSAL else None


def _answer_challenge(before: dict[str, Fact], facts: dict[str, Fact]) -> None:
    """Set in the facts of the previous exchange whether this request answers its challenge (RFC 9110 11.3, 11.7)."""
    credentials = _CHALLENGES.get(before["reply_code"])
    if credentials is not None and facts[credentials] not in {None, "none"}:
        before["challenge_taken"] = True


def of_requests(count: int, outcomes: list[str]) -> str:
    """Return the beginning of a summary: the number of requests, and the first `MAX_SUMMARY_REQUESTS` with their outcomes."""
    more = ["…"] if count > MAX_SUMMARY_REQUESTS else []
    return f"{count} request{'s' * (count != 1)} ({', '.join([*outcomes, *more])})"


def of_request(request: str, outcome: object) -> str:
    """Return a request and its outcome, as a summary shows them."""
    short = request if len(request) <= MAX_TARGET_SHOWN else request[: MAX_TARGET_SHOWN - 1] + "…"
    return f"{short} {outcome}"


def _outcome_of(row: dict[str, Cell], exchange: Exchange) -> str:
    if row["code"] is not None:
        return of_request(str(row["request"]), row["code"])
    responded = exchange.facts["replied"]
    return of_request(str(row["request"]), "answered without a status" if responded else "unanswered" if responded is False else "?")

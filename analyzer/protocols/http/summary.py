"""What the reader of HTTP tells of a dialogue: facts, places and rows, turn by turn, and a line for a person.

Promises: emits the facts, places and columns that rules/protocols/http.toml declares and no other; nothing secret, unless the setting
said so.
Must not know: how messages are read.
"""

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
"""Turns that are kept of one dialogue."""
TOLD: Final = 3
"""Turns that the summary tells of."""
_TARGET_SHOWN: Final = 60
MIN_REFUSAL: Final = 400
"""The lowest code of a reply that refuses (RFC 9110 15.5)."""
_CHALLENGES: Final[dict[Fact, str]] = {401: "auth", 407: "proxy_auth"}
"""Codes that ask for credentials, and the fact about those of a request."""


class ExchangeLog:
    """Gathers what becomes of one dialogue."""

    def __init__(self, client: Reader, server: Reader, setting: ParserContext, redactor: Redactor) -> None:
        self.dialogue = Dialogue("http")
        self.count = 0
        self._readers = client, server
        self._setting = setting
        self._redactor = redactor
        self._vocabulary = vocabulary.of(setting.protocol)
        self._writer = rows.Writer(redactor)
        self._requests = self._replies = self._unasked = self._lost = 0
        self._deepest = 0
        self._open = deque[int]()
        """Frames of replies that the next request may not have waited for."""
        self._excess = {"client": 0, "server": 0}
        self._pushed: int | None = None
        """Frame of a reply that ended an idle connection."""
        self._server_name = self._inner_summary = ""

    def add(self, turn: HttpExchange) -> None:
        """Add a turn, of which nothing changes any more."""
        self.count += 1
        self._count(turn)
        if self.count > MAX_EXCHANGES:
            self.dialogue.dropped += 1
            return
        facts, places = facts_.of_turn(turn, *self._readers, self._redactor.patterns, self._vocabulary)
        if self.dialogue.exchanges:
            _answer_challenge(self.dialogue.exchanges[-1].facts, facts)
        row = self._writer.row(turn)
        self.dialogue.exchanges.append(Exchange(facts, places))
        self.dialogue.rows.append(row)
        self._inner_summary = turn.inner_summary
        if not self._server_name and row["server"]:
            self._server_name = str(row["server"])

    def add_excess(self, reader: Reader, start: int) -> None:
        """Say that the bytes from `start` to where the reader stands belong to no message."""
        size, side = reader.at - start, reader.side
        spot = reader.spot(start)
        self._excess[side] += size
        self.dialogue.places.setdefault(f"{side}_excess", spot.frame if spot else None)
        name = "request_excess" if side == "client" else "reply_excess"
        if self.dialogue.exchanges and not self.dialogue.dropped:
            last = self.dialogue.exchanges[-1]
            last.facts[name] = size
            last.places[name] = spot.frame if spot else None

    def finish(self) -> Dialogue:
        """Return the dialogue, all turns added."""
        dialogue, setting = self.dialogue, self._setting
        known = setting.whole and not setting.one_sided
        dialogue.facts |= {
            "requests": self._requests,
            "replies": self._replies,
            "unasked_replies": self._unasked if known else None,
            "lost_replies": self._lost,
            "pipelined_most": self._deepest,
            "client_excess": self._excess["client"],
            "server_excess": self._excess["server"],
            "pushed": self._pushed is not None,
            "early_excused": self._pushed is not None,
            "on_tls_port": setting.server_port in self._vocabulary.tls_ports,
        }
        dialogue.facts.setdefault("tls_missing", False)
        dialogue.places["pushed"] = self._pushed
        dialogue.summary = self._summary()
        return dialogue

    def _count(self, turn: HttpExchange) -> None:
        request, reply = turn.request, turn.reply
        if reply is not None:
            self._replies += 1
        if request is None:
            self._unasked += turn.unasked is True
            if turn.unasked and reply is not None and facts_.pushed(turn, self._readers[1]):
                self._pushed = reply.head.first.frame
            return
        self._requests += 1
        self._lost += turn.lost
        while self._open and self._open[0] < request.head.first.frame:
            self._open.popleft()
        self._deepest = max(self._deepest, len(self._open) + 1)
        if reply is not None:
            self._open.append(reply.head.first.frame)

    def _summary(self) -> str:
        told = [_told(row, exchange) for row, exchange in islice(self._asked(), TOLD)]
        text = of_requests(self._requests, told)
        if not told:
            text = f"{self._replies} {'reply' if self._replies == 1 else 'replies'} without a captured request"
        after = f"then {self.dialogue.after}" if self.dialogue.after else ""
        parts = [text, self._server_name, f"{after}: {self._inner_summary}" if after and self._inner_summary else after]
        return ", ".join(part for part in parts if part)

    def _asked(self) -> Iterator[tuple[dict[str, Cell], Exchange]]:
        pairs = zip(self.dialogue.rows, self.dialogue.exchanges, strict=True)
        return (pair for pair in pairs if pair[1].facts["request_seen"])


def add_texts(dialogue: Dialogue) -> None:
    """Fill in the facts that are text and where a tunnel leads, from rows that were redacted."""
    if dialogue.inner is not None:
        last = dialogue.rows[-1] if not dialogue.dropped else {}
        dialogue.leads_to = str((last.get("target") if last.get("method") == "CONNECT" else last.get("upgrade")) or "?")
    for exchange, row in zip(dialogue.exchanges, dialogue.rows, strict=True):
        code = exchange.facts["reply_code"]
        exchange.facts["words"] = str(row["reply"]) if code is not None and int(code) >= MIN_REFUSAL else None


def _answer_challenge(before: dict[str, Fact], facts: dict[str, Fact]) -> None:
    """Say of the exchange before whether its challenge (RFC 9110 11.3, 11.7) was taken up by the request of this one."""
    credentials = _CHALLENGES.get(before["reply_code"])
    if credentials is not None and facts[credentials] not in {None, "none"}:
        before["challenge_taken"] = True


def of_requests(count: int, told: list[str]) -> str:
    """Return the beginning of a summary: how many requests there were, and what the first `TOLD` were."""
    more = ["…"] if count > TOLD else []
    return f"{count} request{'s' * (count != 1)} ({', '.join([*told, *more])})"


def of_request(request: str, outcome: object) -> str:
    """Return what a summary tells of a request."""
    short = request if len(request) <= _TARGET_SHOWN else request[: _TARGET_SHOWN - 1] + "…"
    return f"{short} {outcome}"


def _told(row: dict[str, Cell], exchange: Exchange) -> str:
    if row["code"] is not None:
        return of_request(str(row["request"]), row["code"])
    replied = exchange.facts["replied"]
    return of_request(str(row["request"]), "answered without a status" if replied else "unanswered" if replied is False else "?")

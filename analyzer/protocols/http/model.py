"""One request and what answered it: the values that the parser of HTTP fills, message by message."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analyzer.protocols.http.bodies import Body
    from analyzer.protocols.http.messages import Head, RequestLine, StatusLine
    from analyzer.protocols.http.vocabulary import HttpVocabulary
    from analyzer.reassembly.reader import Position


@dataclass(slots=True)
class Request:
    """A request as far as it was captured."""

    head: Head
    line: RequestLine
    body: Body
    last: Position
    """Where its last byte was captured."""
    shown: str
    """The target without its secrets; the very same text where it has none."""
    secrets: tuple[str, ...] = ()
    """Names of the secret parameters in its form."""
    waited: int | None = None
    """ns from its head to its content, when it expected 100 (Continue) and sent the content before any reply."""
    withheld: bool = False
    """Whether it expected 100 (Continue) and never sent its content."""


@dataclass(slots=True)
class Response:
    """A reply as far as it was captured."""

    head: Head
    line: StatusLine
    body: Body
    last: Position


@dataclass(slots=True)
class HttpExchange:
    """A request and its replies; either may be missing."""

    number: int
    request: Request | None = None
    interim: list[Response] = field(default_factory=list)
    """Replies 100, 102, 103 and the like."""
    reply: Response | None = None
    """The final one; 101 is final, since another protocol follows."""
    replied: bool | None = None
    lost: bool = False
    """Whether the reply was sent while nothing was captured."""
    unasked: bool | None = False
    """Whether a reply came though no request was open; None where a request may have been missed."""
    pipelined: bool | None = None
    after_close: bool | None = None
    after_unsafe: bool | None = None
    unframed: bool = False
    """Whether a reply without a length was followed by another one."""
    request_empty: int | None = None
    """Offset of empty lines in front of the request; None without any."""
    reply_empty: int | None = None
    inner: str = ""
    """What is spoken in the tunnel, or after the upgrade."""
    inner_summary: str = ""

    def compare(self, previous: HttpExchange | None, vocabulary: HttpVocabulary) -> None:
        """Say how the request stands to the turn before it: sent without waiting, behind what, after a close was agreed on."""
        self.pipelined = self.after_close = self.after_unsafe = False
        if previous is None or self.request is None:
            return
        frame, reply = self.request.head.first.frame, previous.reply
        self.pipelined = frame < reply.head.first.frame if reply is not None else None
        if previous.request is None:
            return
        self.after_unsafe = self.pipelined and previous.request.line.method not in vocabulary.idempotent
        closing = "close" in previous.request.head.words(b"connection")
        if not closing and reply is not None and "close" in reply.head.words(b"connection"):
            closing = frame > reply.last.frame
        self.after_close = closing

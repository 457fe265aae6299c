"""One request and its responses: the values that the parser of HTTP fills, message by message."""

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
    """Position of its last byte."""
    shown: str
    """The target with secrets redacted; the same object where it has none."""
    secrets: tuple[str, ...] = ()
    """Names of the secret parameters in its form."""
    waited: int | None = None
    """ns from its head to its content, when it expected 100 (Continue) and sent the content before any response came."""
    withheld: bool = False
    """Whether it expected 100 (Continue) and never sent its content."""


@dataclass(slots=True)
class Response:
    """A response as far as it was captured."""

    head: Head
    line: StatusLine
    body: Body
    last: Position


@dataclass(slots=True)
class HttpExchange:
    """A request and its responses; either may be missing."""

    number: int
    request: Request | None = None
    interim: list[Response] = field(default_factory=list)
    """Responses 100, 102, 103 and the like."""
    response: Response | None = None
    """The final response; 101 is final, since another protocol follows."""
    responded: bool | None = None
    lost: bool = False
    """Whether the response was sent where bytes of the server are missing."""
    unrequested: bool | None = False
    """Whether a response came while no request was open; None where a request may be missing."""
    pipelined: bool | None = None
    after_close: bool | None = None
    after_unsafe: bool | None = None
    unframed: bool = False
    """Whether a response without a length was followed by another one."""
    request_empty: int | None = None
    """Offset of empty lines in front of the request; None without any."""
    response_empty: int | None = None
    inner: str = ""
    """The protocol in the tunnel or after the upgrade."""
    inner_summary: str = ""

    def compare(self, previous: HttpExchange | None, vocabulary: HttpVocabulary) -> None:
        """Set whether the request was sent without waiting for the previous response, behind an unsafe request, or after a close."""
        self.pipelined = self.after_close = self.after_unsafe = False
        if previous is None or self.request is None:
            return
        frame, response = self.request.head.first.frame, previous.response
        self.pipelined = frame < response.head.first.frame if response is not None else None
        if previous.request is None:
            return
        self.after_unsafe = self.pipelined and previous.request.line.method not in vocabulary.idempotent
        closing = "close" in previous.request.head.words(b"connection")
        if not closing and response is not None and "close" in response.head.words(b"connection"):
            closing = frame > response.last.frame
        self.after_close = closing

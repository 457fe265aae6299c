"""The values that parsers of protocols receive and return.

Facts are values that rules may use (`rules/protocols/<protocol>.toml` declares them); evidence is frames that a finding may cite; a row is
one row of the transactions table. A fact that the capture does not show is None or missing, never False. No value holds a secret unless
`ParserContext.secrets` is set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.protocols.redactor import Redactor
    from analyzer.reassembly.reader import Position, Reader, Side
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.secrets import SecretPatterns

Fact = int | bool | str | None
"""A number (times in ns), a truth, or a word of an enumeration; None is unknown."""
WORDS: Final = "words"
"""The fact of an exchange that is text from the capture, see rules/protocols/any.toml: it is redacted like the text in rows."""
Cell = int | float | bool | str | tuple[str, ...] | tuple[int, ...] | None
"""A value of the transactions table; None is absent."""


@dataclass(frozen=True, slots=True)
class ParserContext:
    """Facts of a connection that do not come from its bytes."""

    secrets: bool = False
    """Whether passwords and other secrets may be reported; when False, they must not leave the parser."""
    whole: bool = True
    """Whether the streams begin where the connection did (its opening was captured)."""
    client_ip: str = ""
    server_ip: str = ""
    client_port: int = 0
    server_port: int = 0
    one_sided: bool = False
    """Whether one direction was not captured at all."""
    end_time: int = 0
    """When the capture ended, ns since the epoch."""
    nested: Callable[[Reader, Reader, ParserContext], Dialogue | None] | None = None
    """Recognises and reads what follows in the same streams (a tunnel, an upgrade), from the current positions of the readers."""
    opened_at: int = NO_TIME
    """When the opening was complete, ns since the epoch, NO_TIME when that is not known."""
    protocol: Protocol | None = None
    """What rules/protocols declares of the protocol; None in tests that read without rules."""
    redactor: Redactor | None = None
    """That of the dialogue around this one, when it is read in a tunnel or after an upgrade: the secrets of one are those of the other."""
    patterns: SecretPatterns | None = None
    """How secrets are named and what they look like; None for what is shipped."""


@dataclass(slots=True)
class Exchange:
    """A request and its answer: a command and its reply, an HTTP request and its response."""

    facts: dict[str, Fact] = field(default_factory=dict)
    evidence: dict[str, int | None] = field(default_factory=dict)
    """Frames by evidence name: request, request_end, reply, reply_end, and what the protocol declares."""


@dataclass(slots=True)
class AnnouncedConnection:
    """A connection that a dialogue announces: one endpoint names the address it listens on, the other opens it."""

    opener: Side
    """Which end of this dialogue is to open it; the other one listens."""
    ip: str
    """Where it listens, as `ipaddress` writes it; empty for the address it has in this dialogue."""
    port: int
    frame: int
    """The frame that completes the announcement: the connection cannot be opened earlier."""
    mode: str = ""
    """The protocol's word for how it was announced."""
    until: int | None = None
    """The frame of the last reply about it; None without one."""
    exchanges: list[Exchange] = field(default_factory=list)
    """The exchanges about it, in order; the last one gets the facts of the connection."""
    rows: list[dict[str, Cell]] = field(default_factory=list)
    """Their rows of the transactions table."""


@dataclass(slots=True)
class Dialogue:
    """The parsed dialogue of one connection."""

    service: str
    """The protocol's id."""
    summary: str = ""
    """One line for a person; text from the capture in it is raw, reports escape it."""
    facts: dict[str, Fact] = field(default_factory=dict)
    evidence: dict[str, int | None] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    rows: list[dict[str, Cell]] = field(default_factory=list)
    """Rows of the transactions table, in order, by column name; the common columns that do not depend on the protocol are filled in
    afterwards."""
    tls: str = ""
    """How the connection came to be encrypted: implicit, starttls, auth-tls, upgrade, connect; empty when it was not."""
    tls_position: Position | None = None
    """Where the first byte of TLS was captured."""
    after: str = ""
    """The protocol after an upgrade or inside a tunnel, if any."""
    inner: Dialogue | None = None
    """The dialogue there, if it can be parsed; its exchanges and rows are its own."""
    leads_to: str = ""
    """Where the tunnel leads, or what was upgraded to."""
    announced: list[AnnouncedConnection] = field(default_factory=list)
    """Connections it announces, in order; the reader's module has a function `link` that finds them among all connections."""
    dropped: int = 0
    """Transactions beyond the most that are kept."""
    cut: bool = False
    """Whether other parts were left out: exchanges, items of a list."""

"""What the reader of a protocol is given, and what it returns: frozen or plain values, no behaviour.

Facts are what rules may ask (`rules/protocols/<protocol>.toml` declares them); places are frames that a finding may cite; a row is a
line of the transactions table. A fact that the capture does not tell is None, or is not there: a rule never takes it for false.

Promises: nothing in here is a secret unless `Setting.secrets` said so.
Must not know: rules, reports.
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
"""The fact of an exchange that is text from the capture, see rules/protocols/any.toml: it is redacted as the cells of rows are."""
Cell = int | float | bool | str | tuple[str, ...] | tuple[int, ...] | None
"""A value of the transactions table; None is absent."""


@dataclass(frozen=True, slots=True)
class ParserContext:
    """What is known of a connection beside its bytes."""

    secrets: bool = False
    """Whether passwords and the like may be kept; False by default, and then they must not leave the reader."""
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
    """Recognises and reads what follows in the same streams (a tunnel, an upgrade), from where the readers stand."""
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
    """A request and what answers it: a command and its reply, an HTTP request and its response."""

    facts: dict[str, Fact] = field(default_factory=dict)
    places: dict[str, int | None] = field(default_factory=dict)
    """Frames by name of place: request, request_end, reply, reply_end, and what the protocol declares."""


@dataclass(slots=True)
class AnnouncedConnection:
    """A connection that a dialogue announces: one endpoint says where it will listen, the other is to open it."""

    opener: Side
    """Which end of this dialogue is to open it; the other one listens."""
    ip: str
    """Where it listens, as `ipaddress` writes it; empty for the address it has in this dialogue."""
    port: int
    frame: int
    """The frame the announcement is complete with: nobody can open it earlier."""
    mode: str = ""
    """The protocol's word for how it was announced."""
    until: int | None = None
    """The frame with the last that was said about it; None when nothing was."""
    exchanges: list[Exchange] = field(default_factory=list)
    """The exchanges that are about it, in order; the last one is told how it fared."""
    rows: list[dict[str, Cell]] = field(default_factory=list)
    """Their rows of the transactions table."""


@dataclass(slots=True)
class Dialogue:
    """What one connection's endpoints said to each other."""

    service: str
    """The protocol's id."""
    summary: str = ""
    """One line for a person; text from the capture in it is raw, reports escape it."""
    facts: dict[str, Fact] = field(default_factory=dict)
    places: dict[str, int | None] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    rows: list[dict[str, Cell]] = field(default_factory=list)
    """Rows of the transactions table, in order, by column name; the common columns that do not depend on the protocol are filled in
    afterwards."""
    tls: str = ""
    """How the connection came to be encrypted: implicit, starttls, auth-tls, upgrade, connect; empty when it was not."""
    tls_spot: Position | None = None
    """Where the first byte of TLS was captured."""
    after: str = ""
    """The protocol spoken after an upgrade or inside a tunnel, if any."""
    inner: Dialogue | None = None
    """What was said there, if it can be read; its exchanges and rows are its own."""
    leads_to: str = ""
    """Where the tunnel leads, or what was upgraded to."""
    channels: list[AnnouncedConnection] = field(default_factory=list)
    """Connections it announces, in order; the reader's module has a function `link` that finds them among all connections."""
    dropped: int = 0
    """Transactions beyond the most that are kept."""
    cut: bool = False
    """Whether more was said than is kept in another way: exchanges, items of a list."""

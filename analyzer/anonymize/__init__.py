"""Rewrite the frames of connections without addresses, names and secrets, so that they are judged as before.

Addresses, MAC addresses, names, secrets and address literals are replaced by keyed pseudonyms; sequence numbers, checksums and lengths
follow. A frame that cannot be rewritten whole is refused, so that nothing of it is written by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from analyzer.anonymize.addresses import AddressMap
from analyzer.anonymize.frames import FrameWriter
from analyzer.anonymize.names import NameMap
from analyzer.anonymize.streams import Collector, Rewriter, find_edits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analyzer.anonymize.streams import Direction, Segments, StreamEdits
    from analyzer.capture.packets import Packet

KEY_BYTES: Final = 32

Payload = Literal["keep", "blank"]

__all__ = ["KEY_BYTES", "Options", "Payload", "comment", "rewrite"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to anonymize."""

    key: bytes
    """The same key gives the same pseudonyms; 1 to 64 bytes."""
    payload: Payload = "keep"
    """keep: replace what names somebody; blank: zeros instead of every payload byte."""


def comment(options: Options) -> str:
    """Return the comment of the written file."""
    kept = "names, addresses and secrets in payload replaced" if options.payload == "keep" else "payload replaced by zeros"
    return f"Anonymized by pcaplint: addresses replaced (prefix-preserving), {kept}; sequence numbers, checksums and lengths adjusted."


def rewrite(packets: Iterable[Packet], segments: Segments, words: Sequence[str], secrets: Sequence[str], options: Options) -> list[Packet]:
    """Return the packets rewritten.

    `segments` maps each frame to the connection and the side of its TCP segment; `words` are names (of hosts and users) and
    `secrets` what must not be left in any spelling. Raises `UsageError` for a frame that cannot be rewritten.
    """
    held = list(packets)
    addresses = AddressMap(options.key)
    edits: dict[Direction, StreamEdits] = {}
    if options.payload == "keep":
        names, collector = NameMap(options.key, addresses, words, secrets), Collector(segments)
        reader = FrameWriter(lambda address: address, lambda address: address, collector)
        for packet in held:
            reader.rewrite(packet)
        edits = {direction: find_edits(parts, names.search) for direction, parts in collector.parts.items()}
    writer = FrameWriter(addresses.ip, addresses.mac, Rewriter(segments, edits, blank=options.payload == "blank"))
    return [writer.rewrite(packet) for packet in held]

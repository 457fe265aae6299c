r"""Detect the protocol of a connection by the first bytes of both directions, never by the port alone.

Each protocol declares signatures (rules/protocols/*.toml): `sure` ones decide alone; `likely` ones (a greeting `220 `, which SMTP and FTP
share) decide when the other direction or the port agrees. Bytes of either direction may contradict a protocol: an `unlikely` signature
cancels its likely ones, a `never` signature its sure ones too (RTSP, SIP and ICAP have HTTP's grammar and a version word of their own).
Where the two directions are of two protocols both are reported. At most `MAX_SIGNATURE_BYTES` of each direction are examined; the readers
move only over a PROXY header, the one protocol that is known here by name (PROXY protocol specification, versions 1 and 2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analyzer.rules.protocols import ANY, MAX_SIGNATURE_BYTES, PREDEFINED, SIDES, STRENGTHS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from analyzer.reassembly.reader import Reader, Side
    from analyzer.rules.protocols import Protocol

NOTHING, UNKNOWN = PREDEFINED
SideDetection = tuple[bool, tuple[str, ...]]
"""Whether a signature is sure, and the protocols it may be of."""
_NOTHING_AGAINST: Final = (None, None)
_NO_IDS: Final = frozenset[str]()
_PROXY: Final = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)[^\r\n]{0,96}\r\n")
_PROXY2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY2_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Detection:
    """The protocols of the first bytes of both directions."""

    service: str
    """The protocol; `unknown` where it could not be decided, `none` where neither direction has bytes."""
    client: tuple[str, ...]
    """Protocols that the client's bytes may be of, equally likely."""
    server: tuple[str, ...]
    client_spoke: bool
    server_spoke: bool


class Detector:
    """Compiled signatures of all protocols."""

    def __init__(self, protocols: Mapping[str, Protocol]) -> None:
        """Compile the signatures of `protocols`."""
        self._read = frozenset(one.id for one in protocols.values() if one.reader)
        signatures = [(one.id, signature) for one in protocols.values() if one.id != ANY for signature in one.signatures]
        chosen = {
            (strength, side): [
                (id_, signature.pattern) for id_, signature in signatures if (signature.strength, signature.by) == (strength, side)
            ]
            for strength in STRENGTHS
            for side in SIDES
        }
        self._sure = {side: chosen["sure", side] for side in SIDES}
        self._sure_pattern = {side: _join(chosen["sure", side]) for side in SIDES}
        self._likely = {side: chosen["likely", side] for side in SIDES}
        self._against = {
            (strength, id_): (_joined(chosen[strength, "client"], id_), _joined(chosen[strength, "server"], id_))
            for strength in ("unlikely", "never")
            for id_ in {id_ for side in SIDES for id_, _ in chosen[strength, side]}
        }

    def detect(self, client: Reader, server: Reader, by_port: str) -> Detection:
        """Detect the protocol at the current positions of the readers; `by_port` is the service registered for the server port."""
        return self.detect_bytes(client.peek(MAX_SIGNATURE_BYTES), server.peek(MAX_SIGNATURE_BYTES), by_port)

    def detect_bytes(self, client_bytes: bytes, server_bytes: bytes, by_port: str) -> Detection:
        """Detect the protocol from the first `MAX_SIGNATURE_BYTES` of the client and of the server."""
        client, server = found = self._take("client", client_bytes), self._take("server", server_bytes)
        texts = client_bytes, server_bytes
        never = self._contradicted("never", client[1] if client == server else (*client[1], *server[1]), texts)
        if client[0] and client == server and not never:
            return Detection(client[1][0], client[1], client[1], client_spoke=True, server_spoke=True)
        left = found
        if never:
            left = self._take("client", client_bytes, never), self._take("server", server_bytes, never)
        if not (left[0][0] and left[1][0]):
            left = self._cancel(left, texts)
        # Where each side is sure of another protocol, and one excludes the other, both are reported.
        differ = client[0] and server[0] and client != server
        reported = [one[1] if differ and not rest[1] else rest[1] for one, rest in zip(found, left, strict=True)]
        return Detection(
            self._agree(left, (bool(client_bytes), bool(server_bytes)), by_port),
            reported[0],
            reported[1],
            bool(client_bytes),
            bool(server_bytes),
        )

    def _cancel(self, found: tuple[SideDetection, SideDetection], texts: tuple[bytes, bytes]) -> tuple[SideDetection, SideDetection]:
        """Return `found` without the likely protocols that an unlikely signature contradicts."""
        likely = [id_ for certain, ids in found if not certain for id_ in ids]
        unlikely = self._contradicted("unlikely", likely, texts)
        if not unlikely:
            return found
        client, server = ((certain, ids if certain else tuple(id_ for id_ in ids if id_ not in unlikely)) for certain, ids in found)
        return client, server

    def _take(self, side: Side, data: bytes, never: frozenset[str] = _NO_IDS) -> SideDetection:
        """Return whether a signature is sure, and the protocols it is of, except those in `never`."""
        if not data:
            return False, ()
        pattern, ids = self._sure_pattern[side]
        if pattern is not None and (match := pattern.match(data)):
            found = ids[int(str(match.lastgroup)[1:])]
            if found not in never:
                return True, (found,)
            for id_, sure in self._sure[side]:
                if id_ not in never and sure.match(data):
                    return True, (id_,)
        return False, tuple(dict.fromkeys(id_ for id_, likely in self._likely[side] if id_ not in never and likely.match(data)))

    def _contradicted(self, strength: str, ids: Iterable[str], texts: tuple[bytes, bytes]) -> frozenset[str]:
        """Return which of the protocols `ids` are contradicted by a signature of this strength in either direction."""
        found = list[str]()
        for id_ in ids:
            client, server = self._against.get((strength, id_), _NOTHING_AGAINST)
            if (client is not None and texts[0] and client.match(texts[0])) or (server is not None and texts[1] and server.match(texts[1])):
                found.append(id_)
        return frozenset(found) if found else _NO_IDS

    def _agree(self, found: tuple[SideDetection, SideDetection], has_bytes: tuple[bool, bool], by_port: str) -> str:
        """Return the protocol that both directions, one direction and the port, or one sure signature agree on."""
        if not any(has_bytes):
            return NOTHING
        sure = [ids[0] for certain, ids in found if certain]
        if len(set(sure)) == 1:
            return sure[0]
        if sure:
            # Two protocols: the port's, unless only the other one has a parser.
            return by_port if by_port in sure and not (sure[0] in self._read and by_port not in self._read) else sure[0]
        (_, client), (_, server) = found
        both = [id_ for id_ in client if id_ in server] if client and server else [*client, *server]
        if by_port in both:
            return by_port
        return both[0] if len(both) == 1 and client and server else UNKNOWN


def _join(signatures: list[tuple[str, re.Pattern[bytes]]]) -> tuple[re.Pattern[bytes] | None, list[str]]:
    """Return one pattern whose group name gives the signature that matched, and the protocol of each signature."""
    if not signatures:
        return None, []
    parts = (b"(?P<p%d>%b)" % (number, pattern.pattern) for number, (_, pattern) in enumerate(signatures))
    return re.compile(b"|".join(parts), re.DOTALL), [id_ for id_, _ in signatures]


def _joined(signatures: list[tuple[str, re.Pattern[bytes]]], id_: str) -> re.Pattern[bytes] | None:
    """Return one pattern of all signatures of a protocol; None when there is none."""
    return _join([one for one in signatures if one[0] == id_])[0]


def begins_with_proxy(data: bytes) -> bool:
    """Return whether a client's first bytes may be those of a PROXY header."""
    return data.startswith((b"PROXY ", _PROXY2))


def skip_proxy(client: Reader) -> bool:
    """Move the client's reader behind a PROXY header, version 1 or 2, if there is one; return whether there was."""
    data = client.peek(MAX_SIGNATURE_BYTES)
    if data.startswith(b"PROXY ") and (match := _PROXY.match(data)):
        client.skip(match.end())
        return True
    if data.startswith(_PROXY2) and len(data) >= _PROXY2_BYTES and data[12] >> 4 == 2:  # noqa: PLR2004 - the version
        client.skip(_PROXY2_BYTES + int.from_bytes(data[14:16], "big"))
        return True
    return False

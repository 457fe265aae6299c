"""Frames that are copies of another frame: a mirror port's second sight of it, or its sight beyond a router.

What decides. A copy has the same tuple, direction, IP identification, sequence and acknowledgment numbers, flags,
length and window as the frame before it, and comes within 10 ms of the first of its kind. A sender that retransmits
takes a new IP identification (RFC 6864 4.3), so equal ones prove a copy, and routers in between may have changed what
routers change: the TTL by some hops, MACs, the values of options (a clamped MSS, options replaced by NOPs) and with them
the checksum. What remains of the checksum without the options must be equal, or the payload is another one; only a
segment with SYN and no payload need not have it.

An identification of 0, none (IPv6), or one that a program puts on every packet it makes, proves nothing (RFC 6864 4.1).
Then checksum and option bytes (so TSval) must be equal, the TTL equal or lower by 1, 1 ms is allowed, and a copy taken on
the same wire (same TTL and MACs) must also

* follow its original without a segment of the peer in between: a retransmission faster than a timer is an answer to
  something the peer sent;
* when it is a segment that hosts repeat at will (no data, SYN or FIN: duplicate acknowledgments, one reset a segment),
  belong to a tuple of which at least half of the other segments were seen twice.

Positions in capture order, whole arrays; Python loops only over runs of equal frames longer than the limit.
Frames whose header was cut, and records without a time, are never called copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from analyzer import schema
from analyzer.capture.decode.tcp_options import MSS, NOP
from analyzer.connections import tuple_key

if TYPE_CHECKING:
    from analyzer.connections.concat import Array, Concatenated
    from analyzer.connections.tuple_key import Bools, Ints, Tuples

PROVEN_NS: Final = 10_000_000
"""How far a copy may trail when the IP identification proves it."""
UNPROVEN_NS: Final = 1_000_000
"""How far it may trail when it proves nothing: identification 0 or absent."""

MAX_HOPS: Final = 8
"""How many routers a proven copy may have crossed before or after its original."""

_SAME: Final = ("seq", "ack", "flags", "payload_length", "ip_id", "window", "urgent", "header_length", "option_length")
_MSS_LENGTH: Final = 4
_MODULUS: Final = np.uint64(0xFFFF)
_FULL_HEADER: Final = 20
_CHUNK: Final = 1 << 16
_SAMPLE: Final = 1 << 12
"""Segments of a capture from which to learn whether identifications vary."""
_ODD: Final = tuple(np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93))


class Copies(NamedTuple):
    """Positions of the copies, rising, and which of them crossed a router."""

    positions: Ints
    routed: Bools


class _Runs(NamedTuple):
    """Frames equal in all that decides, in capture order: each row's position and whether it starts a run."""

    positions: Ints
    starts: Bools


class _Digest(NamedTuple):
    """What the option bytes of some rows amount to."""

    mixed: npt.NDArray[np.uint64]
    """64 bits that distinguish them."""
    remainder: npt.NDArray[np.uint64]
    """Their sum and the checksum, modulo 65535: what the checksum would be without options (RFC 1624)."""


def find(joined: Concatenated, tuples: Tuples) -> Copies:
    """Find the frames that are copies of an earlier frame of their tuple."""
    candidates = _candidates(joined, tuples)
    if len(candidates):
        proves = telling(joined, tuples, candidates)
        copy, original = _within_limit(joined, _runs(joined, tuples, candidates, proves), proves)
        copy, original = _drop_unproven(joined, tuples, proves, copy, original)
        order = np.argsort(copy)
        copy, original = copy[order], original[order]
        return Copies(copy, _routed(joined.segments, copy, original))
    return Copies(np.zeros(0, np.int64), np.zeros(0, bool))


def _candidates(joined: Concatenated, tuples: Tuples) -> Ints:
    """Return the positions of rows whose numbers occur more than once, a few chance matches included."""
    columns = joined.segments
    mixed = _mix(joined, tuples, slice(None))
    ordered = np.sort(mixed)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.zeros(0, np.int64)
    usable = (columns["header_captured"] >= _FULL_HEADER) & (columns["time"] != schema.NO_TIME)
    # Looking up many numbers costs more than it saves.
    if len(twice) < len(mixed) // 16:
        usable &= np.isin(mixed, twice)
    return np.flatnonzero(usable)


def _mix(joined: Concatenated, tuples: Tuples, index: Ints | slice) -> npt.NDArray[np.uint64]:
    columns = joined.segments
    numbers = columns["seq"][index].astype(np.uint64) << np.uint64(32) | columns["ack"][index]
    mixed = numbers * _ODD[0]
    mixed ^= mixed >> np.uint64(29)
    place = tuples.code[index].astype(np.uint64) << np.uint64(1) | tuples.forward[index]
    mixed += place * _ODD[1]
    mixed ^= mixed >> np.uint64(32)
    ids = columns["ip_id"][index]
    rest = (ids & 0xFFFF).astype(np.uint64) << np.uint64(48)
    # Where the identification may prove a copy, a router may have changed the checksum.
    rest |= np.where(ids > 0, 0, columns["checksum"][index] & 0xFFFF).astype(np.uint64) << np.uint64(32)
    rest |= columns["flags"][index].astype(np.uint64) << np.uint64(16)
    rest ^= columns["payload_length"][index].astype(np.uint64)
    mixed += rest * _ODD[2]
    mixed *= _ODD[3]
    mixed ^= mixed >> np.uint64(31)
    return mixed


def telling(joined: Concatenated, tuples: Tuples, candidates: Ints) -> Bools:
    """Return, per row of the captures that hold one of `candidates`, whether its IP identification distinguishes frames."""
    ids = joined.segments["ip_id"]
    captures = joined.segments["capture"]
    constant = np.zeros(int(captures.max(initial=0)) + 1, np.int64)
    bounds = np.searchsorted(captures, np.arange(len(constant) + 1))
    for capture in np.unique(captures[candidates]).tolist():
        rows = np.arange(bounds[capture], min(bounds[capture + 1], bounds[capture] + _SAMPLE))
        constant[capture] = _constant(ids[rows], _mix(joined, tuples, rows))
    proves: Bools = (ids > 0) & (ids != constant[captures])
    return proves


def _constant(ids: Array, frames: Array) -> int:
    """Return the identification that most different frames carry, 0 when there is none or a single frame has it."""
    ids = ids[np.unique(frames, return_index=True)[1]]
    middle = int(np.partition(ids, len(ids) // 2)[len(ids) // 2])
    share = int((ids == middle).sum())
    return middle if share > 1 and 2 * share > len(ids) else 0


def _runs(joined: Concatenated, tuples: Tuples, rows: Ints, telling_: Bools) -> _Runs:
    """Bring equal frames together. Equality is tested field by field; the mixed numbers only bring them side by side."""
    columns = joined.segments
    proves = telling_[rows]
    digest = _option_digest(joined, rows)
    mixed = _mix(joined, tuples, rows) + np.where(proves, 0, digest.mixed)
    order = np.argsort(mixed, kind="stable")
    rows, proves, remainder = rows[order], proves[order], digest.remainder[order]
    before, after = rows[:-1], rows[1:]
    equal = (tuples.code[before] == tuples.code[after]) & (tuples.forward[before] == tuples.forward[after])
    for name in _SAME:
        equal &= columns[name][before] == columns[name][after]
    step = columns["ttl"][before] - columns["ttl"][after]
    proven = proves[:-1] & proves[1:]
    equal &= np.where(proven, np.abs(step) <= MAX_HOPS, (step == 0) | (step == 1))
    bare_syn = (columns["flags"][before] & schema.SYN != 0) & (columns["payload_length"][before] <= 0)
    unchanged = columns["checksum"][before] == columns["checksum"][after]
    equal &= unchanged | (proven & (bare_syn | (remainder[:-1] == remainder[1:])))
    where = np.flatnonzero(equal)
    equal[where] = _same_options(joined, before[where], after[where])
    where = where[~equal[where] & proven[where]]
    equal[where] = [
        _is_rewritten(_options(joined, one), _options(joined, other)) for one, other in zip(before[where], after[where], strict=True)
    ]
    return _Runs(rows, np.concatenate(([True], ~equal)))


def _option_matrix(joined: Concatenated, rows: Ints) -> npt.NDArray[np.uint8]:
    """Return the option bytes of `rows`, zero beyond each row's own; as wide as the longest, in whole words."""
    data = np.frombuffer(joined.option_bytes, np.uint8)
    lengths = joined.segments["option_length"][rows][:, None]
    width = -(-int(lengths.max(initial=1)) // 8) * 8
    if not len(data):
        return np.zeros((len(rows), width), np.uint8)
    offsets = np.arange(width)
    places = joined.segments["option_start"][rows][:, None] + offsets
    held = data.take(places, mode="clip")
    held[offsets >= lengths] = 0
    return held


def _option_digest(joined: Concatenated, rows: Ints) -> _Digest:
    found = _Digest(np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint64))
    for start in range(0, len(rows), _CHUNK):
        matrix = _option_matrix(joined, rows[start : start + _CHUNK])
        words = matrix.view(np.uint64)
        for number in range(words.shape[1]):
            part = (found.mixed[start : start + _CHUNK] ^ words[:, number]) * _ODD[number % len(_ODD)]
            found.mixed[start : start + _CHUNK] = part ^ (part >> np.uint64(30))
        found.remainder[start : start + _CHUNK] = matrix.view(">u2").sum(axis=1, dtype=np.uint64)
    found.remainder[:] = (found.remainder + (joined.segments["checksum"][rows] & 0xFFFF).astype(np.uint64)) % _MODULUS
    return found


def _same_options(joined: Concatenated, before: Ints, after: Ints) -> Bools:
    same = np.zeros(len(before), bool)
    for start in range(0, len(before), _CHUNK):
        part = slice(start, start + _CHUNK)
        same[part] = (_option_matrix(joined, before[part]) == _option_matrix(joined, after[part])).all(axis=1)
    return same


def _options(joined: Concatenated, row: int) -> bytes:
    start = int(joined.segments["option_start"][row])
    return bytes(joined.option_bytes[start : start + int(joined.segments["option_length"][row])])


def _is_rewritten(one: bytes, other: bytes) -> bool:
    """Whether options of equal length differ as routers make them differ: in the MSS's value, or by NOPs in an option's place."""
    at = 0
    while at < len(one):
        kept, erased = (other, one) if one[at] == NOP else (one, other)
        size = 1 if kept[at] <= NOP else int.from_bytes(kept[at + 1 : at + 2], "big")
        size = size if size > 1 or kept[at] <= NOP else len(one)
        before, after = kept[at : at + size], erased[at : at + size]
        clamped = size == _MSS_LENGTH and before[:2] == after[:2] == bytes((MSS, _MSS_LENGTH))
        if before != after and not clamped and after != bytes((NOP,)) * size:
            return False
        at += size
    return True


def _within_limit(joined: Concatenated, runs: _Runs, proves: Bools) -> tuple[Ints, Ints]:
    """Return (copy, original) positions: each run's rows no further from its first than the limit, and so on from the next."""
    times = joined.segments["time"][runs.positions]
    limits = np.where(proves[runs.positions], PROVEN_NS, UNPROVEN_NS)
    firsts = np.flatnonzero(runs.starts)
    run = np.cumsum(runs.starts) - 1
    original = firsts[run]
    late = np.abs(times - times[original]) > limits
    for number in np.unique(run[late]).tolist():
        end = firsts[number + 1] if number + 1 < len(firsts) else len(run)
        original[firsts[number] : end] = _anchors(int(firsts[number]), times[firsts[number] : end].tolist(), int(limits[firsts[number]]))
    copies = original != np.arange(len(original))
    return runs.positions[copies], runs.positions[original[copies]]


def _anchors(start: int, times: list[int], limit: int) -> list[int]:
    """Return, for each frame of a run, the one it is a copy of (itself when it is none)."""
    anchors, anchor, since = [], start, times[0]
    for place, time in enumerate(times, start):
        if abs(time - since) > limit:
            anchor, since = place, time
        anchors.append(anchor)
    return anchors


def _routed(columns: dict[str, Array], copy: Ints, original: Ints) -> Bools:
    different: Bools = columns["ttl"][copy] != columns["ttl"][original]
    for name in ("src_mac", "dst_mac", "vlan", "tunnel", "checksum"):
        different |= columns[name][copy] != columns[name][original]
    return different


def _drop_unproven(joined: Concatenated, tuples: Tuples, proves: Bools, copy: Ints, original: Ints) -> tuple[Ints, Ints]:
    """Leave out what may be a host's own repetition (see the module's docstring)."""
    columns = joined.segments
    certain = proves[copy] | _routed(columns, copy, original)
    if certain.all():
        return copy, original
    kept = certain.copy()
    kept[~certain] = ~_peer_between(tuples, copy[~certain], original[~certain])
    reply = (columns["payload_length"] <= 0) & (columns["flags"] & (schema.SYN | schema.FIN) == 0)
    count = len(tuples.first)
    copied = np.bincount(tuples.code[copy[kept & ~reply[copy]]], minlength=count)
    others = np.bincount(tuples.code, weights=~reply, minlength=count) - copied
    doubled = (copied > 0) & (2 * copied >= others)
    kept &= certain | ~reply[copy] | doubled[tuples.code[copy]]
    return copy[kept], original[kept]


def _peer_between(tuples: Tuples, copy: Ints, original: Ints) -> Bools:
    """Whether a segment of the other direction lies between each copy and its original."""
    concerned = np.zeros(len(tuples.first), bool)
    concerned[tuples.code[copy]] = True
    rows = np.flatnonzero(concerned[tuples.code])
    packed = tuple_key.sort(tuples.code[rows], rows)
    forward = tuples.forward[tuple_key.positions(packed)]
    seen = np.concatenate(([0], np.cumsum(forward)))
    here = np.searchsorted(packed, tuples.code[copy] << 32 | copy)
    there = np.searchsorted(packed, tuples.code[original] << 32 | original)
    between = here - there - 1
    ahead = seen[here] - seen[there + 1]
    from_other = np.where(tuples.forward[copy], between - ahead, ahead)
    answered: Bools = from_other > 0
    return answered

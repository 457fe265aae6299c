"""The pcapng format ─► frames: sections, byte orders, interfaces, the three kinds of packet block.

As `frames`. A custom block counts as a frame, blocks of other unknown types do not, as in Wireshark; kinds of
block that it gives a meaning of their own (system calls, journal entries) are foreign.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from analyzer.capture import metadata
from analyzer.capture.formats import magic, pcapng_blocks, resync
from analyzer.capture.formats.model import MAX_CAPTURED_BYTES, Frames, Interface, UnsupportedFormatError
from analyzer.capture.formats.pcapng_blocks import DamageError, Description
from analyzer.capture.formats.scan import ResumePoint, ScanState
from analyzer.capture.formats.window import gather_rows
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer._typing import Array, BoolArray, Int64Array
    from analyzer.capture.formats.model import Store
    from analyzer.capture.formats.window import FileWindow


_FIRST_AHEAD_BYTES: Final = 1 << 12
_ENHANCED_BYTES: Final = 32
_SIMPLE_BYTES: Final = 16
_CUSTOM_BYTES: Final = 16
_FOREIGN_TYPES: Final = frozenset({9, *range(0x200, 0x300)})
_NETFLIX: Final = 10949
"""The enterprise whose custom blocks Wireshark reads."""
_FOREIGN_LINKS: Final = frozenset({197, 231, 249, 279})
"""ERF, which makes interfaces of its own, and link types whose frames may be longer than all others'."""
_FLAGS, _HASH, _DROPS, _VERDICT = 2, 3, 4, 7
_OPTION_LENGTHS: Final = {_FLAGS: 4, _DROPS: 8, 5: 8, 6: 4}
_FCS_BITS: Final = 0x1E0


@dataclass(slots=True)
class PcapngSection:
    """The section that is being read."""

    kind: pcapng_blocks.Blocks
    described: list[Description] = field(default_factory=list)
    base: int = 0
    """How many interfaces the sections before had."""
    ahead: int = _FIRST_AHEAD_BYTES
    """How far to look ahead for its blocks: there may be very many sections of a few blocks."""


@dataclass(frozen=True, slots=True)
class PacketBlocks:
    """The packet blocks among some blocks, shapes (n,)."""

    at: Int64Array
    start: Int64Array
    captured: Int64Array
    length: Int64Array
    interface: Int64Array
    """Within the section, -1 for a custom block."""
    ticks: Array
    timed: BoolArray
    options: Int64Array
    """Where the options begin."""
    stop: Int64Array
    """Where the block's trailer begins."""


def recognise(store: Store, place: int = 0) -> bool:
    """Whether a section begins at `place`; a file that begins with one is pcapng."""
    return store[place : place + magic.MAGIC_BYTES] == magic.PCAPNG


def read(buffer: FileWindow, scan_state: ScanState, begin: ResumePoint | None = None, stop: int | None = None) -> Iterator[Frames]:
    """Give the frames of the capture in `buffer`; see `formats.read`."""
    section, first = _enter(begin), 1
    while True:
        place, damage = 0, ""
        # The frames of all sections of a window come together: each batch has its price, however few frames are in it.
        parts: list[Frames] = []
        while place < buffer.size and not damage and (stop is None or buffer.base + place < stop):
            if recognise(buffer.store, place):
                section, after, damage = _open(section, buffer, place, scan_state)
                if damage or after < 0:
                    break
                place = after
                continue
            at, end = resync.cut(_walk(section, buffer, place), buffer.base, stop)
            if not len(at):
                break
            frames, damage, place = _locate(section, buffer.store, (at, end), scan_state)
            if len(frames):
                parts.append(frames)
        if parts:
            yield _join(parts, first, buffer.base)
            first += sum(map(len, parts))
        if not damage and stop is not None and buffer.base + place >= stop:
            scan_state.place = ResumePoint(buffer.base + place, section.kind, tuple(scan_state.interfaces), tuple(section.described))
            return
        damage = damage or _judge(section.kind, buffer, place)
        if damage or buffer.ended:
            scan_state.damage = damage and f"the capture is damaged at byte {buffer.base + place}: {damage}"
            return
        buffer.advance(place)


def _join(parts: Sequence[Frames], first: int, base: int) -> Frames:
    """Return frames that lie in one window as one batch."""
    if len(parts) == 1:
        return replace(parts[0], first=first, base=base)
    columns = ("start", "captured", "length", "time", "interface")
    return Frames(parts[0].data, first, base, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _enter(begin: ResumePoint | None) -> PcapngSection:
    """Return the section that `begin` lies in."""
    if begin is None:
        return PcapngSection(pcapng_blocks.Blocks("<"))
    return PcapngSection(cast("pcapng_blocks.Blocks", begin.kind), list(begin.described), len(begin.interfaces) - len(begin.described))


def _open(before: PcapngSection, buffer: FileWindow, place: int, scan_state: ScanState) -> tuple[PcapngSection, int, str]:
    """Return the section whose header is at `place`, where its blocks begin (-1 when that is not there yet), and damage."""
    try:
        kind, after = pcapng_blocks.read_section(buffer.store, place, buffer.size)
    except DamageError as error:
        return before, -1, str(error)
    return PcapngSection(kind, base=len(scan_state.interfaces)), after, ""


def _walk(section: PcapngSection, buffer: FileWindow, place: int) -> tuple[Int64Array, int]:
    """Return the blocks from `place` to the next section header, and where they end."""
    parts: list[Int64Array] = []
    while True:
        # A walk in parts over all that is left, once for each of many short sections, would take quadratic time.
        horizon = min(place + section.ahead, buffer.size)
        at, end = resync.walk(section.kind, buffer.store, place, horizon)
        count = section.kind.sound(buffer.data, at, end)
        parts.append(at[:count])
        place = end if count == len(at) else int(at[count])
        if horizon == buffer.size or count < len(at) or section.kind.next_record(buffer.store, place, buffer.size) < 0:
            return np.concatenate(parts), place
        section.ahead *= 8


def _judge(kind: pcapng_blocks.Blocks, buffer: FileWindow, place: int) -> str:
    """Return what is wrong with the block at `place`, at which a walk ended; empty when there is none, or not all of it yet."""
    left = buffer.size - place
    if left >= pcapng_blocks.MIN_BLOCK_BYTES and not recognise(buffer.store, place):
        length = kind.length(buffer.store, place)
        if not pcapng_blocks.MIN_BLOCK_BYTES <= length <= pcapng_blocks.MAX_BLOCK_BYTES:
            return f"a block states a length of {length} bytes"
        if length <= left:
            return "a block's two lengths differ"
    return "it ends within a block" if left and buffer.ended else ""


def _locate(section: PcapngSection, store: Store, walked: tuple[Int64Array, int], scan_state: ScanState) -> tuple[Frames, str, int]:
    """Return the frames of some blocks, as far as these are sound, what is wrong with the next block if they are not, and where that is.

    Without damage, that is where the blocks end.
    """
    data = np.frombuffer(store, dtype=np.uint8)
    at, end = walked
    stop = np.append(at[1:], end) - 4
    kinds = gather_rows(data, at, 4).view(f"{section.kind.order}u4").astype(np.int64)
    if np.isin(kinds, list(_FOREIGN_TYPES)).any():
        message = "a pcapng file with blocks that hold no packets but events"
        raise UnsupportedFormatError(message)
    _refuse_metadata(section, store, (at, stop, kinds))
    known = np.full(len(at), len(section.described), dtype=np.int64)
    sound, damage, place = len(at), "", end
    for row in np.flatnonzero(kinds == pcapng_blocks.INTERFACE).tolist():
        try:
            _describe(section, pcapng_blocks.read_interface(store, int(at[row]), int(stop[row]) + 4, section.kind.order), scan_state)
        except DamageError as error:
            sound, damage, place = row, str(error), int(at[row])
            break
        known[row:] += 1
    holds = np.isin(kinds, (pcapng_blocks.PACKET, pcapng_blocks.SIMPLE, pcapng_blocks.ENHANCED, *pcapng_blocks.CUSTOM))
    holds[sound:] = False
    packets = _read_packets(section, data, (at[holds], stop[holds], kinds[holds]))
    bad = _find_bad(section, data, packets, known[holds])
    if bad.any():
        damage, place = "a packet block that cannot be as it says", int(packets.at[bad.argmax()])
        packets = _cut(packets, int(bad.argmax()))
    return _make_frames(section, data, packets), damage, place


def _refuse_metadata(section: PcapngSection, store: Store, found: tuple[Int64Array, Int64Array, Int64Array]) -> None:
    """Raise `UnsupportedFormatError` for a block of names, statistics or secrets that tshark might call damaged."""
    rows = np.flatnonzero(np.isin(found[2], metadata.TYPES))
    for at, stop, kind in zip(*(column[rows].tolist() for column in found), strict=True):
        if not metadata.is_sound(kind, store, at, stop, section.kind.order):
            message = f"a pcapng file with an odd block of type {kind}"
            raise UnsupportedFormatError(message)


def _describe(section: PcapngSection, described: Description, scan_state: ScanState) -> None:
    """Take an interface in."""
    if described.link in _FOREIGN_LINKS:
        message = f"a pcapng file with an interface of link type {described.link}"
        raise UnsupportedFormatError(message)
    scan_state.interfaces.append(Interface(described.link, number=len(section.described), fcs=described.fcs))
    section.described.append(described)


def _read_packets(section: PcapngSection, data: Array, found: tuple[Int64Array, Int64Array, Int64Array]) -> PacketBlocks:
    """Return the fields of packet blocks, given where they begin and end and what type they are of."""
    at, stop, kinds = found
    order = section.kind.order
    words = gather_rows(data, at, _ENHANCED_BYTES).view(f"{order}u4").reshape(len(at), 8)
    simple, custom, old = kinds == pcapng_blocks.SIMPLE, np.isin(kinds, pcapng_blocks.CUSTOM), kinds == pcapng_blocks.PACKET
    timed = ~(simple | custom)
    interface = words[:, 2].astype(np.int64)
    if old.any():
        # The obsolete block has a count of drops next to the interface.
        interface = np.where(old, interface & 0xFFFF if order == "<" else interface >> 16, interface)
    captured, length = words[:, 5].astype(np.int64), words[:, 6].astype(np.int64)
    if simple.any() and section.described:
        snap = section.described[0].snap
        captured = np.where(simple, np.minimum(words[:, 2], snap) if snap else words[:, 2], captured)
        length = np.where(simple, words[:, 2], length)
    if custom.any():
        captured = np.where(custom, np.maximum(stop - at - 12, 0), captured)
        length = np.where(custom, captured, length)
        if (words[custom, 2] == _NETFLIX).any():
            message = "a pcapng file with custom blocks of a kind Wireshark knows"
            raise UnsupportedFormatError(message)
    start = at + np.where(simple | custom, 12, 28)
    options = np.where(timed, start + (captured + 3 & ~3), stop)
    return PacketBlocks(
        at=at,
        start=start,
        captured=captured,
        length=length,
        interface=np.where(custom, -1, np.where(simple, 0, interface)),
        ticks=words[:, 3].astype(np.uint64) << np.uint64(32) | words[:, 4].astype(np.uint64),
        timed=timed,
        options=options,
        stop=stop,
    )


def _find_bad(section: PcapngSection, data: Array, packets: PacketBlocks, known: Int64Array) -> BoolArray:
    """Return which packet blocks Wireshark refuses; `known` is how many interfaces the section had before each."""
    size = packets.stop + 4 - packets.at
    least = np.where(packets.timed, _ENHANCED_BYTES, np.where(packets.interface < 0, _CUSTOM_BYTES, _SIMPLE_BYTES))
    bad = (size < least) | (packets.captured > MAX_CAPTURED_BYTES) | (packets.start + packets.captured > packets.stop)
    bad |= (packets.interface >= known) | (packets.options > packets.stop)
    rows = np.flatnonzero(~bad & (packets.options < packets.stop))
    at = packets.options[rows]
    while len(rows):
        fields = gather_rows(data, at, 4).view(f"{section.kind.order}u2").reshape(len(at), 2).astype(np.int64)
        code, length = fields[:, 0], fields[:, 1]
        wrong = at + 4 + length > packets.stop[rows]
        for known_code, right in _OPTION_LENGTHS.items():
            wrong |= (code == known_code) & (length != right)
        wrong &= code != 0
        bad[rows[wrong]] = True
        _refuse_options(section, data, at[~wrong], code[~wrong])
        at = at + 4 + (length + 3 & ~3)
        go_on = ~wrong & (code != 0) & (at < packets.stop[rows])
        rows, at = rows[go_on], at[go_on]
    return bad


def _refuse_options(section: PcapngSection, data: Array, at: Int64Array, code: Int64Array) -> None:
    """Raise `UnsupportedFormatError` for options that matter and are rare: a frame check sequence, hashes, verdicts."""
    flagged = at[code == _FLAGS]
    flags = gather_rows(data, flagged + 4, 4).view(f"{section.kind.order}u4")
    if (flags & _FCS_BITS).any() or np.isin(code, (_HASH, _VERDICT)).any():
        message = "a pcapng file with packet options out of the ordinary"
        raise UnsupportedFormatError(message)


def _cut(packets: PacketBlocks, count: int) -> PacketBlocks:
    """Return the first `count` packets."""
    return PacketBlocks(*(getattr(packets, name)[:count] for name in PacketBlocks.__slots__))


def _make_frames(section: PcapngSection, data: Array, packets: PacketBlocks) -> Frames:
    """Return the frames that packet blocks hold."""
    time = np.full(len(packets.at), NO_TIME, dtype=np.int64)
    used = np.flatnonzero(packets.timed)
    of = packets.interface[used]
    for interface in np.unique(of).tolist():
        rows = used[of == interface]
        time[rows] = pcapng_blocks.read_times(packets.ticks[rows], section.described[interface])
    return Frames(
        data=data,
        first=0,
        base=0,
        start=packets.start,
        captured=packets.captured,
        length=packets.length,
        time=time,
        interface=np.where(packets.interface < 0, -1, packets.interface + section.base),
    )

"""Frames that tshark gave up on ─► segments the native engine finds in them, and the link types of the others.

A frame that tshark is sure of is left as it is; a file of a kind that only tshark reads gives nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from analyzer.capture import formats
from analyzer.capture.decode import last_protocol, tcp
from analyzer.capture.decode.last_protocol import Endings
from analyzer.capture.formats import model, scan
from analyzer.capture.native import batches
from analyzer.capture.native import merge as merge_
from analyzer.capture.tshark import remainder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from analyzer._typing import Int64Array
    from analyzer.capture.payloads import Spool
    from analyzer.model import Capture


@dataclass(slots=True)
class Recovered:
    """What was found in the strays."""

    rows: merge_.Rows = field(default_factory=merge_.Rows)
    frames: list[Int64Array] = field(default_factory=list)
    """The strays that hold a segment, or a quote of one, in parts."""
    links: dict[int, int] = field(default_factory=dict)
    """Frame ─► link type of the strays of which nothing else is known."""


def recover(path: Path, strays: Sequence[tuple[str, Int64Array]], spool: Spool) -> tuple[Recovered, Endings]:
    """Return what the native engine finds in the frames `strays`, each with its ending, and what the others end in."""
    found = Recovered()
    number = np.sort(np.concatenate([part for _, part in strays]))
    unlinked = np.concatenate([np.zeros(0, dtype=np.int64), *(part for name, part in strays if name == remainder.LINK)])
    scan_state = scan.ScanState()
    try:
        for window in formats.read(path, scan_state):
            low, high = np.searchsorted(number, (window.first, window.first + len(window)))
            if low < high:
                _take(found, window, scan_state.interfaces, (number[low:high], unlinked), spool)
    except model.UnsupportedFormatError:
        pass
    rest, done = Endings(), np.concatenate([np.zeros(0, dtype=np.int64), *found.frames])
    for name, part in strays:
        left = part[~np.isin(part, done)]
        if name == remainder.LINK:
            links = np.array([found.links.get(one, -1) for one in left.tolist()], dtype=np.int64)
            # A record that holds no packet has no link type.
            rest.count(
                last_protocol.tally(links, lambda link: last_protocol.show_link(link) if link >= -1 else last_protocol.NO_PACKET),
                hidden=True,
            )
        elif name != remainder.CARRIED:
            rest.count([(name, len(left))])
    return found, rest


def _take(
    found: Recovered, window: model.Frames, interfaces: Sequence[model.Interface], chosen: tuple[Int64Array, Int64Array], spool: Spool
) -> None:
    """Decode the strays of a window."""
    number, unlinked = chosen
    rows = number - window.first
    some = replace(
        window,
        first=0,
        **{name: getattr(window, name)[rows] for name in ("start", "captured", "length", "time", "interface")},
    )
    link = some.look_up(interfaces, "link", -2)
    named = np.isin(number, unlinked)
    found.links.update(zip(number[named].tolist(), link[named].tolist(), strict=True))
    decoded = tcp.decode(some, interfaces, found.rows.known)
    segments = decoded.segments
    segments["option_start"] += len(found.rows.options)
    payloads = batches.place_payloads(some, segments, compressed=True)
    if payloads:
        start = segments["payload_start"]
        start[start >= 0] += spool.add(payloads)
    found.rows.options += decoded.options
    for table, rows_ in ((segments, found.rows.segments), *((part, found.rows.quotes) for part in decoded.quotes)):
        table["frame"] = number[table["frame"]].astype(np.uint32)
        found.frames.append(table["frame"].astype(np.int64))
        rows_.add(table)


def merge(found: Recovered, capture: Capture) -> tuple[pd.DataFrame, pd.DataFrame, bytes]:
    """Return the tables and option bytes of `capture` with what was found."""
    kept = np.concatenate([table["frame"].to_numpy().astype(np.int64) for table in (capture.segments, capture.quotes)])
    return merge_.merge(found.rows, capture, np.setdiff1d(kept, np.concatenate(found.frames)))

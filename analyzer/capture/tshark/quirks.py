"""In what the versions of tshark differ, as far as it matters here, and what is done about it.

One row per difference, with the versions that show it; `tests/unit/capture/tshark/test_quirks.py` tests the installed tshark for
each row and fails where it answers otherwise. What can be made good gives the same tables on all versions; what cannot is a loss
that `pcaplint doctor` and the notes of a capture report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analyzer.capture.tshark import layers

if TYPE_CHECKING:
    from analyzer._typing import Int64Array
    from analyzer.capture.tshark.batch_view import BatchView
    from analyzer.capture.tshark.tsv import TsvBatch, TsvColumn

Version = tuple[int, ...]
TESTED_VERSIONS: Final[tuple[Version, ...]] = ((4, 0), (4, 4), (4, 6))
"""The versions that all tests have run with, rising: those of Debian 12, Debian 13 and Debian sid."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """One difference between versions of tshark."""

    id: str
    since: Version
    """The first version known to show it; () for all before `until`."""
    until: Version
    """The first version known to show it no more; () for none yet."""
    what: str
    """What such a tshark does."""
    cure: str
    """What makes the tables the same all the same; empty when nothing does."""
    loss: str = ""
    """What cannot be determined with such a tshark."""

    def applies(self, version: Version) -> bool:
        """Whether a tshark of `version` shows it."""
        return self.since <= version and (not self.until or version < self.until)


QUIRKS: Final = (
    Quirk(
        "mpls-hides-ip",
        since=(4, 4),
        until=(),
        what="frame.protocols lacks the IP header that follows MPLS labels",
        cure="ip.version has the versions of all IP headers in order: layers.restore_networks",
    ),
    Quirk(
        "fields-of-14-bytes",
        since=(4, 6),
        until=(),
        what="a TCP header cut after its flags shows its sequence number, flags and lengths; others show ports alone before byte 16",
        cure="a header without a window has ports alone: quirks.drop_cut_headers",
    ),
    Quirk(
        "custom-block-times",
        since=(4, 6),
        until=(),
        what="a custom block of a pcapng file has the time and the interface of the packet before it",
        cure="a record without frame.encap_type has neither: quirks.clear_custom_blocks",
    ),
    Quirk(
        "fine-clocks-wrong",
        since=(),
        until=(4, 6),
        what="times of a pcapng clock finer than a nanosecond are wrong",
        cure="such a file is framed here and given to tshark in nanoseconds: clocks.has_fine_clock",
        loss="times of a pcapng clock finer than a nanosecond are wrong in a file compressed by zstd or lz4",
    ),
    Quirk(
        "fine-clocks-refused",
        since=(4, 4),
        until=(),
        what="a pcapng clock finer than 10^-19 s or 2^-63 s makes the file unreadable",
        cure="the same",
    ),
    Quirk(
        "partial-checksums-unknown",
        since=(),
        until=(4, 2),
        what="there is no tcp.checksum.partial: a sum left to the network card is called bad, later good",
        cure="a wrong sum that is the pseudo-header's is partial: decode.SegmentBuilder",
    ),
    Quirk(
        "damage-status-14",
        since=(4, 6),
        until=(),
        what="damage met while reading is exit status 14, else it is 2",
        cure="tshark's message about the file is the reason, not its status: exit_status.explain",
    ),
    Quirk(
        "streams-after-reset",
        since=(4, 4),
        until=(),
        what="a SYN+ACK behind a RST begins another tcp.stream",
        cure="connections are identified by their endpoints and sequence numbers, never by tcp.stream",
    ),
)

PROTOCOLS_SINCE: Final[dict[str, Version]] = {"asam-cmp": (4, 4), "bier": (4, 4), "c2p": (4, 6), "rtag": (4, 4)}
"""The protocols of `encapsulations.toml` that not all versions know, and the first version known to have each.

802.1CB tags are ieee8021cb before 4.4 and rtag from then on.
"""
_RENAMED: Final = frozenset({"rtag"})
"""Those that older versions have by another name."""


def parse_version(text: str) -> Version:
    """Return (4, 0, 17) for 4.0.17."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def list_losses(version: str) -> list[str]:
    """Return what cannot be determined with a tshark of `version`, one line each."""
    known = parse_version(version)
    losses = [quirk.loss for quirk in QUIRKS if quirk.loss and quirk.applies(known)]
    lacking = sorted(name for name, since in PROTOCOLS_SINCE.items() if known < since and name not in _RENAMED)
    if lacking:
        losses.append(f"TCP within {', '.join(lacking)} is not found")
    if known[:2] < TESTED_VERSIONS[0]:
        losses.append(f"nothing is known of versions before {_show(TESTED_VERSIONS[0])}")
    if known[:2] > TESTED_VERSIONS[-1]:
        losses.append(f"nothing is known yet of versions after {_show(TESTED_VERSIONS[-1])}")
    return losses


def _show(version: Version) -> str:
    """Return 4.6 for (4, 6)."""
    return ".".join(map(str, version))


def name_layers(grid: TsvBatch, index: dict[str, int]) -> tuple[Int64Array, list[bytes]]:
    """Return a code per row and the lists of protocols the codes stand for, IP headers that tshark left out put back.

    `index` has the column of each field (quirk `mpls-hides-ip`).
    """
    codes, distinct = grid.column(index["frame.protocols"]).factorize()
    suspect = [code for code, text in enumerate(distinct) if layers.may_lack_networks(text)]
    if not suspect or "ip.version" not in index:
        return codes, distinct
    rows = np.flatnonzero(np.isin(codes, suspect))
    local, versions = grid.column(index["ip.version"]).take(rows).factorize()
    known = {text: code for code, text in enumerate(distinct)}
    pairs, which = np.unique(codes[rows] * len(versions) + local, return_inverse=True)
    texts = [layers.restore_networks(distinct[pair // len(versions)], versions[pair % len(versions)]) for pair in pairs.tolist()]
    codes[rows] = np.array([known.setdefault(text, len(known)) for text in texts], dtype=np.int64)[which]
    return codes, list(known)


_CUT_FIELDS: Final = ("seq", "ack", "flags", "header_length", "payload_length")


def drop_cut_headers(found: dict[str, Int64Array]) -> None:
    """Set to -1, in columns of segments, what is only shown of a header cut before its 16th byte by some versions.

    Quirk `fields-of-14-bytes`: such a header has flags and no window.
    """
    cut = (found["flags"] >= 0) & (found["window"] < 0)
    if cut.any():
        for name in _CUT_FIELDS:
            found[name] = np.where(cut, -1, found[name])


_CUSTOM_NAMES: Final = (b"", b"data")


def clear_custom_blocks(column: TsvColumn, view: BatchView, protocols: list[bytes]) -> TsvColumn:
    """Return `column` of a view, empty where the row is a custom block of a pcapng file and no packet (quirk `custom-block-times`).

    `protocols` are the lists of protocols that the view's codes stand for.
    """
    if "frame.encap_type" not in view.index:
        return column
    suspect = np.array([text in _CUSTOM_NAMES for text in protocols], dtype=bool)[view.codes]
    packet = ~suspect | view.column("frame.encap_type").filled
    return column.where(packet, column.between(column.start, column.start))

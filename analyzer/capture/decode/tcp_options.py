"""TCP option bytes ─► columns, one decoder for every engine; and their text.

Whole arrays at a time; where many rows are laid out alike, as a stack's are, that layout is read once and the
numbers are taken from the same bytes of all of them, and the rest is walked, a step for each place an option can stand at,
never for each row. An option that is cut or has a length its kind does not allow is not decoded and marks its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

    from analyzer._typing import Array, ByteArray, IntArray


END, NOP, MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS, MD5, AO, MPTCP, FAST_OPEN = 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34
"""Option kinds (IANA TCP parameters)."""
ACCECN: Final = (172, 174)
EXPERIMENTAL: Final = (253, 254)
TTCP: Final = (11, 12, 13)
OBSOLETE: Final = (6, 7, 9, 10, 11, 12, 13, 14, 15)
FAST_OPEN_MAGIC: Final = 0xF989
"""The experiment identifier of Fast Open before it had a kind (RFC 7413 4.1.1, RFC 6994)."""
MAX_OPTION_BYTES: Final = 40
"""The option bytes a TCP header has room for (RFC 9293 3.1)."""

_WORDS: Final = MAX_OPTION_BYTES // 8
_HEADER: Final = 2
_BLOCK: Final = 8
_MAGIC_HEADER: Final = 4
_CHUNK: Final = 1 << 16
_MAX_LAYOUTS: Final = 16
"""Layouts looked for in one call at most: a capture has some per stack."""
_MIN_LAYOUT_ROWS: Final = 256
"""So few rows are walked at once."""
_MAX_RARE_MAX_LAYOUTS: Final = 4
"""After so many layouts that fit few rows no more are looked for."""
_LENGTHS: Final = {MSS: (4,), WINDOW_SCALE: (3,), SACK_PERMITTED: (2,), SACK: (10, 18, 26, 34), TIMESTAMPS: (10,), MD5: (18,)}
"""The lengths RFC 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3, and RFC 2385 3 allow."""
_ONCE: Final = (MSS, WINDOW_SCALE, SACK_PERMITTED, TIMESTAMPS, FAST_OPEN)
_NUMBERS: Final = ((MSS, "mss", 2, 2), (WINDOW_SCALE, "window_scale", 2, 1), (TIMESTAMPS, "ts_val", 2, 4), (TIMESTAMPS, "ts_ecr", 6, 4))
"""Kind, column, and where in the option the number stands: offset and width in bytes."""
_FLAGS: Final = (
    ((SACK_PERMITTED,), "sack_permitted"),
    ((MD5,), "md5"),
    ((AO,), "ao"),
    ((MPTCP,), "mptcp"),
    (ACCECN, "accecn"),
    (OBSOLETE, "obsolete"),
    (TTCP, "ttcp"),
    (EXPERIMENTAL, "experimental"),
)
"""Kinds, and the column that marks their presence."""
_COLUMNS: Final = {
    "mss": ("int32", -1),
    "window_scale": ("int16", -1),
    "sack_permitted": ("bool", False),
    "sack_blocks": ("int16", 0),
    "ts_val": ("int64", -1),
    "ts_ecr": ("int64", -1),
    "tfo_cookie_length": ("int16", -1),
    "md5": ("bool", False),
    "ao": ("bool", False),
    "mptcp": ("bool", False),
    "accecn": ("bool", False),
    "obsolete": ("bool", False),
    "ttcp": ("bool", False),
    "experimental": ("bool", False),
    "repeated": ("bool", False),
    "after_end": ("bool", False),
    "longest_nop_run": ("int16", 0),
    "malformed": ("bool", False),
}


def decode(option_bytes: bytes, start: IntArray, length: IntArray) -> pd.DataFrame:
    """Return the options of each segment, a row each, index 0..n-1.

    `start` (int64) and `length` (int16), shape (n,), say where each segment's options lie in `option_bytes`.

    Columns: mss int32, window_scale int16, ts_val and ts_ecr int64, all -1 where absent; tfo_cookie_length int16, -1
    where absent, 0 a request, in kind 34 or in kinds 253 and 254 with magic 0xF989 (RFC 7413 4.1.1); sack_permitted,
    md5, ao, mptcp, accecn bool; sack_blocks int16; obsolete bool, a kind of 6, 7, 9 to 15; ttcp bool, a kind of 11 to
    13; experimental bool, kind 253 or 254; repeated bool, one of MSS, window scale, SACK permitted, timestamps or Fast
    Open twice (the first counts); after_end bool, a byte other than 0 after End-of-Options; longest_nop_run int16;
    malformed bool, an option that is cut, or whose length is below 2 or none its kind has.
    """
    import numpy as np
    import pandas as pd

    held = np.flatnonzero(np.asarray(length) > 0)
    columns = _blank(len(length))
    layouts: list[_Layout] = []
    runs = overlay(option_bytes)
    for first in range(0, len(held), _CHUNK):
        rows = held[first : first + _CHUNK]
        size = np.minimum(np.asarray(length, dtype=np.int64)[rows], MAX_OPTION_BYTES)
        text = gather_bytes(runs, np.asarray(start)[rows], size)
        _decode(columns, rows, text, size, layouts)
    return pd.DataFrame(columns, copy=False)


def overlay(option_bytes: bytes) -> Array:
    """Return the `MAX_OPTION_BYTES` bytes from each place on, zero beyond the end; they share one memory."""
    import numpy as np

    data = np.frombuffer(option_bytes + bytes(MAX_OPTION_BYTES), dtype=np.uint8)
    return np.ndarray(shape=(len(option_bytes) + 1,), dtype=f"V{MAX_OPTION_BYTES}", buffer=data, strides=(1,))


def gather_bytes(runs: Array, start: IntArray, size: IntArray) -> ByteArray:
    """Return the option bytes of each row out of an `overlay`, shape (n, `MAX_OPTION_BYTES`), zero beyond the row's own `size`."""
    import numpy as np

    words: Array = runs[np.where(size > 0, start, 0)].view(np.uint64).reshape(len(size), _WORDS)
    words &= _masks()[size]
    return words.view(np.uint8)


def _masks() -> Array:
    """Return, for each number of bytes up to `MAX_OPTION_BYTES`, the words that keep so many and clear the rest."""
    import numpy as np

    kept = np.arange(MAX_OPTION_BYTES) < np.arange(MAX_OPTION_BYTES + 1)[:, None]
    return (kept * np.uint8(0xFF)).view(np.uint64)


def _blank(count: int) -> dict[str, Array]:
    import numpy as np

    return {name: np.full(count, blank, dtype=dtype) for name, (dtype, blank) in _COLUMNS.items()}


@dataclass(frozen=True, slots=True)
class _Layout:
    """The offset of each option in a row, and what follows from the offsets alone."""

    size: int
    mask: Array
    """Words that keep kinds, lengths and whatever else decides how the row is read."""
    words: Array
    """What is kept."""
    constant: dict[str, Any]
    """Columns that are not blank, numbers apart."""
    numbers: tuple[tuple[str, int, int], ...]
    """Column, and where in the row its number stands: offset and width in bytes."""

    def fits(self, words: Array, size: Array) -> Array:
        """Return which rows are laid out so."""
        fits: Array = size == self.size
        for place in self.mask.nonzero()[0].tolist():
            fits &= words[:, place] & self.mask[place] == self.words[place]
        return fits


def _decode(columns: dict[str, Array], rows: Array, text: Array, size: Array, layouts: list[_Layout]) -> None:
    """Fill `columns` at `rows`, whose bytes are `text`, by the `layouts` known and new ones, which are added."""
    import numpy as np

    words, known, odd = text.view(np.uint64), iter(tuple(layouts)), 0
    while len(rows) > _MIN_LAYOUT_ROWS:
        layout = next(known, None)
        if layout is None:
            if odd == _MAX_RARE_MAX_LAYOUTS or len(layouts) == _MAX_LAYOUTS:
                break
            layout = _read_layout(text[0], int(size[0]))
            layouts.append(layout)
        fits = layout.fits(words, size)
        odd += int(np.count_nonzero(fits) < _MIN_LAYOUT_ROWS)
        for name, value in layout.constant.items():
            columns[name][rows[fits]] = value
        for name, at, width in layout.numbers:
            columns[name][rows[fits]] = np.ascontiguousarray(text[fits, at : at + width]).view(f">u{width}")[:, 0]
        left = np.flatnonzero(~fits)
        rows, text, words, size = rows[left], text[left], words[left], size[left]
    walked = _blank(len(rows))
    _walk(walked, text, size)
    for name, column in walked.items():
        columns[name][rows] = column


def _read_layout(text: Array, size: int) -> _Layout:
    """Return how the one row `text` of `size` bytes is laid out."""
    import numpy as np

    mask, numbers, at = np.zeros(MAX_OPTION_BYTES, dtype=np.uint8), dict[str, tuple[str, int, int]](), 0
    while at < size:
        kind, length = int(text[at]), 1 if text[at] == NOP else int(text[at + 1]) if at + 1 < size else 0
        mask[at : at + (_MAGIC_HEADER if kind in EXPERIMENTAL else _HEADER if kind > NOP else 1)] = 0xFF
        if kind == END or at + length > size or (kind > NOP and length < _HEADER):
            mask[at:size] = 0xFF
            break
        for known, column, offset, width in _NUMBERS:
            if kind == known and length in _LENGTHS[known]:
                numbers.setdefault(column, (column, at + offset, width))
        at += length
    walked = _blank(1)
    _walk(walked, text[None], np.array([size]))
    constant = {name: column[0] for name, column in walked.items() if name not in numbers and column[0] != _COLUMNS[name][1]}
    words = mask.view(np.uint64)
    return _Layout(size, words, text.view(np.uint64) & words, constant, tuple(numbers.values()))


def find(option_bytes: bytes, start: IntArray, length: IntArray, kind: int) -> Array:
    """Return the first whole option of `kind` of each segment, header included, uint8 of shape (n, 40), zeros behind it.

    `start` (int64) and `length` (int16), shape (n,), say where each segment's options lie in `option_bytes`. A row without
    one is zeros; `kind` is above 1.
    """
    import numpy as np

    found = np.zeros((len(length), MAX_OPTION_BYTES), dtype=np.uint8)
    if not len(length):
        return found
    data = np.frombuffer(option_bytes + bytes(MAX_OPTION_BYTES), dtype=np.uint8)
    size = np.minimum(np.asarray(length, dtype=np.int64), MAX_OPTION_BYTES)
    text = data[np.where(size > 0, start, 0)[:, None] + np.arange(MAX_OPTION_BYTES)]
    at = np.zeros(len(size), dtype=np.int64)
    rows = np.flatnonzero(size > 0)
    while len(rows):
        here = text[rows, at[rows]]
        step = np.where(here == NOP, 1, np.where(here == END, 0, _measure(text, rows, at[rows], size[rows])))
        hit = (here == kind) & (step > 0)
        places = np.minimum(at[rows[hit]][:, None] + np.arange(MAX_OPTION_BYTES), MAX_OPTION_BYTES - 1)
        found[rows[hit]] = np.where(np.arange(MAX_OPTION_BYTES) < step[hit][:, None], text[rows[hit][:, None], places], 0)
        at[rows] += step
        rows = rows[~hit & (step > 0)]
        rows = rows[at[rows] < size[rows]]
    return found


def _walk(columns: dict[str, Array], text: Array, size: Array) -> None:
    """Fill `columns` from the rows of `text`, of which the first `size` bytes are options, one option of each row at a step."""
    import numpy as np

    at = np.zeros(len(size), dtype=np.int64)
    seen = np.zeros(len(size), dtype=np.int64)
    nops = np.zeros(len(size), dtype=np.int16)
    rows = np.flatnonzero(size > 0)
    while len(rows):
        kind = text[rows, at[rows]].astype(np.int64)
        nops[rows] = np.where(kind == NOP, nops[rows] + 1, 0)
        columns["longest_nop_run"][rows] = np.maximum(columns["longest_nop_run"][rows], nops[rows])
        ended = rows[kind == END]
        beyond = (np.arange(MAX_OPTION_BYTES) > at[ended][:, None]) & (np.arange(MAX_OPTION_BYTES) < size[ended][:, None])
        columns["after_end"][ended] = ((text[ended] != 0) & beyond).any(axis=1)
        sized = rows[kind > NOP]
        length = _measure(text, sized, at[sized], size[sized])
        columns["malformed"][sized[length == 0]] = True
        whole = sized[length > 0]
        _keep(columns, seen, _Step(text, whole, kind[kind > NOP][length > 0], at[whole], length[length > 0]))
        at[rows[kind == NOP]] += 1
        at[whole] += length[length > 0]
        rows = np.sort(np.concatenate((rows[kind == NOP], whole)))
        rows = rows[at[rows] < size[rows]]


def _measure(text: Array, rows: Array, at: Array, size: Array) -> Array:
    """Return the length of the option that begins at `at` in each of `rows`, 0 where it is cut or less than 2."""
    import numpy as np

    room = size - at
    stated = np.where(room > 1, text[rows, np.minimum(at + 1, MAX_OPTION_BYTES - 1)], 0).astype(np.int64)
    return np.where((stated < _HEADER) | (stated > room), 0, stated)


@dataclass(frozen=True, slots=True)
class _Step:
    """The options that were reached in some rows, all whole."""

    text: Array
    rows: Array
    kind: Array
    at: Array
    length: Array

    def number(self, of: Array, offset: int, width: int) -> Array:
        """Return the big-endian number of `width` bytes, `offset` into the options chosen by `of`."""
        import numpy as np

        value = np.zeros(int(of.sum()), dtype=np.int64)
        for byte in range(width):
            value = value << 8 | self.text[self.rows[of], self.at[of] + offset + byte]
        return value

    def right(self) -> Array:
        """Return whether each option has a length its kind allows."""
        import numpy as np

        right = np.ones(len(self.rows), dtype=bool)
        for known, allowed in _LENGTHS.items():
            right &= (self.kind != known) | np.isin(self.length, allowed)
        return right

    def fast_open_tags(self) -> Array:
        """Return which are Fast Open under an experimental kind."""
        import numpy as np

        tagged = np.isin(self.kind, EXPERIMENTAL) & (self.length >= _MAGIC_HEADER)
        tagged[tagged] = self.number(tagged, _HEADER, 2) == FAST_OPEN_MAGIC
        return tagged


def _keep(columns: dict[str, Array], seen: Array, step: _Step) -> None:
    """Write the options of one step to `columns`; `seen` has a bit a kind a row."""
    import numpy as np

    rows, kind, right, tagged = step.rows, step.kind, step.right(), step.fast_open_tags()
    fast_open = (kind == FAST_OPEN) | tagged
    name = np.where(fast_open, FAST_OPEN, kind)
    bit = np.where(right & np.isin(name, _ONCE), 1 << name % 64, 0)
    again = seen[rows] & bit != 0
    seen[rows] |= bit
    fresh = right & ~again
    for known, column, offset, width in _NUMBERS:
        of = fresh & (kind == known)
        columns[column][rows[of]] = step.number(of, offset, width)
    of = fresh & fast_open
    columns["tfo_cookie_length"][rows[of]] = (step.length - np.where(tagged, _MAGIC_HEADER, _HEADER))[of]
    of = right & (kind == SACK)
    columns["sack_blocks"][rows[of]] = step.length[of] // _BLOCK
    columns["malformed"][rows] |= ~right
    columns["repeated"][rows] |= again
    for kinds, column in _FLAGS:
        columns[column][rows] |= right & np.isin(kind, kinds)


def show(data: bytes) -> str:
    """Return option bytes as `<mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>`, "" for none.

    An option without a name, or of another length than its kind has, is `opt KIND HEX`; from a length that leads
    nowhere on the rest is `opt-bytes HEX`.
    """
    items, at = [], 0
    while at < len(data):
        kind = data[at]
        size = 1 if kind <= NOP else int.from_bytes(data[at + 1 : at + 2], "big")
        if at + size > len(data) or (kind > NOP and size < _HEADER):
            items.append(f"opt-bytes {data[at:].hex()}")
            break
        items.append(_show_one(kind, data[at + _HEADER : at + size]))
        at += size
    return f"<{','.join(items)}>" if items else ""


def _show_one(kind: int, value: bytes) -> str:
    """Return one option as text."""
    words = [int.from_bytes(value[place : place + 4], "big") for place in range(0, len(value), 4)]
    match kind, len(value):
        case (0, _):
            return "eol"
        case (1, _):
            return "nop"
        case (2, 2):
            return f"mss {words[0]}"
        case (3, 1):
            return f"wscale {words[0]}"
        case (4, 0):
            return "sackOK"
        case (5, 8 | 16 | 24 | 32):
            return "sack " + " ".join(f"{left}-{right}" for left, right in zip(words[0::2], words[1::2], strict=True))
        case (8, 8):
            return f"TS val {words[0]} ecr {words[1]}"
        case (19, 16):
            return f"md5 {value.hex()}"
        case (34, _):
            return f"tfo {value.hex()}".rstrip()
        case _:
            return f"opt {kind} {value.hex()}".rstrip()

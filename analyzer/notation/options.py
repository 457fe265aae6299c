"""TCP options as text, both ways: `mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7`.

`encode(show(x)) == x` for any bytes whose length is a multiple of four; what has no name, or another length
than its kind has, is written `opt KIND HEX`, and from a broken length byte on `opt-bytes HEX`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.notation.values import MAX_OPTIONS, NotationError

if TYPE_CHECKING:
    from collections.abc import Callable

EOL, NOP, MSS, WSCALE, SACK_OK, SACK, TIMESTAMPS, MD5, FAST_OPEN = 0, 1, 2, 3, 4, 5, 8, 19, 34
"""Option kinds (IANA TCP parameters)."""
_PADDING: Final = 3
_HEADER: Final = 2
_BLOCK: Final = 8


def _option(kind: int, *fields: tuple[str, int]) -> bytes:
    """Return an option of numeric fields, each a text and its size in bytes."""
    data = b""
    for text, size in fields:
        value = int(text)
        if value >= 1 << 8 * size:
            message = f"{text} does not fit {size} byte{'s' * (size > 1)}"
            raise NotationError(message)
        data += value.to_bytes(size, "big")
    return bytes((kind, _HEADER + len(data))) + data


def _opaque(kind: str, data: str) -> bytes:
    """Return an option of any kind that has a length byte."""
    if not NOP < int(kind) <= 255:  # noqa: PLR2004 - one byte
        message = f"option kind {kind} is not in 2..255 (nop and eol have no length)"
        raise NotationError(message)
    return bytes((int(kind), _HEADER + len(data) // 2)) + bytes.fromhex(data)


def _blocks(text: str) -> bytes:
    """Return a SACK option of the blocks in `a-b c-d`."""
    return _option(SACK, *((edge, 4) for edge in re.findall(r"[0-9]+", text)))


_N = "([0-9]{1,10})"
_HEX = "((?:[0-9a-fA-F]{2})*)"
_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[..., bytes]], ...]] = (
    (re.compile("nop"), lambda: bytes((NOP,))),
    (re.compile("eol"), lambda: bytes((EOL,))),
    (re.compile(f"mss +{_N}"), lambda n: _option(MSS, (n, 2))),
    (re.compile(f"wscale +{_N}"), lambda n: _option(WSCALE, (n, 1))),
    (re.compile("sackOK"), lambda: _option(SACK_OK)),
    (re.compile(r"sack((?: +[0-9]{1,10}-[0-9]{1,10})+)"), _blocks),
    (re.compile(f"TS +val +{_N} +ecr +{_N}"), lambda val, ecr: _option(TIMESTAMPS, (val, 4), (ecr, 4))),
    (re.compile("md5 +([0-9a-fA-F]{32})"), lambda digest: _opaque(str(MD5), digest)),
    (re.compile(f"tfo(?: +{_HEX})?"), lambda cookie: _opaque(str(FAST_OPEN), cookie or "")),
    (re.compile(f"opt +([0-9]{{1,3}})(?: +{_HEX})?"), lambda kind, data: _opaque(kind, data or "")),
    (re.compile(f"opt-bytes +{_HEX}"), bytes.fromhex),
)


def encode(text: str) -> bytes:
    """Return the option bytes that `text` (what stands between < and >) spells, padded with zeros to a multiple of four.

    Raises `NotationError` naming the option it cannot read.
    """
    data = b"".join(_encode_one(item.strip()) for item in text.split(",")) if text.strip() else b""
    data += bytes(-len(data) % 4)
    if len(data) > MAX_OPTIONS:
        message = f"the options take {len(data)} bytes and a TCP header has room for {MAX_OPTIONS}"
        raise NotationError(message)
    return data


def _encode_one(item: str) -> bytes:
    for form, make in _FORMS:
        if found := form.fullmatch(item):
            return make(*found.groups())
    message = (
        f"{item[:40]!r} is no option: mss N, wscale N, sackOK, sack A-B, TS val N ecr N, nop, eol, tfo [HEX], md5 HEX, "
        "opt KIND [HEX] or opt-bytes HEX"
    )
    raise NotationError(message)


def show(options: bytes) -> str:
    """Return option bytes as text, without the zeros that padding brings back."""
    items, at = [], 0
    while at < len(options):
        kind = options[at]
        size = 1 if kind <= NOP else options[at + 1] if at + 1 < len(options) else 0
        if not size or at + size > len(options) or (kind > NOP and size < _HEADER):
            items.append(f"opt-bytes {options[at:].hex()}")
            break
        items.append(_show_one(kind, options[at + _HEADER : at + size]))
        at += size
    for _ in range(_PADDING):
        if len(items) > 1 and items[-1] == "eol":
            items.pop()
    return ",".join(items)


def _show_one(kind: int, data: bytes) -> str:
    numbers = [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4)]
    match kind, len(data):
        case (0, _):
            return "eol"
        case (1, _):
            return "nop"
        case (2, 2):
            return f"mss {numbers[0]}"
        case (3, 1):
            return f"wscale {numbers[0]}"
        case (4, 0):
            return "sackOK"
        case (5, size) if size and size % _BLOCK == 0:
            return "sack " + " ".join(f"{left}-{right}" for left, right in zip(numbers[::2], numbers[1::2], strict=True))
        case (8, 8):
            return f"TS val {numbers[0]} ecr {numbers[1]}"
        case (19, 16):
            return f"md5 {data.hex()}"
        case (34, _):
            return f"tfo {data.hex()}".rstrip()
        case _:
            return f"opt {kind} {data.hex()}".rstrip()

"""The spellings that a secret may have in a text: escaped, in base64 or in hexadecimal.

`grams` returns every four consecutive bytes as a number, of the text as it is and decoded, for all offsets at once; `decoded` returns the
decoded bytes from one offset on. Every byte of a text without its escapes maps to the bytes it was made of; linear in the text.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = np.ndarray[Any, np.dtype[Any]]

MAX_ESCAPED: Final = 4
"""How many times escapes are taken off: a text that is escaped more often was not written by a program that works."""
GRAM: Final = 4
FOLD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ+-_", b"abcdefghijklmnopqrstuvwxyz  /")
"""Case, a blank as forms write it, and the two alphabets of base64 make no other secret."""
PLAIN, FROM_HEX, FROM_BASE64 = 0, 2, 4
"""Encodings; of base64 there are three, by the place of the first byte in its group."""
_FOLDED: Final = np.frombuffer(FOLD, np.uint8)
_ESCAPE: Final = re.compile(
    rb"%u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2}|&#[xX][0-9a-fA-F]{1,6};?|&#[0-9]{1,7};?|&[A-Za-z][A-Za-z0-9]{1,8};"
    rb"|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[\\/\"'nrtbf]"
)
"""Percent encoding (RFC 3986 2.1), character references of HTML, escapes of JSON (RFC 8259 7) and of C."""
_LETTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_ENCODED: Final = re.compile(rb"[A-Za-z0-9+/_-]{6}")
"""The least that base64 makes of four bytes."""
_HEX: Final = re.compile(rb"[0-9a-fA-F]{8}")
_SPACED: Final = re.compile(rb"(?:(?:0[xX])?[0-9a-fA-F]{2}[:. ,-]){3}")
_SPACE: Final = re.compile(rb"(?<=[0-9a-fA-F]{2})[:. ,-](?:0[xX])?(?=[0-9a-fA-F]{2}(?![0-9a-fA-F]))")
"""What stands between the bytes of a secret written like de:ad:be:ef."""
_NONE: Final = 255
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_MIN_ENCODED: Final = 6
_TEXT: Final = re.compile(rb"[\t\n\r -~]+")


def _table(alphabet: bytes, *others: tuple[bytes, int]) -> Array:
    values = np.full(256, _NONE, np.uint8)
    values[list(alphabet)] = np.arange(len(alphabet))
    for letters, first in others:
        values[list(letters)] = np.arange(first, first + len(letters))
    return values


_BASE64: Final = _table(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (b"-_", 62))
_DIGITS: Final = _table(b"0123456789abcdef", (b"ABCDEF", 10))


@dataclass(frozen=True, slots=True)
class View:
    """A text as it stands, or as it reads without its escapes."""

    data: bytes
    places: Array | None = None
    """Place in the text of the first byte that each byte was made of; None when it is the same."""
    stops: Array | None = None
    """Place behind the last one."""

    def first(self, place: int) -> int:
        """Return where in the text a byte of the view begins."""
        return place if self.places is None else int(self.places[place])

    def stop(self, place: int) -> int:
        """Return where in the text the byte before `place` ends."""
        return place if self.stops is None else int(self.stops[place - 1])

    def part(self, data: bytes, places: Array, stops: Array) -> View:
        """Return a view of this view."""
        return View(
            data,
            places if self.places is None else self.places[places],
            stops if self.stops is None else self.stops[stops - 1],
        )


def views(data: bytes) -> Iterator[View]:
    """Yield a text as it stands, and as it reads without its escapes, without NULs, without what separates hexadecimal digits."""
    view: View | None = View(data)
    for _ in range(MAX_ESCAPED):
        if view is None:
            return
        yield view
        if b"\0" in view.data:
            # A NUL hides nothing: UTF-16 has one in every letter, and a program in C stops there where others go on.
            kept = np.flatnonzero(np.frombuffer(view.data, np.uint8))
            yield view.part(view.data.replace(b"\0", b""), kept, kept + 1)
        if _SPACED.search(view.data):
            yield _without_spaces(view)
        view = _unescaped(view)


def _without_spaces(view: View) -> View:
    kept = np.ones(len(view.data), bool)
    for match in _SPACE.finditer(view.data):
        kept[match.start() : match.end()] = False
    places = np.flatnonzero(kept)
    return view.part(np.frombuffer(view.data, np.uint8)[places].tobytes(), places, places + 1)


def _unescaped(view: View) -> View | None:
    """Return a view without its escapes, None when it has none."""
    if _ESCAPE.search(view.data) is None:
        return None
    parts, first, stop = list[bytes](), list[Array](), list[Array]()
    at = 0
    places = np.arange(len(view.data) + 1)
    for match in _ESCAPE.finditer(view.data):
        begin, end = match.span()
        plain = unescape(match[0])
        parts += [view.data[at:begin], plain]
        first += [places[at:begin], np.full(len(plain), begin)]
        stop += [places[at + 1 : begin + 1], np.full(len(plain), end)]
        at = end
    parts.append(view.data[at:])
    return view.part(b"".join(parts), np.concatenate([*first, places[at:-1]]), np.concatenate([*stop, places[at + 1 :]]))


def unescape(data: bytes) -> bytes:
    """Return a text without its escapes, taken off once."""
    return _ESCAPE.sub(lambda match: _plain(match[0]), data)


def _plain(escape: bytes) -> bytes:
    """Return what an escape stands for."""
    if escape[:1] == b"&":
        return html.unescape(escape.decode("ascii")).encode("utf-8", "surrogatepass")
    kind, digits = escape[1:2], escape[2:]
    if escape[:1] == b"%" and kind != b"u":
        return bytes.fromhex(escape[1:].decode("ascii"))
    if digits:
        code = int(digits, 16)
        return bytes([code]) if kind == b"x" else chr(code).encode("utf-8", "surrogatepass")
    return _LETTERS.get(kind, kind)


def grams(data: bytes) -> Iterator[tuple[int, Array]]:
    """Yield encodings of a text, and for each what every four bytes from each place on read, folded, as one number."""
    if len(data) < GRAM:
        return
    letters = np.frombuffer(data, np.uint8)
    yield PLAIN, gram(np.frombuffer(data.translate(FOLD), np.uint8))
    if _HEX.search(data):
        values = _DIGITS[letters]
        # What is no digit makes a number that stands for nothing; `decoded` looks again.
        read = _FOLDED[((values[:-1] & 15) << 4) | (values[1:] & 15)].astype(np.uint32)
        yield FROM_HEX, read[:-6] | (read[2:-4] << 8) | (read[4:-2] << 16) | (read[6:] << 24)
    if _ENCODED.search(data):
        values = _BASE64[letters] & 63
        here, ahead = values[:-1], values[1:]
        wide = [_FOLDED[one].astype(np.uint32) for one in ((here << 2) | (ahead >> 4), (here << 4) | (ahead >> 2), (here << 6) | ahead)]
        for rotation in range(3):
            steps = _steps(rotation)
            stop = len(here) - steps[-1]
            parts = [wide[(rotation + byte) % 3][step : step + stop] << (8 * byte) for byte, step in enumerate(steps)]
            yield FROM_BASE64 + rotation, parts[0] | parts[1] | parts[2] | parts[3]


def gram(folded: Array) -> Array:
    """Return each four bytes in a row as a number."""
    wide = folded.astype(np.uint32)
    return wide[:-3] | (wide[1:-2] << 8) | (wide[2:-1] << 16) | (wide[3:] << 24)


def _steps(rotation: int) -> tuple[int, ...]:
    """Return the distances in base64 from the first letter of a byte, number `rotation` of its group, to those of the next bytes."""
    return tuple(4 * ((rotation + byte) // 3) + (rotation + byte) % 3 - rotation for byte in range(GRAM))


def decoded(data: bytes, at: int, encoding: int, size: int) -> bytes:
    """Return up to `size` bytes that a text reads from `at` on in an encoding, folded; fewer where it ends, or is not encoded any more."""
    if encoding == PLAIN:
        return data[at : at + size].translate(FOLD)
    if encoding == FROM_HEX:
        digits = _HEX_RUN.match(data, at, at + 2 * size)
        return bytes.fromhex(data[at : digits.end() - (digits.end() - at) % 2].decode("ascii")).translate(FOLD) if digits else b""
    rotation = encoding - FROM_BASE64
    run = _BASE64_RUN.match(data, at, at + size * 4 // 3 + 8)
    if run is None:
        return b""
    # The letters before the first are not a part of it: any will do.
    values = [0] * rotation + _BASE64[np.frombuffer(run[0], np.uint8)].tolist()
    whole = bytes(
        ((values[place] << shift) | (values[place + 1] >> (6 - shift))) & 255
        for place in range(rotation, len(values) - 1)
        if (shift := 2 * (place % 4 + 1)) <= 6  # noqa: PLR2004 - the bits of a letter
    )
    return whole[:size].translate(FOLD)


_HEX_RUN: Final = re.compile(rb"[0-9a-fA-F]{2,}")
_BASE64_RUN: Final = re.compile(rb"[A-Za-z0-9+/_-]{2,}")


def stop_of(at: int, encoding: int, size: int) -> int:
    """Return where the encoding of `size` bytes ends that begins at `at`."""
    if encoding == PLAIN:
        return at + size
    if encoding == FROM_HEX:
        return at + 2 * size
    last = encoding - FROM_BASE64 + size - 1
    return at - (encoding - FROM_BASE64) + 4 * (last // 3) + last % 3 + 2


def forms(secret: bytes) -> set[bytes]:
    """Return a secret as it was sent, and what it stands for where it was sent encoded."""
    found = {secret.strip()}
    plain = found
    for _ in range(MAX_ESCAPED):
        plain = {unescape(one) for one in plain} - found
        found |= plain
    found |= {decoded for form in tuple(found) if (decoded := _from_base64(form))}
    if not secret.isascii():
        text = secret.decode("utf-8", "surrogateescape")
        found |= {encode(one) for one in (text.lower(), text.upper(), text.title(), text.casefold(), text.swapcase())}
    found |= {form.replace(b"\0", b"") for form in found}
    # As UTF-16 has it inside base64, without its last NUL: in either order of bytes.
    return found | {b"\0".join(form[at : at + 1] for at in range(len(form))) for form in found if b"\0" not in form}


def _from_base64(form: bytes) -> bytes | None:
    """Return what base64 stands for when that is text."""
    if len(form) < _MIN_ENCODED:
        return None
    try:
        plain = base64.b64decode(form.translate(_URL_SAFE).rstrip(b"=") + b"==", validate=True)
    except (binascii.Error, ValueError):
        return None
    return plain if len(plain) >= GRAM and _TEXT.fullmatch(plain) else None


def encode(text: str) -> bytes:
    """Return a text as the bytes that it was read from."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")

"""Redact the secrets of one connection in all text that repeats them, in any of the spellings of `spellings`.

A parser adds each secret that it meets and, at its end, redacts all rows and the summary at once, so that text written before a secret was
sent is searched too. A secret is searched by the hash of its first four bytes, however many secrets there are. `MAX_KEPT` bytes of a long
one are kept, and its whole length is hidden from where these are found. From `MAX_EXACT` secrets on, only hashes of their first bytes are
kept, in tables of a fixed size: text that begins with the same bytes is then hidden up to the next blank. Memory is bounded, and no secret
is dropped. No spelling of a secret of `MIN_FOUND` bytes or more remains in a redacted text; redacting twice changes nothing more.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analyzer.protocols import spellings
from analyzer.protocols.spellings import FOLD, GRAM
from analyzer.rules import secrets as secret_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.protocols.spellings import View
    from analyzer.rules.secrets import SecretPatterns

Array = np.ndarray[Any, np.dtype[Any]]
Span = tuple[int, int]
"""Places of a first byte and behind a last one."""

HIDDEN: Final = "(hidden)"
MIN_FOUND: Final = GRAM
"""Bytes of a secret that is hidden wherever it is found; a shorter one only where it stands as a word of its own."""
MAX_KEPT: Final = 64
"""Bytes of a secret that are kept."""
MAX_EXACT: Final = 65_536
"""Spellings of secrets that are kept; of others, hashes alone."""
MAX_NAMES: Final = 64
"""User names of a connection that are kept."""
MIN_CUT: Final = 50
"""Characters of a text from which on it may have been cut, so that the beginning of a secret is hidden at its end."""
_MAX_ROUNDS: Final = 8
_LONG_GRAM: Final = 8
_INDEX_BITS: Final = 14
_CROWD_BITS: Final = 23
_MIN_MANY: Final = 1_024
"""Secrets from which on a large table of marks is worth its room."""
_LONG_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_MULTIPLIER: Final = np.uint32(0x9E3779B1)
_MAX_SPELLED: Final = 6
"""Bytes that one byte of a secret takes in the longest usual spelling."""
_MARK: Final = HIDDEN.encode()
_BLANK: Final = b"\xff" * len(_MARK)
_SEPARATOR: Final = b"\xfe\xff"
_DOTS: Final = "…"
_WORD_END: Final = re.compile(rb"[\s&;,\"'<>\xfe]|\Z")
_REST_OF_WORD: Final = re.compile(rb"[\s&;,\"'<>\xff]")
_MAX_WORD: Final = 256
_TORN: Final = re.compile(rb"%[0-9a-fu]{0,4}\Z|&#?[0-9a-z]{0,8}\Z|\\\\[0-9a-z]{0,4}\Z")
"""An escape that was cut."""
_TORN_SIZE: Final = 1 << 40
"""Added to the size of a secret of which the end is not known."""
_ODD_BYTES: Final = 2
"""Bytes at the end of a text that was cut in the middle of an encoding, and that mean nothing."""


class Redactor:
    """The secrets of one connection."""

    __slots__ = ("_crowd", "_index", "_kept", "_names", "_seen", "_sorted", "_table", "_words", "enabled", "patterns")

    def __init__(self, *, enabled: bool = True, patterns: SecretPatterns | None = None) -> None:
        """Begin with no secret; one that is not `enabled` takes none and changes no text. `patterns` are the shipped ones by default."""
        self.enabled = enabled
        self.patterns = patterns or secret_rules.shipped()
        self._index: dict[int, dict[int, dict[bytes, int]]] = {}
        """The secrets' kept bytes by the first four and by their number, each with the number of bytes that are to be hidden."""
        self._kept = 0
        self._seen = set[int]()
        """Hashes of what was added last."""
        self._names = set[bytes]()
        """User names, which reports show."""
        self._sorted: dict[int, list[bytes]] = {}
        """The kept bytes in order, by the first four: those that were looked up."""
        self._table: Array | None = None
        """Marks at the hashes of the first four bytes."""
        self._words = set[bytes]()
        self._crowd: Array | None = None
        """Marks at hashes of the first four and of the first eight bytes of the secrets beyond `MAX_EXACT`."""

    @property
    def holds(self) -> bool:
        """Whether a secret was added."""
        return bool(self._index or self._words)

    def show(self, name: bytes) -> None:
        """Take a user name, which reports show: a secret that equals it is hidden where it was sent, and not looked for elsewhere."""
        if self.enabled and len(self._names) < MAX_NAMES:
            self._names.add(name.translate(FOLD))

    def add(self, *secrets: bytes | str | None, words: bool = False, torn: bool = False) -> None:
        """Take secrets as they were sent; with `words`, those shorter than `MIN_FOUND` bytes too.

        Of what is `torn` only a part is known: it is hidden with the rest of the word that it is found in.
        """
        if not self.enabled:
            return
        for secret in secrets:
            # A client sends the same cookies with each request.
            if secret and (once := hash((secret, words, torn))) not in self._seen:
                if len(self._seen) >= MAX_EXACT:
                    self._seen.clear()
                self._seen.add(once)
                data = spellings.encode(secret) if isinstance(secret, str) else secret
                if data.translate(FOLD) in self._names:
                    continue
                # What follows a NUL is a secret too where it is read further.
                for part in {data, *data.split(b"\0")}:
                    for form in spellings.forms(part) if part else ():
                        self._add(form, words=words, torn=torn)

    def _add(self, form: bytes, *, words: bool, torn: bool) -> None:
        folded = form.translate(FOLD)
        if len(folded) < MIN_FOUND:
            if words and folded.strip():
                self._words.add(folded.strip())
            return
        key = folded[:MAX_KEPT]
        gram = int.from_bytes(key[:GRAM], "little")
        kept = self._index.get(gram, {}).get(len(key), {})
        size = len(folded) + _TORN_SIZE * torn
        if key in kept:
            kept[key] = max(kept[key], size)
        elif self._kept < MAX_EXACT:
            self._kept += 1
            self._index.setdefault(gram, {}).setdefault(len(key), {})[key] = size
            self._table = None
            self._sorted.pop(gram, None)
        else:
            self._add_to_crowd(folded)

    def _add_to_crowd(self, folded: bytes) -> None:
        if self._crowd is None:
            self._crowd = np.zeros(1 << _CROWD_BITS, bool)
        self._crowd[_hashes(np.frombuffer(folded[:GRAM], "<u4"), _CROWD_BITS)] = True
        self._crowd[_crowd_hash(_key(folded))] = True

    def redact(self, text: str, *, cut: bool = False) -> str:
        """Return `text` with each secret in it replaced by HIDDEN; `cut` if a secret may have been cut at its end."""
        return self._redact([text], {0} if cut else set())[0]

    def redact_all(self, texts: Sequence[str], *, words: bool = True) -> list[str]:
        """Return texts redacted, long ones as if they were cut; without `words`, secrets shorter than `MIN_FOUND` bytes are left in."""
        if not self.holds:
            return list(texts)
        unique = list(dict.fromkeys(texts))
        cut = {number for number, text in enumerate(unique) if len(text) >= MIN_CUT or text.endswith(_DOTS)}
        shown = dict(zip(unique, self._redact(unique, cut, words=words), strict=True))
        return [shown[text] for text in texts]

    def find(self, data: bytes) -> list[Span]:
        """Return where secrets stand in `data`, in any spelling: rising, those that touch each other as one."""
        if not self.holds:
            return []
        page = _Page.of([data.decode("utf-8", "surrogateescape")], set())
        return list(_merged(self._search(page, words=True).get(0, [])))

    def _redact(self, texts: Sequence[str], cut: set[int], *, words: bool = True) -> list[str]:
        found = list(texts)
        left = list(range(len(found))) if self.holds else []
        for _ in range(_MAX_ROUNDS):
            if not left:
                break
            page = _Page.of([found[number] for number in left], {place for place, number in enumerate(left) if number in cut})
            changed = []
            for place, spans in self._search(page, words=words).items():
                text = _replace(page.texts[place], spans)
                if text != found[left[place]]:
                    found[left[place]] = text
                    changed.append(left[place])
            left = changed
        return found

    def _search(self, page: _Page, *, words: bool) -> dict[int, list[Span]]:
        """Return where secrets stand, by text."""
        hidden: dict[int, list[Span]] = {}
        for begin, end in self._spans(page, words=words):
            text = page.text_at(begin)
            if end <= page.stop[text]:
                hidden.setdefault(text, []).append((begin - page.start[text], end - page.start[text]))
        return hidden

    def _spans(self, page: _Page, *, words: bool) -> Iterator[Span]:
        if self._words and words:
            short = b"|".join(re.escape(word) for word in sorted(self._words))
            pattern = re.compile(rb"(?<![a-z0-9])(?:" + short + rb")(?![a-z0-9])")
            yield from (match.span() for match in pattern.finditer(page.data.translate(FOLD)))
        if not self._index:
            return
        bits = _INDEX_BITS if len(self._index) < _MIN_MANY else _CROWD_BITS
        if self._table is None:
            self._table = np.zeros(1 << bits, bool)
            self._table[_hashes(np.fromiter(self._index, np.uint32), bits)] = True
        for view in spellings.views(page.data):
            for encoding, grams in spellings.grams(view.data):
                for at in self._table[_hashes(grams, bits)].nonzero()[0].tolist():
                    gram = int(grams[at])
                    if gram in self._index:
                        yield from self._spans_at(page, view, (at, encoding), gram)
                if self._crowd is not None:
                    for at in self._crowd[_hashes(grams, _CROWD_BITS)].nonzero()[0].tolist():
                        yield from self._crowd_spans(view, at, encoding)

    def _spans_at(self, page: _Page, view: View, place: tuple[int, int], gram: int) -> Iterator[Span]:
        """Yield what is hidden from one place of a view on, in an encoding, where a secret begins with the four bytes `gram`."""
        at, encoding = place
        folded = spellings.decoded(view.data, at, encoding, MAX_KEPT)
        text = page.text_at(view.first(at))
        for length, kept in self._index[gram].items():
            whole = kept.get(folded[:length]) if len(folded) >= length else None
            if whole is not None and whole >= _TORN_SIZE:
                end = view.stop(_word_end(view.data, min(spellings.stop_of(at, encoding, length), len(view.data))))
                yield max(view.first(_word_start(view.data, at)), page.start[text]), min(end, page.stop[text])
            elif whole is not None:
                last = min(spellings.stop_of(at, encoding, whole), len(view.data))
                end = view.stop(last)
                yield view.first(at), end if whole <= MAX_KEPT else min(end, page.stop[text])
        if text in page.cut and page.stop[text] - view.first(at) <= _MAX_SPELLED * MAX_KEPT:
            rest, odd = _rest_of_text(view, place, folded, page.stop[text])
            if self._is_beginning(rest, gram, odd=odd):
                yield view.first(at), page.stop[text]

    def _is_beginning(self, rest: bytes, gram: int, *, odd: int) -> bool:
        """Return whether a secret begins with `rest`, of which up to `odd` bytes at its end may be of no meaning."""
        keys = self._sorted.get(gram)
        if keys is None and len(rest) >= MIN_FOUND:
            keys = self._sorted[gram] = sorted(key for kept in self._index[gram].values() for key in kept)
        for tail in (rest[: len(rest) - less] for less in range(odd + 1) if len(rest) - less >= MIN_FOUND):
            place = bisect_left(keys or [], tail)
            if keys and place < len(keys) and keys[place].startswith(tail):
                return True
        return False

    def _crowd_spans(self, view: View, at: int, encoding: int) -> Iterator[Span]:
        """Yield what is hidden from one place on where a secret may begin of which only hashes are kept."""
        begins = spellings.decoded(view.data, at, encoding, _LONG_GRAM)
        if self._crowd is not None and any(self._crowd[_crowd_hash(_key(begins[:size]))] for size in range(GRAM, len(begins) + 1)):
            yield view.first(at), view.stop(max(_word_end(view.data, at), at + 1))


def _rest_of_text(view: View, place: tuple[int, int], folded: bytes, end: int) -> tuple[bytes, int]:
    """Return what of a text that ends at `end` is read from a place on, and how many bytes at its end may be of no meaning.

    Nothing where the encoding ends before the text does.
    """
    at, encoding = place
    rest = folded
    while rest and view.stop(min(spellings.stop_of(at, encoding, len(rest)), len(view.data))) > end:
        # What follows belongs to the next text.
        rest = rest[:-1]
    if not rest or end - view.stop(min(spellings.stop_of(at, encoding, len(rest)), len(view.data))) > _ODD_BYTES:
        return b"", 0
    torn = _TORN.search(rest)
    return rest, _ODD_BYTES if encoding != spellings.PLAIN else len(rest) - torn.start() if torn else 0


def _word_start(data: bytes, at: int) -> int:
    """Return where the word begins that a place is in."""
    before = data[max(at - _MAX_WORD, 0) : at]
    return at - len(_REST_OF_WORD.split(before)[-1])


def _word_end(data: bytes, at: int) -> int:
    """Return where the word ends that a place is in."""
    end = _WORD_END.search(data, at)
    return end.start() if end else len(data)


@dataclass(frozen=True, slots=True)
class _Page:
    """Texts that are searched at once."""

    texts: list[bytes]
    start: list[int]
    stop: list[int]
    data: bytes
    """All of them, with bytes between them that no text has; what is hidden already is none of it."""
    cut: set[int] = field(default_factory=set)
    """Those at whose end a secret may have been cut."""

    @classmethod
    def of(cls, texts: Sequence[str], cut: set[int]) -> _Page:
        encoded = [spellings.encode(text) for text in texts]
        start, stop, at = list[int](), list[int](), 0
        for number, text in enumerate(encoded):
            start.append(at)
            # The mark of a text that was cut is no part of it.
            dots = number in cut and texts[number].endswith(_DOTS)
            stop.append(at + len(text) - (len(_DOTS.encode()) if dots else 0))
            at += len(text) + len(_SEPARATOR)
        return cls(encoded, start, stop, _SEPARATOR.join(encoded).replace(_MARK, _BLANK), cut)

    def text_at(self, place: int) -> int:
        """Return which text a place is in."""
        return bisect_right(self.start, place) - 1


def _replace(text: bytes, spans: list[Span]) -> str:
    """Return a text with what lies in `spans` replaced, those that touch each other by one mark."""
    parts, at = list[bytes](), 0
    for begin, end in _merged(spans):
        parts += [text[at:begin], _MARK]
        at = end
    return b"".join((*parts, text[at:])).decode("utf-8", "surrogateescape")


def _merged(spans: list[Span]) -> Iterator[Span]:
    first, last = -1, -1
    for begin, end in sorted(spans):
        if begin > last:
            if first >= 0:
                yield first, last
            first, last = begin, end
        last = max(last, end)
    if first >= 0:
        yield first, last


def _key(begins: bytes) -> int:
    """Return the first eight bytes of a secret as a number; a shorter one is another number than any four bytes are."""
    return int.from_bytes(begins[:_LONG_GRAM], "little") | (len(begins[:_LONG_GRAM]) << 64)


def _crowd_hash(key: int) -> int:
    return ((key ^ key >> 61) * _LONG_MULTIPLIER & (1 << 64) - 1) >> (64 - _CROWD_BITS)


def _hashes(grams: Array, bits: int) -> Array:
    return (grams * _MULTIPLIER) >> np.uint32(32 - bits)

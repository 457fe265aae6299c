"""Redact secrets in text from a dialogue: passwords, tokens and keys in URIs and in other text.

Secrets are replaced by `HIDDEN`. Names are kept: user names, names of parameters and of cookies. In doubt a value is redacted: a lost
author's name costs less than a leaked token. `rules/secrets.toml` lists names and forms of secrets; the shipped one is used where no
patterns are given. No function raises on any text; all are linear.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from analyzer.protocols import shape
from analyzer.protocols.redactor import HIDDEN
from analyzer.rules import secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.rules.secrets import SecretPatterns

Span = tuple[int, int]

_MARKS: Final = re.compile(r"[=@]|eyJ")
"""A text without one of these holds no secret that its name or place identifies."""
_USERINFO: Final = re.compile(r"//([^/?#@\s]*(?:@[^/?#@\s]*)*)@")
_BARE_USERINFO: Final = re.compile(
    r"(?<![^\s,;=\"'(<?&#])(?!mailto:|sips?:|xmpp:|acct:|im:|[0-9]{1,2}:[0-9])([^\s/?#@:,;=\"'(<]{0,200}:[^\s/?#@]{1,1000}"
    r"(?:@[^\s/?#@]{1,1000}){0,8})@(?=[\w\[.-])"
)
"""The same without `//`, as in Host, Via and the target of CONNECT."""
_QUERY: Final = re.compile(r"[?#]")
_OF_PATH: Final = re.compile(r"([;]*+)([^;]*+)")
_OF_QUERY: Final = re.compile(r"([?&;#\s]*+)([^&;#\s]*+)")
_OF_TEXT: Final = re.compile(r"([?&;#\s,\"'()<>{}]*+)([^&;#\s,\"'()<>{}]*+)")
_ANY_PARAMETER: Final = re.compile(r"(?<![^?&;#/=\s])([^?&;#=/\s]++)=(?=[^&;#\s])")
"""The name of a parameter with a value, of one inside the value of another too."""
_NAME_BEFORE_EQUALS: Final = re.compile(r"([^?&;#=/\s,\"'()<>{}]+)=")
"""The text before each "=": the name of a parameter, whatever the context."""
_SEGMENT: Final = re.compile(r"(?<=/)([^/=;]{2,60})/(?=([^/;]{8,}))(?=[^/;]*[0-9])(?=[^/;]*[A-Za-z])")
"""A segment of a path, and the next one where that has letters and digits."""
_MAX_DEPTH: Final = 3
"""Rounds of percent decoding, and depth of URIs inside URIs."""


def uri(text: str, patterns: SecretPatterns | None = None) -> str:
    """Return a URI, or the target of a request, without the passwords, tokens and keys in it; the very same text where it has none.

    What is hidden: userinfo but for a user name that a password follows (RFC 3986 3.2.1), values of parameters in the path, the query
    and the fragment with the name of a secret, with what follows them up to the next parameter, URIs among the values that hold such, and
    what looks random anywhere. Where only decoding shows a secret, the text is returned decoded.
    """
    known = patterns or secrets.shipped()
    if _is_clean(text, known):
        return text
    shown = shape.hide(_replace(text, _spans(text, known)), known)
    if "%" in shown:
        plain = _decode(shown)
        hidden = shape.hide(_replace(plain, _spans(plain, known)), known)
        if hidden != plain:
            return hidden
    return shown


def text(plain_text: str, patterns: SecretPatterns | None = None) -> str:
    """Return a text that is no URI without the passwords, tokens and keys in it: as `uri`, but a blank ends a value."""
    known = patterns or secrets.shipped()
    if _is_clean(plain_text, known):
        return plain_text
    shown = _replace(plain_text, _text_spans(plain_text, known)) if _MARKS.search(plain_text) else plain_text
    return shape.hide(shown, known)


def values(text: str, patterns: SecretPatterns | None = None) -> tuple[str, ...]:
    """Return what `uri` hides of `text`, as it stands there and decoded."""
    known = patterns or secrets.shipped()
    if _is_clean(text, known):
        return ()
    found = list[str]()
    for form in {text, _decode(text)}:
        found += [form[begin:end] for begin, end in _spans(form, known)]
        found += shape.values(form, known)
    return tuple(sorted({one for value in found for one in (value, unquote_plus(value)) if one and one != HIDDEN}))


def _is_clean(text: str, patterns: SecretPatterns) -> bool:
    """Return whether a text has no secret for certain, at a quick look: that is most of them."""
    if "@" in text or "%" in text or shape.may_have(text, patterns):
        return False
    if "/" in text and any(patterns.is_secret(match[1]) for match in _SEGMENT.finditer(text)):
        return False
    return "=" not in text or not any(map(patterns.is_secret, _NAME_BEFORE_EQUALS.findall(text)))


def named(text: str, patterns: SecretPatterns | None = None) -> tuple[str, ...]:
    """Return what `text` hides of a text for its name or its place, and not for how it looks."""
    known = patterns or secrets.shipped()
    return tuple(text[begin:end] for begin, end in _text_spans(text, known) if begin < end and text[begin:end] != HIDDEN)


def authority(text: str, patterns: SecretPatterns | None = None) -> str:
    """Return a host and port as in Host or the target of CONNECT without what stands before it."""
    return uri(f"//{text}", patterns)[2:] if "@" in text else text


def carries_credentials(text: str, patterns: SecretPatterns | None = None) -> bool:
    """Return whether a URI holds usable credentials: a password, a token, a key."""
    known = patterns or secrets.shipped()
    plain = _decode(text)
    if shape.JWT.search(plain) or any(":" in match[1] for match in _USERINFO.finditer(plain)):
        return True
    return any(known.is_credential(match[1]) for match in _ANY_PARAMETER.finditer(plain))


def _spans(text: str, patterns: SecretPatterns, depth: int = 0) -> Iterator[Span]:
    """Yield where secrets stand in a URI, going by names and places."""
    yield from _userinfo(text)
    split = _QUERY.search(text)
    path = split.start() if split else len(text)
    yield from _segments(text[:path], patterns)
    yield from _parameters(text, (0, path), _OF_PATH, patterns, depth)
    yield from _parameters(text, (path, len(text)), _OF_QUERY, patterns, depth)


def _text_spans(text: str, patterns: SecretPatterns) -> Iterator[Span]:
    yield from _userinfo(text)
    yield from _parameters(text, (0, len(text)), _OF_TEXT, patterns, 0)


def _segments(path: str, patterns: SecretPatterns) -> Iterator[Span]:
    """Yield where a segment of a path follows one with the name of a secret, and is no word."""
    for match in _SEGMENT.finditer(path):
        if patterns.is_secret(match[1]):
            yield match.span(2)


def _userinfo(text: str) -> Iterator[Span]:
    """Yield where passwords stand before a host, and what stands there alone."""
    for pattern in (_USERINFO, _BARE_USERINFO):
        for match in pattern.finditer(text) if "@" in text else ():
            colon = match[1].find(":")
            yield match.start(1) + colon + 1, match.end(1)


def _parameters(text: str, part: Span, parts: re.Pattern[str], patterns: SecretPatterns, depth: int) -> Iterator[Span]:
    """Yield where the values of secret parameters stand in a part of a text, with what follows up to the next parameter."""
    at, stop = part
    begin = end = -1
    while at < stop:
        match = parts.match(text, at, stop)
        if match is None or match.end() == at:
            break
        at = match.end()
        first = match.start(2)
        equals = text.find("=", first, at)
        name = text[first:equals].rpartition("/")[2] if equals >= 0 else ""
        if name and not (begin >= 0 and not text[equals:at].strip("=")):
            if begin >= 0:
                yield begin, end
            begin = end = -1
            value = text[equals + 1 : at]
            if patterns.is_secret(name) or _holds_secret(value, patterns, depth):
                begin, end = equals + 1, at
        elif begin >= 0 and (parts is not _OF_TEXT or not match[1] or _continues(match[1], empty=begin == end)):
            end = at
        elif begin >= 0:
            yield begin, end
            begin = end = -1
    if begin >= 0:
        yield begin, end


def _continues(between: str, *, empty: bool) -> bool:
    """Return whether a value in a text goes on behind what stands between: a quote at its beginning, or no blank, comma or quote."""
    return between in {'"', "'"} if empty else between.isascii() and all(one in "?&;#" for one in between)


def _holds_secret(value: str, patterns: SecretPatterns, depth: int) -> bool:
    """Return whether the value of a parameter that is none by its name holds a secret, or looks random as a whole."""
    if not value or value == HIDDEN:
        return False
    inner = _decode(value)
    if shape.is_random(inner, patterns):
        return True
    return bool(_MARKS.search(inner)) and (depth == _MAX_DEPTH or any(True for _ in _real(inner, patterns, depth + 1)))


def _real(text: str, patterns: SecretPatterns, depth: int) -> Iterator[Span]:
    for begin, end in _spans(text, patterns, depth):
        if begin < end and text[begin:end] != HIDDEN:
            yield begin, end
    yield from (match.span() for match in shape.JWT.finditer(text))


def _replace(text: str, spans: Iterator[Span]) -> str:
    """Return a text with what lies in `spans` hidden."""
    found, at = list[str](), 0
    for begin, end in sorted(spans):
        first = max(begin, at)
        if first >= end or text[first:end] == HIDDEN:
            continue
        found += [text[at:first], HIDDEN]
        at = end
    return "".join((*found, text[at:])) if found else text


def _decode(text: str) -> str:
    """Return `text` without its percent encoding, however often it was applied."""
    for _ in range(_MAX_DEPTH):
        plain = unquote_plus(text)
        if plain == text:
            break
        text = plain
    return text

"""Secrets in the header fields that carry credentials (Authorization, Cookie, API keys) and in forms. No function raises on any bytes."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.rules.secrets import SecretPatterns

_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm", "hoba", "mutual", "gnap", "dpop", "vapid", "concealed"})
_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,23}")
_USERNAME: Final = re.compile(r'\busername\s*=\s*"((?:[^"\\]|\\.)*)"')
_PARAMETER: Final = re.compile(rb'([A-Za-z0-9_-]{1,60})\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s,;"]+))')
_MIN_PART: Final = 6
"""Bytes of a word in credentials that is a secret by itself."""
_MIN_DIGITS: Final = 6
_MIN_LETTERS: Final = 12
_DISPOSITION: Final = re.compile(r'\bname="([^"\r\n]{1,200})"')
_PART: Final = re.compile(rb'\bname="?([^"\r\n;]{1,200})"?[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)(?=\r?\n--|\Z)', re.DOTALL)
_MEMBER: Final = re.compile(r'"([^"\\\s]{1,200})"\s{0,20}:\s{0,20}["0-9]')
_VALUE: Final = re.compile(
    rb'"((?:[^"\\]|\\.){1,200})"\s{0,20}:\s{0,20}(?:("(?:[^"\\]|\\.)*"?)|([0-9.eE+-]+)|\[((?:\s*"(?:[^"\\]|\\.)*"\s*,?)+))', re.DOTALL
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_ELEMENT: Final = re.compile(rb"<(?:[\w.-]+:)?([\w.-]{1,100})(?:\s[^<>]*)?>([^<]+)")


def authorization(value: str) -> tuple[str, str, str]:
    """Return scheme, user name and secret of an Authorization or Proxy-Authorization field; each "" when absent.

    Basic (RFC 7617) and Digest (RFC 7616) name the user. Everything else behind a scheme is secret.
    """
    scheme, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    if not rest:
        # A token without a scheme, or a scheme alone: only a registered name is taken for a scheme.
        return (scheme.lower(), "", "") if scheme.lower() in _SCHEMES else ("", "", scheme)
    if scheme.lower() == "basic":
        user, secret = _basic(rest)
        return "basic", user, secret
    if scheme.lower() == "digest":
        name = _USERNAME.search(rest)
        return "digest", name.group(1) if name else "", rest
    return (scheme.lower() if _TOKEN.fullmatch(scheme) else ""), "", rest


def _basic(text: str) -> tuple[str, str]:
    try:
        decoded = b64decode(text.split(maxsplit=1)[0] + "==", validate=False).decode("utf-8", "surrogateescape")
    except ValueError:
        return "", text
    user, colon, secret = decoded.partition(":")
    # Without a colon it may be either; it is treated as the secret.
    return (user, secret) if colon else ("", decoded)


def of_field(value: bytes, patterns: SecretPatterns) -> Iterator[bytes]:
    """Yield the secrets of a field that carries credentials: its value, what follows its scheme, its words and its parameters.

    For Digest (RFC 7616), AWS4-HMAC-SHA256, OAuth 1 (RFC 5849) and similar schemes: all parameters except those known not to be secret.
    """
    value = value.strip()
    scheme, _, rest = value.partition(b" ")
    rest = rest.strip()
    text = value.decode("utf-8", "surrogateescape")
    known = scheme.decode("latin-1").lower()
    if rest or known not in _SCHEMES:
        yield value
        yield rest
    yield authorization(text)[2].encode("utf-8", "surrogateescape")
    for match in _PARAMETER.finditer(value):
        found = match[2] or match[3] or b""
        if match[1].decode("ascii").lower() not in patterns.parameters:
            yield found
            yield from (part for part in found.split(b"/")[:1] if len(part) >= _MIN_PART)
    yield from (word for word in rest.split() if len(word) >= _MIN_PART and b"=" not in word.rstrip(b"="))


def of_cookies(value: bytes, patterns: SecretPatterns) -> Iterator[bytes]:
    """Yield the values in Cookie (RFC 6265 4.2) that may be secret; a cookie without a name is a value."""
    for pair in value.split(b";"):
        name, equals, found = (part.strip() for part in pair.partition(b"="))
        if not equals:
            name, found = b"", name
        found = found.strip(b'"')
        if not name or patterns.is_secret(name.decode("latin-1")) or _is_informative(found):
            yield found
        # Some cookies contain a form.
        if b"=" in found or b"&" in found:
            yield from (part for word in re.split(rb"[&|]", found) for part in word.split(b"=", 1)[1:] if _is_informative(part))


def _is_informative(value: bytes) -> bool:
    """Return whether a value is more than a word, a language or a small number, which stay readable."""
    if value.isdigit():
        return len(value) >= _MIN_DIGITS
    if value.replace(b"-", b"").replace(b"_", b"").isalpha():
        return len(value) >= _MIN_LETTERS
    return True


def form(data: bytes, kind: str, patterns: SecretPatterns) -> tuple[str, ...]:
    """Return the names of the parameters with credentials in a form of this media type, as far as `data` goes.

    Read are URL-encoded forms, multipart/form-data (RFC 7578) and, for names alone, JSON; any other type has none.
    """
    text = data.decode("utf-8", "surrogateescape")
    if kind == "application/x-www-form-urlencoded":
        names = [name for name, _, value in (part.partition("=") for part in text.split("&")) if value]
    elif kind == "multipart/form-data":
        names = _DISPOSITION.findall(text)
    elif is_json(kind):
        names = _MEMBER.findall(text)
    else:
        return ()
    return tuple(name for name in names if patterns.is_credential(name))


def is_json(kind: str) -> bool:
    """Return whether a media type is one of JSON (RFC 6839 3.1)."""
    return kind == "application/json" or kind.endswith("+json")


def of_body(data: bytes, kind: str, patterns: SecretPatterns) -> Iterator[bytes]:
    """Yield the values with secret names in content of this media type: forms, JSON, XML; for other types by the first bytes."""
    begins = data.lstrip()[:1]
    if kind == "multipart/form-data":
        pairs: Iterator[tuple[bytes, bytes]] = ((match[1], match[2]) for match in _PART.finditer(data))
    elif is_json(kind) or begins in {b"{", b"["}:
        pairs = _members(data)
    elif begins == b"<":
        pairs = ((match[1], match[2]) for match in _ELEMENT.finditer(data))
    else:
        # In a value that ends with an ampersand of its own, what follows is a part of it.
        pairs = ((name, value) for part in re.split(rb"[&\r\n]", data) for name, equals, value in (part.partition(b"="),) if equals)
    for name, value in pairs:
        if patterns.is_secret(name.decode("utf-8", "surrogateescape")):
            yield value


def _members(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and values of JSON members, at any depth; each item of a list with the name of the list."""
    for match in _VALUE.finditer(data):
        strings = [match[2]] if match[2] else _STRING.findall(match[4]) if match[4] else []
        yield from ((match[1], plain) for one in strings for plain in (one.strip(b'"'), _plain(one)))
        if match[3]:
            yield match[1], match[3]


def _plain(string: bytes) -> bytes:
    try:
        value = json.loads(string)
    except ValueError:
        return b""
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""

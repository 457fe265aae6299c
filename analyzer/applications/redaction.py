"""What must not be seen of text that a dialogue carried: passwords, tokens, keys and the like, in URIs, forms and header fields.

Whatever is hidden is replaced by HIDDEN. Names stay: user names, names of parameters and of cookies. In doubt a value is hidden: an
author's name that is lost in a report costs less than a token that is not.

Promises: no function raises on any text; none gives back a value it takes for a secret, in whatever encoding it came.
Must not know: connections, reports.
"""

from __future__ import annotations

import re
from base64 import b64decode
from functools import partial
from typing import Final
from urllib.parse import unquote_plus

from analyzer.applications.redactor import HIDDEN

_WORDS: Final = (
    "pass|pwd|secret|token|auth|apikey|accesskey|privatekey|sharedkey|subscriptionkey|signature|credential|session|sessid|assertion|saml"
    "|jwt|bearer|cookie|nonce|csrf|xsrf|challenge|verifier|ticket|onetime"
)
_WHOLE: Final = (
    "pw|pin|otp|totp|mfa|sig|sid|sso|key|code|mac|hmac|hash|cvv|cvc|ssn|creds|acct|psk|hapikey|appkey|appid|hdnea|hdnts|sign|st|se|sv|skey"
)
_NAME: Final = re.compile(f"(?:{_WORDS})|^(?:{_WHOLE})$")
"""Names of parameters whose value is a secret, held against the name in small letters without its punctuation."""
_TAIL: Final = re.compile(r"(?:key|otp|pw)$")
_USABLE: Final = re.compile(
    r"pass(?:w|phrase|code|$)|^pw$|pwd|secret|token|(?:api|access|private|auth)key|sess(?:ion|id)|credential|jwt|bearer|assertion|otp$"
)
_HARMLESS: Final = re.compile(r"csrf|xsrf|nonce|captcha|authenticity|verification")
_PUNCTUATION: Final = re.compile(r"[^a-z0-9]")
_PARAMETER: Final = re.compile(r"(?<![^?&;#/\s])([^?&;#=/\s]++)=([^&;#\s]*+)")
_PATH_PARAMETER: Final = re.compile(r"(?<![^?&;#/\s])([^?&;#=/\s]++)=([^;\s]*+)")
"""As in a path, where a value reaches to the next parameter: better too far than not far enough."""
_ANY_PARAMETER: Final = re.compile(r"(?<![^?&;#/=\s])([^?&;#=/\s]++)=(?=[^&;#\s])")
"""The name of a parameter with a value, of one inside the value of another too."""
_QUERY: Final = re.compile(r"[?#]")
_USERINFO: Final = re.compile(r"(//)([^/?#@\s]*(?:@[^/?#@\s]*)*)@")
_DISPOSITION: Final = re.compile(r'\bname="([^"\r\n]{1,200})"')
_MEMBER: Final = re.compile(r'"([^"\\\s]{1,200})"\s{0,20}:\s{0,20}["0-9]')
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)?")
_MARKS: Final = re.compile(r"[=@]|eyJ")
"""Without one of these a URI holds nothing that could be recognised as a secret."""
_MAX_DEPTH: Final = 3
"""How often percent encoding is taken off, and how deep a URI inside a URI is looked into."""


def uri(text: str) -> str:
    """Return a URI, or the target of a request, without the passwords, tokens and keys in it.

    What is hidden: userinfo but for a user name that a password follows (RFC 3986 3.2.1), values of parameters in the path, the query
    and the fragment whose name says secret, URIs among the values that hold such, and JSON Web Tokens (RFC 7519) anywhere. Where only
    decoding shows a secret, the text is returned decoded.
    """
    shown = _uri(text) if _MARKS.search(text) else text
    if "%" in shown:
        plain = _decode(shown)
        hidden = _uri(plain)
        if hidden != plain:
            return hidden
    return shown


def values(text: str) -> tuple[str, ...]:
    """Return what `uri` hides of `text`, as it stands there and decoded."""
    found = list[str]()
    for form in {text, _decode(text)}:
        found += [match[2] for match in _PARAMETER.finditer(form) if is_secret(match[1])]
        found += [match[2].partition(":")[2] or match[2] for match in _USERINFO.finditer(form)]
    return tuple(sorted({one for value in found for one in (value, unquote_plus(value))}))


def form(data: bytes, kind: str = "application/x-www-form-urlencoded") -> tuple[str, ...]:
    """Return the names of the parameters with credentials in a form of this media type, as far as `data` goes.

    Read are URL-encoded forms, multipart/form-data (RFC 7578) and, for names alone, JSON; any other type has none.
    """
    text = data.decode("utf-8", "surrogateescape")
    if kind == "application/x-www-form-urlencoded":
        names = [name for name, _, value in (part.partition("=") for part in text.split("&")) if value]
    elif kind == "multipart/form-data":
        names = _DISPOSITION.findall(text)
    elif kind == "application/json" or kind.endswith("+json"):
        names = _MEMBER.findall(text)
    else:
        return ()
    return tuple(name for name in names if is_credential(name))


def carries_credentials(text: str) -> bool:
    """Return whether a URI holds what whoever reads it can use: a password, a token, a key."""
    plain = _decode(text)
    if _JWT.search(plain) or any(":" in match[2] for match in _USERINFO.finditer(plain)):
        return True
    return any(is_credential(match[1]) for match in _ANY_PARAMETER.finditer(plain))


def is_secret(name: str) -> bool:
    """Return whether a parameter of this name holds a secret, going by the name."""
    plain = _PUNCTUATION.sub("", unquote_plus(name).lower())
    return bool(_NAME.search(plain) or _TAIL.search(plain))


def is_credential(name: str) -> bool:
    """Return whether a parameter of this name holds what whoever reads it can use; fewer do than are hidden."""
    plain = _PUNCTUATION.sub("", unquote_plus(name).lower())
    return bool(_USABLE.search(plain)) and not _HARMLESS.search(plain)


def authorization(value: str) -> tuple[str, str, str]:
    """Return scheme, user name and secret of an Authorization or Proxy-Authorization field; what is not there is "".

    Basic (RFC 7617) and Digest (RFC 7616) name the user. All else behind a scheme is secret.
    """
    scheme, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    if not rest:
        # A token without its scheme, or a scheme alone: only a known word is taken for one.
        return (scheme.lower(), "", "") if scheme.lower() in _SCHEMES else ("", "", scheme)
    if scheme.lower() == "basic":
        user, secret = _basic(rest)
        return "basic", user, secret
    if scheme.lower() == "digest":
        name = _USERNAME.search(rest)
        return "digest", name.group(1) if name else "", rest
    return (scheme.lower() if _TOKEN.fullmatch(scheme) else ""), "", rest


_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm", "hoba", "mutual", "gnap", "dpop", "vapid", "concealed"})
_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,23}")
_USERNAME: Final = re.compile(r'\busername\s*=\s*"((?:[^"\\]|\\.)*)"')


def _basic(text: str) -> tuple[str, str]:
    try:
        decoded = b64decode(text.split(maxsplit=1)[0] + "==", validate=False).decode("utf-8", "surrogateescape")
    except ValueError:
        return "", text
    user, colon, secret = decoded.partition(":")
    # Without a colon nobody knows which of the two it is.
    return (user, secret) if colon else ("", decoded)


def _uri(text: str, depth: int = 0) -> str:
    text = _USERINFO.sub(_user, text)
    split = _QUERY.search(text)
    path, rest = (text[: split.start()], text[split.start() :]) if split else (text, "")
    hide = partial(_parameter, depth=depth)
    return _JWT.sub(HIDDEN, _PATH_PARAMETER.sub(hide, path) + _PARAMETER.sub(hide, rest))


def _user(match: re.Match[str]) -> str:
    user, colon, _password = match[2].partition(":")
    return f"{match[1]}{user}:{HIDDEN}@" if colon else f"{match[1]}{HIDDEN}@"


def _parameter(match: re.Match[str], *, depth: int) -> str:
    name, value = match[1], match[2]
    if not value or value == HIDDEN:
        return match[0]
    if is_secret(name):
        return f"{name}={HIDDEN}"
    inner = _decode(value)
    if _MARKS.search(inner) and (depth == _MAX_DEPTH or _uri(inner, depth + 1) != inner):
        return f"{name}={HIDDEN}"
    return match[0]


def _decode(text: str) -> str:
    """Return `text` without its percent encoding, however often it was applied."""
    for _ in range(_MAX_DEPTH):
        plain = unquote_plus(text)
        if plain == text:
            break
        text = plain
    return text

"""Laws of the redactor: no spelling of a secret survives, twice is once, and what holds no secret stays."""

from __future__ import annotations

import base64
import html
import string
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.protocols.api import Dialogue
from analyzer.protocols.redacted import redact_dialogue
from analyzer.protocols.redactor import HIDDEN, MAX_EXACT, Redactor

SECRET = "s3cr3t-V4l+u/e~9"  # noqa: S105 - nobody's
SECRETS = st.text(alphabet=string.ascii_letters + string.digits + "!$*-_.~+/:@ ", min_size=4, max_size=80).filter(
    lambda text: len(text.strip()) >= 4 and "hidden" not in text.lower()
)
AROUND = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


def spellings(secret: str) -> dict[str, str]:
    """Return a secret in each spelling that is promised to be found."""
    raw = secret.strip().encode()
    text = secret.strip()
    found = {
        "as it is": text,
        "capitals": text.upper(),
        "small letters": text.lower(),
        "percent": quote(text, safe=""),
        "every byte in percent": "".join(f"%{byte:02x}" for byte in raw),
        "every byte in percent, capitals": "".join(f"%{byte:02X}" for byte in raw),
        "percent twice": quote(quote(text, safe=""), safe=""),
        "form": text.replace("+", "%2B").replace(" ", "+"),
        "character references": "".join(f"&#{byte};" for byte in raw),
        "character references in hexadecimal": "".join(f"&#x{byte:X};" for byte in raw),
        "named references": html.escape(text),
        "JSON": "".join(f"\\u{byte:04x}" for byte in raw),
        "hexadecimal": raw.hex(),
        "hexadecimal, capitals": raw.hex().upper(),
        "hexadecimal with colons": raw.hex(":"),
        "hexadecimal from an odd place": "0" + raw.hex(),
        "NULs": "\0".join(text),
        "UTF-16 in base64": base64.b64encode(text.encode("utf-16-le")).decode(),
        "UTF-16 in base64, the other way": base64.b64encode(text.encode("utf-16-be")).decode(),
    }
    for before in range(4):
        data = b"\x01" * before + raw
        found[f"base64 behind {before}"] = base64.b64encode(data).decode()
        found[f"base64 behind {before}, for URLs"] = base64.urlsafe_b64encode(data).decode().rstrip("=")
        found[f"base64 behind {before}, in percent"] = quote(base64.b64encode(data).decode(), safe="")
    return found


def core(name: str, spelled: str) -> str:
    """Return what of a spelling must not be seen: in base64, the letters that the first and the last byte share stay out of it."""
    return spelled.rstrip("=")[6:-2] if "base64" in name and "percent" not in name else spelled


@pytest.mark.parametrize("name", spellings(SECRET))
def test_each_spelling_is_hidden(name: str) -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    spelled = spellings(SECRET)[name]
    for text in (spelled, f"530 {spelled} is wrong", f"a={spelled}&b=c", f'<a href="{spelled}">'):
        shown = redactor.redact(text)
        assert HIDDEN in shown
        assert core(name, spelled) not in shown
        assert len(shown) < len(text)


@given(SECRETS, AROUND, AROUND)
def test_no_spelling_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    for name, spelled in spellings(secret).items():
        shown = redactor.redact(f"{before} {spelled} {after}")
        kept = core(name, spelled)
        assert len(kept) < 4 or kept not in shown.replace(before, "").replace(after, ""), name


@given(st.lists(SECRETS, max_size=6), st.text(max_size=200))
def test_twice_is_once(secrets: list[str], text: str) -> None:
    redactor = Redactor()
    redactor.add(*secrets)
    mixed = " ".join([text, *(secret + text[:5] for secret in secrets)])
    once = redactor.redact(mixed)
    assert redactor.redact(once) == once


@given(
    st.lists(st.text(alphabet="QXZ", min_size=6), max_size=6),
    st.text(alphabet="abcdefghijklmnoprstuvwy /.=-_"),
)
def test_a_text_without_secrets_is_unchanged(secrets: list[str], text: str) -> None:
    redactor = Redactor()
    redactor.add(*secrets)
    assert redactor.redact(text) == text


@given(st.text())
def test_nothing_is_hidden_without_a_secret(text: str) -> None:
    assert Redactor().redact(text) == text
    idle = Redactor(enabled=False)
    idle.add(text)
    assert not idle.holds
    assert idle.redact(text) == text


@pytest.mark.parametrize("kept", [4, 7, 10, 15])
def test_a_field_that_is_cut_shows_no_beginning(kept: int) -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    padding = "x" * 80
    shown = redactor.redact_all([f"{padding} {SECRET[:kept]}", f"{padding} {SECRET[:kept]}…", f"{padding} {quote(SECRET, safe='')[:kept]}"])
    assert shown[0] == f"{padding} {HIDDEN}"
    assert shown[1] == f"{padding} {HIDDEN}…"
    assert shown[2] == f"{padding} {HIDDEN}"


def test_a_beginning_within_a_text_is_no_secret() -> None:
    redactor = Redactor()
    redactor.add("passage-to-x9")
    assert redactor.redact_all(["a passage in the middle of a rather long text that goes on and on"]) == [
        "a passage in the middle of a rather long text that goes on and on"
    ]


def test_what_follows_a_torn_secret_is_hidden() -> None:
    redactor = Redactor()
    redactor.add("s3cr3t", torn=True)
    assert redactor.redact("530 s3cr3t-V4lue is wrong") == "530 (hidden) is wrong"


def test_a_short_secret_is_hidden_as_a_word() -> None:
    redactor = Redactor()
    redactor.add("in", words=True)
    assert redactor.redact("Logging in with in") == "Logging (hidden) with (hidden)"
    assert not Redactor().holds


def test_a_long_secret_is_hidden_to_its_end() -> None:
    redactor = Redactor()
    secret = "".join(f"{number:03d}-" for number in range(100))
    redactor.add(secret)
    assert redactor.redact(f"a {secret} b") == "a (hidden) b"


def test_no_number_of_secrets_ends_the_protection() -> None:
    redactor = Redactor()
    secrets = [f"zq{number * 7919 % 1_000_003:07d}kX" for number in range(MAX_EXACT // 2 + 5_000)]
    redactor.add(*secrets)
    for secret in (secrets[0], secrets[MAX_EXACT // 2 - 1], secrets[-1]):
        encoded = base64.b64encode(f"bob:{secret}".encode()).decode()
        shown = redactor.redact(f"530 {secret} and {encoded}")
        assert secret not in shown
        assert encoded[8:-4] not in shown
    assert redactor.redact("220 mail.example.org ESMTP ready") == "220 mail.example.org ESMTP ready"


def test_many_alike_take_linear_time() -> None:
    def spent(count: int) -> float:
        redactor = Redactor()
        redactor.add(*(f"aaaaaaaa{number}" for number in range(count)))
        begin = time.process_time()
        redactor.redact_all(["a" * 500 + str(number) for number in range(count // 4)])
        return time.process_time() - begin

    small = min(spent(400), spent(400))
    assert spent(1_600) < 12 * small + 0.2


def test_all_text_of_a_dialogue_is_redacted() -> None:
    redactor = Redactor()
    redactor.add(SECRET)
    rows = [{"kind": "request", "reply": f"no {SECRET}", "cookies": ("a", SECRET), "code": 530, "codes": (1, 2), "host": None}]
    dialogue = Dialogue("http", summary=f"1 request ({SECRET})", rows=rows)  # type: ignore[arg-type]
    redact_dialogue(dialogue, redactor)
    assert dialogue.summary == "1 request ((hidden))"
    assert dialogue.rows == [
        {"kind": "request", "reply": "no (hidden)", "cookies": ("a", "(hidden)"), "code": 530, "codes": (1, 2), "host": None}
    ]


def test_a_secret_that_equals_a_shown_name_is_not_looked_for() -> None:
    redactor = Redactor()
    redactor.show(b"Anonymous")
    redactor.add(b"anonymous", b"other-secret")
    assert redactor.redact("user anonymous, other-secret") == f"user anonymous, {HIDDEN}"

"""What is hidden, and what is not."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.protocols import redaction
from analyzer.protocols.http import credentials
from analyzer.rules import secrets

SECRET = "s3cr3t-V4lue"  # noqa: S105 - nobody's


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://jo:{SECRET}@a.example/", "http://jo:(hidden)@a.example/"),
        (f"http://{SECRET}@a.example/", "http://(hidden)@a.example/"),
        (f"http://jo:a@{SECRET}@a.example/", "http://jo:(hidden)@a.example/"),
        (f"/x?token={SECRET}&page=2", "/x?token=(hidden)&page=2"),
        (f"/x?page=2;access_token={SECRET}", "/x?page=2;access_token=(hidden)"),
        (f"/x;jsessionid={SECRET}?a=b", "/x;jsessionid=(hidden)?a=b"),
        (f"/x?API-Key={SECRET}", "/x?API-Key=(hidden)"),
        (f"/x?to%6ben={SECRET}", "/x?to%6ben=(hidden)"),
        (f"/x?user[password]={SECRET}", "/x?user[password]=(hidden)"),
        (f"https://a.example/cb#id_token={SECRET}&state=x", "https://a.example/cb#id_token=(hidden)&state=x"),
        (f"/cb?code={SECRET}", "/cb?code=(hidden)"),
        (f"/o?X-Amz-Signature={SECRET}&X-Amz-Date=1", "/o?X-Amz-Signature=(hidden)&X-Amz-Date=1"),
        (f"/login?next=https%3A%2F%2Fjo%3A{SECRET}%40a.example%2F", "/login?next=(hidden)"),
        (f"/login?next=%2Fcb%3Ftoken%3D{SECRET}", "/login?next=(hidden)"),
        (f"/login?next=%252Fcb%253Ftoken%253D{SECRET}", "/login?next=(hidden)"),
        (f"/login%3Ftoken%3D{SECRET}", "/login?token=(hidden)"),
        (f"/go/http%3A%2F%2Fjo%3A{SECRET}%40a.example", "/go/http://jo:(hidden)@a.example"),
        ("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl/x", "/t/(hidden)/x"),
    ],
)
def test_hidden_in_a_uri(text: str, shown: str) -> None:
    assert redaction.uri(text) == shown
    assert redaction.uri(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/index.html?page=2&sort=name&q=a+b",
        "/a@2x.png",
        "/ad?asId=1000000326207&sd=2x160x600",
        "http://a.example:8080/search?hl=en&q=Wireshark+!",
        "/monkeys?keyboard=de&passage=3".replace("passage", "page"),
        "*",
        "",
    ],
)
def test_shown_in_a_uri(text: str) -> None:
    assert redaction.uri(text) == text


def test_values_are_what_is_hidden() -> None:
    text = f"http://jo:{SECRET}@a.example/?token=a%20b"
    assert {SECRET, "a%20b", "a b"} <= set(redaction.values(text))


@pytest.mark.parametrize(
    ("data", "kind", "names"),
    [
        (b"user=jo&password=x", "application/x-www-form-urlencoded", ("password",)),
        (b"user=jo&password=", "application/x-www-form-urlencoded", ()),
        (b"user=jo&p%61sswd=x&csrf_token=y", "application/x-www-form-urlencoded", ("p%61sswd",)),
        (b'--b\r\nContent-Disposition: form-data; name="pwd"\r\n\r\nx\r\n--b--', "multipart/form-data", ("pwd",)),
        (b'{"user": "jo", "clientSecret" : "x"}', "application/json", ("clientSecret",)),
        (b'{"password": null}', "application/json", ()),
        (b"password=x", "text/plain", ()),
    ],
)
def test_secret_parameters_of_a_form(data: bytes, kind: str, names: tuple[str, ...]) -> None:
    assert credentials.form(data, kind, secrets.shipped()) == names


@pytest.mark.parametrize(
    ("text", "carries"),
    [
        ("/?token=x", True),
        ("/a;jsessionid=x", True),
        ("http://jo:x@a.example/", True),
        ("/?next=%2F%3Fpassword%3Dx", True),
        ("/?csrf_token=x", False),
        ("/?code=x&hash=y&passenger=2", False),
        ("/?token=", False),
    ],
)
def test_which_uris_carry_credentials(text: str, carries: bool) -> None:  # noqa: FBT001
    assert redaction.carries_credentials(text) is carries


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (f"Basic {encoded('jo:' + SECRET)}", ("basic", "jo", SECRET)),
        (f"basic   {encoded('jo:a:b')}", ("basic", "jo", "a:b")),
        (f"Basic {encoded('jo:')}", ("basic", "jo", "")),
        (f"Basic {encoded(SECRET)}", ("basic", "", SECRET)),
        ("Basic a", ("basic", "", "a")),
        (f"Bearer {SECRET}", ("bearer", "", SECRET)),
        (f"NTLM {SECRET}", ("ntlm", "", SECRET)),
        ("Negotiate", ("negotiate", "", "")),
        (SECRET, ("", "", SECRET)),
        (f"{SECRET}! x", ("", "", "x")),
        ("", ("", "", "")),
    ],
)
def test_authorization(value: str, parts: tuple[str, str, str]) -> None:
    assert credentials.authorization(value) == parts


def test_digest_names_its_user() -> None:
    value = 'Digest realm="r", username="jo", response="00"'
    scheme, user, secret = credentials.authorization(value)
    assert (scheme, user, secret) == ("digest", "jo", value.removeprefix("Digest "))


def test_depth_is_bounded() -> None:
    assert redaction.uri("/?" + "a=" * 5_000 + "token=x") == "/?a=(hidden)"


@given(st.text())
def test_no_text_is_refused(text: str) -> None:
    redaction.uri(text)
    redaction.values(text)
    credentials.authorization(text)
    assert redaction.uri(redaction.uri(text)) == redaction.uri(text)


@given(st.binary(), st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data", "application/json"]))
def test_no_form_is_refused(data: bytes, kind: str) -> None:
    credentials.form(data, kind, secrets.shipped())


@given(
    st.text(alphabet="abcXYZ019-_.~", min_size=6), st.sampled_from(["token", "password", "api_key", "sig", "JSESSIONID", "client-secret"])
)
def test_a_secret_parameter_never_shows_its_value(value: str, name: str) -> None:
    for text in (f"/x?a=b&{name}={value}", f"/x;{name}={value}", f"http://h/#{name}={value}&c=d"):
        assert value not in redaction.uri(text).replace(name, "")

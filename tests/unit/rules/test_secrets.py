"""How secrets are named, as data: the shipped file, what a user adds, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from analyzer import rules
from analyzer.cli import run
from analyzer.errors import RuleError
from analyzer.protocols import redaction
from analyzer.rules import secrets

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = secrets.shipped()


@pytest.mark.parametrize(
    "name",
    [
        "password", "Passwort", "kennwort", "mdp", "mot_de_passe", "contraseña", "contrase%C3%B1a", "senha", "wachtwoord", "hasło", "heslo",
        "пароль", "密码", "pswd", "psw", "oobCode", "auth_code", "verification_code", "connect.sid", "PHPSESSID", "cf_clearance",
        "RelayState", "SAMLResponse", "csrf", "_csrf_token", "sig", "X-Amz-Signature", "X-Amz-Credential", "sas", "access_token",
        "refresh-token",
        "jwt",
        "client_secret", "user[password]", "apiKey", "api.key", "otp", "pin", "authorization", "x-authorization",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert SHIPPED.is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "page", "q", "lang", "zip_code", "countryCode", "status_code", "error_code", "keyboard", "passenger", "compass", "monkey", "user",
        "username", "email", "sort", "id", "asId", "width", "ref", "utm_source", "date", "state", "redirect_uri", "spin",
    ],
)  # fmt: skip
def test_other_names(name: str) -> None:
    assert not SHIPPED.is_secret(name)


def test_a_field_of_a_key_is_known_by_its_name() -> None:
    for name in (b"x-api-key", b"x-acme-api-key", b"x-csrf-token", b"private-token", b"x-my-secret"):
        assert SHIPPED.is_secret_field(name)
    for name in (b"accept", b"www-authenticate", b"sec-websocket-key", b"etag", b"x-request-id", b"date"):
        assert not SHIPPED.is_secret_field(name)


def _folder(path: Path, text: str) -> Path:
    (path / "secrets.toml").write_text(f"schema = 1\n{text}", encoding="utf-8")
    return path


def test_a_user_adds_names(tmp_path: Path) -> None:
    found = rules.load([_folder(tmp_path, '[names]\nwhole = ["zugangswort"]\n[fields]\nkeys = ["x-acme-id"]\n[shape]\nhex = 16\n')])
    assert redaction.uri("/x?zugangswort=abc&page=2", found.secrets) == "/x?zugangswort=(hidden)&page=2"
    assert redaction.uri("/x?zugangswort=abc&page=2") == "/x?zugangswort=abc&page=2"
    assert redaction.uri("/x?token=abc", found.secrets) == "/x?token=(hidden)"
    assert found.secrets.is_secret_field(b"x-acme-id")
    assert redaction.uri("/9f86d081884c7d65", found.secrets) == "/(hidden)"
    assert found.digest != rules.load().digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[names]\ncontains = ["Not Plain"]', "contains"),
        ('[names]\nwords = ["abc"]', "words"),
        ("[shape]\nhex = 2", "hex"),
        ('[fields]\nkeys = ["X-Key"]', "keys"),
        ('[names]\ncontains = ["abc", "abcde"]', "abcde has no effect"),
        ("", "adds nothing"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        rules.load([_folder(tmp_path, text)])


def test_the_command_refuses_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "check", str(_folder(tmp_path, '[names]\nwords = ["abc"]'))]) == 6
    assert "secrets.toml" in capsys.readouterr().err


def test_the_shipped_file_has_no_fault() -> None:
    assert rules.load(check=True).secrets.names.pattern.pattern == SHIPPED.names.pattern.pattern

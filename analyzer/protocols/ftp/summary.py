"""Complete the facts of a finished FTP dialogue and write its one-line summary: software, user, transfers and their mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from analyzer.protocols.ftp.text import text

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.ftp.state import FtpSession

_SOFTWARE: Final = re.compile(
    rb"(?i)[\w-]*ftpd(?:lib)?(?:[ /][\w.]+)?|FileZilla Server(?: [\w.]+)?|Microsoft FTP Service|Serv-U[\w ./-]{0,20}"
)
_FALSE_UNLESS_SEEN: Final = (
    "tls_missing",
    "clear_after_refusal",
    "service_closing",
    "auth_injection",
    "auth_reply_injection",
    "tls_cleared",
    "stray_line",
)
_MAX_BANNER: Final = 60
"""Bytes of a banner that are shown when no software is found in it."""


def conclude(session: FtpSession, dialogue: Dialogue, *, complete: bool) -> None:
    """Fill in the facts of a dialogue that was parsed to its end; `complete` if all of it was captured."""
    facts = dialogue.facts
    if complete:
        facts["early_excused"] = False
        for name in _FALSE_UNLESS_SEEN:
            facts.setdefault(name, False)
    encrypted = bool(dialogue.tls) and not facts.get("tls_cleared")
    facts["login"] = None if encrypted and session.login == "none" else session.login
    facts["auth"] = session.auth
    facts["anonymous"] = session.anonymous
    facts["login_failures"] = None if encrypted else session.failures


def summarise(banner: bytes, session: FtpSession, dialogue: Dialogue) -> str:
    """Return the summary."""
    software = _SOFTWARE.search(banner)
    parts = [text(software[0] if software else banner[:_MAX_BANNER]) or "FTP"]
    if session.anonymous:
        parts.append("anonymous")
    elif session.user:
        parts.append(f"user {session.user}")
    if session.login == "refused":
        parts.append("login refused")
    elif session.login == "none" and not dialogue.tls:
        parts.append("no login")
    parts += [_count(session.files, "file"), _count(session.listings, "listing")]
    ways = {"passive" if mode in {"pasv", "epsv", "lpsv"} else "active" for mode in session.modes}
    parts.append(" and ".join(sorted(ways)))
    parts.append({"auth-tls": "then TLS"}.get(dialogue.tls, ""))
    if session.auth == "refused":
        parts.append("TLS refused")
    if dialogue.facts.get("service_closing"):
        parts.append("closed by 421")
    return ", ".join(part for part in parts if part)


def _count(number: int, what: str) -> str:
    return "" if not number else f"{number} {what}" if number == 1 else f"{number} {what}s"

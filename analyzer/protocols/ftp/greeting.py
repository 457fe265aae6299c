"""Fill in the facts of an FTP server's greeting: 220, or 120 and then 220, or a refusal (RFC 959 5.4).

Whether the client sent before the greeting was complete is left to the parser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.protocols import timing

if TYPE_CHECKING:
    from analyzer.protocols.api import Dialogue
    from analyzer.protocols.ftp.commands import CommandTable
    from analyzer.protocols.ftp.replies import FtpReply

DELAYED: Final = 120


def note(dialogue: Dialogue, reply: FtpReply, code: int, table: CommandTable, opened_at: int) -> None:
    """Add the facts of a greeting; `opened_at` is when the opening was complete, ns since the epoch, or NO_TIME."""
    facts, evidence = dialogue.facts, dialogue.evidence
    if "greeting" not in evidence and (delay := timing.since(opened_at, reply.first)) is not None:
        facts["greeting_after"] = delay
    evidence.setdefault("greeting", reply.first.frame)
    facts["greeting_code"] = code
    facts["greeting_expected"] = code in table.greetings and facts.get("greeting_expected") is not False
    facts["greeting_refusal"] = code in table.refusals
    facts["greeting_delayed"] = code == DELAYED or facts.get("greeting_delayed", False)

"""Redact the text of a whole dialogue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from analyzer.protocols.api import WORDS
from analyzer.protocols.redactor import Redactor

if TYPE_CHECKING:
    from analyzer.protocols.api import Cell, Dialogue, ParserContext


_KIND: Final = "kind"
"""The column that names what a row is: a word of the protocol file."""


def prepare(context: ParserContext) -> tuple[ParserContext, Redactor]:
    """Return the context with a redactor, and the redactor: that of the enclosing dialogue, if there is one."""
    redactor = context.redactor or Redactor(enabled=not context.secrets, patterns=context.patterns)
    return (context if context.redactor is not None else replace(context, redactor=redactor)), redactor


def redact_dialogue(dialogue: Dialogue, redactor: Redactor) -> None:
    """Redact all text of a dialogue: its summary, the text in its rows except their kind, and the words of its exchanges."""
    if not redactor.holds:
        return
    # A short secret may be a word of the server's greeting, from which the summary's name of the software is.
    dialogue.summary = redactor.redact_all([dialogue.summary], words=False)[0]
    texts = list[str]()
    for row in dialogue.rows:
        for name, cell in row.items():
            texts += _texts(name, cell)
    worded = [one.facts for one in dialogue.exchanges if isinstance(one.facts.get(WORDS), str)]
    texts += [str(facts[WORDS]) for facts in worded]
    shown = iter(redactor.redact_all(texts))
    for row in dialogue.rows:
        for name, cell in row.items():
            if isinstance(cell, str) and name != _KIND:
                row[name] = next(shown)
            elif isinstance(cell, tuple) and cell and isinstance(cell[0], str):
                row[name] = tuple(next(shown) for _ in cell)
    for facts in worded:
        facts[WORDS] = next(shown)


def _texts(name: str, cell: Cell) -> tuple[str, ...]:
    if isinstance(cell, str):
        return (cell,) if name != _KIND else ()
    return tuple(str(one) for one in cell) if isinstance(cell, tuple) and cell and isinstance(cell[0], str) else ()

"""`pcaplint rules new` and `pcaplint rules facts`: begin a rule of one's own, and see what its condition may name."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from analyzer.cli import options, output
from analyzer.cli.commands.rules import rules as app
from analyzer.cli.config import Configured
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analyzer.rules.fact_list import FactEntry

SCOPES: Final = ("segment", "connection", "correlation", "dialogue", "exchange")
_FORMATS: Final = ("text", "json")
_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_ID: Final = 60

NewId = Annotated[str, typer.Argument(metavar="ID", help="Lower-case words joined by hyphens.", show_default=False)]
Scope = Annotated[
    str, typer.Option("--scope", metavar="|".join(SCOPES), callback=options.one_of(SCOPES), help="What the condition looks at.")
]
AnyScope = Annotated[
    str | None,
    typer.Option("--scope", metavar="|".join(SCOPES), help="Only facts of this scope.", show_default=False),
]
Folder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; made where it is missing.", readable=False)
]
Pattern = Annotated[str, typer.Argument(metavar="[PATTERN]", help="Names to list, as `*mss*`.")]
ListFormat = Annotated[
    str, typer.Option("--format", "-f", metavar="|".join(_FORMATS), callback=options.one_of(_FORMATS), help="How to write the list.")
]


@app.command()
def new(id_: NewId, *, scope: Scope = "segment", folder: Folder = Path()) -> None:
    """Write ID.toml, a rule that passes `rules check`, to start from."""
    from analyzer.rules import load

    if not _ID.fullmatch(id_) or len(id_) > _MAX_ID:
        message = f"{printable(id_)} is no id: lower-case words of letters and digits, joined by hyphens, {_MAX_ID} characters at most"
        raise UsageError(message)
    if id_ in load().findings:
        message = f"a shipped rule is called {id_}: pcaplint rules explain {id_}"
        raise UsageError(message)
    target = folder / f"{id_}.toml"
    text = (resources.files("analyzer.rules") / "templates" / f"{scope}.toml").read_text(encoding="utf-8").replace("RULE-ID", id_)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # "x": never over a file that is there already.
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        message = f"{target}: {error.strerror or error}"
        raise UsageError(message) from error
    output.stderr(printable(f"{target}: edit it, then pcaplint rules check {folder}"))


@app.command(cls=Configured)
def facts(
    pattern: Pattern = "*",
    *,
    scope: AnyScope = None,
    list_format: ListFormat = "text",
    rules: options.Rules = None,
    color: options.Color = "auto",
) -> None:
    """List the facts that conditions may name: kind, unit, meaning, an example."""
    from analyzer.rules import fact_list, load

    if scope is not None:
        options.one_of(SCOPES)(scope)
    ruleset = load(rules or ())
    found = fact_list.facts(ruleset, pattern, scope)
    if not found:
        raise UsageError(_no_fact(pattern, scope, [entry.name for entry in fact_list.facts(ruleset)]))
    output.write(_json(found) if list_format == "json" else _text(found, color), None, exact=list_format == "json")


def _no_fact(pattern: str, scope: str | None, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = list(dict.fromkeys(get_close_matches(pattern, names, n=3)))
    hint = f": did you mean {', '.join(near)}?" if near else ""
    where = f" of scope {scope}" if scope else ""
    return f"no fact{where} is called {printable(pattern)}{hint}"


def _json(found: Sequence[FactEntry]) -> Iterator[str]:
    rows = [
        {
            "name": entry.name,
            "scopes": list(entry.scopes),
            "protocol": entry.protocol or None,
            "kind": entry.kind,
            "unit": entry.unit or None,
            "members": list(entry.members),
            "meaning": entry.meaning,
            "example": entry.example or None,
        }
        for entry in found
    ]
    yield json.dumps({"facts": rows}, indent=1) + "\n"


def _text(found: Sequence[FactEntry], color: str) -> Iterator[str]:
    import sys

    from analyzer.report import Layout
    from analyzer.report.terminal.text import Page

    page = Page(Layout(width=output.width(), color=output.colored(color, sys.stdout)))
    group = None
    for entry in found:
        if (entry.protocol, entry.scopes) != group:
            group = (entry.protocol, entry.scopes)
            page.add((f"{entry.protocol or 'openings'}: {', '.join(entry.scopes)}", "bold"))
        kind = f"{entry.kind}, {entry.unit}" if entry.unit else entry.kind
        page.add("  ", (entry.name, "cyan"), f"  ({kind})")
        page.add("      ", printable(entry.meaning), indent=6, wrap=True)
        if entry.members:
            page.add("      ", printable("one of " + ", ".join(entry.members)), indent=6, wrap=True)
        if entry.example:
            page.add("      ", printable(f"when = '{entry.example}'"))
    yield page.take()

"""A hook of mkdocs: reference pages that are made from the program itself, so that they cannot be out of date.

The pages are `reference/cli.md`, `verdicts.md`, `rules.md`, `tables.md` and `schemas.md`. Nothing is written into docs/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main
from mkdocs.structure.files import File, Files

from analyzer import rules, schema
from analyzer.cli import app
from analyzer.model import FINDINGS, FLOWS, STEPS, TRANSACTIONS
from analyzer.rules import reference_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from mkdocs.config.defaults import MkDocsConfig

    from analyzer.rules import RuleSet
    from analyzer.schema import Column, Table

SCHEMAS = Path(__file__).resolve().parents[1] / "rules" / "schema"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site's `files`."""
    loaded = rules.load()
    pages = {
        "cli": _commands(),
        "verdicts": _verdicts(loaded),
        "rules": [reference_page.render(loaded)],
        "tables": _tables(loaded),
        "schemas": _schemas(),
    }
    for name, lines in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content="\n".join(lines) + "\n"))
    return files


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", "`pcaplint COMMAND --help` prints the same. `pcaplint --version` prints the version.")
    yield from _command(typer.main.get_command(app), ["pcaplint"])


def _command(command: Any, names: list[str]) -> Iterator[str]:  # noqa: ANN401 - Typer carries a copy of click of its own
    children: dict[str, click.Command] = getattr(command, "commands", {})
    if not children:
        yield from ("", f"## {' '.join(names)}", "", _cell(command.help or ""), "", "| option | meaning |", "|---|---|")
        for one in command.params:
            if getattr(one, "hidden", False):
                continue
            words = (*one.opts, *one.secondary_opts) if one.param_type_name == "option" else (one.name.upper(),)
            name = ", ".join(f"`{word}`" for word in words)
            yield f"| {_cell(name)} | {_cell(getattr(one, 'help', '') or '')} |"
    for name, child in children.items():
        yield from _command(child, [*names, name])


def _verdicts(loaded: RuleSet) -> Iterator[str]:
    yield from ("# Verdicts", "", "One word for what happened to an opening; `rules/opening.toml` says when each is given.", "")
    yield from ("| verdict | outcome | counts as | meaning |", "|---|---|---|---|")
    for verdict in loaded.verdicts:
        yield f"| `{verdict.name}` | {verdict.outcome} | {verdict.counts_as} | {_cell(verdict.meaning)} |"


def _tables(loaded: RuleSet) -> Iterator[str]:
    yield from (
        "# Tables",
        "",
        "The columns of a report's DataFrames, of CSV and of Parquet. Absent numbers are -1 (NaN for times in ms), ",
    )
    yield "absent text is empty; JSON has null."
    for table in (FLOWS, FINDINGS, STEPS, TRANSACTIONS):
        yield from _table(table)
    for id_, protocol in loaded.protocols.items():
        if protocol.transaction:
            yield from ("", f"## transactions: {id_}", "", "| column | kind | unit | meaning |", "|---|---|---|---|")
            yield from (f"| {name} | {fact.kind} | {fact.unit} | {_cell(fact.meaning)} |" for name, fact in protocol.transaction.items())
    yield from ("", "# Inside", "", "What both capture engines fill, for readers of the code.")
    yield from _table(schema.SEGMENTS)


def _table(table: Table) -> Iterator[str]:
    yield from ("", f"## {table.name}", "", "| column | type | unit | meaning |", "|---|---|---|---|")
    yield from (_row(column) for column in table.columns)


def _row(column: Column) -> str:
    return f"| {column.name} | {column.dtype} | {column.unit} | {_cell(column.meaning)} |"


def _schemas() -> Iterator[str]:
    yield from ("# Schemas", "", "JSON Schemas (draft 2020-12) of what pcaplint writes and reads. `pcaplint schema NAME` prints one.")
    yield from ("", "| name | describes |", "|---|---|")
    for path in sorted(SCHEMAS.glob("*.schema.json")):
        described = json.loads(path.read_text(encoding="utf-8"))
        name, about = path.name.removesuffix(".schema.json"), f"{described.get('title', '')}: {described.get('description', '')}"
        yield f"| `{name}` | {_cell(about)} |"

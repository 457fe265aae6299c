"""`pcaplint schema`: the JSON Schemas of outputs and inputs, the same files that they are validated against."""

from __future__ import annotations

from typing import Annotated

import typer

from analyzer.cli import output
from analyzer.errors import UsageError
from analyzer.report.escaping import printable

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="A schema; without it, their names are listed.", show_default=False)]


def schema(name: Name = None) -> None:
    """Print the JSON Schema NAME: of the report, of rule files, of expect.toml, of the configuration or of a baseline."""
    from analyzer.rules import toml_loader

    files = {path.name.removesuffix(".schema.json"): path for path in sorted((toml_loader.shipped() / "schema").glob("*.schema.json"))}
    if name is None:
        output.write([f"{known}\n" for known in files], None)
        return
    if name not in files:
        message = f"no schema is called {printable(name)}; there are {', '.join(files)}"
        raise UsageError(message)
    output.write([files[name].read_text(encoding="utf-8")], None, exact=True)

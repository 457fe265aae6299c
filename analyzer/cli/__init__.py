"""The command line: parse arguments, call the API, print, exit.

Data goes to standard output, everything else to standard error. Every end has a status from `errors.Exit` and, unless a report
explains it, one line with the cause; no input gives a traceback. Help imports neither pandas nor pyshark.
"""

from __future__ import annotations

from analyzer.cli.app import app, run
from analyzer.cli.commands import rule_writing  # noqa: F401 - adds commands to `rules`
from analyzer.cli.commands.baseline import baseline
from analyzer.cli.commands.build import build
from analyzer.cli.commands.check import check
from analyzer.cli.commands.diff import diff
from analyzer.cli.commands.doctor import doctor
from analyzer.cli.commands.expect import expect
from analyzer.cli.commands.extract import extract
from analyzer.cli.commands.flows import flows
from analyzer.cli.commands.report import report
from analyzer.cli.commands.rules import rules
from analyzer.cli.commands.schema import schema
from analyzer.cli.commands.show import show
from analyzer.cli.config import Configured, config

__all__ = ["app", "run"]

app.command(cls=Configured)(check)
app.command(cls=Configured)(flows)
app.command(cls=Configured)(show)
app.command(cls=Configured)(report)
app.command(cls=Configured)(extract)
app.command(cls=Configured)(diff)
app.command()(build)
app.add_typer(rules)
app.add_typer(expect)
app.add_typer(baseline)
app.add_typer(config)
app.command()(schema)
app.command()(doctor)

"""The command line: parse, call, print, exit; one file a command group.

Promises: data goes to standard output, everything else to standard error; every end has a status from `errors.Exit` and, if it is not
a report's own, one line that says why; no input whatever gives a traceback. Asking for help imports neither pandas nor pyshark.
Must not know: how captures are read or judged.
"""

from __future__ import annotations

from analyzer.cli.app import app, run
from analyzer.cli.baseline import baseline
from analyzer.cli.build import build
from analyzer.cli.check import check
from analyzer.cli.config import Configured, config
from analyzer.cli.diff import diff
from analyzer.cli.doctor import doctor
from analyzer.cli.expect import expect
from analyzer.cli.extract import extract
from analyzer.cli.flows import flows
from analyzer.cli.report import report
from analyzer.cli.rules import rules
from analyzer.cli.schema import schema
from analyzer.cli.show import show

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

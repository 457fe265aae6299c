"""The command line: parse, call, print, exit; one file a command group.

Promises: data goes to standard output, everything else to standard error; every end has a status from `errors.Exit` and, if it is not
a report's own, one line that says why; no input whatever gives a traceback. Asking for help imports neither pandas nor pyshark.
Must not know: how captures are read or judged.
"""

from __future__ import annotations

from analyzer.cli.app import app, run
from analyzer.cli.check import check
from analyzer.cli.doctor import doctor
from analyzer.cli.flows import flows
from analyzer.cli.rules import rules
from analyzer.cli.show import show

__all__ = ["app", "run"]

app.command()(check)
app.command()(flows)
app.command()(show)
app.add_typer(rules)
app.command()(doctor)

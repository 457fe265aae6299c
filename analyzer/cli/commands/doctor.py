"""`pcaplint doctor`: what this machine has and lacks; status 7 if something needed is missing, with the command that installs it."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import typer

from analyzer import __version__
from analyzer.cli import options, output
from analyzer.errors import EnvironmentFaultError, Exit, RuleError
from analyzer.report.escaping import printable

_PACKAGES: Final = ("pandas", "numpy", "pyshark", "typer", "rich", "jsonschema")


def doctor(*, tshark: options.Tshark = None) -> None:
    """Say whether everything pcaplint needs is on this machine."""
    ended = max(_tell_python(), _tell_tshark(tshark), _tell_rules(), key=lambda end: (end != Exit.CLEAN, end))
    raise typer.Exit(ended)


def _line(name: str, state: str, rest: str) -> None:
    output.write([f"{name:<11} {state:<8} {printable(rest)}".rstrip() + "\n"], None)


def _tell_python() -> Exit:
    _line("pcaplint", "ok", __version__)
    _line("python", "ok", f"{platform.python_version()}  {sys.executable}")
    ended = Exit.CLEAN
    for package in _PACKAGES:
        try:
            _line(package, "ok", version(package))
        except PackageNotFoundError:
            _line(package, "MISSING", f"python -m pip install {package}")
            ended = Exit.ENVIRONMENT
    return ended


def _tell_tshark(tshark: str | None) -> Exit:
    from analyzer.capture import probe
    from analyzer.capture.tshark.fields import LOSSES
    from analyzer.capture.tshark.quirks import list_losses

    try:
        found = probe(tshark)
    except EnvironmentFaultError as error:
        _line("tshark", "MISSING", str(error))
        return Exit.ENVIRONMENT
    _line("tshark", "ok", f"{found.version}  {found.path}")
    for name in found.missing:
        _line("", "lacks", f"{name}: {LOSSES[name] or 'worked out here instead'}")
    for loss in list_losses(found.version):
        _line("", "loses", loss)
    return Exit.CLEAN


def _tell_rules() -> Exit:
    from analyzer.rules import load

    try:
        ruleset = load(check=True)
    except RuleError as error:
        _line("rules", "BROKEN", str(error).splitlines()[0])
        return Exit.RULES_INVALID
    _line("rules", "ok", f"{len(ruleset.findings)} findings, {len(ruleset.verdicts)} verdicts, digest {ruleset.digest}")
    return Exit.CLEAN

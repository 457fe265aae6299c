"""Every command that can honour an option has it, by one name and one description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import typer

from analyzer.cli import app
from analyzer.options import ENGINES, FAIL_ON
from analyzer.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

READING = {"--engine", "--jobs", "--timeout", "--tshark"}
JUDGING = {"--rules", "--select", "--ignore", "--openings-only"}
MESSAGES = {"--quiet", "--verbose"}
ANALYSIS = READING | JUDGING | MESSAGES

COMMANDS: dict[str, set[str]] = {
    "check": ANALYSIS
    | {"--no-expect", "--baseline", "--fail-on", "--allow-empty", "--show-secrets"}
    | {"--format", "--table", "--output", "--report", "--color", "--all"},
    "flows": ANALYSIS | {"--no-expect", "--sort", "--top", "--show-secrets", "--allow-empty", "--format", "--output", "--color", "--all"},
    "show": ANALYSIS | {"--no-expect", "--show-secrets", "--color"},
    "report": ANALYSIS | {"--no-expect", "--baseline", "--fail-on", "--allow-empty", "--show-secrets", "--output"},
    "extract": READING | MESSAGES | {"--output", "--fail-on", "--no-expect", "--failed", "--anonymize", "--anonymize-key", "--payload"},
    "diff": ANALYSIS | {"--no-expect", "--fail-on", "--format", "--output"},
    "expect write": ANALYSIS | {"--fail-on", "--output"},
    "baseline write": ANALYSIS | {"--no-expect", "--output"},
    "build": {"--output", "--notation"},
    "rules list": {"--rules", "--format", "--color"},
    "rules explain": {"--rules", "--color"},
    "rules check": set(),
    "rules facts": {"--scope", "--format", "--rules", "--color"},
    "rules new": {"--scope", "--output"},
    "rules draw": {"--rules", "--format", "--output"},
    "config show": set(),
    "schema": set(),
    "doctor": {"--tshark"},
}
"""The options of each command, besides --help."""

SHARED = ANALYSIS | {"--no-expect", "--baseline", "--fail-on", "--allow-empty", "--show-secrets", "--color", "--all"}
OWN_FORMATS = {"diff", "rules list", "rules draw", "rules facts"}
"""Commands whose --format chooses among formats of their own."""


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own groups are not public
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


ALL = dict(commands(typer.main.get_command(app)))


def options(name: str) -> dict[str, Any]:
    found = [one for one in ALL[name].params if one.param_type_name == "option"]
    return {next(spelling for spelling in one.opts if spelling.startswith("--")): one for one in found}


def test_the_table_names_every_command() -> None:
    assert set(ALL) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_the_options_of_the_table(name: str) -> None:
    assert set(options(name)) - {"--help"} == COMMANDS[name]


@pytest.mark.parametrize("option", sorted(SHARED))
def test_an_option_is_the_same_in_all_commands(option: str) -> None:
    having = [options(name)[option] for name in COMMANDS if option in COMMANDS[name]]
    assert len({(one.name, tuple(one.opts), one.help, str(one.metavar), str(one.default)) for one in having}) == 1


def test_choices_come_from_one_list_each() -> None:
    assert options("check")["--engine"].metavar == "|".join(ENGINES)
    assert options("check")["--fail-on"].metavar == "|".join(FAIL_ON)
    for name, present in COMMANDS.items():
        if "--format" in present and name not in OWN_FORMATS:
            assert options(name)["--format"].metavar == "|".join(FORMATS)

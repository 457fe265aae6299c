"""A group of options in a command's signature becomes its options."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.testing import CliRunner

from analyzer.cli import option_groups
from analyzer.cli.option_groups import Messages, Reading
from analyzer.options import ReadOptions

SEEN: list[tuple[str, Reading, Messages]] = []
Name = Annotated[str, typer.Argument()]


@option_groups.expand_groups
def command(name: Name, *, reading: Reading, verbosity: Messages) -> None:
    """Keep what was given."""
    SEEN.append((name, reading, verbosity))


app = typer.Typer()
app.command()(command)


def run(*arguments: str) -> tuple[str, Reading, Messages]:
    SEEN.clear()
    assert CliRunner().invoke(app, list(arguments)).exit_code == 0
    return SEEN[0]


def test_without_options_a_group_has_its_defaults() -> None:
    assert run("x") == ("x", Reading(), Messages())


def test_options_arrive_in_their_group() -> None:
    given = run("x", "--engine", "native", "-j", "3", "--timeout", "2.5", "--tshark", "/t", "-q")
    assert given == ("x", Reading("native", 3, 2.5, "/t"), Messages(quiet=True))
    assert given[1].options() == ReadOptions("native", 3, 2.5, "/t")


def test_a_wrong_choice_is_refused() -> None:
    assert CliRunner().invoke(app, ["x", "--engine", "fast"]).exit_code == 2


def test_rules_are_loaded_as_selected() -> None:
    assert option_groups.Judging(select=["ack3-missing"]).load().reported == {"ack3-missing"}

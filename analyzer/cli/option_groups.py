"""Groups of options that many commands take: a command names a group as the type of one parameter and gets its values in one object.

`expand_groups` replaces such a parameter by the options of its group, so that Typer sees each of them as if the command had listed it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from analyzer.cli import options  # noqa: TC001 - Typer reads the annotations
from analyzer.options import Engine, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from analyzer.rules import RuleSet


@dataclass(frozen=True, slots=True)
class Reading:
    """How captures are read."""

    engine: options.EngineName = "auto"
    jobs: options.Jobs = None
    timeout: options.Timeout = None
    tshark: options.Tshark = None

    def options(self) -> ReadOptions:
        """Return the values as options of the API."""
        return ReadOptions(cast("Engine", self.engine), self.jobs, self.timeout, self.tshark)


@dataclass(frozen=True, slots=True)
class Judging:
    """Which rules are loaded and reported."""

    rules: options.Rules = None
    select: options.Select = None
    ignore: options.Ignore = None
    openings_only: options.OpeningsOnly = False

    def load(self) -> RuleSet:
        """Return the rules. Raises `RuleError` for a file that is refused, `UsageError` for an id that no rule has."""
        from analyzer.rules import load

        return load(self.rules or (), select=self.select or (), ignore=self.ignore or ())


@dataclass(frozen=True, slots=True)
class Messages:
    """How much is printed besides the result."""

    quiet: options.Quiet = False
    verbose: options.Verbose = False


def expand_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with each parameter whose type is a group replaced by the options of that group."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(command)
    def call(**given: Any) -> None:  # noqa: ANN401 - the values of any option
        made = {name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()}
        command(**given, **made)

    parameters = list(_parameters(command, hints, groups))
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call


def _parameters(command: Callable[..., None], hints: dict[str, Any], groups: dict[str, Any]) -> Iterator[Parameter]:
    for one in signature(command).parameters.values():
        if one.name not in groups:
            yield one.replace(annotation=hints[one.name])
            continue
        types = get_type_hints(groups[one.name], include_extras=True)
        for option in fields(groups[one.name]):
            yield Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=types[option.name])

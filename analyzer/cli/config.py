"""`[tool.pcaplint]` in pyproject.toml or pcaplint.toml: defaults for options, and `pcaplint config show`.

The nearest file counts, from the working directory up to the root of its repository and no further (outside a repository, in the working
directory alone). Unknown keys are refused with near matches; the command line wins. No key names a program to run or a file to write, so
that running the command in a checkout of somebody else is safe.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand

from analyzer import files
from analyzer.cli import output
from analyzer.errors import RuleError, UsageError, raise_if_exhausted
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 1_000_000
_OWN: Final = "pcaplint.toml"
_SHARED: Final = "pyproject.toml"

SETTINGS: Final[dict[str, tuple[str, Any]]] = {
    "fail-on": ("fail_on", "warning"),
    "select": ("select", []),
    "ignore": ("ignore", []),
    "rules": ("rules", []),
    "format": ("format_name", "text"),
    "color": ("color", "auto"),
    "timeout": ("timeout", None),
    "allow-empty": ("allow_empty", False),
    "expect": ("no_expect", True),
    "baseline": ("baseline", None),
}
"""Each key, the parameter of commands that it is a default for, and what holds without it."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings found, and the file they stand in."""

    path: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """Return the settings as defaults by parameter name; paths are below the file's folder."""
        return {SETTINGS[key][0]: self._default(key, value) for key, value in self.settings.items()}

    def _default(self, key: str, value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
        folder = self.path.parent if self.path else Path()
        if key == "expect":
            return not value
        if key == "baseline":
            return str(folder / value)
        return [str(folder / entry) for entry in value] if key == "rules" else value


class Configured(TyperCommand):
    """A command whose options take their defaults from the configuration; asking for help does not read it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own context is not public
        """Put the configuration under the options, then parse."""
        if not {"-h", "--help"} & set(args):
            own = {parameter.name for parameter in self.params}
            ctx.default_map = {name: value for name, value in find().defaults().items() if name in own}
        return super().parse_args(ctx, args)


def find(start: Path | None = None) -> Config:
    """Return the nearest configuration, empty when there is none. Raises `UsageError` for one that is refused."""
    try:
        here = (start or Path.cwd()).resolve()
    except OSError:
        # The working folder is not there any more, and no configuration with it.
        return Config()
    for folder in _folders(here):
        for name in (_OWN, _SHARED):
            path = folder / name
            if not _is_there(path) or (name == _SHARED and not _mentioned(path)):
                continue
            settings = _read(path)
            if settings is not None:
                return Config(_shorten(path, here), settings)
    return Config()


def _folders(here: Path) -> list[Path]:
    chain = [here, *here.parents]
    roots = [number for number, folder in enumerate(chain) if os.path.exists(folder / ".git")]  # noqa: PTH110 - Path.exists may raise
    return chain[: roots[0] + 1] if roots else [here]


def _is_there(path: Path) -> bool:
    """Return whether there is a file at `path`. Raises `UsageError` for what is none: settings that may be in it would not count."""
    reason = files.unreadable_reason(path)
    if reason:
        message = f"{path}: {reason}"
        raise UsageError(message)
    return reason is not None


def _mentioned(path: Path) -> bool:
    """Return whether a pyproject.toml may configure pcaplint; others are not parsed.

    Raises `UsageError` when that cannot be determined.
    """
    try:
        with files.open_regular(path) as file:
            return b"pcaplint" in file.read(MAX_BYTES + 1)
    except OSError as error:
        raise_if_exhausted(error)
        message = f"{path}: {error.strerror}"
        raise UsageError(message) from None


def _shorten(path: Path, here: Path) -> Path:
    return Path(path.name) if path.parent == here else path


def _read(path: Path) -> dict[str, Any] | None:
    """Return the settings in `path`, None when it is a pyproject.toml without our table."""
    from analyzer.rules import toml_loader

    try:
        document = toml_loader.read(path, limit=MAX_BYTES)
        if path.name == _SHARED:
            document = document.get("tool", {}).get("pcaplint")
            if document is None:
                return None
        if isinstance(document, dict):
            _refuse_unknown(document, path)
        toml_loader.check(document, "config", path)
    except RuleError as error:
        raise UsageError(str(error)) from None
    return document


def _refuse_unknown(settings: dict[str, Any], path: Path) -> None:
    for key in settings:
        if key not in SETTINGS:
            near = get_close_matches(key, SETTINGS, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(SETTINGS)}"
            message = f"{path}: no setting is called {key}: {hint}"
            raise UsageError(message)


config = typer.Typer(name="config", no_args_is_help=True, rich_markup_mode=None, help="Show the configuration.")


@config.callback()
def _only() -> None:
    """Keep `show` a command of its own."""


@config.command()
def show() -> None:
    """Print each setting, its value and where it comes from."""
    output.write(_lines(find()), None)


def _lines(found: Config) -> Iterator[str]:
    longest = max(map(len, SETTINGS))
    for key, (_, default) in SETTINGS.items():
        origin = str(found.path) if key in found.settings else "default"
        value = json.dumps(found.settings.get(key, default), ensure_ascii=False)
        yield printable(f"{key.ljust(longest)}  {value.ljust(12)}  {origin}") + "\n"

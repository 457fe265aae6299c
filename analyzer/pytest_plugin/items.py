"""Entries of an expect.toml as test items: each capture that it names must be as expected, and else clean."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from analyzer.errors import PcaplintError
from analyzer.pytest_plugin import checks
from analyzer.pytest_plugin.options import CheckOptions
from analyzer.pytest_plugin.update import PROPERTY, counts

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

    from analyzer.model import Report

_REPORTS: Final[pytest.StashKey[dict[Hashable, Report]]] = pytest.StashKey()


class ExpectationFile(pytest.File):
    """One expect.toml."""

    def collect(self) -> Iterator[ExpectationItem]:
        """Yield an item for each capture that the file names, by name or by a glob."""
        from analyzer.suppression import expectations

        try:
            expected = expectations.load(self.path)
        except PcaplintError as error:
            raise self.CollectError(str(error)) from None
        for capture in expected:
            name = os.path.relpath(capture, os.path.realpath(self.path.parent))
            item: ExpectationItem = ExpectationItem.from_parent(self, name=name)
            yield item


class ExpectationItem(pytest.Item):
    """One capture that an expect.toml names."""

    def runtest(self) -> None:
        """Judge the capture; with --pcaplint-update note what is in it instead."""
        path = self.path.parent / self.name
        options = CheckOptions(fail_on=self.config.getini("pcaplint_fail_on"))
        reports = self.config.stash.setdefault(_REPORTS, {})
        if self.config.getoption("pcaplint_update"):
            report = checks.judge(path, options.replaced({"expect": False}, "update"), reports)
            self.user_properties.append((PROPERTY, {"file": str(self.path), "capture": self.name, "counts": counts(report)}))
            _refuse_unlisted(report, self.path, path)
            return
        checks.CheckedCapture(path, options, self._folder(), reports).assert_clean()

    def _folder(self) -> Path:
        """Return a folder for failing connections, below pytest's own temporary folder."""
        factory: pytest.TempPathFactory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001 - items have no fixtures
        return factory.mktemp("pcaplint")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401 - pytest's signature
        """Return the message of a failure, without a traceback of the plugin."""
        if isinstance(excinfo.value, (AssertionError, PcaplintError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the file, and the heading of a failure: no end of the node id, in which pytest would replace dots."""
        return self.path, None, f"{self.path.name}: {self.name}"


def _refuse_unlisted(report: Report, file: Path, capture: Path) -> None:
    """Raise `AssertionError` for what makes `report` fail and has no entry in `file`: its reason cannot be made up."""
    from analyzer import files
    from analyzer.suppression import expect_draft, expectations

    listed = {(one.kind, one.name) for one in expectations.load(file)[files.identify(capture)]}
    missing = [" ".join(name) for name in expect_draft.failing(report, capture) if name not in listed]
    if missing:
        message = f"{file}: {capture.name} has no entry for {', '.join(missing)}: add one, with its reason"
        raise AssertionError(message)

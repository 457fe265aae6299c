"""pytest plugin: captures as fixtures, loopback traffic recorded during a test, entries of expect.toml as test items.

Importing it imports neither pandas nor typer, and a run of pytest without its fixtures and options is unchanged.
Reading and judging captures is left to `api.analyze`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from analyzer.pytest_plugin.options import FAIL_ON, KEEP, CheckOptions

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterator
    from pathlib import Path

    from pluggy import Result

    from analyzer.model import Report
    from analyzer.pytest_plugin.checks import Checker
    from analyzer.pytest_plugin.items import ExpectationFile
    from analyzer.pytest_plugin.recorder import Recorder

_EXPECTATIONS: Final = "expect.toml"
_FAILED: Final = pytest.StashKey[bool]()
"""Whether a phase of a test has failed so far."""
_CACHE: Final[pytest.StashKey[dict[Hashable, Report]]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and ini values of the plugin."""
    group = parser.getgroup("pcaplint", "packet captures")
    group.addoption("--pcaplint", action="store_true", help="collect each capture that an expect.toml names as a test item")
    group.addoption("--pcaplint-update", action="store_true", help="rewrite the counts in expect.toml files; reasons are kept")
    group.addoption("--pcaplint-keep", choices=KEEP, help="which recordings of pcap_recorder to keep (default: on-failure)")
    parser.addini("pcaplint_collect", "collect each capture that an expect.toml names as a test item", type="bool", default=False)
    parser.addini("pcaplint_keep", f"which recordings of pcap_recorder to keep: {', '.join(KEEP)}", default="on-failure")
    parser.addini("pcaplint_fail_on", f"lowest severity that fails a capture: {', '.join(FAIL_ON)}", default="warning")
    parser.addini("pcaplint_folder", "folder of captures, relative to the rootdir", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; refuse ini values that mean nothing."""
    config.addinivalue_line(
        "markers",
        "pcaplint(select, ignore, rules, fail_on, expect, baseline, engine, openings_only): options of the pcaplint fixture for a test",
    )
    for name, allowed in (("pcaplint_keep", KEEP), ("pcaplint_fail_on", FAIL_ON)):
        if config.getini(name) not in allowed:
            message = f"{name} = {config.getini(name)!r} is not one of {', '.join(allowed)}"
            raise pytest.UsageError(message)
    if config.getoption("pcaplint_update") and not hasattr(config, "workerinput"):
        from analyzer.pytest_plugin.update import Updates

        config.pluginmanager.register(Updates(), "pcaplint-updates")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ExpectationFile | None:
    """Collect an expect.toml where that is switched on."""
    config = parent.config
    if file_path.name != _EXPECTATIONS or not (
        config.getoption("pcaplint") or config.getoption("pcaplint_update") or config.getini("pcaplint_collect")
    ):
        return None
    from analyzer.pytest_plugin.items import ExpectationFile

    collected: ExpectationFile = ExpectationFile.from_parent(parent, path=file_path)
    return collected


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Result[pytest.TestReport], None]:
    """Remember that a test has failed: its captures are kept."""
    outcome = yield
    item.stash[_FAILED] = item.stash.get(_FAILED, False) or outcome.get_result().failed


def _options(request: pytest.FixtureRequest) -> CheckOptions:
    marker = request.node.get_closest_marker("pcaplint")
    default = CheckOptions(fail_on=request.config.getini("pcaplint_fail_on"))
    return default.replaced(marker.kwargs if marker else {}, "marker pcaplint")


@pytest.fixture
def pcaplint(request: pytest.FixtureRequest, tmp_path: Path) -> Checker:
    """Return a function that takes the path of a capture and gives a `CheckedCapture`, whose methods assert what is in it.

    A relative path is looked up in the folder of the test, in `pcaplint_folder` and in the rootdir. Keyword arguments are those of the
    marker `pcaplint`, and override it.
    """
    from analyzer.pytest_plugin.checks import Checker

    config = request.config
    folders = [request.path.parent, config.rootpath / config.getini("pcaplint_folder"), config.rootpath]
    return Checker(_options(request), tuple(dict.fromkeys(folders)), tmp_path, config.stash.setdefault(_CACHE, {}))


@pytest.fixture
def pcap_recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorder]:
    """Return a function that records loopback traffic while a block runs.

    Used as `with pcap_recorder(port=8080) as capture:`. The test is skipped, with the reason, where capturing is not possible.
    Captures are written to the test's `tmp_path`, and are kept according to `--pcaplint-keep`.
    """
    from analyzer.pytest_plugin.recorder import Recorder

    recorder = Recorder(tmp_path)
    yield recorder
    keep = request.config.getoption("pcaplint_keep") or request.config.getini("pcaplint_keep")
    recorder.stop()
    if keep == "always" or (keep == "on-failure" and request.node.stash.get(_FAILED, False)):
        request.node.add_report_section("teardown", "pcaplint", "".join(f"capture: {path}\n" for path in recorder.paths))
    else:
        recorder.remove()

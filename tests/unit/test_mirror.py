"""Every module of `analyzer/` has a test file in the same place below tests/unit."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WITHOUT = frozenset(
    [
        "_typing.py",
        "api.py",
        "capture/choose_engine.py",
        "capture/count.py",
        "capture/decode/checksum.py",
        "capture/decode/dictionary.py",
        "capture/decode/encapsulations.py",
        "capture/decode/icmp.py",
        "capture/decode/ip.py",
        "capture/decode/link.py",
        "capture/decode/pseudowires.py",
        "capture/diagnostics.py",
        "capture/erf.py",
        "capture/exit_status.py",
        "capture/extract.py",
        "capture/formats/clocks.py",
        "capture/formats/compression.py",
        "capture/formats/pcap.py",
        "capture/formats/pcapng.py",
        "capture/formats/pcapng_blocks.py",
        "capture/formats/resync.py",
        "capture/formats/scan.py",
        "capture/formats/window.py",
        "capture/metadata.py",
        "capture/native/batches.py",
        "capture/native/engine.py",
        "capture/native/merge.py",
        "capture/native/pool.py",
        "capture/native/worker.py",
        "capture/recovery.py",
        "capture/temporary.py",
        "capture/tshark/batch_view.py",
        "capture/tshark/delegate.py",
        "capture/tshark/fields.py",
        "capture/tshark/pseudo_header.py",
        "capture/tshark/remainder.py",
        "capture/tshark/sandbox.py",
        "cli/commands/report.py",
        "cli/commands/schema.py",
        "cli/streams.py",
        "connections/concat.py",
        "connections/grouping.py",
        "connections/icmp.py",
        "connections/port_reuse.py",
        "connections/port_reuse_fast.py",
        "connections/timewait.py",
        "connections/tuple_key.py",
        "dialogues/checks.py",
        "dialogues/context.py",
        "dialogues/dispatch.py",
        "dialogues/results.py",
        "dialogues/tables.py",
        "errors.py",
        "findings/event.py",
        "execution/local.py",
        "files.py",
        "language/compile/names.py",
        "model.py",
        "notation/from_tables.py",
        "notation/grammar.py",
        "notation/options.py",
        "notation/packets.py",
        "notation/scanner.py",
        "notation/text.py",
        "notation/to_tables.py",
        "notation/values.py",
        "openings/evidence.py",
        "openings/facts/connection.py",
        "openings/facts/context.py",
        "openings/facts/machine.py",
        "openings/facts/options.py",
        "openings/facts/sack.py",
        "openings/facts/segment.py",
        "openings/machine/block.py",
        "openings/machine/compiler.py",
        "openings/machine/conclude.py",
        "openings/machine/scalar.py",
        "openings/machine/state.py",
        "openings/machine/trace.py",
        "openings/machine/vector.py",
        "openings/steps.py",
        "openings/tables.py",
        "pipeline/stages.py",
        "protocols/api.py",
        "protocols/columnar.py",
        "protocols/ftp/greeting.py",
        "protocols/ftp/pending.py",
        "protocols/ftp/rows.py",
        "protocols/ftp/setup.py",
        "protocols/ftp/state.py",
        "protocols/ftp/summary.py",
        "protocols/http/credentials.py",
        "protocols/http/exchanges.py",
        "protocols/http/fast_columns.py",
        "protocols/http/model.py",
        "protocols/http/resync.py",
        "protocols/http/rows.py",
        "protocols/http/secrets.py",
        "protocols/http/summary.py",
        "protocols/http/upgrade.py",
        "protocols/redacted.py",
        "protocols/smtp/commands.py",
        "protocols/smtp/delivery.py",
        "protocols/smtp/messages.py",
        "protocols/smtp/replies.py",
        "protocols/smtp/session.py",
        "protocols/smtp/state.py",
        "protocols/smtp/summary.py",
        "protocols/smtp/starttls.py",
        "protocols/spellings.py",
        "reassembly/overlaps.py",
        "reassembly/reader.py",
        "report/issues.py",
        "report/terminal/dialogue_view.py",
        "report/terminal/finding_line.py",
        "rules/check.py",
        "rules/finding.py",
        "rules/lint.py",
        "rules/machine.py",
        "rules/opening.py",
        "rules/protocols.py",
        "rules/vocabulary.py",
        "schema.py",
    ]
)
"""Modules without a test file of their own: other tests reach them. This list may only shrink."""


def modules() -> set[str]:
    paths = (path.relative_to(ROOT / "analyzer") for path in (ROOT / "analyzer").rglob("*.py"))
    return {path.as_posix() for path in paths if path.name not in {"__init__.py", "__main__.py"}}


def mirrored() -> set[str]:
    unit = ROOT / "tests" / "unit"
    found = {path.relative_to(unit).with_name(path.name.removeprefix("test_")).as_posix() for path in unit.rglob("test_*.py")}
    modules_of_commands = {path.name for path in (ROOT / "analyzer" / "cli" / "commands").glob("*.py")}
    names = [path.name.removeprefix("test_") for path in (ROOT / "tests" / "cli").glob("test_*.py")]
    return found | {f"cli/commands/{name}" if name in modules_of_commands else f"cli/{name}" for name in names}


def test_every_module_has_its_test_file() -> None:
    assert modules() - mirrored() - WITHOUT == set()


def test_the_list_of_modules_without_tests_shrinks() -> None:
    assert set(WITHOUT) & mirrored() == set(), "these have tests now: take them off the list"
    assert set(WITHOUT) - modules() == set(), "these are gone: take them off the list"

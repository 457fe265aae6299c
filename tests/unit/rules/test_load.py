"""Users' rule folders: what a good one changes, and that a bad one is refused whole, with file, entry and key path."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer import connections, notation, openings, rules
from analyzer.errors import RuleError, UsageError
from analyzer.rules import toml_loader

if TYPE_CHECKING:
    from analyzer.rules import RuleSet

HEAD = 'schema = 1\nextends = "opening"\n'
ROW = """
[[row]]
id = "tiny-window"
before = "synack"
at = { client = "SYN_SENT", server = "LISTEN" }
match = "server synack"
"""
TINY = ROW + 'when = "window in [0, 4]"\n'
FINDING = """
schema = 1
id = "synack-tiny-window"
severity = "warning"
title = "SYN+ACK offers next to no window"
message = "The SYN+ACK offers a window of {window} bytes."
why = "Nothing fits into it."
references = ["RFC 9293 3.8.6"]
causes = ["A tarpit."]

[[example]]
fires = true
segments = "> S 100:100(0)"

[[example]]
fires = false
segments = "> S 200:200(0)"
"""
TARPIT = """
> S 100:100(0) win 64240
< S. 300:300(0) ack 101 win 3
> . 101:101(0) ack 301
"""
WRONG_ACK = """
> S 100:100(0) win 64240
< S. 300:300(0) ack 102
"""


def _folder(path: Path, *, opening: str | bytes | None = None, **findings: str) -> Path:
    """Write a rule folder: opening.toml, and one file a finding (underscores for hyphens)."""
    path.mkdir(exist_ok=True)
    if opening is not None:
        (path / "opening.toml").write_bytes(opening if isinstance(opening, bytes) else opening.encode())
    for name, text in findings.items():
        (path / f"{name.replace('_', '-')}.toml").write_text(text, encoding="utf-8")
    return path


def _found(text: str, loaded: RuleSet) -> dict[str, str]:
    """Return the message of each finding on the script `text`, by id."""
    judged = openings.judge(connections.group([notation.capture(notation.parse(text))]), loaded)
    return dict(zip(judged.findings["id"], judged.findings["message"], strict=True))


def _verdicts(text: str, loaded: RuleSet) -> list[str]:
    judged = openings.judge(connections.group([notation.capture(notation.parse(text))]), loaded)
    return [loaded.verdicts[number].name for number in judged.verdict]


def _refusal(folder: Path) -> str:
    """Return what `load` says when it refuses `folder`."""
    with pytest.raises(RuleError) as refused:
        rules.load([folder])
    return str(refused.value)


# ── Good folders ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_shipped_rules_pass_their_own_checks() -> None:
    assert rules.load(check=True).machine == rules.load().machine


def test_row_is_tried_before_the_one_it_names(tmp_path: Path) -> None:
    text = HEAD + TINY + 'emit = "synack-tiny-window"\n'
    loaded = rules.load([_folder(tmp_path, opening=text, synack_tiny_window=FINDING)])
    ids = [row.id for row in loaded.machine.rows]
    assert ids.index("tiny-window") == ids.index("synack") - 1
    assert loaded.findings["synack-tiny-window"].severity == "warning"
    # The user's row moves nothing, so the third segment finds nobody to confirm.
    assert _found(TARPIT, loaded)["synack-tiny-window"] == "The SYN+ACK offers a window of 3 bytes."
    assert _verdicts(TARPIT, loaded) == ["invalid"]
    assert _verdicts(TARPIT.replace("win 3", "win 3000"), loaded) == ["complete"]


def test_row_may_move_and_remember_what_the_shipped_one_does(tmp_path: Path) -> None:
    shipped = next(row for row in _shipped_rows() if row.startswith('id = "synack"\n'))
    body = shipped.replace('"synack"', '"synack-tiny"', 1).replace("not stale", "not stale and window in [0, 4]")
    row = "[[row]]\n" + body.replace("emit = {", 'before = "synack"\nemit = { synack-tiny-window = "true",')
    loaded = rules.load([_folder(tmp_path, opening=HEAD + row, synack_tiny_window=FINDING)])
    assert "synack-tiny-window" in _found(TARPIT, loaded)
    assert _verdicts(TARPIT, loaded) == ["complete"]


def _shipped_rows() -> list[str]:
    """Return the text of each row of the shipped opening.toml, comments and the header left out."""
    from analyzer.rules import toml_loader

    text = (toml_loader.shipped() / "opening.toml").read_text(encoding="utf-8")
    return [part.split("\n", 1)[1].split("\n\n")[0] for part in text.split("[[row]]")[1:]]


def test_verdict_is_tried_before_the_one_it_names(tmp_path: Path) -> None:
    text = """
    [[verdict]]
    is = "tarpit"
    before = "complete"
    outcome = "not-opened"
    counts_as = "warning"
    meaning = "Complete, but to what end?"
    when = 'seen("ack3-data")'
    """
    loaded = rules.load([_folder(tmp_path, opening=HEAD + text)])
    assert _verdicts(TARPIT.replace("101:101(0)", "101:111(10)"), loaded) == ["tarpit"]
    assert _verdicts(TARPIT, loaded) == ["complete"]


def test_severity_changes_without_changing_what_is_found(tmp_path: Path) -> None:
    loaded = rules.load([_folder(tmp_path, opening=HEAD + '[severity]\nsynack-ack-wrong = "note"\n')])
    shipped = rules.load()
    assert loaded.findings["synack-ack-wrong"].severity == "note"
    assert shipped.findings["synack-ack-wrong"].severity == "error"
    assert _found(WRONG_ACK, loaded) == _found(WRONG_ACK, shipped)


def test_disabled_finding_is_gone_and_the_verdict_stays(tmp_path: Path) -> None:
    loaded = rules.load([_folder(tmp_path, opening=HEAD + 'disable = ["synack-ack-wrong"]\n')])
    assert "synack-ack-wrong" not in loaded.findings
    assert "synack-ack-wrong" not in loaded.reported
    assert "synack-ack-wrong" not in _found(WRONG_ACK, loaded)
    assert _verdicts(WRONG_ACK, loaded) == _verdicts(WRONG_ACK, rules.load()) == ["invalid"]


def test_finding_of_the_same_name_replaces_the_shipped_one(tmp_path: Path) -> None:
    text = FINDING.replace("synack-tiny-window", "synack-ack-wrong").replace("{window}", "{expected}")
    loaded = rules.load([_folder(tmp_path, synack_ack_wrong=text)])
    assert _found(WRONG_ACK, loaded)["synack-ack-wrong"] == "The SYN+ACK offers a window of 101 bytes."


def test_later_folder_wins_and_order_of_folders_is_kept(tmp_path: Path) -> None:
    one = _folder(tmp_path / "one", opening=HEAD + '[severity]\nsyn-data = "error"\n')
    two = _folder(tmp_path / "two", opening=HEAD + '[severity]\nsyn-data = "warning"\n')
    assert rules.load([one, two]).findings["syn-data"].severity == "warning"
    assert rules.load([two, one]).findings["syn-data"].severity == "error"


def test_digest_tells_rule_sets_apart(tmp_path: Path) -> None:
    folder = _folder(tmp_path, opening=HEAD)
    before = rules.load([folder]).digest
    assert before == rules.load([folder]).digest != rules.load().digest
    _folder(tmp_path, opening=HEAD + "# other bytes\n")
    assert rules.load([folder]).digest != before
    assert re.fullmatch(r"[0-9a-f]{16}", before)


# ── Broken machines ──────────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN = {
    "a state that does not exist": (ROW + 'to = { client = "OPEN" }\n', ["row tiny-window", "to.client", "OPEN"]),
    "an unknown key in a row": (TINY + "frob = 1\n", ["row tiny-window", "frob"]),
    "an unknown key in the file": ("frob = 1\n", ["frob"]),
    "a key of another type": ('disable = "syn-data"\n', ["disable"]),
    "a severity that does not exist": ('[severity]\nsyn-data = "fatal"\n', ["severity", "syn-data", "fatal"]),
    "a name that is not declared": (ROW + 'when = "frobs == 1"\n', ["row tiny-window", "when", "frobs"]),
    "a field that is not declared": (ROW + 'when = "syn.frob == ack"\n', ["row tiny-window", "when", "syn.frob"]),
    "a target that is not declared": (TINY + 'set = { frob = "1" }\n', ["row tiny-window", "set", "frob"]),
    "a record that is not declared": (TINY + 'add = "frob"\n', ["row tiny-window", "frob"]),
    "a value that is not declared": (TINY + 'values = { x = "frob" }\n', ["row tiny-window", "values.x", "frob"]),
    "a row that nothing is before": (TINY.replace('before = "synack"', 'before = "frob"'), ["row tiny-window", "before", "frob"]),
    "less-than between sequence numbers": (ROW + 'when = "seq < ack"\n', ["row tiny-window", "when", "< has no meaning"]),
    "a sequence number compared with a time": (ROW + 'when = "seq == time"\n', ["row tiny-window", "when"]),
    "a negation over candidates": (ROW + 'when = "not ack == syn.isn"\n', ["row tiny-window", "when", "negation", "syn"]),
    "a difference over candidates": (ROW + 'when = "ack != syn.isn"\n', ["row tiny-window", "when", "negation", "syn"]),
    "a value of another kind": (TINY + 'set = { fast = "seq" }\n', ["row tiny-window", "set.fast", "flag"]),
    "a class that does not exist": (TINY.replace("server synack", "server frob"), ["row tiny-window", "match", "frob"]),
    "an expression that ends too early": (ROW + 'when = "seq == "\n', ["row tiny-window", "when", "column 8"]),
    "an expression in Python": (ROW + 'when = "__import__(1)"\n', ["row tiny-window", "when", "column"]),
    "an expression nested too deeply": (ROW + f'when = "{"(" * 9}fin{")" * 9}"\n', ["row tiny-window", "when", "deep"]),
    "an expression too long": (ROW + f'when = "{"fin or " * 80}fin"\n', ["row tiny-window", "when"]),
    "an expression about an id that does not exist": (ROW + "when = 'seen(\"frob\")'\n", ["row tiny-window", "when", "frob"]),
    "a row that earlier rows leave nothing to": (ROW.replace('"synack"', '"stray-fin"'), ["row tiny-window", "never reached"]),
    "a row that leaves nothing to later ones": (ROW, ["row synack", "never reached"]),
    "an id that is used already": (TINY.replace('"tiny-window"', '"ack3"'), ["row ack3", "twice"]),
    "a finding that no file describes": (TINY + 'emit = "frob"\n', ["frob", "no file describes"]),
    "a disabled id that does not exist": ('disable = ["syn-dat"]\n', ["syn-dat", "syn-data"]),
    "a severity for an id that does not exist": ('[severity]\nsyn-dat = "error"\n', ["syn-dat", "syn-data"]),
    "a key twice": ("schema = 1\n", ["line 3"]),
    "text that is no TOML": ("a = = 1\n", ["line 3", "column 5"]),
    "brackets without end": ("a = " + "[" * 3000, ["deep", "line 3"]),
    "brackets without end, a line each": ("a = " + "[\n" * 3000, []),
    "tables in tables": ("a = " + "{ a = " * 3000, ["deep"]),
    "a key of many parts": (".".join(["a"] * 10_000) + " = 1", ["line 3"]),
    "a table header of many parts": ("[" + ".".join(["a"] * 10_000) + "]", ["parts"]),
    "a number that takes too long to read": ("a = 1" + "0" * 6000, ["limit"]),
    "a file that is too large": ("#" * 64_000, ["64000 bytes"]),
}


@pytest.mark.parametrize(("text", "fragments"), BROKEN.values(), ids=[name.replace(" ", "-") for name in BROKEN])
def test_broken_machine_is_refused_with_file_and_place(tmp_path: Path, text: str, fragments: list[str]) -> None:
    message = _refusal(_folder(tmp_path, opening=HEAD + text))
    assert str(tmp_path / "opening.toml") in message
    assert [part for part in fragments if part not in message] == []


def test_verdicts_must_end_in_a_default(tmp_path: Path) -> None:
    text = '[[verdict]]\nis = "rest"\nbefore = "complete"\noutcome = "opened"\ncounts_as = "pass"\nmeaning = "Whatever is left."\n'
    message = _refusal(_folder(tmp_path, opening=HEAD + text))
    assert "verdict rest" in message
    assert str(tmp_path / "opening.toml") in message


def test_last_verdict_must_have_no_condition() -> None:
    """Only a whole machine can lack it, since a folder inserts before a named verdict."""
    from dataclasses import replace

    from analyzer.rules.lint import lint

    loaded = rules.load()
    machine = replace(loaded.machine, verdicts=loaded.verdicts[:-1])
    faults = lint(machine, loaded.findings, Path("opening.toml"))
    assert f"opening.toml: verdict {machine.verdicts[-1].name}: the last verdict must have no condition" in faults


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    message = _refusal(_folder(tmp_path, opening=HEAD.encode() + b'# \xff\nid = "\xff"\n'))
    assert str(tmp_path / "opening.toml") in message
    assert "utf-8" in message


def test_one_line_a_fault_and_every_fault_of_a_folder(tmp_path: Path) -> None:
    twice = TINY + 'emit = "frob"\n' + TINY.replace('"tiny-window"', '"other"') + 'emit = "grob"\n'
    lines = _refusal(_folder(tmp_path, opening=HEAD + twice)).splitlines()
    assert [line for line in lines if "frob" in line]
    assert [line for line in lines if "grob" in line]


# ── Broken findings ──────────────────────────────────────────────────────────────────────────────────────────────────────

BROKEN_FINDINGS = {
    "a key that is missing": (FINDING.replace('severity = "warning"\n', ""), ["severity", "required"]),
    "a severity that does not exist": (FINDING.replace('"warning"', '"fatal"'), ["severity", "fatal"]),
    "an unknown key": (FINDING.replace("[[example]]", "frob = 1\n[[example]]", 1), ["frob"]),
    "an unknown tool": (FINDING + '[other_tools]\nfrob = "x"\n', ["other_tools", "frob"]),
    "another id than its file's name": (FINDING.replace('id = "synack-tiny-window"', 'id = "frob"'), ["frob"]),
    "a place that nothing fills": (FINDING.replace("{window}", "{frob}"), ["frob"]),
    "no example that fires": (FINDING.replace("fires = true", "fires = false"), ["fires"]),
    "no near miss": (FINDING.replace("fires = false", "fires = true"), ["silent"]),
    "no line of what to check next": (FINDING.replace("\n[[example]]", "next = []\n[[example]]", 1), ["next"]),
    "four lines of it": (FINDING.replace("\n[[example]]", f"next = {['Look at the log.'] * 4}\n[[example]]", 1), ["next"]),
    "a line of it that is too long": (FINDING.replace("\n[[example]]", f'next = ["{"x" * 161}"]\n[[example]]', 1), ["next[0]"]),
    "a line of it that is no text": (FINDING.replace("\n[[example]]", "next = [1]\n[[example]]", 1), ["next[0]"]),
    "a key twice": (FINDING + "fires = false\n", ["line"]),
}


@pytest.mark.parametrize(("text", "fragments"), BROKEN_FINDINGS.values(), ids=[name.replace(" ", "-") for name in BROKEN_FINDINGS])
def test_broken_finding_is_refused_with_file_and_place(tmp_path: Path, text: str, fragments: list[str]) -> None:
    folder = _folder(tmp_path, opening=HEAD + TINY + 'emit = "synack-tiny-window"\n', synack_tiny_window=text)
    message = _refusal(folder)
    assert str(tmp_path / "synack-tiny-window.toml") in message
    assert [part for part in fragments if part not in message] == []


def test_what_to_check_next_is_read_and_may_be_left_out(tmp_path: Path) -> None:
    opening = HEAD + TINY + 'emit = "synack-tiny-window"\n'
    assert (
        rules.load([_folder(tmp_path / "without", opening=opening, synack_tiny_window=FINDING)]).findings["synack-tiny-window"].next == ()
    )
    text = FINDING.replace("\n[[example]]", 'next = ["Look at the log.", "Capture again."]\n[[example]]', 1)
    found = rules.load([_folder(tmp_path / "with", opening=opening, synack_tiny_window=text)]).findings["synack-tiny-window"]
    assert found.next == ("Look at the log.", "Capture again.")


def test_a_shipped_rule_without_what_to_check_next_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "rules"
    shutil.copytree(toml_loader.shipped(), home)
    rule = home / "handshake" / "land.toml"
    text = rule.read_text(encoding="utf-8")
    rule.write_text(re.sub(r"(?m)^next = \[\n(?:  .*\n)*\]\n", "", text), encoding="utf-8")
    monkeypatch.setattr(toml_loader, "shipped", lambda: home)
    with pytest.raises(RuleError, match=r"land\.toml: .*'next' is a required property"):
        rules.load(check=True)


CHECK = FINDING.replace("[[example]]", '[check]\nscope = "segment"\nmatch = ["server synack"]\nwhen = "window in [0, 4]"\n\n[[example]]', 1)


def test_finding_may_bring_its_own_check(tmp_path: Path) -> None:
    loaded = rules.load([_folder(tmp_path, synack_tiny_window=CHECK)])
    assert _found(TARPIT, loaded)["synack-tiny-window"] == "The SYN+ACK offers a window of 3 bytes."
    assert _verdicts(TARPIT, loaded) == ["complete"]
    assert "synack-tiny-window" not in _found(TARPIT.replace("win 3", "win 5"), loaded)


BROKEN_CHECKS = {
    "a scope that does not exist": ('scope = "segment"', 'scope = "packet"', ["check.scope", "packet"]),
    "a class that does not exist": ("server synack", "server frob", ["check.match", "frob"]),
    "a row that does not exist": ("server synack", "row frob", ["check.match", "frob"]),
    "a name that does not exist": ("window in [0, 4]", "frobs == 4", ["check.when", "frobs"]),
    "a number for a condition": ("window in [0, 4]", "window", ["check.when", "flag"]),
    "a fact of a connection's end": ("window in [0, 4]", "opened", ["check.when", "opened"]),
    "nothing to match": ('match = ["server synack"]\n', "", ["check.match"]),
    "a grouping that has no use": ("[check]", '[check]\ngroup_by = "client"', ["check.group_by"]),
    "evidence that does not exist": ("[check]", '[check]\nevidence = ["frob"]', ["check.evidence", "frob"]),
    "a place that nothing fills": ("{window}", "{frob}", ["frob"]),
}


@pytest.mark.parametrize(("old", "new", "fragments"), BROKEN_CHECKS.values(), ids=[name.replace(" ", "-") for name in BROKEN_CHECKS])
def test_broken_check_is_refused_with_file_and_place(tmp_path: Path, old: str, new: str, fragments: list[str]) -> None:
    message = _refusal(_folder(tmp_path, synack_tiny_window=CHECK.replace(old, new)))
    assert str(tmp_path / "synack-tiny-window.toml") in message
    assert [part for part in fragments if part not in message] == []


def test_check_of_what_the_machine_emits_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path, opening=HEAD + TINY + 'emit = "synack-tiny-window"\n', synack_tiny_window=CHECK)
    assert "emitted by the machine too" in _refusal(folder)


def test_finding_that_nothing_emits_is_refused(tmp_path: Path) -> None:
    message = _refusal(_folder(tmp_path, synack_tiny_window=FINDING))
    assert str(tmp_path / "synack-tiny-window.toml") in message
    assert "synack-tiny-window can never be found" in message


def test_good_finding_beside_a_broken_machine_is_refused_too(tmp_path: Path) -> None:
    folder = _folder(tmp_path, opening=HEAD + ROW + 'when = "seq < ack"\n', synack_tiny_window=FINDING)
    assert "opening.toml" in _refusal(folder)
    assert rules.load() == rules.load()


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_folder_without_rules_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "rules"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.write_text(HEAD, encoding="utf-8")
    assert str(folder) in _refusal(folder)


# ── Select and ignore ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_select_and_ignore_take_globs() -> None:
    crossing = {id_ for id_ in rules.load().findings if id_.startswith("cross-")}
    assert len(crossing) == 4
    assert rules.load(select=["cross-*"]).reported == crossing
    everything = rules.load().findings
    opt_in = {id_ for id_, finding in everything.items() if finding.opt_in}
    assert rules.load(ignore=["cross-*"]).reported == everything.keys() - crossing - opt_in
    assert opt_in
    assert rules.load(select=["*"]).reported == everything.keys()
    assert rules.load(select=["cross-*"], ignore=["*-seq-wrong"]).reported == {"cross-ack-ack-wrong", "cross-synack-ack-wrong"}


def test_select_changes_what_is_reported_and_nothing_else() -> None:
    chosen = rules.load(select=["syn-data"])
    assert _found(WRONG_ACK, chosen) == {}
    assert _verdicts(WRONG_ACK, chosen) == ["invalid"]
    assert chosen.machine == rules.load().machine


@pytest.mark.parametrize("option", ["select", "ignore"])
@pytest.mark.parametrize(
    ("pattern", "near"), [("synack-ack-wrog", "synack-ack-wrong"), ("syn_data", "syn-data"), ("frob-*", ""), ("Syn-Data", "")]
)
def test_unknown_id_is_a_usage_error_with_a_near_match(option: str, pattern: str, near: str) -> None:
    with pytest.raises(UsageError) as refused:
        rules.load(**{option: [pattern]})  # type: ignore[arg-type]
    assert pattern in str(refused.value)
    assert near in str(refused.value)
    assert "\n" not in str(refused.value)

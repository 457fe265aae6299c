"""Rule files with keys that have a new name: refused with exit status 6 and the new name, by both commands that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

FINDING = """
schema = 1
id = "tiny-window"
severity = "warning"
title = "SYN+ACK offers next to no window"
message = "The SYN+ACK offers a window of {window} bytes."
why = "Nothing fits into it."
references = ["RFC 9293 3.8.6"]
causes = ["A tarpit."]

[other_tools]
zeek = "window_zero"

[check]
scope = "segment"
match = ["server synack"]
when = "window in [0, 4]"

[[example]]
fires = true
segments = '''
> S 100:100(0) win 64240
< S. 300:300(0) ack 101 win 3
'''

[[example]]
fires = false
segments = '''
> S 100:100(0) win 64240
< S. 300:300(0) ack 101 win 64240
'''
"""
CHECK = "[check]\n"
OPENING = """
schema = 1
extends = "opening"

[[row]]
id = "tiny-window"
before = "synack"
at = { client = "SYN_SENT", server = "LISTEN" }
match = "server synack"
when = "window in [0, 4]"

[[row]]
id = "wrong-ack"
before = "synack"
match = "client ack"
evidence = "syn"
values = { expected = "syn.end" }
[row.hold]
at_end = "ack3-ack-wrong"
[row.hold.explained]
match = "server ack"
when = "len > 0"

[[verdict]]
is = "tarpit"
before = "complete"
outcome = "opened"
counts_as = "warning"
meaning = "A window that nothing fits into."
when = "opened"
evidence = "syn"

[[observation]]
id = "seen"
when = "opened"
emit = "mid-stream"
evidence = "syn"
"""

OF_FINDINGS = {
    "peers": ("[other_tools]", "[peers]", "peers", "other_tools"),
    "sign": ("[other_tools]", "[[sign]]\n[other_tools]", "sign", "signature"),
    "dialogue_places": ("[other_tools]", "[dialogue_places]\n[other_tools]", "dialogue_places", "dialogue_evidence"),
    "exchange_places": ("[other_tools]", "[exchange_places]\n[other_tools]", "exchange_places", "exchange_evidence"),
    "check.see": ("match = ", "see = ", "check.see", "match"),
    "check.say": (CHECK, CHECK + 'say = { x = "window" }\n', "check.say", "values"),
    "check.cite": (CHECK, CHECK + 'cite = ["first_syn"]\n', "check.cite", "evidence"),
    "check.over": (CHECK, CHECK + 'over = "client"\n', "check.over", "group_by"),
    "check.of": (CHECK, CHECK + 'of = "n_syn > 1"\n', "check.of", "where"),
    "scope": ('scope = "segment"', 'scope = "job"', 'check.scope: the scope "job"', '"correlation"'),
}
OF_OPENINGS = {
    "row see": ('match = "server synack"', 'see = "server synack"', "row tiny-window: see", "match"),
    "row say": ("values = ", "say = ", "row wrong-ack: say", "values"),
    "row cite": ('evidence = "syn"\nvalues', 'cite = "syn"\nvalues', "row wrong-ack: cite", "evidence"),
    "hold see": ('match = "server ack"', 'see = "server ack"', "row wrong-ack: hold.explained.see", "match"),
    "hold say": ('when = "len > 0"', 'say = { x = "len" }', "row wrong-ack: hold.explained.say", "values"),
    "hold cite": ('when = "len > 0"', 'cite = "syn"', "row wrong-ack: hold.explained.cite", "evidence"),
    "verdict cite": ('when = "opened"\nevidence', 'when = "opened"\ncite', "verdict tarpit: cite", "evidence"),
    "observation cite": ('emit = "mid-stream"\nevidence', 'emit = "mid-stream"\ncite', "observation seen: cite", "evidence"),
}


@pytest.mark.parametrize("case", OF_FINDINGS)
def test_an_old_key_of_a_finding_is_refused_with_the_new_name(pcaplint: Run, tmp_path: Path, case: str) -> None:
    new_text, old_text, where, new = OF_FINDINGS[case]
    assert new_text in FINDING
    _assert_refused(pcaplint, tmp_path / "tiny-window.toml", FINDING.replace(new_text, old_text, 1), f"{where} is now called {new}")


@pytest.mark.parametrize("case", OF_OPENINGS)
def test_an_old_key_of_the_machine_is_refused_with_the_new_name(pcaplint: Run, tmp_path: Path, case: str) -> None:
    new_text, old_text, where, new = OF_OPENINGS[case]
    assert new_text in OPENING
    _assert_refused(pcaplint, tmp_path / "opening.toml", OPENING.replace(new_text, old_text, 1), f"{where} is now called {new}")


def _assert_refused(pcaplint: Run, path: Path, text: str, message: str) -> None:
    """Both commands end with status 6 and one line: the file, where the old key is, and the new name."""
    path.write_text(text, encoding="utf-8")
    for command in (("rules", "check", path.parent), ("check", "--rules", path.parent, "-")):
        status, out, err = pcaplint(*command)
        assert (status, out) == (6, "")
        lines = [line for line in err.splitlines() if f"{path}: " in line]
        assert [line.partition(f"{path}: ")[2].replace(": this key is", " is") for line in lines] == [message]


def test_the_new_names_are_taken(pcaplint: Run, tmp_path: Path) -> None:
    (tmp_path / "tiny-window.toml").write_text(FINDING, encoding="utf-8")
    status, _, err = pcaplint("rules", "check", tmp_path)
    assert (status, err) == (0, "")

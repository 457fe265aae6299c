"""The reference page of all rules, generated from the rule files: rules/README.md.

The same files give the same text, byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analyzer.notation import GRAMMAR
from analyzer.rules import vocabulary
from analyzer.rules.check import DIALOGUE_SCOPES
from analyzer.rules.protocols import ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.rules import Finding, RuleSet
    from analyzer.rules.protocols import Protocol
    from analyzer.rules.vocabulary import Fact

_HEAD: Final = """# Rules

Made from the rule files; `python -m analyzer.rules.reference_page > rules/README.md` makes it anew.

`opening.toml` is the state machine of an opening. Each other file describes one finding: its name, its severity, why
it matters, and examples that the tests run. A finding is there because a row, hold, verdict or observation of the machine
emits it, or because the `[check]` table of its own file holds:

```toml
[check]
scope = "segment"            # segment, connection, correlation, dialogue or exchange
match = ["any syn"]          # of a segment check: sender (client, server, any) and class; `row ID`: where that row fired
when = "window_scale > 14"   # the condition; what is unknown does not hold
values = { shift = "window_scale" } # numbers for the placeholders of the message; durations in milliseconds
```

The keys above `[check]` are text for people: `title`, `message` (one sentence, with placeholders), `why`, `causes`, `references`,
`other_tools` (the finding's name elsewhere) and `next`: one to three lines that say what to check next.

A connection check may name what holds at the end of a connection: the variables and records of the machine, and the facts below;
`evidence` names the segments that prove it. A correlation check groups connections (`group_by`) and counts those that `where` holds of;
its condition is about one group. Where a header was not captured whole, an option that was not found is unknown, not absent.

A dialogue check is about the whole dialogue of a connection, an exchange check about a command and its reply or a request and its
response (and about the dialogue it belongs to); both name their evidence. The protocol is that of the file's folder, or of
`protocol = "smtp"`; a check in another folder is about dialogues of any protocol. The facts and the evidence that may be named are
declared in `protocols/`, with the signatures of a protocol and the columns of its transactions: see the last sections of this page.

`secrets.toml` defines what is redacted in reports: the names of fields and parameters that hold a secret, in several languages, and
the form of secrets. A `secrets.toml` in a folder given with `--rules` adds to its lists:

```toml
schema = 1

[names]
contains = ["zugangswort"]   # also: whole, ends; `plain` takes words out of names that hold a word by chance

[fields]
keys = ["x-acme-key"]        # header fields whose value is a key: a request with one carries credentials
```
"""


def render(rules: RuleSet) -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_verdicts(rules), *_findings(rules), *_vocabulary(), *_dialogues(rules), *_notation()]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _verdicts(rules: RuleSet) -> Iterator[str]:
    yield from ("## Verdicts", "", "| verdict | outcome | counts as | meaning |", "|---|---|---|---|")
    for verdict in rules.verdicts:
        yield f"| {verdict.name} | {verdict.outcome} | {verdict.counts_as} | {_cell(verdict.meaning)} |"
    yield ""


def _findings(rules: RuleSet) -> Iterator[str]:
    for family in dict.fromkeys(finding.family for finding in rules.findings.values()):
        yield from (
            f"## Findings: {family}",
            "",
            "| id | severity | found by | title | references | elsewhere | what to check next |",
            "|---|---|---|---|---|---|---|",
        )
        for finding in rules.findings.values():
            if finding.family == family:
                yield _finding(finding)
        yield ""


def _finding(finding: Finding) -> str:
    elsewhere = "; ".join(f"{tool}: {name}" for tool, name in finding.other_tools.items())
    found_by = f"{finding.check.scope} check" if finding.check else "machine"
    found_by = f"{found_by}, opt-in" if finding.opt_in else found_by
    columns = (finding.id, finding.severity, found_by, finding.title, "; ".join(finding.references), elsewhere, " ".join(finding.next))
    return f"| {' | '.join(map(_cell, columns))} |"


def _vocabulary() -> Iterator[str]:
    tables: tuple[tuple[str, Mapping[str, Fact]], ...] = (
        ("Facts of a segment, for rows of the machine and segment checks", vocabulary.MACHINE_SEGMENT_FACTS),
        ("Further facts of a segment, for segment checks", vocabulary.SEGMENT_FACTS),
        (
            "Facts of a connection, for rows of the machine and for segment, connection and correlation checks",
            vocabulary.MACHINE_CONNECTION_FACTS,
        ),
        ("Further facts of a connection, for segment, connection and correlation checks", vocabulary.CONNECTION_FACTS),
        ("Facts of a group of connections, for correlation checks", vocabulary.GROUP_FACTS),
    )
    for title, facts in tables:
        yield from (f"## {title}", "", "| name | kind | unit | meaning |", "|---|---|---|---|")
        yield from (f"| {name} | {fact.kind} | {fact.unit} | {_cell(fact.meaning)} |" for name, fact in facts.items())
        yield ""
    for title, words in (
        ("Evidence that a connection check may name, apart from records", vocabulary.EVIDENCE),
        ("How a correlation check groups", vocabulary.GROUP_BY),
    ):
        yield from (f"## {title}", "")
        yield from (f"* `{name}`: {meaning}" for name, meaning in words.items())
        yield ""


def _notation() -> Iterator[str]:
    yield from ("## Segment notation", "", "What examples are written in, and what `pcaplint build` makes captures of.", "")
    yield from ("```", GRAMMAR.rstrip(), "```")


def _dialogues(rules: RuleSet) -> Iterator[str]:
    """Yield one section per protocol, with the names that it declares itself."""
    common = rules.protocols[ANY]
    for protocol in rules.protocols.values():
        inherited: set[str] = set()
        if protocol is not common:
            inherited = {*common.dialogue, *common.exchange, *common.dialogue_evidence, *common.exchange_evidence}
        rows = [
            *(
                (name, f"{scope}, fact", fact.kind, fact.unit, fact.meaning)
                for scope in DIALOGUE_SCOPES
                for name, fact in protocol.facts(scope).items()
            ),
            *(
                (name, f"{scope}, evidence", "frame", "", meaning)
                for scope in DIALOGUE_SCOPES
                for name, meaning in protocol.evidence(scope).items()
            ),
        ]
        rows = [row for row in rows if row[0] not in inherited]
        rows += [(name, "transaction, column", fact.kind, fact.unit, fact.meaning) for name, fact in protocol.transaction.items()]
        yield from (f"## Dialogues: {protocol.id}", "", f"{protocol.title}.{_ports(protocol)}", "")
        if rows:
            yield from ("| name | what it is | kind | unit | meaning |", "|---|---|---|---|---|")
            yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
            yield ""


def _ports(protocol: Protocol) -> str:
    texts = [f" Ports: {', '.join(map(str, protocol.ports))}."] if protocol.ports else []
    texts += [f" Inside TLS: {', '.join(map(str, protocol.tls_ports))}."] if protocol.tls_ports else []
    return "".join(texts)


if __name__ == "__main__":
    from analyzer.rules import load

    print(render(load()), end="")  # noqa: T201 - the page is this module's output

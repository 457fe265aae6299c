"""`pcaplint rules`: list the rules, explain one, check rule files, draw the machine.

A file that is refused gives one line per fault and status 6.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from analyzer.cli import options, output
from analyzer.cli.config import Configured
from analyzer.errors import RuleError, UsageError
from analyzer.report.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.report import Layout
    from analyzer.report.terminal.text import Page
    from analyzer.rules import Finding, RuleSet, Verdict

rules = typer.Typer(name="rules", no_args_is_help=True, rich_markup_mode=None, help="List, explain, check and draw rules.")

_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
_FORMATS = ("text", "json")
_PICTURES = ("mermaid", "svg")

ListFormat = Annotated[
    str, typer.Option("--format", "-f", metavar="|".join(_FORMATS), callback=options.one_of(_FORMATS), help="How to write the list.")
]
Picture = Annotated[
    str, typer.Option("--format", "-f", metavar="|".join(_PICTURES), callback=options.one_of(_PICTURES), help="How to draw it.")
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A rule or a verdict.", autocompletion=options.rule_ids, show_default=False)]
Folders = Annotated[
    list[Path] | None, typer.Argument(metavar="[DIR]...", help="Folders of rule files.", show_default=False, readable=False)
]


@rules.command("list", cls=Configured)
def list_(*, list_format: ListFormat = "text", rules: options.Rules = None, color: options.Color = "auto") -> None:
    """List all rules: id, severity and title, by family."""
    from analyzer.rules import load

    ruleset = load(rules or ())
    if list_format == "json":
        output.write(_json(ruleset), None, exact=True)
        return
    page = _page(color)
    longest = max((len(id_) for id_ in ruleset.findings), default=0)
    for family in dict.fromkeys(finding.family for finding in ruleset.findings.values()):
        page.add((family, "bold"))
        for finding in ruleset.findings.values():
            if finding.family == family:
                style = _STYLES[finding.severity]
                _item(page, finding.id.ljust(longest), (finding.severity, style), finding.title)
    page.add(("verdicts", "bold"))
    for verdict in ruleset.verdicts:
        _item(page, verdict.name.ljust(longest), (verdict.counts_as, ""), verdict.meaning)
    output.write([page.take()], None)


def _item(page: Page, name: str, level: tuple[str, str], text: str) -> None:
    page.add("  ", name, "  ", (level[0].ljust(7), level[1]), "  ", printable(text), indent=len(name) + 13, wrap=True)


def _json(ruleset: RuleSet) -> Iterator[str]:
    import json

    findings = [_record(finding) for finding in ruleset.findings.values()]
    verdicts = [
        {"name": verdict.name, "outcome": verdict.outcome, "counts_as": verdict.counts_as, "meaning": verdict.meaning}
        for verdict in ruleset.verdicts
    ]
    yield json.dumps({"digest": ruleset.digest, "findings": findings, "verdicts": verdicts}, indent=1) + "\n"


def _record(finding: Finding) -> dict[str, object]:
    return {
        "id": finding.id,
        "family": finding.family,
        "severity": finding.severity,
        "title": finding.title,
        "message": finding.message,
        "why": finding.why,
        "causes": list(finding.causes),
        "next": list(finding.next),
        "references": list(finding.references),
        "peers": dict(finding.other_tools),
        "found_by": f"{finding.check.scope} check" if finding.check else "machine",
        "examples": [{"fires": one.fires, "note": one.note, "segments": one.segments} for one in finding.examples],
    }


@rules.command(cls=Configured)
def explain(id_: Id, *, rules: options.Rules = None, color: options.Color = "auto") -> None:
    """Explain what a rule or a verdict means, why it matters, what usually causes it and what to check next."""
    from analyzer.rules import load

    ruleset = load(rules or ())
    verdicts = {verdict.name: verdict for verdict in ruleset.verdicts}
    finding, verdict = ruleset.findings.get(id_), verdicts.get(id_)
    if finding is None and verdict is None:
        raise UsageError(_unknown(id_, {**ruleset.findings, **verdicts}))
    parts = []
    if finding is not None:
        parts = [*_explained(finding, color), _drawn(finding, ruleset, _layout(color)), f"{printable(finding.path)}\n"]
    if verdict is not None:
        page = _page(color)
        _explain_verdict(page, verdict)
        parts.append(page.take())
    output.write(parts, None)


def _unknown(id_: str, known: Mapping[str, object]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(id_, known, n=3)
    hint = f": did you mean {', '.join(near)}?" if near else ""
    return f"no rule or verdict is called {id_}{hint}"


def _layout(color: str) -> Layout:
    from analyzer.report import Layout

    return Layout(width=output.width(), color=output.colored(color, sys.stdout))


def _page(color: str) -> Page:
    from analyzer.report.terminal.text import Page

    return Page(_layout(color))


def _paragraphs(page: Page, text: str) -> None:
    for paragraph in text.split("\n\n"):
        for line in wrap(printable(" ".join(paragraph.split())), page.width, break_on_hyphens=False):
            page.add(line)
        page.add("")


def _explained(finding: Finding, color: str) -> Iterator[str]:
    page = _page(color)
    page.add((finding.id, "bold"), "  ", (finding.severity, _STYLES[finding.severity]))
    page.add(printable(finding.title), wrap=True)
    page.add("")
    _paragraphs(page, finding.why)
    sections = {
        "Usual causes": finding.causes,
        "What to check next": finding.next,
        "References": finding.references,
        "Elsewhere": tuple(f"{tool}: {name}" for tool, name in finding.other_tools.items()),
    }
    for heading, lines in sections.items():
        if lines:
            page.add((heading, "bold"))
        for line in lines:
            page.add("  " + printable(line), indent=4, wrap=True)
        if lines:
            page.add("")
    for example in finding.examples:
        page.add(("Reported" if example.fires else "Not reported", "bold"), f": {printable(example.note)}" if example.note else "")
        for line in example.segments.strip().splitlines():
            page.add("  " + printable(line.expandtabs()))
        page.add("")
    if any(example.fires for example in finding.examples):
        page.add(("The first that is reported, as a ladder", "bold"))
        page.add("")
    yield page.take()


def _drawn(finding: Finding, rules: RuleSet, layout: Layout) -> str:
    """Return the connection in which the first example that is to show the finding does, drawn; "" when none does."""
    example = next((one for one in finding.examples if one.fires), None)
    if example is None:
        return ""
    from analyzer.api import analyze_script
    from analyzer.notation import parse
    from analyzer.report.terminal import ladder

    # A rule that is reported only where it is selected explains itself all the same.
    selected = replace(rules, reported=rules.reported | {finding.id})
    report = analyze_script(parse(example.segments, where=finding.path), selected)
    flows = report.findings.loc[report.findings["id"] == finding.id, "flow_id"]
    return ladder.draw(report, flows.iloc[0], layout) if len(flows) else ""


def _explain_verdict(page: Page, verdict: Verdict) -> None:
    page.add((verdict.name, "bold"), f"  verdict, {verdict.outcome}")
    _paragraphs(page, verdict.meaning)
    counts = {"pass": "It passes a check.", "nothing": "It neither passes nor fails a check."}
    page.add(counts.get(verdict.counts_as, f"It fails a check as {'an' if verdict.counts_as == 'error' else 'a'} {verdict.counts_as}."))


@rules.command()
def check(folders: Folders = None) -> None:
    """Check rule files, those in DIR on top of the shipped ones, and run their examples; without DIR the shipped ones."""
    from analyzer.rules import load

    ruleset = load(folders or (), check=True)
    from analyzer.api import run_rule_examples

    if faults := run_rule_examples(ruleset, folders or ()):
        raise RuleError("\n".join(faults))
    typer.echo(f"{len(ruleset.findings)} findings, {len(ruleset.verdicts)} verdicts: no fault (digest {ruleset.digest})")


@rules.command(cls=Configured)
def draw(*, picture_format: Picture = "mermaid", rules: options.Rules = None, destination: options.Output = None) -> None:
    """Draw the state machine of an opening from its rows: what moves the client, what moves the server."""
    output.refuse(destination)
    from analyzer.rules import diagram, load

    picture = {"mermaid": diagram.mermaid, "svg": diagram.svg}[picture_format]
    output.write(picture(load(rules or ())), destination, exact=True)

"""The report as SARIF 2.1.0 (OASIS), for code scanning.

Valid against the OASIS schema; at most 25,000 results, worst first, with a notification of how many were left out. Paths are
percent-encoded and have no `..` (a path above the working directory has a base of its own); text from a capture cannot become a link or
a placeholder; what is expected is a suppressed result; fingerprints stay the same while a capture does.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from analyzer import __version__
from analyzer.model import EXPECTED_WITHOUT_REASON
from analyzer.report import issues, markdown
from analyzer.report.escaping import printable
from analyzer.report.issues import INCONCLUSIVE
from analyzer.report.json import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analyzer.model import CaptureSummary, Report, RuleMetadata
    from analyzer.report import Layout
    from analyzer.report.issues import Issue

LIMIT: Final = 25_000
"""Maximum results that GitHub's code scanning accepts per run."""
MAX_FRAMES: Final = 100
"""Maximum frames that a result cites."""
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LINK: Final = re.compile(r"\[(?=[^\]]*\]\()")
_PLACEHOLDER: Final = re.compile(r"\{(\d+)\}")
_TITLES: Final = {
    "unreadable": "The capture cannot be read",
    "incomplete": "The capture could not be read to its end",
    "nothing-checked": "The capture holds no TCP opening that can be checked",
    INCONCLUSIVE: "An opening segment lacks bytes that a check needs",
    EXPECTED_WITHOUT_REASON: "An expectation has no reason",
}


def text(message: str) -> dict[str, str]:
    """Return a message in which text from a capture is neither a link (SARIF 3.11.6) nor a placeholder (3.11.5)."""
    return {"text": _PLACEHOLDER.sub(r"{{\1}}", _LINK.sub(r"\\[", printable(message)))}


def location(path: str) -> dict[str, str]:
    """Return an artifact location: relative where the path is, percent-encoded bytes, no `..`."""
    clean = posixpath.normpath(path)
    if clean.startswith("/"):
        return {"uri": "file:///" + _percent(clean.lstrip("/"))}
    parts = clean.split("/")
    above = parts.count("..")
    here = {"uri": _percent("/".join(parts[above:]) or ".")}
    return here | {"uriBaseId": f"ABOVE{above}"} if above else here


def _percent(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"))


def _bases(report: Report) -> dict[str, Any]:
    """Return the description of each base above the working directory."""
    names = sorted({where["uriBaseId"] for capture in report.captures if "uriBaseId" in (where := location(capture.path))})
    return {name: {"description": {"text": f"{name.removeprefix('ABOVE')} folders above the working directory"}} for name in names}


def _rule(report: Report, issue: Issue) -> dict[str, Any]:
    metadata = report.rule_metadata.get(issue.name) if issue.kind == "finding" else None
    level = metadata.severity if metadata else issue.severity
    title = metadata.title if metadata else _title(issue)
    rule: dict[str, Any] = {"id": _rule_id(issue), "shortDescription": text(title), "defaultConfiguration": {"level": level}}
    if metadata:
        rule |= {"fullDescription": text(" ".join(metadata.why.split())), "help": _help(metadata)}
    return rule | {"properties": {"tags": ["tcp", issue.kind]}}


def _help(metadata: RuleMetadata) -> dict[str, str]:
    """Return why a finding matters, what to check next and the references, as text and as Markdown (SARIF 3.12)."""
    why, references = " ".join(metadata.why.split()), "; ".join(metadata.references)
    plain, marked = [text(why)["text"]], [markdown.prose(why)]
    if metadata.next:
        plain.append("\n".join(["What to check next:", *(f"- {text(line)['text']}" for line in metadata.next)]))
        marked += ["**What to check next**", "\n".join(markdown.items(metadata.next))]
    if references:
        plain.append(text(f"References: {references}")["text"])
        marked.append(f"References: {markdown.prose(references)}")
    return {"text": "\n\n".join(plain), "markdown": _PLACEHOLDER.sub(r"{{\1}}", "\n\n".join(marked))}


def _title(issue: Issue) -> str:
    if issue.name in _TITLES:
        return _TITLES[issue.name]
    return {"capture": "An expectation is not met", "verdict": f"The opening is {issue.name}"}.get(issue.kind, issue.name)


def _rule_id(issue: Issue) -> str:
    """Return the id of a rule; verdicts and capture statuses get a prefix, since some have the name of a rule."""
    name = printable(issue.name)
    return name if issue.kind == "finding" else f"{issue.kind}/{name}"


def _location(report: Report, issue: Issue) -> dict[str, Any]:
    """Return the location of an issue: line 1 of the capture, which has no lines; connection and frames are logical locations."""
    path = report.captures[issue.capture].path
    where: dict[str, Any] = {"physicalLocation": {"artifactLocation": location(path), "region": {"startLine": 1}}}
    if issue.flow >= 0:
        flow_id = issue.where.partition(" ")[0]
        names = [(flow_id, flow_id, "connection")]
        names += [
            (
                f"frame {frame}",
                f"{flow_id}/frame {frame}" if capture == issue.capture else f"{flow_id}/{capture}:frame {frame}",
                "frame",
            )
            for capture, frame in issue.frames[:MAX_FRAMES]
        ]
        where["logicalLocations"] = [{"name": name, "fullyQualifiedName": full, "kind": kind} for name, full, kind in names]
    return where


def _result(report: Report, issue: Issue, index: int, fingerprint: str) -> dict[str, Any]:
    result = {
        "ruleId": _rule_id(issue),
        "ruleIndex": index,
        "level": issue.severity,
        "message": text(issues.sentence(issue)),
        "locations": [_location(report, issue)],
        "partialFingerprints": {"pcaplint/v1": fingerprint},
    }
    return result | {"suppressions": [{"kind": "external", "status": "accepted"}]} if issue.suppressed else result


def _notices(report: Report, left_out: int) -> Iterator[dict[str, Any]]:
    if left_out:
        yield {"level": "warning", "message": text(f"{left_out:,} more results, none worse than those here, are left out")}
    for capture in report.captures:
        where = [{"physicalLocation": {"artifactLocation": location(capture.path)}}]
        for note in capture.notes:
            frame = f" (frame {note.frame})" if note.frame is not None else ""
            yield {"level": "note", "message": text(f"{note.id}: {note.text}{frame}"), "locations": where}
        if _unread(capture):
            yield {"level": "error", "message": text(capture.reason or capture.status), "locations": where}


def _unread(capture: CaptureSummary) -> bool:
    return capture.status == "unreadable" or not capture.complete


def render(report: Report, layout: Layout) -> Iterator[str]:  # noqa: ARG001 - every format takes the same arguments
    """Yield the report as one SARIF log with one run, one result per line, in chunks."""
    everything = issues.collect(report)
    scopes = dict(zip(map(id, everything), issues.scopes(report, everything), strict=True))
    shown = issues.worst_first(everything)[:LIMIT]
    rules = {_rule_id(issue): issue for issue in reversed(shown)}
    index = {name: number for number, name in enumerate(sorted(rules))}
    driver = {"name": "pcaplint", "semanticVersion": __version__, "rules": [_rule(report, rules[name]) for name in sorted(rules)]}
    invocation = {
        "executionSuccessful": not any(map(_unread, report.captures)),
        "toolExecutionNotifications": list(_notices(report, len(everything) - len(shown))),
    }
    yield f'{{"$schema": {encode(_SCHEMA)}, "version": "2.1.0", "runs": [{{\n"tool": {encode({"driver": driver})},\n'
    bases = _bases(report)
    yield f'"originalUriBaseIds": {encode(bases)},\n' if bases else ""
    yield '"properties": {"secrets": true},\n' if report.secrets else ""
    yield f'"invocations": [{encode(invocation)}],\n"columnKind": "utf16CodeUnits",\n"results": [\n'
    for number, issue in enumerate(shown):
        result = _result(report, issue, index[_rule_id(issue)], issues.fingerprint(scopes[id(issue)]))
        yield (",\n" if number else "") + encode(result)
    yield "\n]}]}\n"

"""The machine of opening.toml as a state diagram, in Mermaid and SVG: transitions of the client, of the server, and rows without one.

Everything in a diagram comes from the rows, in their order; the same rules give the same bytes. A row that settles a hold is drawn from
the states in which the hold begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from analyzer.rules.machine import SIDES, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from analyzer.rules import RuleSet
    from analyzer.rules.machine import Machine, Row

_LINE: Final = 16
"""Height of a line of text, in px, as are all of these."""
_GAP: Final = 20
_MARGIN: Final = 24
_BAR: Final = 112
"""Width of a state's bar."""
_LANE: Final = 300
"""From one state's bar to the next."""
_HEAD: Final = 46
"""From the top of a bar to its first arrow's labels."""
_COLUMNS: Final = 3
_KEY: Final = 150
"""From one word of the legend to the next."""
_INK: Final = {"error": "#b00020", "warning": "#8a5a00", "note": "#1f4e8c", "": "#222222"}
_TINT: Final = {"CLOSED": "#eeeeee", "LISTEN": "#e8eef7", "SYN_SENT": "#fff3d6", "SYN_RECEIVED": "#ffe6d1", "ESTABLISHED": "#dff2e1"}
_STYLE: Final = (
    "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}.big{font-size:17px}.name{font-weight:bold}"
    ".middle{text-anchor:middle}.over{stroke:#ffffff;stroke-width:3px;paint-order:stroke}"
)
_ENTITIES: Final = {"#": "#35;", ";": "#59;", ":": "#58;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "{": "#123;", "}": "#125;", "\n": " "}


@dataclass(frozen=True, slots=True)
class Move:
    """One arrow: the rows that take an endpoint from one state to another."""

    source: int
    target: int
    rows: tuple[Row, ...]


def moves(machine: Machine, side: int) -> list[Move]:
    """Return the arrows of one side (0 the client, 1 the server), by source and target in the order of `STATES`."""
    found: dict[tuple[int, int], list[Row]] = {}
    for row in machine.rows:
        target = row.to[side]
        if target is not None:
            for source in sorted(_sources(machine, row, side) - {target}):
                found.setdefault((source, target), []).append(row)
    return [Move(*ends, tuple(rows)) for ends, rows in sorted(found.items())]


def _sources(machine: Machine, row: Row, side: int) -> frozenset[int]:
    if row.settles is None:
        return (row.client, row.server)[side]
    begun = frozenset[int]()
    for start in machine.rows:
        if start.holds == row.settles:
            target = start.to[side]
            begun |= (start.client, start.server)[side] if target is None else frozenset({target})
    return begun


def still(machine: Machine) -> list[Row]:
    """Return the rows without a transition of either endpoint."""
    return [row for row in machine.rows if row.to == (None, None)]


def sees(row: Row) -> str:
    """Return what a row matches, as `client ack/fin`."""
    parts = []
    for name, by_client in (("client", True), ("server", False)):
        classes = sorted(one for by, one in row.match if by is by_client)
        if classes:
            parts.append((name, "/".join(classes)))
    if len(parts) == len(SIDES) and parts[0][1] == parts[1][1]:
        return f"any {parts[0][1]}"
    return ", ".join(f"{name} {classes}" for name, classes in parts)


# ── Mermaid ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def mermaid(rules: RuleSet) -> Iterator[str]:
    """Yield the machine as a Mermaid state diagram (https://mermaid.js.org/syntax/stateDiagram.html), line by line."""
    machine = rules.machine
    yield f"---\ntitle: {json.dumps(_plain(machine.title))}\n---\n"
    yield "stateDiagram-v2\n"
    for side, name in enumerate(SIDES):
        yield f'    state "{name}" as {name} {{\n'
        found = moves(machine, side)
        for state in _used(machine, side):
            yield f'        state "{STATES[state]}" as {name}_{STATES[state]}\n'
        yield f"        [*] --> {name}_{STATES[machine.start[side]]}\n"
        for move in found:
            label = "<br/>".join(f"{_plain(row.id)} ({_plain(sees(row))})" for row in move.rows)
            yield f"        {name}_{STATES[move.source]} --> {name}_{STATES[move.target]} : {label}\n"
        yield "    }\n"
    yield '    state "rows that move neither end" as still\n'
    for row in still(machine):
        yield f"    still : {_plain(row.id)} ({_plain(sees(row))})\n"


def _plain(text: str) -> str:
    return "".join(_ENTITIES.get(letter, letter) for letter in text)


def _used(machine: Machine, side: int) -> list[int]:
    found = moves(machine, side)
    return sorted({machine.start[side], *(move.source for move in found), *(move.target for move in found)})


# ── SVG ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def svg(rules: RuleSet) -> Iterator[str]:
    """Yield the machine as an SVG image: one bar per state, one arrow per transition, one line of text per row."""
    machine = rules.machine
    inks = _inks(rules)
    lanes = max(len(_used(machine, side)) for side in range(len(SIDES)))
    width = 2 * _MARGIN + (lanes - 1) * _LANE + _BAR + _GAP
    parts, top = [], 2 * _MARGIN
    for side in range(len(SIDES)):
        part, top = _panel(machine, side, top, inks)
        parts += part
    listed, top = _list(machine, top, width, inks)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" role="img">\n'
    yield f"<title>{escape(machine.title)}</title>\n<style>{_STYLE}</style>\n"
    yield '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    yield '<path d="M0 0L10 5L0 10z" fill="#222222"/></marker></defs>\n'
    yield '<rect width="100%" height="100%" fill="#ffffff"/>\n'
    yield _text(_MARGIN, _MARGIN + 6, machine.title, css="big name")
    keys = (("", "reports nothing"), ("note", "may report a note"), ("warning", "a warning"), ("error", "an error"))
    for place, (severity, words) in enumerate(keys):
        yield _text(width - len(keys) * _KEY - _MARGIN + place * _KEY, _MARGIN + 4, words, ink=_INK[severity])
    yield from parts
    yield from listed
    yield "</svg>\n"


def _inks(rules: RuleSet) -> Mapping[str, str]:
    """Return the colour of each row: that of the worst it may report."""
    found = {}
    for row in rules.machine.rows:
        emits = [*row.emits, *(rules.machine.holds[row.holds].at_end if row.holds else ())]
        severities = {rules.findings[emit.id].severity for emit in emits if emit.id in rules.findings}
        found[row.id] = _INK[next((name for name in ("error", "warning", "note") if name in severities), "")]
    return found


def _panel(machine: Machine, side: int, top: int, inks: Mapping[str, str]) -> tuple[list[str], int]:
    """Return the drawing of one side from `top` down, and where it ends."""
    used = _used(machine, side)
    left = {state: _MARGIN + lane * _LANE for lane, state in enumerate(used)}
    arrows: list[str] = []
    y = top + _LINE + _HEAD
    for move in moves(machine, side):
        right = left[move.target] > left[move.source]
        begin, end = (left[move.source] + _BAR, left[move.target]) if right else (left[move.source], left[move.target] + _BAR)
        x = min(begin, end) + 8
        for row in move.rows:
            y += _LINE
            arrows.append(_text(x, y - 5, f"{row.id}  {sees(row)}", css="over", ink=inks[row.id]))
        arrows.append(f'<circle cx="{begin}" cy="{y}" r="3.5" fill="#222222"/>\n')
        arrows.append(f'<path d="M{begin} {y}H{end}" stroke="#222222" stroke-width="1.4" fill="none" marker-end="url(#tip)"/>\n')
        y += _GAP
    bars = [_text(_MARGIN, top + 4, f"What moves the {SIDES[side]}", css="name")]
    for state in used:
        box = f'x="{left[state]}" y="{top + _LINE}" width="{_BAR}" height="{y - top - _LINE}" rx="10"'
        bars.append(f'<rect {box} fill="{_TINT[STATES[state]]}" stroke="#555555"/>\n')
        bars.append(_text(left[state] + _BAR / 2, top + _LINE + 22, STATES[state], css="name middle"))
        if state == machine.start[side]:
            bars.append(_text(left[state] + _BAR / 2, top + _LINE + 38, "start", css="middle"))
    return [*bars, *arrows], y + _LINE + _GAP


def _list(machine: Machine, top: int, width: int, inks: Mapping[str, str]) -> tuple[list[str], int]:
    """Return the rows that move neither end, in columns from `top` down, and where they end."""
    rows = still(machine)
    height = -(-len(rows) // _COLUMNS)
    parts = [_text(_MARGIN, top + 4, "What moves neither", css="name")]
    for place, row in enumerate(rows):
        column, line = divmod(place, max(height, 1))
        x = _MARGIN + column * (width - 2 * _MARGIN) // _COLUMNS
        parts.append(_text(x, top + 4 + (line + 1) * _LINE + 4, f"{row.id}  {sees(row)}", ink=inks[row.id]))
    return parts, top + (height + 1) * _LINE + _MARGIN


def _text(x: float, y: float, words: str, *, css: str = "", ink: str = "") -> str:
    attributes = f' class="{css}"' if css else ""
    attributes += f' fill="{ink}"' if ink else ""
    return f'<text x="{x:g}" y="{y:g}" xml:space="preserve"{attributes}>{escape(words)}</text>\n'

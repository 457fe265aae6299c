"""Short texts for numbers, endpoints, times and frames; the same in every format, printable characters only."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from analyzer.model import EXPECTED_WITHOUT_REASON
from analyzer.report.escaping import printable
from analyzer.schema import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from analyzer.model import Note

SECRETS_SHOWN: Final = "passwords, tokens and the like are shown in this report (--show-secrets)"
"""Line in reports for people that hold secrets."""
_KILO: Final = 1000
_ROUNDS_UP: Final = 999.5
"""From this value on, `.3g` would give 1e+03."""
MAX_RANGES: Final = 8
_FLAG_NAMES: Final = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "W": "CWR", "N": "AE"}


def expectation(note: Note) -> str:
    """Return what is wrong with an expectation, as a heading for the note about it."""
    return "expectation without a reason" if note.id == EXPECTED_WITHOUT_REASON else "expectation not met"


def endpoint(address: str, port: int) -> str:
    """Return address and port as in a URL: IPv6 in brackets."""
    return printable(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")


def milliseconds(value: float) -> str:
    """Return a duration with three digits at most after the point, empty for NaN."""
    if math.isnan(value):
        return ""
    if value >= 10 * _KILO:
        return f"{value / _KILO:,.1f} s"
    if value >= _KILO:
        return f"{value / _KILO:.2f} s"
    return f"{value:.1f} ms" if value >= 100 else f"{value:.3g} ms"  # noqa: PLR2004 - three digits are enough


def elapsed(time: int, start: int) -> str:
    """Return the time from `start` to `time`, both in ns since the epoch, to the microsecond below a second."""
    if NO_TIME in (time, start):
        return "no time"
    passed = (time - start) / 1e6
    return f"{passed:.3f} ms" if abs(passed) < _KILO else f"{passed / _KILO:.3f} s"


def dialogue_line(flow: Mapping[str, Any]) -> str:
    """Return the service of a connection, unless its port implies it, and the summary of its dialogue; not yet safe to print."""
    by_port, service = flow["service_by_port"], flow["service"]
    implied = service in {"", by_port} or (service == "tls" and by_port.endswith("s"))
    what = "" if implied else service
    if flow["control_flow_id"]:
        what = f"{service or 'data'} of {flow['control_flow_id']}"
    return ": ".join(part for part in (what, flow["dialogue"]) if part)


def detected_service(flow: Mapping[str, Any]) -> str:
    """Return the service of a connection and how it was detected; empty when it is unknown."""
    service, by_port = flow["service"], flow["service_by_port"]
    if not service:
        return f"{by_port}  (by port number)" if by_port else ""
    if flow["control_flow_id"]:
        return f"{service}  (announced in {flow['control_flow_id']})"
    sides = {side: flow[f"service_{side}"] for side in ("client", "server")}
    certain = [side for side, name in sides.items() if name == service]
    others = [f"the {side}'s fit {name.replace('-or-', ' or ')}" for side, name in sides.items() if name not in {"", service}]
    reasons = [*([f"by first bytes of {' and '.join(certain)}"] if certain else []), *others]
    how = "recognised " + "; ".join(reasons) if reasons else "recognised"
    return f"{service}  ({how}" + (f"; port {flow['server_port']} is for {by_port})" if by_port not in {"", service} else ")")


def size(number: int) -> str:
    """Return a number of bytes with a decimal unit: `18 kB`."""
    scaled, units = float(number), iter(("kB", "MB", "GB", "TB"))
    unit = "B"
    while scaled >= _ROUNDS_UP and (larger := next(units, "")):
        scaled, unit = scaled / _KILO, larger
    return f"{number} B" if unit == "B" else f"{scaled:.3g} {unit}" if scaled < _ROUNDS_UP else f"{scaled:,.0f} {unit}"


def count(number: int, singular: str, plural: str = "") -> str:
    """Return a number and its noun: `1 file`, `2 files`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _runs(frames: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def frames(evidence: Sequence[tuple[int, int]]) -> str:
    """Return cited frames as text: `frame 14`, `frames 14, 15`, `frames 14-19, 22, … (30 in all)`."""
    numbers = [frame for _, frame in evidence]
    if not numbers:
        return ""
    runs = _runs(numbers)
    parts: list[str] = []
    for first, last in runs[:MAX_RANGES]:
        parts.append(f"{first}-{last}" if last > first + 1 else ", ".join(map(str, range(first, last + 1))))
    more = f", … ({len(numbers)} in all)" if len(runs) > MAX_RANGES else ""
    return f"{'frame' if len(numbers) == 1 else 'frames'} {', '.join(parts)}{more}"


def flags(letters: str) -> str:
    """Return flag letters as the names Wireshark uses: `SYN,ACK`; `no flags` for `none`, `header cut` where none were captured."""
    if letters == "none":
        return "no flags"
    return ",".join(_FLAG_NAMES.get(letter, letter) for letter in letters) or "header cut"


def history_letter(letters: str, by: str, length: int) -> str:
    """Return the letter of one segment, as in Zeek's history: a capital for the client.

    S SYN, H SYN+ACK, R RST, F FIN, D payload, A pure acknowledgment, ? anything else.
    """
    if "R" in letters:
        letter = "R"
    elif "S" in letters:
        letter = "H" if "A" in letters else "S"
    elif "F" in letters:
        letter = "F"
    elif length > 0:
        letter = "D"
    else:
        letter = "A" if "A" in letters else "?"
    return letter if by == "client" else letter.lower()


def relative(number: int) -> str:
    """Return a number relative to an ISN; numbers before the ISN are negative."""
    return str(number if number < 1 << 31 else number - (1 << 32))

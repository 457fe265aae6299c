"""Segment notation: one line of text per segment, both ways, and text to a capture.

    > S 100:100(0) win 64240 <mss 1460>
    < S. 300:300(0) ack 101 win 65535 <mss 1460>
    > . 101:101(0) ack 301

`parse(show(x)) == x` for every `Script`; `capture(x)` is what reading `build(x)` gives. `GRAMMAR`
describes how a script is written; the fields and their defaults in `values`. Importing it costs no pandas.
"""

from analyzer.notation.from_tables import script
from analyzer.notation.grammar import GRAMMAR, parse
from analyzer.notation.packets import build, numbers
from analyzer.notation.text import flag_letters, line, show
from analyzer.notation.to_tables import capture
from analyzer.notation.values import MAX_TEXT, Connection, Host, NotationError, Quote, Script, Segment, connection

__all__ = [
    "GRAMMAR",
    "MAX_TEXT",
    "Connection",
    "Host",
    "NotationError",
    "Quote",
    "Script",
    "Segment",
    "build",
    "capture",
    "connection",
    "flag_letters",
    "line",
    "numbers",
    "parse",
    "script",
    "show",
]

"""What of a capture is to be anonymized: the frames of connections, and the names and secrets that reports know of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analyzer import api
from analyzer.anonymize.streams import Segments
from analyzer.options import ReadOptions
from analyzer.protocols.redactor import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from analyzer.model import Capture, Report

NAME_COLUMNS: Final = ("host", "helo", "user", "auth_user", "proxy_auth_user")
"""Columns of transactions that hold the name of a host or of a user."""
MIN_SECRET: Final = 2
"""Bytes of a secret that is looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """Frames to copy, and what must not be left in them."""

    capture: Capture
    frames: tuple[int, ...]
    segments: Segments
    words: tuple[str, ...]
    secrets: tuple[str, ...]


def load(path: str | Path, connections: Sequence[str], options: ReadOptions | None = None) -> Source:
    """Read the capture at `path`. Raises what `api.find_frames` raises."""
    read = options or ReadOptions()
    found = api.find_frames(path, connections, read)
    shown, hidden = (
        api.analyze(path, expect=False, fail_on="never", timeout_s=read.timeout_s, tshark=read.tshark, engine=read.engine, secrets=secrets)
        for secrets in (True, False)
    )
    return Source(
        found.capture,
        found.frames,
        Segments(found.sent, found.quoted),
        tuple(sorted(set(_names(shown.transactions)))),
        tuple(sorted(set(_secrets(shown, hidden)))),
    )


def _names(transactions: pd.DataFrame) -> Iterator[str]:
    for column in NAME_COLUMNS:
        for value in transactions[column].unique() if column in transactions else ():
            name = re.sub(r":\d+$", "", value).strip("[]") if isinstance(value, str) else ""
            if name and HIDDEN not in name:
                yield name


def _secrets(shown: Report, hidden: Report) -> Iterator[str]:
    """Yield what stands in the report with secrets where the other one has `HIDDEN`."""
    pairs = (
        (shown.transactions, hidden.transactions),
        (shown.flows, hidden.flows),
        (shown.findings, hidden.findings),
    )
    for with_secrets, without in pairs:
        for column in with_secrets.columns:
            for plain, masked in zip(with_secrets[column].tolist(), without[column].tolist(), strict=True):
                yield from _unmask(plain, masked)


def _unmask(plain: Any, masked: Any) -> Iterator[str]:  # noqa: ANN401 - values of a table
    if isinstance(plain, str) and isinstance(masked, str):
        if HIDDEN in masked:
            pattern = "(.+?)".join(map(re.escape, masked.split(HIDDEN)))
            found = re.fullmatch(pattern, plain, re.DOTALL)
            yield from (secret for secret in (found.groups() if found else ()) if len(secret) >= MIN_SECRET and secret != HIDDEN)
    elif isinstance(plain, (tuple, list)) and isinstance(masked, (tuple, list)):
        for one, other in zip(plain, masked, strict=False):
            yield from _unmask(one, other)

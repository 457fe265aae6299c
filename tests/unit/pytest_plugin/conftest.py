"""A project of a user of the plugin: its captures are built from segment notation."""

from __future__ import annotations

import pytest

from analyzer import notation

SEGMENTS = {
    "good": """
        > S  100:100(0) win 64240 <mss 1460>
        < S. 300:300(0) ack 101 win 65535 <mss 1460>
        > .  101:101(0) ack 301 win 64240
        > P. 101:111(10) ack 301 win 64240
        < .  301:301(0) ack 111 win 65535
    """,
    "wrong": """
        > S  100:100(0) win 64240 <mss 1460>
        < S. 300:300(0) ack 102 win 65535 <mss 1460>
        > R  102:102(0) win 0
    """,
}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with good.pcap and wrong.pcap, in which pytest runs with the plugin as it is installed."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    for name, segments in SEGMENTS.items():
        lines = "\n".join(line.strip() for line in segments.strip().splitlines())
        (pytester.path / f"{name}.pcap").write_bytes(notation.build(notation.parse(lines)))
    (pytester.path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p pcaplint\n")
    return pytester

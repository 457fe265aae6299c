"""What parsers read of protocol files is built once per file, and belongs to that file."""

from __future__ import annotations

from dataclasses import replace

from analyzer.protocols import vocabulary
from analyzer.rules.protocols import Protocol


def test_built_once_per_protocol() -> None:
    built = list[Protocol]()

    def ports(protocol: Protocol) -> tuple[int, ...]:
        built.append(protocol)
        return protocol.ports

    of = vocabulary.cached(ports, "ftp")
    shipped = vocabulary.shipped("ftp")
    other = replace(shipped, ports=(2100,))
    assert [of(None), of(shipped), of(other), of(other), of(None)] == [(21, 2121), (21, 2121), (2100,), (2100,), (21, 2121)]
    assert built == [shipped, other]

from __future__ import annotations

import numpy as np

from analyzer import connections, notation
from analyzer.connections.server_port import server_port_rank, shipped_ports
from analyzer.rules import load
from analyzer.rules.protocols import server_ports


def test_known_ports_rank_before_system_ports_registered_and_ephemeral_ones() -> None:
    ports = np.array([8080, 1023, 1024, 32767, 32768, 0], np.uint16)
    assert server_port_rank(ports, frozenset({8080})).tolist() == [3, 2, 1, 1, 0, 0]


def test_shipped_ports_are_those_of_the_protocols_that_are_parsed() -> None:
    assert shipped_ports() == server_ports(load().protocols)
    assert {20, 21, 25, 80, 443, 465, 990} <= shipped_ports()
    assert 22 not in shipped_ports()


def test_the_client_of_a_capture_without_syn_is_guessed_by_the_ports_given() -> None:
    script = notation.parse("client 192.0.2.1:7001\nserver 192.0.2.2:7002\n> . 100:100(0) ack 300 win 9\n< . 300:300(0) ack 100 win 9")
    for port in (7001, 7002):
        flows = connections.group([notation.capture(script)], frozenset({port})).flows
        assert flows["server_port"].tolist() == [port]
        assert flows["client_by"].tolist() == ["port"]

"""Community IDs of connections against communityid."""

from __future__ import annotations

import socket

import communityid
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import connections
from analyzer.connections.community_id import community_id
from analyzer.notation import capture, parse

PORTS = st.sampled_from((0, 1, 80, 40000, 65535))
ENDS = st.one_of(
    st.tuples(st.ip_addresses(v=4), PORTS, st.ip_addresses(v=4), PORTS),
    st.tuples(st.ip_addresses(v=6), PORTS, st.ip_addresses(v=6), PORTS),
)


def test_community_id_as_three_other_tools_have_it() -> None:
    script = "client 10.0.0.1:20000\nserver 192.0.2.10:80\n> S 1:1(0)"
    assert list(community_id(connections.group([capture(parse(script))]).flows)) == ["1:e2++VUKmO3WbKCpFOM3wZTunaIk="]


@given(st.lists(ENDS, max_size=8))
@settings(deadline=None, max_examples=40)
def test_community_id_is_that_of_communityid(ends: list[tuple[object, int, object, int]]) -> None:
    script = "".join(
        f"client {number} {_shown(one)}:{port}\nserver {number} {_shown(other)}:{service}\n"
        for number, (one, port, other, service) in enumerate(ends, 1)
    )
    script += "".join(f"{number}> S 1:1(0)\n" for number in range(1, len(ends) + 1))
    found = connections.group([capture(parse(script))])
    other_tool = communityid.CommunityID()
    wanted = [
        other_tool.calc(communityid.FlowTuple.make_tcp(row.client_ip, row.server_ip, row.client_port, row.server_port))
        for row in found.flows.itertuples()
    ]
    assert list(community_id(found.flows)) == wanted


def _shown(address: object) -> str:
    family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
    text = socket.inet_ntop(family, socket.inet_pton(family, str(address)))
    return f"[{text}]" if ":" in text else text


def test_community_id_of_every_incarnation() -> None:
    script = "> S 1:1(0)\n< R. 0:0(0) ack 2\n> S 900:900(0)\n2> S 1:1(0)"
    names = list(community_id(connections.group([capture(parse(script))]).flows))
    assert names[0] == names[1] != names[2]


def test_no_connections_have_no_names() -> None:
    assert len(community_id(connections.group([]).flows)) == 0

"""One connection captured on both sides of a router between two VLANs, told from two connections that use the same addresses."""

from __future__ import annotations

import pytest

from analyzer import connections as connections_
from analyzer.notation import capture, parse

INSIDE = "vlan 300 ttl 63"
BEYOND = "vlan 50 ttl 62 mac 02:00:00:00:00:07>02:00:00:00:00:08"
BOTH_SIDES = f"""
> S 100:100(0) <mss 1460> id 7 {INSIDE}
+0.0001 > S 100:100(0) <mss 1460> id 7 {BEYOND}
< S. 300:300(0) ack 101 vlan 300 id 90
> . 101:101(0) ack 301 id 8 {INSIDE}
+0.0001 > . 101:101(0) ack 301 id 8 {BEYOND}
"""

CASES = {
    # A name, then script, number of connections and of copies.
    "one direction, on both VLANs": (BOTH_SIDES, 1, 2),
    "the last packet of the second VLAN alone": (BOTH_SIDES + f"> P. 101:201(100) ack 301 id 9 {BEYOND}", 1, 2),
    "both directions": (BOTH_SIDES + "< . 301:301(0) ack 101 vlan 50 id 91 ttl 40\n< . 301:301(0) ack 101 vlan 300 id 91 ttl 39", 1, 3),
    "the same TTL: networks that use the same addresses": (BOTH_SIDES.replace("ttl 62", "ttl 63"), 2, 0),
    "other identifications": (BOTH_SIDES.replace(f"id 7 {BEYOND}", f"id 17 {BEYOND}").replace(f"id 8 {BEYOND}", f"id 18 {BEYOND}"), 2, 0),
    "identification 0": (BOTH_SIDES.replace("id 7", "id 0").replace("id 8", "id 0"), 2, 0),
    "more than 10 ms later": (BOTH_SIDES.replace("+0.0001", "+0.011"), 2, 0),
}


@pytest.mark.parametrize("name", CASES)
def test_packets_on_both_sides_of_a_router(name: str) -> None:
    script, connections, copies = CASES[name]
    found = connections_.group([capture(parse(script))])
    assert len(found.flows) == connections
    assert len(found.duplicates) == found.flows["routed_frames"].sum() == copies


def test_three_vlans_in_a_row_are_one_connection() -> None:
    hops = [(300, 63), (50, 62), (7, 61)]
    segments = [("S", 100, "", 7), (".", 101, "ack 301", 8)]
    lines = [
        f"+0.0001 > {flags} {seq}:{seq}(0) {ack} id {id_} vlan {vlan} ttl {ttl}" for flags, seq, ack, id_ in segments for vlan, ttl in hops
    ]
    found = connections_.group([capture(parse("\n".join(lines)))])
    assert (len(found.flows), len(found.duplicates)) == (1, 4)

"""Who is client, which tuples are one, what is counted."""

from __future__ import annotations

import pandas as pd
import pytest

from analyzer import connections, schema
from analyzer.notation import capture, parse

CLIENTS = {
    # name: (script, client address, client_by)
    "sender of the first SYN": ("> S 1:1(0)\n< S. 5:5(0) ack 2", "192.0.2.1", "syn"),
    "the lower address does not matter": ("< S 1:1(0)\n> S. 5:5(0) ack 2", "198.51.100.1", "syn"),
    "first of two crossing SYNs": ("< S 1:1(0)\n> S 5:5(0)\n< S. 1:1(0) ack 6\n> S. 5:5(0) ack 2", "198.51.100.1", "syn"),
    "receiver of the SYN+ACK": ("< S. 5:5(0) ack 2\n> . 2:2(0) ack 6", "192.0.2.1", "synack"),
    "SYN behind its SYN+ACK in the file": ("< S. 5:5(0) ack 2\n> S 1:1(0)", "192.0.2.1", "syn"),
    "a SYN of the SYN+ACK's sender changes nothing": ("< S. 5:5(0) ack 2\n< S 9:9(0)", "192.0.2.1", "synack"),
    "a SYN behind other segments": ("> . 2:2(0) ack 6\n< S 90000:90000(0)", "198.51.100.1", "syn"),
    "well-known port against another": ("< P. 5:6(1) ack 2", "192.0.2.1", "port"),
    "nothing but the first segment": (
        "client 192.0.2.1:40000\nserver 198.51.100.1:50000\n< P. 5:6(1) ack 2\n> . 2:2(0) ack 6",
        "198.51.100.1",
        "first-segment",
    ),
    "registered port against ephemeral": ("client 192.0.2.1:50000\nserver 198.51.100.1:5432\n< P. 5:6(1) ack 2", "192.0.2.1", "port"),
    "system port against registered": ("client 192.0.2.1:1500\nserver 198.51.100.1:873\n< P. 5:6(1) ack 2", "192.0.2.1", "port"),
    "mail port against a system port": ("client 192.0.2.1:873\nserver 198.51.100.1:25\n< P. 5:6(1) ack 2", "192.0.2.1", "port"),
    "port 0": ("client 192.0.2.1:0\nserver 198.51.100.1:0\n> P. 5:6(1) ack 2", "192.0.2.1", "first-segment"),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_client(name: str) -> None:
    script, address, by = CLIENTS[name]
    found = connections.group([capture(parse(script))])
    assert list(found.flows["client_ip"]) == [address]
    assert list(found.flows["client_by"]) == [by]
    assert list(found.segments["by_client"]) == list(found.segments["src"] == address)


def test_counts() -> None:
    script = """
start 1000
> S 100:100(0)
+1 < S. 300:300(0) ack 101
+1 > . 101:101(0) ack 301
+1 > P. 101:111(10) ack 301
+1 > P. 101:111(10) ack 301
+1 < P. 301:304(3) ack 111
"""
    (row,) = connections.group([capture(parse(script))]).flows.to_dict("records")
    assert (row["client_port"], row["server_port"]) == (40000, 80)
    assert (row["client_segments"], row["server_segments"]) == (4, 2)
    assert (row["client_bytes"], row["server_bytes"]) == (20, 3)
    seconds = {
        name: row[name] / 1e9
        for name in ("start_time", "end_time", "client_first", "client_last", "server_first", "server_last", "capture_end")
    }
    assert list(seconds.values()) == [1000, 1005, 1000, 1004, 1001, 1005, 1005]
    assert (row["first_frame"], row["last_frame"]) == (1, 6)


def test_a_side_that_sent_nothing_has_no_times() -> None:
    (row,) = connections.group([capture(parse("> S 1:1(0)"))]).flows.to_dict("records")
    assert (row["server_segments"], row["server_first"], row["server_last"]) == (0, schema.NO_TIME, schema.NO_TIME)


def test_records_without_a_time_do_not_count_for_times() -> None:
    one = capture(parse("> S 1:1(0)\n< S. 5:5(0) ack 2\n> . 2:2(0) ack 6"))
    begin = int(one.segments["time"][1])
    one.segments.loc[0, "time"] = schema.NO_TIME
    (row,) = connections.group([one]).flows.to_dict("records")
    assert (row["start_time"], row["end_time"]) == (begin, begin + 1_000_000)
    assert row["client_first"] == schema.NO_TIME


def test_captures_do_not_join() -> None:
    one, two = (
        capture(parse("> S 1:1(0) <mss 1460>")),
        capture(parse("2> S 7:7(0) <mss 536>\n< S. 5:5(0) ack 2 <mss 900>\n> . 2:2(0) ack 6")),
    )
    found = connections.group([one, two])
    assert list(found.flows["capture"]) == [0, 1, 1]
    assert list(found.flows["first_frame"]) == [1, 1, 2]
    assert list(found.flows["capture_end"]) == [one.end_time, two.end_time, two.end_time]
    starts, lengths = found.segments["option_start"], found.segments["option_length"]
    options = [found.option_bytes[start : start + length].hex() for start, length in zip(starts, lengths, strict=True)]
    assert options == ["020405b4", "02040218", "02040384", ""]


def test_addresses_mean_the_same_in_all_captures() -> None:
    one = capture(parse("client 10.0.0.9:1\nserver 10.0.0.8:2\n> S 1:1(0)"))
    two = capture(parse("client 10.0.0.7:1\nserver 10.0.0.9:2\n> S 1:1(0)"))
    found = connections.group([one, two]).flows
    assert list(found["client_ip"]) == ["10.0.0.9", "10.0.0.7"]
    assert list(found["server_ip"]) == ["10.0.0.8", "10.0.0.9"]


def test_nothing_in_nothing_out() -> None:
    for captures in ([], [capture(parse(""))], [capture(parse("")), capture(parse(""))]):
        found = connections.group(captures)
        assert len(found.flows) == len(found.segments) == len(found.duplicates) == len(found.quotes) == 0
        schema.check(found.flows, schema.CONNECTIONS)


def test_vlans_with_both_directions_stay_apart() -> None:
    script = "> S 1:1(0) vlan 10\n> S 1:1(0) vlan 20\n< S. 5:5(0) ack 2 vlan 10\n< S. 5:5(0) ack 2 vlan 20"
    found = connections.group([capture(parse(script))])
    assert list(found.flows["vlan"]) == ["10", "20"]
    assert list(found.segments["frame"]) == [1, 3, 2, 4]
    assert not found.flows["vlan_joined"].any()


@pytest.mark.parametrize("there", ["20", "10.20"])
def test_one_direction_on_each_vlan_is_one_connection(there: str) -> None:
    script = f"> S 1:1(0) vlan 10\n< S. 5:5(0) ack 2 vlan {there}\n> . 2:2(0) ack 6 vlan 10\n2> S 1:1(0) vlan 10"
    found = connections.group([capture(parse(script))]).flows
    assert list(found["vlan_joined"]) == [True, False]
    assert list(found["client_segments"]) == [2, 1]
    assert list(found["server_segments"]) == [1, 0]


def test_one_direction_in_each_tunnel_is_one_connection() -> None:
    one = capture(parse("> S 1:1(0)\n< S. 5:5(0) ack 2\n> . 2:2(0) ack 6"))
    one.segments["tunnel"] = pd.Categorical(["geneve:11", "geneve:10", "geneve:11"])
    (row,) = connections.group([one]).flows.to_dict("records")
    assert (row["vlan_joined"], row["tunnel"], row["client_segments"], row["server_segments"]) == (True, "geneve:11", 2, 1)


def test_tunnels_with_both_directions_stay_apart() -> None:
    one = capture(parse("> S 1:1(0)\n> S 1:1(0)\n< S. 5:5(0) ack 2\n< S. 5:5(0) ack 2"))
    one.segments["tunnel"] = pd.Categorical(["gre:1", "gre:2", "gre:1", "gre:2"])
    assert list(connections.group([one]).segments["frame"]) == [1, 3, 2, 4]


def test_one_direction_on_each_vlan_with_numbers_that_do_not_fit() -> None:
    found = connections.group([capture(parse("> S 1:1(0) vlan 10\n< S. 5:5(0) ack 999 vlan 20"))]).flows
    assert list(found["vlan_joined"]) == [False, False]


def test_the_same_direction_on_two_vlans_stays_apart() -> None:
    found = connections.group([capture(parse("> S 1:1(0) vlan 10\n> . 2:2(0) ack 1 vlan 20"))]).flows
    assert list(found["vlan"]) == ["10", "20"]


def test_a_header_cut_behind_the_ports_stays_in_its_connection() -> None:
    found = connections.group([capture(parse("> S 1:1(0)\n< S. 5:5(0) ack 2\n> . 2:2(0) ack 6 cut 4\n> F. 2:2(0) ack 6 cut 13"))])
    assert list(found.segments["flow"]) == [0, 0, 0, 0]


def test_quotes_find_their_connection() -> None:
    script = """
> S 100:100(0)
< icmp 3/1 quote 100
2> S 5:5(0)
< R. 0:0(0) ack 101
> S 900:900(0)
< icmp 3/3 quote 900
< icmp 3/1 quote 100
"""
    found = connections.group([capture(parse(script))])
    assert list(found.flows["first_frame"]) == [1, 3, 5]
    assert list(found.quotes["flow"]) == [0, 2, 0]
    assert list(found.quotes["by_client"]) == [True, True, True]
    assert list(found.flows["icmp_quotes"]) == [2, 0, 1]


def test_quotes_of_other_connections_find_none() -> None:
    one = capture(parse("> S 100:100(0)\n< icmp 3/1 quote 100"))
    one.quotes["src_port"] = one.quotes["src_port"] + 1
    assert list(connections.group([one]).quotes["flow"]) == [-1]


def test_quotes_prefer_their_own_vlan() -> None:
    script = "> S 1:1(0) vlan 10\n> S 1:1(0) vlan 20\n< icmp 3/1 quote 1 vlan 20\n< icmp 3/1 quote 1 vlan 30"
    found = connections.group([capture(parse(script))])
    assert found.quotes["flow"].iloc[0] == 1
    assert found.quotes["flow"].iloc[1] in {0, 1}


def test_quotes_that_only_time_speaks_for() -> None:
    script = "> S 100:100(0)\n< R. 0:0(0) ack 101\n> S 900:900(0)\n< icmp 3/1 quote 5000"
    assert list(connections.group([capture(parse(script))]).quotes["flow"]) == [1]

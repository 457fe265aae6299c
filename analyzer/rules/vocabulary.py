"""The names that checks of finding files may use besides those of rows, with type, unit and meaning; each name is in one list only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fact:
    """One name of the rule language; `kind` is seq, int, time, flag or an enumeration's name."""

    kind: str
    meaning: str
    unit: str = ""


CHECKSUM: Final = ("unverified", "good", "bad", "partial")
"""Members of the enumeration `checksum`, in the order of `tables.CHECKSUM_STATES`."""

OPTIONS: Final = {
    "mss": "maximum segment size",
    "wscale": "window scale",
    "sack": "SACK permitted",
    "ts": "timestamps",
    "tfo": "Fast Open",
    "mptcp": "Multipath TCP",
    "accecn": "AccECN",
    "md5": "MD5 signature",
    "ao": "authentication (TCP-AO)",
}
"""Options with facts per connection; the position of a name is its bit."""

MACHINE_SEGMENT_FACTS: Final[dict[str, Fact]] = {
    "seq": Fact("seq", "sequence number; of an ICMP error the quoted one"),
    "ack": Fact("seq", "acknowledgment number; unknown without ACK"),
    "len": Fact("int", "payload by the IP header", "bytes"),
    "window": Fact("int", "window field, never scaled"),
    "fin": Fact("flag", "FIN is set"),
    "has_ack": Fact("flag", "ACK is set"),
    "time": Fact("time", "time of the frame since 1970; unknown where the record has none", "ns"),
    "ttl": Fact("int", "time to live or hop limit"),
    "repeats": Fact("int", "exact repeats in a row that this step stands for"),
    "header_cut": Fact("flag", "the header was not captured whole"),
    "stale": Fact("flag", "its numbers belong to an earlier connection between the same ports"),
    "mss": Fact("int", "maximum segment size it offers; unknown without the option", "bytes"),
    "window_scale": Fact("int", "window scale it offers; unknown without the option"),
    "tfo": Fact("int", "length of the Fast Open cookie, 0 for a request; unknown without the option", "bytes"),
    "has_tfo": Fact("flag", "carries a Fast Open option"),
    "icmp_version": Fact("int", "4 or 6; unknown for a segment"),
    "icmp_type": Fact("int", "type of an ICMP error; unknown for a segment"),
    "icmp_code": Fact("int", "code of an ICMP error; unknown for a segment"),
}
"""Facts of one segment that rows of the machine may name, too."""

MACHINE_CONNECTION_FACTS: Final[dict[str, Fact]] = {
    "n_client": Fact("int", "segments the client sent, copies of frames left out"),
    "n_server": Fact("int", "segments the server sent, copies of frames left out"),
    "n_readable": Fact("int", "segments whose flags were captured"),
    "client_bytes": Fact("int", "payload the client sent, repeats included", "bytes"),
    "server_bytes": Fact("int", "payload the server sent, repeats included", "bytes"),
    "capture_end": Fact("time", "latest time in the capture, since 1970", "ns"),
    "reuse": Fact("reuse", "how this connection follows an earlier one between the same ports"),
}
"""Facts of one connection that rows of the machine may name, too."""

SEGMENT_FACTS: Final[dict[str, Fact]] = {
    "flag_syn": Fact("flag", "SYN is set"),
    "flag_ack": Fact("flag", "ACK is set"),
    "flag_fin": Fact("flag", "FIN is set"),
    "flag_rst": Fact("flag", "RST is set"),
    "flag_psh": Fact("flag", "PSH is set"),
    "flag_urg": Fact("flag", "URG is set"),
    "flag_ece": Fact("flag", "ECE is set"),
    "flag_cwr": Fact("flag", "CWR is set"),
    "flag_ae": Fact("flag", "AE (once NS) is set"),
    "by_client": Fact("flag", "the client sent it"),
    "reserved": Fact("int", "the three reserved bits as a number"),
    "ack_field": Fact("seq", "acknowledgment field, whether or not ACK is set"),
    "urgent": Fact("int", "urgent pointer field", "bytes"),
    "header_length": Fact("int", "header length the data offset states", "bytes"),
    "overlong": Fact("flag", "the header it states is longer than the packet"),
    "checksum": Fact("checksum", "what verifying the TCP checksum gave"),
    "checksum_field": Fact("int", "TCP checksum field"),
    "side_sums_wrong": Fact("flag", "no segment of its side has a checksum that was verified and is right, or left to a network card"),
    "side_acked": Fact("flag", "the other side acknowledged something of its side"),
    "src_port": Fact("int", "source port"),
    "dst_port": Fact("int", "destination port"),
    "ipv6": Fact("flag", "carried by IPv6"),
    "ip_ecn": Fact("int", "IP ECN bits"),
    "fragment": Fact("flag", "came in IP fragments"),
    "same_ends": Fact("flag", "source and destination are one address and one port"),
    "loopback": Fact("flag", "sent to a loopback address"),
    "to_group": Fact("flag", "sent to a multicast or broadcast address"),
    "destination": Fact("seq", "IPv4 destination address as a number"),
    "ts_val": Fact("seq", "TSval"),
    "ts_ecr": Fact("seq", "TSecr"),
    "has_mss": Fact("flag", "carries a maximum segment size"),
    "has_wscale": Fact("flag", "carries a window scale"),
    "has_sack": Fact("flag", "carries SACK permitted"),
    "has_ts": Fact("flag", "carries timestamps"),
    "sack_blocks": Fact("int", "SACK blocks it carries"),
    "has_md5": Fact("flag", "carries an MD5 signature"),
    "has_ao": Fact("flag", "carries an authentication option (TCP-AO)"),
    "has_mptcp": Fact("flag", "carries a Multipath TCP option"),
    "has_accecn": Fact("flag", "carries an AccECN option"),
    "option_obsolete": Fact("flag", "carries an option of kind 6, 7, 9, 10, 14 or 15"),
    "option_ttcp": Fact("flag", "carries an option of T/TCP, kind 11 to 13"),
    "option_experimental": Fact("flag", "carries an option of kind 253 or 254"),
    "option_repeated": Fact("flag", "carries an option twice that may stand once"),
    "option_malformed": Fact("flag", "carries an option of a length that its kind does not have"),
    "after_end": Fact("flag", "bytes other than zero follow the end of the options"),
    "nop_run": Fact("int", "most NOP options in a row"),
    "nth": Fact("int", "which of its side's segments with neither SYN, RST nor FIN after its SYN this is, from 1"),
    "offset": Fact("int", "sequence number counted from its side's ISN"),
    "peer_mss": Fact("int", "maximum segment size the other side offered", "bytes"),
    "tsecr_answers": Fact("flag", "TSecr is the TSval of a SYN or SYN+ACK of the other side"),
    "tsecr_sent": Fact("flag", "TSecr is the TSval of some segment of the other side, whatever its flags"),
    "over_mss": Fact("flag", "carries more payload than the other side's MSS; false where that was not captured"),
    "side_offloads": Fact("flag", "its side sent a segment whose checksum was left to a network card, or `zero_sums_taken`"),
    "taken_whole": Fact(
        "flag", "takes sequence numbers, of which the other side acknowledged all and no other segment of its side takes any"
    ),
    "zero_sums_taken": Fact("flag", "its side sent payload with checksum field 0 that was larger than the MSS, or is `taken_whole`"),
    "ttl_settled": Fact("int", "segments of its side with neither SYN, RST nor FIN that have its TTL; 0 where the SYN's TTL comes back"),
    "mac_settled": Fact("int", "segments of its side with neither SYN, RST nor FIN from its MAC; 0 where the SYN's MAC comes back"),
    "farther": Fact("flag", "it has crossed more routers than its side's first SYN or SYN+ACK, as `hops` counts"),
    "ttl_change": Fact("int", "how far its TTL is from that of its side's first SYN or SYN+ACK"),
    "hops": Fact("int", "routers it has crossed, by its TTL and the 64, 128 or 255 it began with, whichever lies next above"),
    "hops_change": Fact("int", "how far that is from the same number of its side's first SYN or SYN+ACK"),
    "mac_change": Fact(
        "flag", "its source MAC is not the one of its side's first segment; unknown where every segment of the connection has its own"
    ),
}
"""Facts of one segment, besides those of `machine.SEGMENT`. Those that depend on options that were not captured are unknown."""

OPTION_FACTS: Final = frozenset(
    {"mss", "window_scale", "tfo", "has_tfo", "ts_val", "ts_ecr", "sack_blocks", "after_end", "nop_run", "tsecr_answers", "tsecr_sent"}
    | {name for name in SEGMENT_FACTS if name.startswith(("has_", "option_"))}
)
"""Facts of one segment that need its options whole."""

_OPENING_SEGMENTS = {"syn": "a SYN of the client", "synack": "a SYN+ACK of the server", "third": "the third segment"}

CONNECTION_FACTS: Final[dict[str, Fact]] = {
    "copies": Fact("int", "frames dropped as copies of another"),
    "routed_copies": Fact("int", "those of them that a router had passed on in between"),
    "n_syn": Fact("int", "SYNs the client sent"),
    "n_isn": Fact("int", "distinct ISNs among the client's SYNs"),
    "n_synack_isn": Fact("int", "distinct ISNs among the server's SYN+ACKs"),
    "syn_span": Fact("time", "from the client's first SYN to its last", "ns"),
    "syn_gap": Fact("time", "from the client's first SYN to its second of the same ISN", "ns"),
    "syn_ratio_low": Fact("int", "smallest ratio of a gap between SYNs to the gap before, but for steady gaps of a second", "%"),
    "syn_ratio_high": Fact("int", "largest such ratio", "%"),
    "since_syn": Fact("time", "from the client's first SYN to the end of the capture", "ns"),
    "syn_options_changed": Fact("flag", "the client's SYNs differ in their options or ECN flags"),
    "syn_ecn": Fact("flag", "a SYN of the client has ECE and CWR set (RFC 3168 6.1.1)"),
    "syn_accecn": Fact("flag", "a SYN of the client has AE, CWR and ECE set (RFC 9768 3.1.1)"),
    "synack_ace": Fact("int", "AE, CWR and ECE of the first SYN+ACK, as a number of three bits"),
    "synack_ece": Fact("flag", "ECE is set on the first SYN+ACK"),
    "synack_ip_ecn": Fact("int", "IP ECN bits of the first SYN+ACK"),
    "third_ace": Fact("int", "AE, CWR and ECE of the third segment, as a number of three bits"),
    "third_after": Fact("time", "from the last SYN+ACK before it to the third segment", "ns"),
    "syn_tsval": Fact("seq", "TSval of the first SYN"),
    "third_tsval": Fact("seq", "TSval of the third segment"),
    "race_gap": Fact("time", "from the first SYN+ACK to the first with another ISN", "ns"),
    "race_ttl": Fact("int", "how far their TTLs are apart"),
    "race_options": Fact("flag", "they differ in their options"),
    "client_last_ack": Fact("seq", "what the client acknowledged last, SYN- and RST-bearing segments left out"),
    "server_last_ack": Fact("seq", "what the server acknowledged last, in the same way"),
    "mptcp_keys_echoed": Fact("flag", "the third segment repeats the Multipath TCP keys of SYN and SYN+ACK (RFC 8684 3.1)"),
    "sack_outside": Fact(
        "int", "segments with a SACK block farther from their acknowledgment than all the payload captured of the other side, and 16 MiB"
    ),
    "times_backwards": Fact("int", "segments with an earlier time than the one before them in the file"),
} | {
    f"{place}_has_{option}": Fact("flag", f"{of} carries {meaning}")
    for place, of in _OPENING_SEGMENTS.items()
    for option, meaning in OPTIONS.items()
}
"""Facts of one connection, besides those of `machine.CONNECTION`; unknown where the segment they are about was not captured."""

EVIDENCE: Final = {
    "first_syn": "the client's first SYN",
    "last_syn": "the client's last SYN",
    "first_synack": "the server's first SYN+ACK",
    "other_synack": "the server's first SYN+ACK with another ISN than its first",
    "outside_sack": "the first of the segments that `sack_outside` counts",
    "third": "the client's first segment with ACK and neither SYN nor RST after the SYN+ACK",
}
"""Segments of a connection that a check may name as evidence."""

GROUP_BY: Final = {
    "client-isn": "connections of one client with one ISN",
    "client": "connections of one client",
    "server": "connections to one address and port",
    "openings": "connections whose two ISNs and first TSval are the same",
    "ends": "connections between the same addresses and ports, whatever their VLAN or tunnel",
}
"""Groupings of correlation checks; a group has connections of one capture only."""

GROUP_FACTS: Final[dict[str, Fact]] = {
    "connections": Fact("int", "connections in the group"),
    "pairs": Fact("int", "distinct pairs of client and server address"),
    "tuples": Fact("int", "distinct addresses and ports of both ends"),
    "ports": Fact("int", "distinct ports of servers"),
    "clients": Fact("int", "distinct addresses of clients"),
    "servers": Fact("int", "distinct addresses of servers"),
    "peak": Fact("int", "most connections that begin within a second"),
    "isns": Fact("int", "distinct ISNs of clients"),
    "isn_steps": Fact("int", "distinct steps from one connection's ISN to the next one's"),
    "paths": Fact("int", "distinct VLANs and tunnels"),
    "overlapping": Fact("flag", "two of them were under way at once"),
}
"""Facts of one group of connections."""

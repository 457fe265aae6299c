"""TCP options: the RFCs' layouts, and no byte string that stops the decoder."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.capture.decode import tcp_options
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

BLANK = {"mss": -1, "window_scale": -1, "ts_val": -1, "ts_ecr": -1, "tfo_cookie_length": -1, "sack_blocks": 0, "longest_nop_run": 0}
FLAGS = ("sack_permitted", "md5", "ao", "mptcp", "accecn", "obsolete", "ttcp", "experimental", "repeated", "after_end", "malformed")

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("", {}),
    "a Linux SYN": (
        "020405b4 0402 080a499602d2ffffffff 01 030307",
        {"mss": 1460, "sack_permitted": True, "ts_val": 1234567890, "ts_ecr": 4294967295, "window_scale": 7, "longest_nop_run": 1},
    ),
    "mss of all ones": ("0204ffff", {"mss": 65535}),
    "mss 0 is there": ("02040000", {"mss": 0}),
    "window scale 255": ("0303ff", {"window_scale": 255}),
    "three SACK blocks": ("0101051a" + "00" * 24, {"sack_blocks": 3, "longest_nop_run": 2}),
    "Fast Open request": ("2202", {"tfo_cookie_length": 0}),
    "Fast Open cookie": ("220a" + "ab" * 8, {"tfo_cookie_length": 8}),
    "Fast Open request, experiment": ("fe04f989", {"tfo_cookie_length": 0, "experimental": True}),
    "Fast Open cookie, experiment": ("fd08f989aabbccdd", {"tfo_cookie_length": 4, "experimental": True}),
    "another experiment": ("fe04e2d4", {"experimental": True}),
    "an experiment too short for a magic": ("fe03f9", {"experimental": True}),
    "MD5": ("1312" + "00" * 16, {"md5": True}),
    "AO": ("1d04aabb", {"ao": True}),
    "MPTCP": ("1e04 0081", {"mptcp": True}),
    "AccECN": ("ac02", {"accecn": True}),
    "T/TCP": ("0b0600000001", {"obsolete": True, "ttcp": True}),
    "four NOPs": ("01010101", {"longest_nop_run": 4}),
    "NOPs apart": ("0101 0402 01", {"longest_nop_run": 2, "sack_permitted": True}),
    "zeros after the end": ("00000000", {}),
    "something after the end": ("00010204", {"after_end": True}),
    "nothing after the end is an option": ("0400", {"malformed": True}),
    "end, then MSS": ("00020405b4", {"after_end": True}),
    "mss twice: the first": ("020405b4 02040200", {"mss": 1460, "repeated": True}),
    "timestamps twice": ("080a0000000100000002 080a0000000300000004", {"ts_val": 1, "ts_ecr": 2, "repeated": True}),
    "Fast Open as kind and as experiment": ("2202 fe04f989", {"tfo_cookie_length": 0, "repeated": True, "experimental": True}),
    "two MPTCP options": ("1e03ff 1e03ff", {"mptcp": True}),
    "length 0": ("0402 0200", {"sack_permitted": True, "malformed": True}),
    "length 1": ("0201", {"malformed": True}),
    "length missing": ("02", {"malformed": True}),
    "cut in its value": ("0402 020405", {"sack_permitted": True, "malformed": True}),
    "mss of 5 bytes, and on": ("020505b401 030307", {"window_scale": 7, "malformed": True}),
    "SACK of 11 bytes": ("050b" + "00" * 9, {"malformed": True}),
    "unknown kind": ("4604aabb", {}),
}


def decode(texts: Sequence[bytes]) -> pd.DataFrame:
    """Decode byte strings that lie end to end, behind a byte that belongs to none."""
    length = np.array([len(text) for text in texts], dtype=np.int16)
    start = 1 + np.concatenate(([0], np.cumsum(length)[:-1])).astype(np.int64)
    return tcp_options.decode(b"\xff" + b"".join(texts), start, length)


@pytest.mark.parametrize("name", CASES)
def test_options(name: str) -> None:
    text, expected = CASES[name]
    # Neighbours show whether a row reads beyond its own bytes.
    row = decode([b"\xff\xff", bytes.fromhex(text), b"\x02\x04\x11\x11"]).iloc[1].to_dict()
    assert row == BLANK | dict.fromkeys(FLAGS, False) | expected


def test_rows_laid_out_alike_are_read_as_each_alone() -> None:
    """Where many rows are laid out alike that layout is read once: the answer must not show it."""
    texts = [bytes.fromhex(text) for text, _ in CASES.values()]
    alone = decode(texts)
    together = decode(texts * 300)
    for name in alone:
        assert together[name].tolist() == alone[name].tolist() * 300, name


def test_numbers_come_from_each_rows_own_bytes() -> None:
    values = [(number * 65_537, 2**32 - 1 - number) for number in range(1000)]
    found = decode([bytes.fromhex("0101080a") + value.to_bytes(4, "big") + echo.to_bytes(4, "big") for value, echo in values])
    assert list(zip(found["ts_val"], found["ts_ecr"], strict=True)) == values


def test_all_cases_at_once_are_as_one_by_one() -> None:
    texts = [bytes.fromhex(text) for text, _ in CASES.values()]
    table = decode(texts)
    for place, text in enumerate(texts):
        assert table.iloc[place].to_dict() == decode([text]).iloc[0].to_dict()


def test_many_rows_are_decoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [bytes.fromhex(text) for text, _ in CASES.values()]
    whole = decode(texts)
    monkeypatch.setattr(tcp_options, "_CHUNK", 7)
    assert decode(texts).equals(whole)


def test_no_rows() -> None:
    table = tcp_options.decode(b"", np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int16))
    assert len(table) == 0
    assert table["ts_val"].dtype == "int64"
    assert [table[name].dtype.name for name in ("mss", "window_scale", "tfo_cookie_length", "malformed")] == [
        "int32",
        "int16",
        "int16",
        "bool",
    ]


def walk(text: bytes) -> tuple[list[tuple[int, bytes]], bool]:
    """Return the options of one header by the RFC's rule (RFC 9293 3.1), and whether the last is broken: one byte at a time."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(text) and text[at] != 0:
        if text[at] == 1:
            at += 1
            continue
        if at + 1 >= len(text) or text[at + 1] < 2 or at + text[at + 1] > len(text):
            return found, True
        found.append((text[at], text[at + 2 : at + text[at + 1]]))
        at += text[at + 1]
    return found, False


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_walked_as_the_rfc_says(texts: list[bytes]) -> None:
    table = decode(texts)
    for text, row in zip(texts, table.to_dict("records"), strict=True):
        found, broken = walk(text)
        sizes = [len(value) for kind, value in found if kind == 2]
        assert row["malformed"] >= broken
        assert row["mss"] == next((int.from_bytes(value, "big") for kind, value in found if kind == 2 and len(value) == 2), -1)
        assert row["mptcp"] == any(kind == 30 for kind, _ in found)
        assert not any(size != 2 for size in sizes) or row["malformed"]
        assert tcp_options.show(text).startswith("<") == bool(text)


@given(st.lists(st.binary(max_size=40) | st.sampled_from([bytes.fromhex("01 1e0c 0181 0102030405060708"), b""]), max_size=8))
@settings(deadline=None)
def test_an_option_is_found_where_the_walk_meets_it_first(texts: list[bytes]) -> None:
    length = np.array([len(text) for text in texts], dtype=np.int16)
    start = (np.cumsum(length) - length).astype(np.int64)
    found = tcp_options.find(b"".join(texts), start, length, tcp_options.MPTCP)
    assert found.shape == (len(texts), tcp_options.MAX_OPTION_BYTES)
    for row, text in zip(found, texts, strict=True):
        first = next((value for kind, value in walk(text)[0] if kind == tcp_options.MPTCP), None)
        whole = b"" if first is None else bytes((tcp_options.MPTCP, len(first) + 2)) + first
        assert row.tobytes() == whole.ljust(tcp_options.MAX_OPTION_BYTES, b"\0")


def test_shown_as_tcpdump_does(tmp_path: Path) -> None:
    if not (tcpdump := shutil.which("tcpdump")):
        pytest.skip("tcpdump is not installed")
    text = "> S 1:1(0) win 1 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>\n"
    (tmp_path / "x.pcap").write_bytes(build(parse(text)))
    said = subprocess.run([tcpdump, "-nr", "x.pcap"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    shown = tcp_options.show(bytes.fromhex("020405b40402080a000000010000000001030307"))
    assert shown == "<mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>"
    assert f"options [{shown[1:-1]}]" in said


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        ("01000000", "<nop,eol,eol,eol>"),
        ("2202", "<tfo>"),
        ("220801020304ffff", "<tfo 01020304ffff>"),
        ("fe04f989", "<opt 254 f989>"),
        ("050a0000000100000002", "<sack 1-2>"),
        ("020305", "<opt 2 05>"),
        ("040202", "<sackOK,opt-bytes 02>"),
        ("0200ff", "<opt-bytes 0200ff>"),
    ],
)
def test_show(data: str, text: str) -> None:
    assert tcp_options.show(bytes.fromhex(data)) == text

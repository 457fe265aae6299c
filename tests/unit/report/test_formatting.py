from __future__ import annotations

import math

import pytest

from analyzer.report import formatting


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.nan, ""),
        (0.0, "0 ms"),
        (0.0412, "0.0412 ms"),
        (1.11, "1.11 ms"),
        (123.456, "123.5 ms"),
        (7_004.0, "7.00 s"),
        (86_400_000, "86,400.0 s"),
    ],
)
def test_milliseconds(value: float, shown: str) -> None:
    assert formatting.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (18_432, "18.4 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (10**12, "1 TB"),
        (10**16, "10,000 TB"),
    ],
)
def test_size(number: int, shown: str) -> None:
    assert formatting.size(number) == shown


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        ((), ""),
        ((7,), "frame 7"),
        ((14, 15), "frames 14, 15"),
        ((3, 4, 5, 9), "frames 3-5, 9"),
        (tuple(range(1, 41, 2)), "frames 1, 3, 5, 7, 9, 11, 13, 15, … (20 in all)"),
    ],
)
def test_frames(frames: tuple[int, ...], shown: str) -> None:
    assert formatting.frames([(0, frame) for frame in frames]) == shown


@pytest.mark.parametrize(
    ("flags", "by", "length", "letter"),
    [("S", "client", 0, "S"), ("SA", "server", 0, "h"), ("A", "client", 0, "A"), ("PA", "server", 5, "d"), ("FA", "client", 5, "F"),
     ("RA", "server", 0, "r"), ("", "client", 0, "?"), ("SEW", "client", 0, "S")],
)  # fmt: skip
def test_history_letters_are_zeeks(flags: str, by: str, length: int, letter: str) -> None:
    assert formatting.history_letter(flags, by, length) == letter


def test_relative_numbers_before_the_isn_are_negative() -> None:
    assert [formatting.relative(number) for number in (0, 1, 2**31 - 1, 2**31, 2**32 - 1)] == ["0", "1", "2147483647", "-2147483648", "-1"]


def test_flags_and_endpoints() -> None:
    assert formatting.flags("SAEW") == "SYN,ACK,ECE,CWR"
    assert formatting.flags("none") == "no flags"
    assert formatting.flags("") == "header cut"
    assert formatting.endpoint("2001:db8::1", 25) == "[2001:db8::1]:25"
    assert formatting.endpoint("192.0.2.1", 25) == "192.0.2.1:25"

"""RFC 1071 sums before and after a change; expected values by adding words one by one."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from analyzer.anonymize.checksums import adjust, total

parts = st.binary(min_size=2, max_size=60)
pseudo = st.binary(min_size=12, max_size=12)


def slow(data: bytes) -> int:
    """RFC 1071 4.1, word by word."""
    found = 0
    for at in range(0, len(data), 2):
        found += int.from_bytes((data[at : at + 2] + b"\0")[:2])
        found = (found & 0xFFFF) + (found >> 16)
    return found


def is_right(field: int, head: bytes, data: bytes) -> bool:
    return slow(head + data + field.to_bytes(2) if len(data) % 2 == 0 else head + data + b"\0" + field.to_bytes(2)) == 0xFFFF


@given(st.binary(max_size=99))
def test_the_sum_is_that_of_rfc_1071(data: bytes) -> None:
    assert total(data) == slow(data)


def test_the_example_of_rfc_1071() -> None:
    assert total(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@given(pseudo, parts, pseudo, parts)
def test_what_was_right_is_right(old_head: bytes, old: bytes, new_head: bytes, new: bytes) -> None:
    field = 0xFFFF - slow(old_head + old)
    found = adjust(field, (old_head, old), (new_head, new), whole=True)
    assert is_right(found, new_head, new)


@given(pseudo, parts, pseudo, parts, st.integers(0, 0xFFFF))
def test_what_was_wrong_is_wrong(old_head: bytes, old: bytes, new_head: bytes, new: bytes, field: int) -> None:
    assume(not is_right(field, old_head, old))
    found = adjust(field, (old_head, old), (new_head, new), whole=True)
    partial = {slow(new_head), 0xFFFF - slow(new_head), slow(new_head[:8]), 0xFFFF - slow(new_head[:8])}
    assert found in partial or not is_right(found, new_head, new)


@given(pseudo, parts, pseudo, parts)
def test_the_sum_of_a_pseudo_header_stays_one(old_head: bytes, old: bytes, new_head: bytes, new: bytes) -> None:
    field = slow(old_head)
    assume(not is_right(field, old_head, old))
    assert adjust(field, (old_head, old), (new_head, new), whole=True) == slow(new_head)

"""Where TLS begins and ends, with headers from the RFCs."""

from __future__ import annotations

import pytest

from analyzer.protocols import tls
from analyzer.reassembly.reader import Reader


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",  # RFC 8446 5.1: a ClientHello's record says version 0x0301
        b"\x16\x03\x00\x00\x2a",  # RFC 6101 5.2.1: SSL 3.0
        b"\x16\x03\x04\x00\x2a",
        b"\x14\x03\x03\x00\x01",  # RFC 5246 6.2.1: change_cipher_spec, alert, handshake, application_data
        b"\x15\x03\x03\x00\x02",
        b"\x17\x03\x03\x40\x00",
        b"\x16\x03\x01",
        b"\x80\x2e\x01\x03\x01",  # RFC 5246 E.2: CLIENT-HELLO of SSL 2.0 that offers TLS 1.0
        b"\x80\x2e\x01\x00\x02",  # and one that offers SSL 2.0 alone
        b"\x81\x0a\x01\x03\x03",
    ],
)
def test_tls_begins(data: bytes) -> None:
    assert tls.begins(data)
    assert tls.begins(data + b"\x00\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16",
        b"\x16\x03",
        b"\x13\x03\x01\x00\x05",  # no content type
        b"\x18\x03\x03\x00\x05",  # heartbeat, RFC 6520: never the first record
        b"\x16\x02\x00\x00\x05",  # no version 3.x
        b"\x16\x03\x05\x00\x05",
        b"\x2e\x80\x01\x03\x01",  # an SSL 2.0 header of three bytes has padding, which no hello has
        b"\x80\x2e\x02\x03\x01",  # CLIENT-MASTER-KEY
        b"\xc3\xa9\x01ab",  # clear text that is UTF-8, with a control character
        b"\x80\x2e\x01\x04\x00",
        b"220 ready\r\n",
        b"EHLO x\r\n",
    ],
)
def test_clear_text_is_no_tls(data: bytes) -> None:
    assert not tls.begins(data)


@pytest.mark.parametrize(
    ("data", "left", "cleared"),
    [
        (b"\x17\x03\x03\x00\x03abc\x15\x03\x03\x00\x02xx220 clear\r\n", b"220 clear\r\n", True),
        (b"\x17\x03\x03\x00\x03abc\x15\x03\x03\x00\x02xx", b"", False),
        (b"\x17\x03\x03\x00\x03abc220 clear\r\n", b"220 clear\r\n", False),
        (b"\x17\x03\x03\x01\x03abc", b"", False),
    ],
)
def test_records_are_skipped_by_their_length(data: bytes, left: bytes, *, cleared: bool) -> None:
    reader = Reader.of("client", [(0, data, 1, 0)])
    assert tls.skip_records(reader) is cleared
    assert reader.peek(100) == left

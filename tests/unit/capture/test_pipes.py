from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from analyzer.capture import pipes
from analyzer.errors import UsageError


def test_a_stream_is_what_can_be_read_once_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"")
    assert pipes.is_stream("-")
    assert pipes.is_stream(tmp_path / "fifo")
    assert not pipes.is_stream(tmp_path / "file")
    assert not pipes.is_stream(tmp_path)
    assert not pipes.is_stream(tmp_path / "absent")
    assert not pipes.is_stream("a\0b")


def test_a_stream_is_stored_whole_under_its_name_and_removed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = os.urandom((1 << 20) + 17)
    writer = threading.Thread(target=lambda: fifo.write_bytes(data))
    writer.start()
    with pipes.stored([tmp_path / "one.pcap", fifo]) as stored:
        first, second = stored.paths
        assert first == str(tmp_path / "one.pcap")
        assert Path(second).read_bytes() == data
        assert (stored.name(first), stored.name(second)) == (first, str(fifo))
        assert Path(second).parent.stat().st_mode & 0o077 == 0
    writer.join()
    assert not Path(second).parent.exists()


def test_a_fifo_that_is_named_twice_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="this stream is named twice"), pipes.stored([tmp_path / "fifo"] * 2):
        pass

from __future__ import annotations

from pathlib import Path

from analyzer.anonymize import source
from analyzer.options import ReadOptions

SAMPLES = Path(__file__).resolve().parents[3] / "sample_pcaps"


def test_frames_names_and_secrets_of_a_login() -> None:
    found = source.load(SAMPLES / "ftp-wrong-password.pcap", ["f1"], ReadOptions(engine="native"))
    assert found.words == ("sample",)
    assert found.secrets == ("not-the-password-either",)
    assert set(found.frames) == set(found.segments.sent)
    assert {by_client for _, by_client in found.segments.sent.values()} == {True, False}


def test_an_icmp_error_belongs_to_the_stream_it_quotes() -> None:
    found = source.load(SAMPLES / "icmp-port-unreachable.pcap", ["f1"], ReadOptions(engine="native"))
    assert found.segments.quoted
    assert set(found.segments.quoted.values()) == {(0, True)}

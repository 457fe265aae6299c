"""HAR of the HTTP samples, read back by haralyzer; expected values are those of the scripted captures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from haralyzer import HarParser

import analyzer
from analyzer import notation
from analyzer import report as reports

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = Path(__file__).resolve().parents[3] / "sample_pcaps"
REQUEST = b"POST /form?token=c2VjcmV0LXRva2VuLTEyMzQ1 HTTP/1.1\r\nHost: www.example.org\r\n"
REQUEST += b"Cookie: sid=hunter2hunter2\r\nContent-Length: 3\r\n\r\nabc"
RESPONSE = b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nSet-Cookie: a=topsecretvalue\r\n\r\nno"


def har(report: analyzer.Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads("".join(reports.render(report, "har")))
    return found


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    lines = [
        "> S 100:100(0) win 64240",
        "+0.001 < S. 300:300(0) ack 101 win 65535",
        "+0.001 > . 101:101(0) ack 301 win 64240",
        f'+0.001 > P. 101:{101 + len(REQUEST)}({len(REQUEST)}) ack 301 win 64240 "{escape(REQUEST)}"',
        f'+0.025 < P. 301:{301 + len(RESPONSE)}({len(RESPONSE)}) ack {101 + len(REQUEST)} win 65535 "{escape(RESPONSE)}"',
    ]
    script = "\n".join(["client 192.0.2.1:40000", "server 198.51.100.1:8080", "start 1700000000.123456789", *lines])
    path = tmp_path_factory.mktemp("har") / "form.pcap"
    path.write_bytes(notation.build(notation.parse(script)))
    found = har(analyzer.analyze([path], engine="native"))
    assert len(found["log"]["entries"]) == 1
    entry: dict[str, Any] = found["log"]["entries"][0]
    return entry


def escape(data: bytes) -> str:
    return data.decode().replace("\r", r"\r").replace("\n", r"\n")


def test_an_entry_is_what_was_sent(scripted: dict[str, Any]) -> None:
    request, response = scripted["request"], scripted["response"]
    assert scripted["startedDateTime"] == "2023-11-14T22:13:20.126Z"
    assert scripted["serverIPAddress"] == "198.51.100.1"
    assert scripted["timings"]["wait"] == pytest.approx(25.0)
    assert (request["method"], request["httpVersion"]) == ("POST", "HTTP/1.1")
    assert request["url"].startswith("http://www.example.org/form?token=")
    assert (request["bodySize"], request["headersSize"]) == (3, len(REQUEST) - 3)
    assert {header["name"]: header["value"] for header in request["headers"]} == {"Host": "www.example.org", "Content-Length": "3"}
    assert (response["status"], response["statusText"], response["bodySize"]) == (503, "Busy", 2)
    assert response["content"] == {"size": 2, "mimeType": "text/plain"}


def test_no_secret_is_in_it(scripted: dict[str, Any]) -> None:
    text = json.dumps(scripted)
    for secret in ("c2VjcmV0LXRva2VuLTEyMzQ1", "hunter2hunter2", "topsecretvalue"):
        assert secret not in text
    assert scripted["request"]["cookies"] == [{"name": "sid", "value": ""}]
    assert scripted["response"]["cookies"] == [{"name": "a", "value": ""}]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("http-*.pcap")))
def test_haralyzer_reads_what_the_transactions_say(name: str) -> None:
    report = analyzer.analyze([SAMPLES / name], expect=False, engine="native")
    parser = HarParser(har(report))
    table = report.transactions[report.transactions["method"] != ""]
    entries = parser.har_data["entries"]
    assert [entry["request"]["method"] for entry in entries] == table["method"].tolist()
    assert [entry["response"]["status"] for entry in entries] == table["code"].where(table["code"] >= 0, 0).tolist()
    for page in parser.pages:
        assert page.entries is not None


def test_a_report_without_http_has_no_entry(report: analyzer.Report, written: Callable[..., str]) -> None:
    del report
    assert json.loads(written("har"))["log"]["version"] == "1.2"
    mail = analyzer.analyze([SAMPLES / "smtp-two-messages.pcap"], expect=False, engine="native")
    assert har(mail)["log"]["entries"] == []

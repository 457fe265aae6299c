from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from analyzer import __version__
from analyzer import report as reports
from analyzer.report import columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Report

SCHEMA = json.loads((Path(__file__).parents[3] / "rules" / "schema" / "report.schema.json").read_text())


def read(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    def refuse(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_golden(written: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden("report.json", written("json").replace(f'"pcaplint": "{__version__}"', '"pcaplint": "X"'))


def test_the_schema_is_one_and_the_report_is_valid_by_it(written: Callable[..., str]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(read(written("json")))


def test_every_field_written_is_described(written: Callable[..., str]) -> None:
    document = read(written("json"))
    described = SCHEMA["$defs"]
    flow = document["flows"][1]
    assert set(flow) == set(described["flow"]["properties"])
    assert set(flow["opening"][0]) == set(described["step"]["properties"])
    assert set(flow["findings"][0]) == set(described["finding"]["properties"])
    assert set(document["transactions"][0]) == set(described["transaction"]["properties"]) | {"target", "cookies", "pipelined"}
    assert set(document["captures"][0]) == set(described["capture"]["properties"])
    assert set(document["summary"]) == set(described["summary"]["properties"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("flows", 0, "client_port"), "80"),
        (("flows", 0, "outcome"), "fine"),
        (("captures", 0, "status"), "ok"),
        (("flows", 0, "start_time_ns"), 17),
        (("flows", 0, "first_talker"), "both"),
        (("transactions", 0, "number"), 0),
        (("transactions", 0, "kind"), None),
        (("transactions", 0, "cookies"), {"a": "b"}),
        (("transactions", 0, "cookies"), [1.5]),
        (("secrets",), "no"),
    ],
)
def test_the_schema_refuses_other_types(written: Callable[..., str], place: tuple[Any, ...], value: object) -> None:
    document = read(written("json"))
    target = document
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    assert not Draft202012Validator(SCHEMA).is_valid(document)


def test_bytes_are_ascii_and_hostile_text_comes_back_whole(written: Callable[..., str]) -> None:
    text = written("json")
    assert text.isascii()
    assert not any(ord(character) < 0x20 for character in text.replace("\n", ""))
    document = read(text)
    assert document["flows"][1]["findings"][1]["message"] == "a\x1b[31mred\x9b2J\u202etxt.exe\x07\n[bold]b[/nope]"
    assert document["captures"][2]["path"] == r"=demo/\xff.pcap"


def test_absent_is_null_and_times_keep_their_nanoseconds(written: Callable[..., str]) -> None:
    flows = read(written("json"))["flows"]
    assert flows[0]["start_time"] == "2023-11-14T22:13:20.123456789Z"
    assert flows[0]["start_time_ns"] == "1700000000123456789"
    assert flows[0]["server_isn"] == 4_294_967_295
    absent = ("start_time", "start_time_ns", "duration_ms", "rtt_ms", "server_isn", "server_first", "server_first_ns", "vlan", "service")
    assert {name: flows[2][name] for name in absent} == dict.fromkeys(absent)
    assert flows[0]["worst"] is None


def test_a_transaction_has_what_all_have_and_what_its_protocol_has(written: Callable[..., str]) -> None:
    rows = read(written("json"))["transactions"]
    own = [set(row) - set(SCHEMA["$defs"]["transaction"]["properties"]) for row in rows]
    assert own == [{"target", "cookies", "pipelined"}] * 2 + [{"rcpt_to", "rcpt_codes", "message_size"}, {"data_flow_id"}]
    assert [row["cookies"] for row in rows[:2]] == [["sid", "a;b", ""], []]
    assert (rows[2]["rcpt_to"], rows[2]["rcpt_codes"], rows[2]["message_size"]) == (["c@d.example", "=x@y.example"], [250, 550], 1200)
    assert (rows[0]["time"], rows[0]["time_ns"]) == ("2023-11-14T22:13:20.127456789Z", "1700000000127456789")
    assert {name: rows[1][name] for name in ("time", "time_ns", "code", "reply", "latency_ms", "response_bytes")} == dict.fromkeys(
        ("time", "time_ns", "code", "reply", "latency_ms", "response_bytes")
    )
    assert rows[1]["request"] == "a\x1b[31mred\x9b2J\u202etxt.exe\x07\n[bold]b[/nope]"
    assert (rows[0]["complete"], rows[1]["complete"]) == (True, False)


def test_the_order_of_transactions_is_kept_over_pieces(written: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read(written("json"))["transactions"]
    monkeypatch.setattr("analyzer.report.json.CHUNK", 3)
    assert read(written("json"))["transactions"] == whole
    assert [row["number"] for row in whole] == [1, 2, 3, 4]


def test_findings_and_steps_stand_with_their_connection(written: Callable[..., str]) -> None:
    flows = {flow["flow_id"]: flow for flow in read(written("json"))["flows"]}
    assert [step["frame"] for step in flows["f1"]["opening"]] == [1, 2, 3, 4, 5]
    assert [step["frame"] for step in flows["f2"]["opening"]] == [14, 15, 18]
    assert [finding["id"] for finding in flows["f2"]["findings"]] == ["synack-ack-wrong", "early-reset"]
    assert flows["f4"]["findings"][0]["frames"] == [{"capture": 0, "frame": 9}, {"capture": 1, "frame": 1}]
    assert flows["f5"]["opening"] == flows["f5"]["findings"] == []
    assert flows["f2"]["first"] == {"capture": 0, "frame": 14}


def test_pieces_join_without_seam(huge: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analyzer.report.json.CHUNK", 7)
    assert columns.CHUNK > 7
    document = read("".join(reports.render(huge, "json")))
    assert [flow["flow_id"] for flow in document["flows"]] == [f"f{number + 1}" for number in range(5_000)]
    assert document["summary"]["verdicts"] == {"complete": 4_950, "refused": 50}

"""Which connection an announcement meant, in a job with many."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyzer import rules
from analyzer.protocols import linking
from analyzer.protocols.api import AnnouncedConnection
from analyzer.protocols.linking import Flows, LinkedConnection

CLIENT, SERVER, OTHER = "192.0.2.10", "198.51.100.20", "203.0.113.9"
CONTROL = (CLIENT, 40000, SERVER, 21, 1, 100)
ROW = tuple[Any, ...]
VERDICTS = {verdict.name: verdict for verdict in rules.load().verdicts}


def flows(*rows: ROW) -> Flows:
    """Return connections: client address and port, server address and port, first and last frame, then the verdict and the capture."""
    full = [(*row, *("complete", 0)[len(row) - 6 :]) for row in rows]
    columns = list(zip(*full, strict=True))
    number = len(rows)
    return Flows(
        capture=np.array(columns[7]),
        client_ip=columns[0],
        client_port=np.array(columns[1]),
        server_ip=columns[2],
        server_port=np.array(columns[3]),
        first_frame=np.array(columns[4]),
        last_frame=np.array(columns[5]),
        verdict=columns[6],
        opened=np.array([VERDICTS[name].outcome == "opened" for name in columns[6]]),
        opener_known=np.array([VERDICTS[name].opener_known for name in columns[6]]),
        failure=[VERDICTS[name].failure for name in columns[6]],
        client_bytes=np.zeros(number, np.int64),
        server_bytes=np.full(number, 7),
        reset=np.zeros(number, bool),
        encrypted=np.zeros(number, bool),
    )


def passive(frame: int = 10, port: int = 50000, ip: str = SERVER, until: int | None = 90) -> AnnouncedConnection:
    return AnnouncedConnection("client", ip, port, frame, "pasv", until)


def active(frame: int = 10, port: int = 50000, ip: str = CLIENT) -> AnnouncedConnection:
    return AnnouncedConnection("server", ip, port, frame, "port", 90)


def find(announcement: AnnouncedConnection, *rows: ROW) -> LinkedConnection:
    (found,) = linking.find({0: [announcement]}, flows(CONTROL, *rows))
    return found


def test_passive_and_active() -> None:
    assert find(passive(), (CLIENT, 40001, SERVER, 50000, 12, 20)) == LinkedConnection(0, passive(), 1, openings=1)
    assert find(active(), (SERVER, 20, CLIENT, 50000, 12, 20)) == LinkedConnection(0, active(), 1, openings=1)
    assert find(active(), (SERVER, 31234, CLIENT, 50000, 12, 20)).flow == 1, "from any port"


def test_an_address_that_is_not_named_is_the_one_of_the_dialogue() -> None:
    assert find(passive(ip=""), (CLIENT, 40001, SERVER, 50000, 12, 20)).flow == 1


def test_behind_a_translator_the_address_of_the_dialogue_counts_too() -> None:
    assert find(passive(ip="10.0.0.5"), (CLIENT, 40001, SERVER, 50000, 12, 20)).flow == 1
    assert find(passive(ip="10.0.0.5"), (CLIENT, 40001, "10.0.0.5", 50000, 12, 20)).flow == 1
    assert find(active(ip="10.0.0.5"), (SERVER, 20, CLIENT, 50000, 12, 20)).flow == 1


def test_nothing_fits() -> None:
    assert find(passive()).flow == -1
    assert find(passive(), (CLIENT, 40001, SERVER, 50001, 12, 20)).flow == -1
    assert find(passive(), (CLIENT, 40001, SERVER, 50000, 12, 20, "complete", 1)).flow == -1, "another capture"
    assert find(passive(), (CLIENT, 40001, SERVER, 50000, 2, 9)).flow == -1, "over before it was announced"


def test_the_control_connection_is_never_its_own_channel() -> None:
    assert find(AnnouncedConnection("server", "", 40000, 10)).flow == -1
    assert find(passive(frame=0, port=21)).flow == -1


def test_a_connection_before_the_announcement_that_still_lasts_is_early() -> None:
    found = find(passive(), (CLIENT, 40001, SERVER, 50000, 8, 20))
    assert (found.flow, found.early) == (1, True)


def test_the_wrong_end_opens_it() -> None:
    found = find(passive(), (SERVER, 50000, CLIENT, 40001, 12, 20))
    assert (found.flow, found.wrong_opener, found.other_address) == (1, True, False)
    guessed = find(passive(), (SERVER, 50000, CLIENT, 40001, 12, 20, "mid-stream"))
    assert (guessed.flow, guessed.wrong_opener) == (1, None), "who opened it was not captured"


def test_somebody_else_opens_it() -> None:
    found = find(passive(), (OTHER, 40001, SERVER, 50000, 12, 20))
    assert (found.flow, found.other_address, found.openings) == (1, True, 1)
    both = find(passive(), (OTHER, 40001, SERVER, 50000, 11, 20), (CLIENT, 40001, SERVER, 50000, 12, 20))
    assert (both.flow, both.other_address) == (2, False)
    assert find(passive(), (OTHER, 40001, SERVER, 50000, 95, 99)).flow == -1, "the transfer was over"


def test_it_is_opened_twice() -> None:
    found = find(passive(), (CLIENT, 40001, SERVER, 50000, 12, 20), (CLIENT, 40002, SERVER, 50000, 13, 20))
    assert (found.flow, found.again, found.openings) == (1, 2, 2)


def test_one_that_opened_is_meant_rather_than_an_attempt_before() -> None:
    found = find(passive(), (CLIENT, 40001, SERVER, 50000, 12, 13, "refused"), (CLIENT, 40002, SERVER, 50000, 14, 20))
    assert (found.flow, found.again, found.openings) == (2, -1, 1)
    assert find(passive(), (CLIENT, 40001, SERVER, 50000, 12, 13, "refused")).openings == 0


def test_each_announcement_of_an_address_has_its_own_connection() -> None:
    table = flows(CONTROL, (CLIENT, 40001, SERVER, 50000, 12, 20), (CLIENT, 40002, SERVER, 50000, 32, 40))
    found = linking.find({0: [passive(10), passive(30)]}, table)
    assert [(one.flow, one.again, one.early) for one in found] == [(1, -1, False), (2, -1, False)]


def test_two_control_connections() -> None:
    table = flows(CONTROL, (CLIENT, 40005, SERVER, 21, 2, 99), (CLIENT, 1, SERVER, 50001, 20, 21), (CLIENT, 2, SERVER, 50000, 22, 23))
    found = linking.find({1: [passive(11, 50001)], 0: [passive(12, 50000)]}, table)
    assert {one.flow: one.control for one in found} == {2: 1, 3: 0}


def test_the_cost_grows_with_the_number_and_not_its_square() -> None:
    reads = 0

    class Counted(list[str]):
        def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - as a list does
            nonlocal reads
            reads += 1
            return super().__getitem__(place)

    def cost(number: int) -> int:
        nonlocal reads
        rows = [(CLIENT, 1024 + place, SERVER, 50000, 11 + 10 * place, 15 + 10 * place) for place in range(number)]
        table = flows((*CONTROL[:5], 10**6), *rows)
        counted = Flows(**{name: getattr(table, name) for name in Flows.__slots__} | {"client_ip": Counted(table.client_ip)})
        reads = 0
        found = linking.find({0: [passive(10 + 10 * place) for place in range(number)]}, counted)
        assert [one.flow for one in found] == list(range(1, number + 1))
        return reads

    assert cost(800) < 2.2 * cost(400)

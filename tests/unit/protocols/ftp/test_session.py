"""What a control connection comes to: log-in, directory, protection, and how each data connection is set up."""

from __future__ import annotations

import pytest

from tests.unit.protocols.ftp.scripts import LOGIN, facts, talk

PASV = "C: PASV\nS: 227 (198,51,100,20,195,80)\n"
PORT = "C: PORT 192,0,2,10,195,80\nS: 200 ok\n"
LIST = "C: LIST\nS: 150 here\nS: 226 done\n"


@pytest.mark.parametrize(
    ("script", "login", "failures"),
    [
        ("", "none", 0),
        ("C: USER a\nS: 230 in\n", "accepted", 0),
        ("C: USER a\nS: 331 p\n", "pending", 0),
        ("C: USER a\nS: 530 no\n", "refused", 1),
        ("C: USER a\nS: 331 p\nC: PASS x\nS: 332 account\nC: ACCT y\nS: 230 in\n", "accepted", 0),
        ("C: USER a\nS: 331 p\nC: PASS x\nS: 530 no\nC: USER a\nS: 331 p\nC: PASS y\nS: 530 no\n", "refused", 2),
        ("C: PASS x\nS: 503 user first\n", "refused", 0),
        ("C: USER a\nS: 230 in\nC: REIN\nS: 220 again\n", "none", 0),
        ("C: SYST\nS: 530 log in first\n", "none", 0),
    ],
)
def test_logging_in(script: str, login: str, failures: int) -> None:
    told = talk("S: 220 x\n" + script).facts
    assert (told["login"], told["login_failures"]) == (login, failures)


@pytest.mark.parametrize(
    ("user", "anonymous", "credentials"),
    [("jo", False, True), ("anonymous", True, False), ("Anonymous", True, False), ("ftp", True, False)],
)
def test_credentials_are_those_of_a_user_with_a_name(user: str, *, anonymous: bool, credentials: bool) -> None:
    dialogue = talk(f"S: 220 x\nC: USER {user}\nS: 331 p\nC: PASS x\nS: 230 in\n")
    assert dialogue.facts["anonymous"] is anonymous
    assert facts(dialogue, "PASS")["credentials"] is credentials
    assert [row["user"] for row in dialogue.rows] == [user, user]


def test_the_password_of_an_unknown_user_says_nothing() -> None:
    assert facts(talk("C: PASS x\nS: 230 in\n", whole=False), "PASS")["credentials"] is None


def test_the_working_directory() -> None:
    script = 'C: PWD\nS: 257 "/home/a ""b""" is it\n'
    script += "C: CWD c/../d\nS: 250 ok\nC: CWD e\nS: 550 no\nC: CDUP\nS: 250 ok\nC: CWD /\nS: 250 ok\nC: NOOP\nS: 200 ok\n"
    rows = talk(LOGIN + script).rows[2:]
    assert [row["cwd"] for row in rows] == ["", '/home/a "b"', '/home/a "b"/d', '/home/a "b"/d', '/home/a "b"', "/"]


def test_a_directory_that_is_not_known_is_empty() -> None:
    assert [row["cwd"] for row in talk(LOGIN + "C: CWD a\nS: 250 ok\nC: NOOP\nS: 200 ok\n").rows] == ["", "", "", ""]
    assert all(
        row["cwd"] == ""
        for row in talk(LOGIN + "C: CWD /" + "a/" * 90 + "\nS: 250 ok\n" + "C: CWD " + "b/" * 90 + "\nS: 250 ok\n" * 8).rows[:3]
    )


@pytest.mark.parametrize(
    ("setup", "mode", "opener", "ip", "port"),
    [
        (PASV, "pasv", "client", "198.51.100.20", 50000),
        (PORT, "port", "server", "192.0.2.10", 50000),
        ("C: EPSV\nS: 229 (|||50000|)\n", "epsv", "client", "", 50000),
        ("C: EPRT |2|2001:DB8::1|50000|\nS: 200 ok\n", "eprt", "server", "2001:db8::1", 50000),
    ],
)
def test_a_transfer_goes_by_the_last_set_up(setup: str, mode: str, opener: str, ip: str, port: int) -> None:
    dialogue = talk(LOGIN + PASV.replace("195", "9") + setup + LIST)
    channel = dialogue.announced[-1]
    assert (channel.mode, channel.opener, channel.ip, channel.port) == (mode, opener, ip, port)
    assert channel.exchanges[-1] is dialogue.exchanges[-1]
    assert (facts(dialogue, "LIST")["mode"], facts(dialogue, "LIST")["transfer"]) == (mode, True)
    assert dialogue.exchanges[-1].evidence["setup"] == channel.frame
    assert dialogue.rows[-1]["mode"] == dialogue.rows[-2]["mode"] == mode
    assert dialogue.rows[-1]["data_address"] == {"": "198.51.100.20:50000", "2001:db8::1": "[2001:db8::1]:50000"}.get(ip, f"{ip}:50000")
    assert channel.until == dialogue.exchanges[-1].evidence["reply_end"]


def test_a_set_up_is_known_from_its_last_line_on() -> None:
    assert talk(LOGIN + PASV).announced[0].frame == 10, "the reply"
    assert talk(LOGIN + PORT).announced[0].frame == 9, "the command"


def test_a_refused_set_up_is_none() -> None:
    assert not talk(LOGIN + "C: PORT 192,0,2,10,195,80\nS: 500 no\n").announced
    dialogue = talk(LOGIN + PASV + "C: PORT 192,0,2,10,195,80\nS: 500 no\n" + LIST)
    assert facts(dialogue, "LIST")["mode"] == "pasv"


def test_a_transfer_uses_its_set_up_only_once() -> None:
    dialogue = talk(LOGIN + PASV + LIST + LIST)
    assert [facts(dialogue, "LIST", which=number)["mode"] for number in (0, 1)] == ["pasv", None]
    kept = talk(LOGIN + "C: MODE B\nS: 200 ok\n" + PASV + LIST + LIST)
    assert [facts(kept, "LIST", which=number)["mode"] for number in (0, 1)] == ["pasv", "pasv"]


def test_a_transfer_that_was_refused_leaves_the_set_up() -> None:
    dialogue = talk(LOGIN + PASV + "C: RETR a\nS: 550 no\n" + LIST)
    assert facts(dialogue, "LIST")["mode"] == "pasv"
    assert [one.facts["command"] for one in dialogue.announced[0].exchanges] == ["PASV", "RETR", "LIST"]


def test_a_pipelined_transfer_waits_for_its_set_up() -> None:
    dialogue = talk(LOGIN + "C: PASV\nC: LIST\nS: 227 (198,51,100,20,195,80)\nS: 150 here\nS: 226 done\n")
    assert facts(dialogue, "LIST")["mode"] == "pasv"


def test_a_transfer_without_any_set_up_goes_to_the_control_port() -> None:
    dialogue = talk(LOGIN + LIST)
    assert facts(dialogue, "LIST")["mode"] == "none"
    assert [(one.opener, one.ip, one.port) for one in dialogue.announced] == [("server", "", 40000)]
    assert dialogue.rows[-1]["data_address"] == "192.0.2.10:40000"


@pytest.mark.parametrize(
    ("said", "address"),
    [
        # RFC 1639 3, with an IPv6 address too, and where no brackets stand.
        ("C: LPSV\nS: 228 (4,4,198,51,100,20,2,195,80)\n", "198.51.100.20:50000"),
        ("C: LPSV\nS: 228 Entering Long Passive Mode (6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,32,2,195,80)\n", "[2001:db8::20]:50000"),
        ("C: LPSV\nS: 228 4,4,198,51,100,20,2,195,80\n", "198.51.100.20:50000"),
        ("C: LPSV\nS: 228-Long\nS: 228 (4,4,198,51,100,20,2,195,80)\n", "198.51.100.20:50000"),
        # Each command is answered with the code of another.
        ("C: PASV\nS: 229 Entering Extended Passive Mode (|||50000|)\n", "198.51.100.20:50000"),
        ("C: EPSV\nS: 227 Entering Passive Mode (198,51,100,20,195,80)\n", "198.51.100.20:50000"),
        ("C: LPSV\nS: 227 Entering Passive Mode (198,51,100,20,195,80)\n", "198.51.100.20:50000"),
        ("C: EPSV 1\nS: 229 Entering Extended Passive Mode (|1|198.51.100.20|50000|)\n", "198.51.100.20:50000"),
        ("C: P@SW\nS: 227 Entering Passive Mode (198,51,100,20,195,80)\n", "198.51.100.20:50000"),
        # RFC 959 4.2: any reply may have several lines, with the address in any of them.
        ("C: PASV\nS: 227-(198,51,100,20,195,80)\nS: 227 ready\n", "198.51.100.20:50000"),
        ("C: PASV\nS: 227-listening\nS: 227-(198,51,100,20,195,80)\nS: 227 ready\n", "198.51.100.20:50000"),
        ("C: PASV\nS: 227-listening\nS:  at 198,51,100,20,195,80\nS: 227 ready\n", "198.51.100.20:50000"),
        ("C: PASV\nS: 227-listening\nS: 227 (198,51,100,20,195,80)\n", "198.51.100.20:50000"),
        ("C: PASV\nS: 227-listening\nS: 227 198,51,100,20,195,80\n", "198.51.100.20:50000"),
        ("C: PASV\nS: 227-\nS: 227 (198, 51, 100, 20, 195, 80)\n", "198.51.100.20:50000"),
        ("C: EPSV\nS: 229-listening\nS: 229 (|||50000|)\n", "198.51.100.20:50000"),
        ("C: EPSV\nS: 229-(|||50000|)\nS: ready\nS: 229 go\n", "198.51.100.20:50000"),
        # What cannot be one is passed over.
        ("C: PASV\nS: 227-limits 1,2,3,4,5,6,7 and 300,1,1,1,1,1\nS: 227 (198,51,100,20,195,80)\n", "198.51.100.20:50000"),
    ],
)
def test_where_the_server_listens_is_read_from_any_reply_that_says_it(said: str, address: str) -> None:
    dialogue = talk(LOGIN + said + LIST)
    assert [row["data_address"] for row in dialogue.rows[-2:]] == [address, address]
    (channel,) = dialogue.announced
    assert (channel.opener, channel.port) == ("client", 50000)
    assert len(channel.exchanges) == 2
    assert "reply_address_malformed" not in {name for one in dialogue.exchanges for name, value in one.facts.items() if value is True}


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("4,4,192,0,2,10,2,195,80", "192.0.2.10:50000"),
        ("6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,16,2,195,80", "[2001:db8::10]:50000"),
    ],
)
def test_lprt_names_where_the_client_listens(argument: str, address: str) -> None:
    dialogue = talk(LOGIN + f"C: LPRT {argument}\nS: 200 ok\n" + LIST)
    assert [row["data_address"] for row in dialogue.rows[-2:]] == [address, address]
    assert [(one.opener, one.mode) for one in dialogue.announced] == [("server", "lprt")]


def test_a_set_up_that_cannot_be_read_is_not_taken_for_none() -> None:
    for said in ("C: LPSV\nS: 228 (5,4,198,51,100,20,2,195,80)\n", "C: PASV\nS: 200 ok\n", "C: LPRT 4,4,1,2\nS: 200 ok\n"):
        dialogue = talk(LOGIN + said + LIST)
        assert facts(dialogue, "LIST")["mode"] is None
        assert not dialogue.announced


@pytest.mark.parametrize(
    ("command", "client", "other", "private"),
    [
        ("PORT 192,0,2,10,4,1", "192.0.2.10", False, False),
        ("PORT 203,0,113,9,4,1", "192.0.2.10", True, False),
        ("PORT 10,0,0,9,4,1", "192.0.2.10", True, True),
        ("PORT 10,0,0,9,4,1", "10.0.0.10", True, False),
        ("EPRT |2|2001:db8:0::1|1025|", "2001:db8::1", False, False),
    ],
)
def test_who_is_named(command: str, client: str, *, other: bool, private: bool) -> None:
    told = facts(talk(LOGIN + f"C: {command}\nS: 200 ok\n", client_ip=client), command[:4])
    assert (told["named_port"], told["other_host"], told["other_host_private"]) == (1025, other, private)


def test_protection() -> None:
    script = "C: PBSZ 0\nS: 200 ok\nC: PROT P\nS: {} x\n"
    assert facts(talk(LOGIN + script.format(200) + PASV + LIST), "LIST")["prot"] == "private"
    assert facts(talk(LOGIN + script.format(534) + PASV + LIST), "LIST")["prot"] == "none"


def test_epsv_all() -> None:
    dialogue = talk(LOGIN + "C: EPSV ALL\nS: 200 ok\n" + PORT)
    assert facts(dialogue, "PORT")["after_epsv_all"] is True
    assert facts(talk(LOGIN + "C: EPSV ALL\nS: 502 no\n" + PORT), "PORT")["after_epsv_all"] is False

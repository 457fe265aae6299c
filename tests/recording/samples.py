"""The samples: which scene makes which file, seen from where, and what must be visible in it.

A sample is recorded again, a few times at most, when a race between two timers made it show something else than its name says.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.recording import dialogues, openings
from tests.recording.capture import film, story
from tests.recording.network import ABSENT4, ABSENT6, CLIENT, CLIENT4, CLIENT6, NOWHERE4, NOWHERE6, SERVER, SERVER4, SERVER6, Network
from tests.recording.openings import FIRST, ONLY_ACK, SYN
from tests.recording.tools import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.recording.logs import Logs

    Scene = Callable[[Network], Generator[None, None, None]]

TRIES: Final = 5
OPENED: Final = r"^>S <SA >A "
"""The story (see `capture.story`) of a plain opening."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One capture to record."""

    file: str
    scene: Scene
    shows: str = OPENED
    """Regular expression over the story of the capture."""
    connections: int = 1
    """How many connections tshark counts."""
    seen_from: str = CLIENT
    direction: str = "inout"
    """Which frames tcpdump takes: in, out, inout."""


def talk(act: Callable[..., None], *arguments: object, **options: object) -> Scene:
    """Return the scene that films a whole dialogue of the client."""

    def scene(network: Network) -> Generator[None, None, None]:
        yield
        with network.inside(CLIENT):
            act(*arguments, **options)

    return scene


def http() -> tuple[Sample, ...]:
    """Return the samples made with nginx."""
    pages = ("/index.html", "/second.html", "/third.txt")
    return (
        Sample("http-keepalive.pcap", talk(dialogues.get, SERVER4, *pages)),
        Sample("http-keepalive-ipv6.pcap", talk(dialogues.get, SERVER6, *pages)),
        Sample("http-pipelined.pcap", talk(dialogues.get_pipelined, SERVER4)),
        Sample("http-pipelined-ipv6.pcap", talk(dialogues.get_pipelined, SERVER6)),
        Sample("http-chunked.pcap", talk(dialogues.get_chunked, SERVER4)),
        Sample("http-chunked-ipv6.pcap", talk(dialogues.get_chunked, SERVER6)),
        Sample("http-not-found.pcap", talk(dialogues.get, SERVER4, "/no-such-page", status=404)),
        Sample("http-statuses.pcap", talk(dialogues.get_various, SERVER4)),
        Sample("http-download.pcap", talk(dialogues.get, SERVER4, "/large.bin")),
        Sample("http-mid-stream.pcap", partial(openings.mid_stream, host=SERVER4), r"^>PA\+ "),
        Sample("http-one-sided-server.pcap", talk(dialogues.get, SERVER4, *pages), r"^<SA <A ", direction="in"),
        Sample("http-one-sided-client.pcap", talk(dialogues.get, SERVER4, *pages), r"^>S >A >PA\+ ", direction="out"),
        Sample("http-ecn.pcap", openings.explicit_congestion, r"^>SEC <SAE >A .*>SEC <SAE >A ", 2),
        Sample("http-same-ports.pcap", partial(openings.same_ports, host=SERVER4), OPENED + r".*>S <SA >A ", 2),
    )


def smtp(certificate: Path) -> tuple[Sample, ...]:
    """Return the samples made with Postfix."""
    everyone = tuple(f"{name}@example.org" for name in ("alice", "bob", "carol"))
    some = ("alice@example.org", "nobody@example.org", "bob@example.org")
    return (
        Sample("smtp-recipients.pcap", talk(dialogues.send_mail, SERVER4, *everyone)),
        Sample("smtp-recipients-ipv6.pcap", talk(dialogues.send_mail, SERVER6, *everyone)),
        Sample("smtp-two-messages.pcap", talk(dialogues.send_mail, SERVER4, "alice@example.org", messages=2)),
        Sample("smtp-rejected-recipient.pcap", talk(dialogues.send_mail, SERVER4, *some, refused=1)),
        Sample("smtp-starttls.pcap", talk(dialogues.send_mail_over_tls, SERVER4, certificate)),
        Sample("smtp-starttls-ipv6.pcap", talk(dialogues.send_mail_over_tls, SERVER6, certificate)),
    )


def ftp() -> tuple[Sample, ...]:
    """Return the samples made with vsftpd."""
    back = OPENED + r".*<S >SA <A .*<S >SA <A .*<S >SA <A "
    out = OPENED + r".*>S <SA >A .*>S <SA >A .*>S <SA >A "
    return (
        Sample("ftp-passive.pcap", talk(dialogues.transfer, SERVER4, passive=True), out, 4),
        Sample("ftp-passive-ipv6.pcap", talk(dialogues.transfer, SERVER6, passive=True), out, 4),
        Sample("ftp-active.pcap", talk(dialogues.transfer, SERVER4, passive=False), back, 4),
        Sample("ftp-active-ipv6.pcap", talk(dialogues.transfer, SERVER6, passive=False), back, 4),
        Sample("ftp-data-refused.pcap", talk(dialogues.fail_transfer, SERVER4), OPENED + r".*<S >RA ", 2),
        Sample("ftp-wrong-password.pcap", talk(dialogues.fail_login, SERVER4)),
    )


def failed() -> tuple[Sample, ...]:
    """Return the openings that come to nothing."""
    refused = r"^>S <RA$"
    reported = r"^>S <icmp( >S <icmp)*$"
    administrative4 = "reject with icmp type admin-prohibited"
    administrative6 = "reject with icmpv6 type admin-prohibited"
    return (
        Sample("closed-port.pcap", partial(openings.fail, host=SERVER4, port=openings.CLOSED_PORT), refused),
        Sample("closed-port-ipv6.pcap", partial(openings.fail, host=SERVER6, port=openings.CLOSED_PORT), refused),
        Sample("dropped-syn.pcap", partial(openings.filtered, rule="drop", host=SERVER4, limit_s=7), r"^>S( >S){4,7}$"),
        Sample("icmp-host-unreachable.pcap", partial(openings.fail, host=ABSENT4), r"^>S( >S)+( <icmp)+$"),
        Sample("icmp-net-unreachable.pcap", partial(openings.fail, host=NOWHERE4), reported),
        Sample("icmp-port-unreachable.pcap", partial(openings.filtered, rule="reject", host=SERVER4), reported),
        Sample("icmp-admin-prohibited.pcap", partial(openings.filtered, rule=administrative4, host=SERVER4), reported),
        Sample("icmpv6-address-unreachable.pcap", partial(openings.fail, host=ABSENT6), r"^>S( >S)+( <icmp)+$"),
        Sample("icmpv6-no-route.pcap", partial(openings.fail, host=NOWHERE6), reported),
        Sample("icmpv6-admin-prohibited.pcap", partial(openings.filtered, rule=administrative6, host=SERVER6), reported),
        Sample("half-open.pcap", partial(openings.half_open, host=SERVER4), r"^>S <SA <SA <SA <SA$"),
        Sample("half-open-ipv6.pcap", partial(openings.half_open, host=SERVER6), r"^>S <SA <SA <SA <SA$"),
        Sample("half-open-scan.pcap", partial(openings.half_open_scan, host=SERVER4), r"<SA >R .*<SA >R|<SA.*<SA.*>R.*>R", 3),
        Sample("reset-by-server.pcap", partial(openings.reset_by_server, host=SERVER4), r"^>S <SA >A <RA$"),
    )


def odd() -> tuple[Sample, ...]:
    """Return the openings that succeed in an unusual way."""
    lossy, page = openings.lossy, partial(dialogues.get, SERVER4, "/index.html")
    page6 = partial(dialogues.get, SERVER6, "/index.html")
    greeting = partial(dialogues.ask_greeting, SERVER4)
    first_ack = (f"ip saddr {CLIENT4} {ONLY_ACK} {FIRST} drop",)
    crossed4 = partial(openings.both_at_once, here=CLIENT4, there=SERVER4)
    crossed6 = partial(openings.both_at_once, here=CLIENT6, there=SERVER6)
    crossed = r"^(>S <S|<S >S) (>SA <SA|<SA >SA) "
    # Where fast open was asked for, Linux keeps the third ACK back until the request goes with it.
    fast = r"^>S <SA >PA\+ .*>S\+ <SA "
    return (
        Sample("lost-syn.pcap", partial(lossy, rules=(f"{SYN} {FIRST} drop",), act=page), r"^>S >S <SA >A >PA\+ "),
        Sample("lost-syn-ipv6.pcap", partial(lossy, rules=(f"{SYN} {FIRST} drop",), act=page6), r"^>S >S <SA >A >PA\+ "),
        # The server's own timer and the client's second SYN come at the same moment, so the SYN+ACK comes back once or twice.
        Sample("lost-synack.pcap", partial(openings.lost_synack, host=SERVER4), r"^>S <SA (<SA )?>S <SA >A (>A )?>PA\+ ", seen_from=SERVER),
        Sample("lost-third-ack-at-client.pcap", partial(lossy, rules=first_ack, act=greeting), r"^>S <SA >A <SA >A <PA\+ "),
        Sample("lost-third-ack-at-server.pcap", partial(lossy, rules=first_ack, act=greeting), r"^>S <SA <SA >A <PA\+ ", seen_from=SERVER),
        Sample("lost-third-ack-data.pcap", partial(lossy, rules=first_ack, act=page), r"^>S <SA >PA\+ <A ", seen_from=SERVER),
        Sample("simultaneous-open.pcap", crossed4, crossed),
        Sample("simultaneous-open-ipv6.pcap", crossed6, crossed),
        Sample("fast-open.pcap", partial(openings.fast_open, host=SERVER4), fast, 2),
        Sample("fast-open-ipv6.pcap", partial(openings.fast_open, host=SERVER6), fast, 2),
        Sample("fast-open-declined.pcap", partial(openings.fast_open_declined, host=SERVER4), r"^>S\+ <SA >(P?A)\+ "),
    )


def record(sample: Sample, network: Network, logs: Logs, scratch: Path, folder: Path) -> str:
    """Record `sample` until it shows what it should, move it into `folder`, and return its story.

    Raises `RecordingError` when it never does, or when what pcaplint reads in it is not what the servers logged.
    """
    path = scratch / sample.file
    for _ in range(TRIES):
        _play(sample, network, logs, path)
        told, connections = story(path)
        if re.search(sample.shows, told + ("" if sample.shows.endswith("$") else " ")) and connections == sample.connections:
            logs.hold(path)
            shutil.move(path, folder / sample.file)
            return told
    message = f"{sample.file} does not show {sample.shows} in {sample.connections} connection(s) but, in {connections}: {told}"
    raise RecordingError(message)


def _play(sample: Sample, network: Network, logs: Logs, path: Path) -> None:
    scene = sample.scene(network)
    try:
        next(scene)
        with film(network, sample.seen_from, path, sample.direction):
            logs.mark()
            next(scene, None)
    finally:
        # Leaves the scene's own `with` blocks, whichever `yield` it stands at.
        scene.close()

"""How tshark may end, and what must be true of a capture, of this machine and of the next read afterwards."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analyzer import capture
from analyzer.capture import probe
from analyzer.capture.tshark import engine as tshark_engine
from analyzer.capture.tshark import sandbox
from analyzer.errors import EnvironmentFaultError
from analyzer.notation import build, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyzer.model import Capture

    Leftovers = Callable[[], tuple[list[str], int, str]]

FRAMES = 40
SCRIPT = "> S 1:1(0)\n" + "\n".join("< S. 5:5(0) ack 2" for _ in range(FRAMES - 1))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of `FRAMES` segments."""
    file = tmp_path_factory.mktemp("sample") / "x.pcap"
    file.write_bytes(build(parse(SCRIPT)))
    return file


@pytest.fixture(scope="module")
def rows(sample: Path) -> bytes:
    """What tshark prints for the sample."""
    argv = capture.read(sample).stats["argv"]
    return subprocess.run(argv, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory, rows: bytes) -> Callable[[str], str]:
    """Give a tshark that answers questions about itself truly, and runs a given shell script when it is to read."""
    folder = tmp_path_factory.mktemp("impostor")
    (folder / "rows").write_bytes(rows)
    program = folder / "tshark"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -v|-G) exec {shlex.quote(probe().path)} "$@";; esac\ncd {shlex.quote(str(folder))} && . ./behaviour\n'
    )
    program.chmod(0o755)

    def behave(script: str) -> str:
        (folder / "behaviour").write_text(script)
        return str(program)

    return behave


@pytest.fixture
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[list[str], int, str]]:
    """Tell the temporary files, the number of open descriptors and the children, zombies too, that there are now."""
    if not Path("/proc/self/task").exists():
        pytest.skip("this system does not tell of open descriptors and children in /proc")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def look() -> tuple[list[str], int, str]:
        gc.collect()
        own = Path("/proc/self")
        children = "".join(file.read_text() for file in own.glob("task/*/children"))
        return [entry.name for entry in folder.iterdir()], len(list((own / "fd").iterdir())), children

    return look


ENDINGS = {
    # name: (script, frames kept, reason)
    "status 3 after some rows": ("head -n 12 rows; exit 3", 12, "tshark ended with status 3"),
    "status 2 after all rows": ("cat rows; echo 'tshark: it broke' >&2; exit 2", FRAMES, "tshark ended with status 2: it broke"),
    "SIGSEGV": ("head -n 12 rows; kill -SEGV $$", 12, "tshark was ended by signal SIGSEGV"),
    "SIGKILL": ("head -n 12 rows; kill -KILL $$", 12, "tshark was ended by signal SIGKILL"),
    "SIGTERM": ("head -n 12 rows; kill -TERM $$", 12, "tshark was ended by signal SIGTERM"),
    "SIGKILL within a row": ("head -c 2000 rows; kill -KILL $$", None, "tshark was ended by signal SIGKILL"),
    "status 0 after some rows": ("head -n 12 rows", 12, f"tshark ended after frame 12 of {FRAMES}"),
    "status 0 without a row": ("true", 0, f"tshark ended after frame 0 of {FRAMES}"),
    "status 0 within a row": ("head -c 2000 rows", None, "tshark's output ended within a row"),
    "no newline after the last row": ("head -c -1 rows", FRAMES - 1, "tshark's output ended within a row"),
    "a row is missing": ("sed 7d rows", 6, "tshark's frame numbers jump after frame 6"),
    "the first row is missing": ("sed 1d rows", 0, "tshark's frame numbers jump after frame 0"),
    "a row is there twice": ("sed 7p rows", 7, "tshark's frame numbers jump after frame 7"),
    "a row lacks a cell": ("sed '9s/\t//' rows", 8, "tshark printed a row of another shape after frame 8"),
    "a row has a cell too many": ("sed '9s/$/\tx/' rows", 8, "tshark printed a row of another shape after frame 8"),
    "a row is empty": ("sed '9s/.*//' rows", 8, "tshark printed a row of another shape after frame 8"),
    "two rows are glued": ("awk 'NR == 9 {printf \"%s\", $0; next} 1' rows", 8, "tshark printed a row of another shape after frame 8"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_ending_other_than_0_is_told_every_time(
    sample: Path, impostor: Callable[[str], str], rows: bytes, leftovers: Leftovers, name: str
) -> None:
    script, frames, reason = ENDINGS[name]
    tshark = impostor(script)
    kept = rows[:2000].count(b"\n") if frames is None else frames
    before = leftovers()
    for _ in range(20):
        found = capture.read(sample, tshark=tshark)
        assert (found.complete, found.reason, found.packets, found.readable) == (False, reason, kept, True)
        assert list(found.segments["frame"]) == list(range(1, kept + 1))
    assert leftovers() == before


def test_damage_that_tshark_does_not_tell_of_is_told(sample: Path, tmp_path: Path, impostor: Callable[[str], str]) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(sample.read_bytes()[:-1])
    found = capture.read(cut, tshark=impostor(f"head -n {FRAMES - 1} rows"))
    assert (found.complete, found.packets) == (False, FRAMES - 1)
    assert "ends in the middle of the record" in found.reason


def test_a_tshark_that_reads_too_few_frames_is_told(sample: Path, tmp_path: Path, impostor: Callable[[str], str]) -> None:
    file = tmp_path / "mixed.pcap"
    # Two IPv4 fragments, which the native engine leaves to tshark.
    fragment = bytes(12) + bytes.fromhex("0800 4500002800012000 4006 0000 c0000201 c6336401") + bytes(20)
    file.write_bytes(sample.read_bytes() + (struct.pack("<IIII", 0, 0, len(fragment), len(fragment)) + fragment) * 2)
    found = capture.read(file, engine="native", tshark=impostor("head -n 1 rows"))
    assert (found.complete, found.packets) == (False, FRAMES + 2)
    assert found.reason == "tshark ended after frame 1 of 2"


def test_good_files_are_good_every_time(sample: Path, impostor: Callable[[str], str]) -> None:
    tshark = impostor("cat rows")
    for _ in range(20):
        found = capture.read(sample, tshark=tshark)
        assert (found.complete, found.reason, found.packets) == (True, "", FRAMES)


@pytest.mark.parametrize("script", ["head -n 5 rows; sleep", "head -n 5 rows; exec >&-; sleep", "head -n 5 rows; sleep & wait"])
def test_a_tshark_that_hangs_is_killed_with_all_it_started(
    sample: Path, impostor: Callable[[str], str], leftovers: Leftovers, script: str
) -> None:
    before = leftovers()
    begun = time.monotonic()
    # The length of the nap is the name we look for among all processes.
    nap = f"{900_000 + os.getpid()}"
    found = capture.read(sample, tshark=impostor(script.replace("sleep", f"sleep {nap}")), timeout_s=1.5)
    assert time.monotonic() - begun < 20
    assert (found.complete, found.reason, found.packets) == (False, "tshark was stopped: it took longer than 1.5 s", 5)
    assert leftovers() == before
    commands = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()]
    assert f"sleep\x00{nap}\x00".encode() not in commands


def test_much_on_standard_error_blocks_nothing(sample: Path, impostor: Callable[[str], str]) -> None:
    tshark = impostor("i=0; while [ $i -lt 3000 ]; do printf '%0100d\\n' $i >&2; i=$((i+1)); done; cat rows; exit 2")
    found = capture.read(sample, tshark=tshark, timeout_s=60)
    assert found.packets == FRAMES
    assert found.reason.startswith("tshark ended with status 2: 0000")
    assert len(found.reason) < 400


def test_what_standard_error_says_is_made_harmless(sample: Path, impostor: Callable[[str], str]) -> None:
    tshark = impostor("cat rows; printf 'a\\033[31mb\\n\\n' >&2; exit 2")
    assert capture.read(sample, tshark=tshark).reason == "tshark ended with status 2: a?[31mb"


def test_a_tshark_that_refuses_its_arguments_is_the_machines_fault(sample: Path, impostor: Callable[[str], str]) -> None:
    tshark = impostor("echo 'tshark: no such preference' >&2; exit 1")
    with pytest.raises(EnvironmentFaultError, match="cannot be used: no such preference"):
        capture.read(sample, tshark=tshark)


def test_an_exception_while_reading_leaves_no_tshark(sample: Path, impostor: Callable[[str], str], leftovers: Leftovers) -> None:
    def interrupt(frames: int) -> None:
        raise KeyboardInterrupt(frames)

    before = leftovers()
    with pytest.raises(KeyboardInterrupt):
        capture.read(sample, tshark=impostor("cat rows"), progress=interrupt)
    assert leftovers() == before


def test_progress_counts_frames(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tshark_engine, "BATCH_ROWS", 16)
    seen: list[int] = []
    capture.read(sample, progress=seen.append)
    assert seen == [16, 32, FRAMES]


def test_beside_a_running_event_loop(sample: Path) -> None:
    async def main() -> Capture:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            ticks += 1

        await tick()
        return capture.read(sample)

    assert asyncio.run(main()).packets == FRAMES


def test_an_error_in_the_other_thread_reaches_the_caller(sample: Path, impostor: Callable[[str], str]) -> None:
    tshark = impostor("exit 1")

    async def main() -> Capture:
        return capture.read(sample, tshark=tshark)

    with pytest.raises(EnvironmentFaultError):
        asyncio.run(main())


def test_in_several_threads_at_once(sample: Path) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(capture.read(sample).packets)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FRAMES] * 3


REMOVED = """
import asyncio, sys, warnings
warnings.simplefilter("error")
# What Python 3.14 removed, and what it will remove next.
for name in ("get_child_watcher", "set_child_watcher", "SafeChildWatcher", "FastChildWatcher", "ThreadedChildWatcher",
             "MultiLoopChildWatcher", "PidfdChildWatcher", "AbstractChildWatcher", "get_event_loop_policy", "set_event_loop_policy",
             "DefaultEventLoopPolicy"):
    for module in (asyncio, asyncio.events, asyncio.unix_events):
        # What is deprecated is made on demand, with a warning, and stands in no namespace.
        vars(module).pop(name, None)
from analyzer import capture
found = capture.read(sys.argv[1])
assert found.complete, found.reason
print(found.packets)
"""


def test_nothing_that_python_314_removed_is_used(sample: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", REMOVED, str(sample)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{FRAMES}\n", "")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python 3.14 has no child watchers, and pyshark 0.6 as it is does not start there")
def test_after_pyshark_has_set_a_child_watcher_of_its_own(sample: Path) -> None:
    script = (
        "import sys, pyshark; from analyzer import capture;"
        "stock = pyshark.FileCapture(sys.argv[1], keep_packets=False); next(iter(stock));"
        "print(capture.read(sys.argv[1]).packets); stock.close()"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(sample)], capture_output=True, text=True, check=False)
    assert done.stdout == f"{FRAMES}\n"


def test_the_childs_limits_and_group(sample: Path, impostor: Callable[[str], str]) -> None:
    # The bounds come from outside, a moment after the start.
    tshark = impostor(
        "for i in $(seq 200); do [ $(ulimit -n) = 256 ] && break; sleep 0.05; done; "
        "ulimit -c >&2; ulimit -f >&2; ulimit -n >&2; cut -d' ' -f5 /proc/$$/stat >&2; echo $$ >&2; exit 4"
    )
    with sandbox.private_home() as home:
        child = sandbox.start([tshark], home, time.monotonic() + 60, threading.Event())
        try:
            while asyncio.run(child.read()):
                pass
            assert asyncio.run(child.wait()) == 4
        finally:
            child.close()
    core, size, files, group, pid = child.error_text.decode().split()
    assert (core, size, files, group) == ("0", "0", "256", pid)
    assert sample.exists()


def test_the_environment_is_made_from_scratch(
    sample: Path, impostor: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("WIRESHARK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LD_PRELOAD", "")
    tshark = impostor("env >&2; stat -c mode=%a $HOME >&2; exit 4")
    with sandbox.private_home() as home:
        child = sandbox.start([tshark], home, time.monotonic() + 60, threading.Event())
        while asyncio.run(child.read()):
            pass
        child.close()
        said = dict(line.split("=", 1) for line in child.error_text.decode().splitlines())
        assert said["mode"] == "700"
        for name in ("HOME", "WIRESHARK_CONFIG_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"):
            assert said[name] == home
    assert (said["TZ"], said["LC_ALL"]) == ("UTC", "C.UTF-8")
    assert not {"SSLKEYLOGFILE", "WIRESHARK_DATA_DIR"} & set(said)
    assert not Path(home).exists()
    assert sample.exists()


def test_a_hostile_home_and_folder_change_nothing(sample: Path, tmp_path: Path) -> None:
    plain = capture.read(sample)
    home = tmp_path / "home"
    probe_file = tmp_path / "probe"
    lua = f'local f = io.open("{probe_file}", "w") f:write("ran") f:close()\n'
    for folder in (".config/wireshark", ".wireshark", ".local/lib/wireshark/plugins", ".config/wireshark/plugins"):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / "init.lua").write_text(lua)
        (home / folder / "evil.lua").write_text(lua)
        (home / folder / "preferences").write_text("ip.defragment: FALSE\ntcp.check_checksum: FALSE\n")
        (home / folder / "disabled_protos").write_text("tcp\n")
        (home / folder / "decode_as_entries").write_text("decode_as_entry: ip.proto,6,UDP,TCP\n")
    work = tmp_path / "work"
    work.mkdir()
    (work / "config.ini").write_text(f"[tshark]\ntshark_path = {work}/tshark\n[dumpcap]\ndumpcap_path = {work}/tshark\n")
    (work / "tshark").write_text(f"#!/bin/sh\necho ran > {probe_file}\n")
    (work / "tshark").chmod(0o755)
    script = (
        "import sys; from analyzer import capture; c = capture.read(sys.argv[1]);"
        "print(c.complete, c.packets, c.stats['tshark']); print(c.segments.to_csv())"
    )
    environment = {"HOME": str(home), "PATH": f".::{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for config in (None, "not an ini file at all", "[other]\n"):
        if config is not None:
            (work / "config.ini").write_text(config)
        done = subprocess.run(
            [sys.executable, "-c", script, str(sample)], cwd=work, env=environment, capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        assert done.stdout == f"True {FRAMES} {probe().path}\n{plain.segments.to_csv()}\n"
    assert not probe_file.exists()


@pytest.mark.parametrize("name", ["-x.pcap", "-", "a\nb.pcap", "a,b; $(touch x).pcap", "ü\udce9.pcap", "x" * 250])
def test_any_name_is_passed_as_a_name(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(sample.read_bytes())
    monkeypatch.chdir(tmp_path)
    found = capture.read(name)
    assert (found.complete, found.packets, found.path) == (True, FRAMES, name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_reason_does_not_hold_the_absolute_path(sample: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(sample.read_bytes()[:-3])
    found = capture.read(cut)
    assert found.reason == "tshark ended early: the file appears to have been cut short in the middle of a packet."
    assert found.packets == FRAMES - 1


@pytest.mark.parametrize(
    "words",
    [
        'tshark: The file "%s" doesn\'t exist.',
        'tshark: The file "%s" could not be read: it ended.',
        'tshark: An error occurred while reading the file "%s": Input/output error.',
        "tshark: Unable to open %s",
    ],
)
def test_no_statement_of_tshark_shows_the_path(sample: Path, impostor: Callable[[str], str], words: str) -> None:
    found = capture.read(sample, tshark=impostor(f"echo {shlex.quote(words.replace('%s', str(sample)))} >&2; exit 2"))
    assert str(sample) not in found.reason
    assert "the file" in found.reason
    assert not found.complete


def test_the_limit_grows_with_the_file() -> None:
    assert capture.limit(0) == 120
    assert capture.limit(10**9) == 1120


def test_nothing_heavy_is_imported_for_a_file_that_is_no_capture(tmp_path: Path) -> None:
    script = "import sys; import analyzer.capture; assert not {'pandas', 'numpy', 'pyshark', 'asyncio'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False).returncode == 0

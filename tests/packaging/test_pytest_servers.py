"""A project that uses the pytest plugin with real servers: nginx, Postfix and vsftpd, each recorded on loopback and judged.

Each server runs with a configuration of its own, on a free port; no file of the system is changed.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SEARCH = os.pathsep.join(("/usr/sbin", "/usr/bin", "/sbin", "/bin"))

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the servers are those of Debian"),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]

SERVER = '''
import contextlib, ftplib, http.client, os, smtplib, socket, subprocess, tempfile, time
from pathlib import Path
import pytest


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def open_folder():
    """A folder that servers may enter when they have dropped root's rights: tmp_path lies in one of root alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def serving(port, *command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert process.poll() is None, f"{command[0]} ended at once"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()

'''

NGINX = '''
@pytest.fixture
def port(tmp_path):
    port = free_port()
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<p>The page.</p>")
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{ }}
        http {{ access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b; fastcgi_temp_path {tmp_path}/c;
            uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;
            server {{ listen 127.0.0.1:{port}; root {site}; }} }}
    """)
    with serving(port, PROGRAM, "-e", f"{tmp_path}/error.log", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")):
        yield port


def test_the_page_is_served(port, pcap_recorder, pcaplint):
    with pcap_recorder(port=port) as capture:
        client = http.client.HTTPConnection("127.0.0.1", port)
        for path in ("/index.html", "/absent"):
            client.request("GET", path)
            client.getresponse().read()
        client.close()
    report = pcaplint(capture)
    report.assert_clean(fail_on="warning")
    report.assert_verdicts({"complete": 1})
    flow = report.flow(server_port=port)
    assert flow["service"] == "http"
    assert flow.transactions["code"].tolist() == [200, 404]


def test_that_fails(port, pcap_recorder, pcaplint):
    with pcap_recorder(port=port) as capture:
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("GET", "/index.html")
        client.getresponse().read()
        client.close()
    pcaplint(capture).assert_verdicts({"refused": 1})
'''

POSTFIX = '''
@pytest.fixture
def port(open_folder):
    port = free_port()
    home = open_folder / "postfix"
    for name in ("queue", "data", "etc"):
        (home / name).mkdir(parents=True)
    subprocess.run(["chown", "postfix", str(home / "data")], check=True)
    (home / "etc/main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = mail.example.org
mydestination = example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_recipient_restrictions = reject_unauth_destination
local_recipient_maps = inline:{{ alice=here }}
local_transport = discard:
alias_maps =
alias_database =
""")
    (home / "etc/master.cf").write_text(f"""
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
""")
    with serving(port, PROGRAM, "-c", str(home / "etc"), "start-fg"):
        try:
            yield port
        finally:
            subprocess.run([PROGRAM, "-c", str(home / "etc"), "abort"], check=False, capture_output=True)


def test_mail_is_taken(port, pcap_recorder, pcaplint):
    with pcap_recorder(port=port) as capture, smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("bob@example.org", ["alice@example.org"], "Subject: hello\\n\\nA message.\\n")
    report = pcaplint(capture)
    report.assert_clean(fail_on="warning")
    flow = report.flow(server_port=port)
    assert (flow.verdict, flow["service"]) == ("complete", "smtp")
    assert len(flow.transactions) == 1
'''

VSFTPD = '''
@pytest.fixture
def ports(open_folder):
    tmp_path = open_folder
    port, data = free_port(), free_port()
    files = tmp_path / "files"
    files.mkdir()
    (files / "welcome.txt").write_text("Welcome.")
    (tmp_path / "empty").mkdir()
    (tmp_path / "vsftpd.conf").write_text(f"""
listen=YES
background=NO
listen_address=127.0.0.1
listen_port={port}
pasv_min_port={data}
pasv_max_port={data}
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
anon_root={files}
secure_chroot_dir={tmp_path}/empty
seccomp_sandbox=NO
xferlog_enable=NO
""")
    (tmp_path / "vsftpd.conf").chmod(0o600)
    with serving(port, PROGRAM, str(tmp_path / "vsftpd.conf")):
        yield port, data


def test_a_file_is_sent(ports, pcap_recorder, pcaplint):
    port, data = ports
    received = []
    with pcap_recorder(port=ports) as capture, ftplib.FTP() as client:
        client.connect("127.0.0.1", port)
        client.login()
        client.retrbinary("RETR welcome.txt", received.append)
    assert b"".join(received) == b"Welcome."
    report = pcaplint(capture)
    report.assert_clean(fail_on="warning")
    report.assert_verdicts({"complete": 2})
    assert report.flow(server_port=port)["service"] == "ftp"
    assert report.flow(server_port=data)["control_flow_id"] == report.flow(server_port=port)["flow_id"]
'''


def run(pytester: pytest.Pytester, program: str, tests: str, *, root: bool) -> pytest.RunResult:
    found = shutil.which(program, path=SEARCH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    if root and os.geteuid() != 0:
        pytest.skip(f"{program} needs root")
    pytester.makeini("[pytest]\naddopts = -p pcaplint -p no:cacheprovider\n")
    pytester.makepyfile(test_server=f"PROGRAM = {found!r}\n{SERVER}{tests}")
    result = pytester.runpytest_subprocess("-rs", "--basetemp", str(pytester.path / "base"))
    if result.parseoutcomes().get("skipped"):
        pytest.skip("capturing on loopback is not permitted here")
    return result


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_nginx(pytester: pytest.Pytester) -> None:
    result = run(pytester, "nginx", NGINX, root=False)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*complete: expected 0, found 1; refused: expected 1, found 0*", "*verdict  complete*"])
    # Of the two captures, that of the failed test is kept, and named.
    captures: list[Path] = sorted(pytester.path.glob("base/**/capture-?.pcapng"))
    assert [path.parent.name for path in captures] == ["test_that_fails0"]
    result.stdout.fnmatch_lines([f"capture: {captures[0]}"])


def test_postfix(pytester: pytest.Pytester) -> None:
    run(pytester, "postfix", POSTFIX, root=True).assert_outcomes(passed=1)


def test_vsftpd(pytester: pytest.Pytester) -> None:
    run(pytester, "vsftpd", VSFTPD, root=True).assert_outcomes(passed=1)

"""The servers, as Debian ships them, each with a private configuration in a temporary folder.

Promises: no file of the system is changed; a server listens when its block is entered and has ended when it is left. Each block is
given the path of the server's own log, which lies in the temporary folder and goes with it.
Must not know: what the clients will ask.
"""

from __future__ import annotations

import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.recording.network import SERVER, SERVER4, SERVER6, Network
from tests.recording.tools import RecordingError, end, find, run, wait_until, write

if TYPE_CHECKING:
    from collections.abc import Iterator

USER: Final = "sample"
THROWAWAY: Final = "not-a-real-password"
"""What the FTP user logs in with: it exists for the length of a recording, inside a namespace."""

NGINX: Final = """\
user www-data;
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format held "$remote_addr $remote_port $request_method $request_uri $request_length $status $bytes_sent $body_bytes_sent";
    access_log {home}/access.log held;
    types {{ text/html html; text/plain txt; application/octet-stream bin; }}
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 80 fastopen=16;
        listen [::]:80 ipv6only=on fastopen=16;
        server_name www.example.org;
        root {home}/site;
        # Both filters change the length while sending, so nginx has to send chunks.
        location /composed/ {{ ssi on; }}
        location /packed/ {{ gzip on; gzip_types text/plain; gzip_min_length 0; }}
        location = /old {{ return 301 /index.html; }}
    }}
}}
"""

POSTFIX_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
maillog_file = {home}/mail.log
maillog_file_prefixes = {home}
myhostname = mail.example.org
mydestination = example.org
mynetworks_style = host
inet_interfaces = all
inet_protocols = all
smtpd_peername_lookup = no
smtpd_client_port_logging = yes
smtpd_tls_loglevel = 1
# Without the header that Postfix adds, the size in its log is that of what the client sent.
header_checks = regexp:{{ {{ /^Received:/ IGNORE }} }}
disable_dns_lookups = yes
smtpd_recipient_restrictions = reject_unauth_destination
local_recipient_maps = inline:{{ alice=here, bob=here, carol=here }}
local_transport = discard:
default_transport = discard:
alias_maps =
alias_database =
smtpd_tls_cert_file = {home}/certificate.pem
smtpd_tls_key_file = {home}/key.pem
smtpd_tls_security_level = may
"""

POSTFIX_MASTER: Final = """\
smtp      inet  n - n - - smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
proxymap  unix  - - n - - proxymap
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

VSFTPD: Final = """\
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
chroot_local_user=YES
allow_writeable_chroot=YES
connect_from_port_20=YES
use_localtime=NO
xferlog_enable=YES
xferlog_std_format=NO
log_ftp_protocol=YES
vsftpd_log_file={home}/vsftpd.log
pam_service_name=vsftpd
secure_chroot_dir={home}/empty
# The sandbox knows only the system calls of older kernels.
seccomp_sandbox=NO
"""

VSFTPD_PAM: Final = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
VSFTPD_START: Final = """\
mount --bind {home}/passwd /etc/passwd
mount --bind {home}/shadow /etc/shadow
mount --bind {home}/pam.d /etc/pam.d
exec {vsftpd} {home}/vsftpd.conf
"""


def _listens(network: Network, port: int) -> bool:
    with network.inside(SERVER), socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _serving(network: Network, port: int, *command: str) -> Iterator[None]:
    """Run a server in the foreground while the block runs, from the moment it listens on `port`."""
    with network.inside(SERVER):
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:

        def up() -> bool:
            if server.poll() is not None:
                said = server.stderr.read().decode(errors="replace").strip() if server.stderr else ""
                message = f"{command[0]} ended at once: {said}"
                raise RecordingError(message)
            return _listens(network, port)

        wait_until(up, f"{command[0]} to listen on port {port}")
        yield
    finally:
        end(server)


@contextmanager
def nginx(network: Network, home: Path) -> Iterator[Path]:
    """Serve a small site on port 80."""
    site = home / "site"
    write(site / "index.html", "<!doctype html>\n<title>Sample</title>\n<p>The first page.\n")
    write(site / "second.html", "<!doctype html>\n<title>Sample</title>\n<p>The second page.\n")
    write(site / "third.txt", "The third page is plain text.\n")
    write(site / "composed/page.html", '<p>One\n<!--#include virtual="/third.txt" -->\n<p>Two\n<!--#include virtual="/second.html" -->\n')
    write(site / "packed/lines.txt", "".join(f"line {number} of a text that packs well\n" for number in range(400)))
    (site / "large.bin").write_bytes(bytes((position * position >> 7) & 0xFF for position in range(350_000)))
    settings = write(home / "nginx.conf", NGINX.format(home=home))
    with _serving(network, 80, find("nginx"), "-e", f"{home}/error.log", "-p", str(home), "-c", str(settings)):
        yield home / "access.log"


@contextmanager
def postfix(network: Network, home: Path) -> Iterator[Path]:
    """Accept mail for alice, bob and carol at example.org on port 25, and discard it."""
    (home / "queue").mkdir(parents=True)
    (home / "data").mkdir()
    run("chown", "postfix", str(home / "data"))
    settings = home / "etc"
    write(settings / "main.cf", POSTFIX_MAIN.format(home=home))
    write(settings / "master.cf", POSTFIX_MASTER)
    names = f"subjectAltName=DNS:mail.example.org,IP:{SERVER4},IP:{SERVER6}"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "openssl",
        "req",
        "-x509",
        *curve,
        "-days",
        "3650",
        "-subj",
        "/CN=mail.example.org",
        "-addext",
        names,
        "-keyout",
        f"{home}/key.pem",
        "-out",
        f"{home}/certificate.pem",
    )
    with _serving(network, 25, find("postfix"), "-c", str(settings), "start-fg"):
        try:
            yield home / "mail.log"
        finally:
            run("postfix", "-c", str(settings), "abort")


@contextmanager
def vsftpd(network: Network, home: Path) -> Iterator[Path]:
    """Serve files to the user `sample` on port 21; user and PAM service exist only in the server's own mount namespace."""
    (home / "empty").mkdir(parents=True)
    files = home / "files"
    write(files / "welcome.txt", "Welcome to the sample server.\n" * 20)
    write(files / "notes/today.txt", "Nothing happened.\n")
    run("chown", "-R", "64000:64000", str(files))
    locked = run("openssl", "passwd", "-6", THROWAWAY).strip()
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    write(home / "passwd", f"{known}{USER}:x:64000:64000::{files}:/bin/sh\n")
    write(home / "shadow", f"{USER}:{locked}:19000:0:99999:7:::\n", 0o600)
    write(home / "pam.d/vsftpd", VSFTPD_PAM)
    write(home / "vsftpd.conf", VSFTPD.format(home=home), 0o600)
    script = VSFTPD_START.format(home=home, vsftpd=find("vsftpd"))
    with _serving(network, 21, find("unshare"), "--mount", "--propagation", "private", find("sh"), "-e", "-c", script):
        yield home / "vsftpd.log"

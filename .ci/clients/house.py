"""A restante server on loopback with spools of its own, and an MTA that delivers into them."""

import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

PASSWORD = "päss w0rd $1'%"
USERS = ("anna", "bruno@example.org")

CONFIG = """
[storage]
spool = "{base}/spool/%{{user}}/Maildir"

[auth]
database = "{base}/credentials.sqlite"
allow_plaintext = true
argon2_memory = "1 MiB"

[[tls.certificates]]
certificate = "{base}/cert.pem"
key = "{base}/key.pem"

{listeners}
"""

LISTENER = """
[[listeners]]
address = "127.0.0.1:{port}"
protocol = "{protocol}"
tls = "{tls}"
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class House:
    """Context manager: a running server. `ports` has imap, imaps, pop3, pop3s."""

    def __init__(self, binary, extra=""):
        self.binary = pathlib.Path(binary).resolve()
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="restante-clients-"))
        self.ports = {name: free_port() for name in ("imap", "imaps", "pop3", "pop3s")}
        self.certificate = self.base / "cert.pem"
        self.extra = extra
        self.process = None

    def __enter__(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.base / "key.pem", "-out", self.certificate],
            check=True, capture_output=True)
        listeners = "".join(
            LISTENER.format(port=port, protocol=name.rstrip("s"), tls="implicit" if name.endswith("s") else "starttls")
            for name, port in self.ports.items())
        self.config = self.base / "restante.toml"
        self.config.write_text(CONFIG.format(base=self.base, listeners=listeners) + self.extra)
        for user in USERS:
            self.cli("user", "add", user, "--stdin", stdin=PASSWORD + "\n")
        self.start()
        return self

    def cli(self, *arguments, stdin=None):
        run = subprocess.run([self.binary, *arguments, "--config", self.config], input=stdin, text=True, capture_output=True)
        if run.returncode != 0:
            raise AssertionError(f"restante {arguments} failed: {run.stdout}{run.stderr}")
        return run.stdout

    def start(self):
        self.log = open(self.base / "log", "ab")
        self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stdout=self.log, stderr=self.log)
        for port in self.ports.values():
            self.wait_for(port)

    def wait_for(self, port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError("the server ended:\n" + self.log_text())
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("the server does not listen:\n" + self.log_text())

    def stop(self, kill=False):
        if self.process and self.process.poll() is None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(timeout=30)
        self.process = None

    def log_text(self):
        return (self.base / "log").read_text(errors="replace")

    def __exit__(self, kind, value, traceback):
        self.stop()
        if kind is not None:
            print(self.log_text()[-8000:])
        shutil.rmtree(self.base, ignore_errors=True)

    def maildir(self, user=USERS[0]):
        return self.base / "spool" / user / "Maildir"


class Mta:
    """Delivers messages into a Maildir as an MTA does: tmp, then new."""

    counter = itertools.count(1)

    def __init__(self, maildir):
        self.maildir = pathlib.Path(maildir)
        self.delivered = 0
        self.stopping = threading.Event()

    def deliver(self, octets=None):
        number = next(self.counter)
        if octets is None:
            octets = (f"From: MTA <mta@example.org>\nTo: anna@example.org\nSubject: delivery {number}\n"
                      f"Message-ID: <{number}.{time.time_ns()}@example.org>\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n\n"
                      f"This is message {number}.\n.\n..dots\nFrom the end\n").encode()
        for name in ("tmp", "new", "cur"):
            (self.maildir / name).mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns() // 10**9}.M{time.time_ns() // 1000 % 10**6}P{os.getpid()}Q{number}.mta"
        (self.maildir / "tmp" / name).write_bytes(octets)
        os.rename(self.maildir / "tmp" / name, self.maildir / "new" / name)
        self.delivered += 1
        return octets

    def run(self, interval=0.05):
        def loop():
            while not self.stopping.wait(interval):
                self.deliver()
        self.thread = threading.Thread(target=loop, daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.thread.join()

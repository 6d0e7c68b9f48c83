#!/usr/bin/env python3
"""Real clients against a real server on real Maildirs, with an MTA delivering beside them.

usage: run.py BINARY [NAME ...]     runs all checks, or those named
"""

import contextlib
import email
import imaplib
import io
import os
import pathlib
import poplib
import pty
import re
import select
import shlex
import socket
import ssl
import subprocess
import sys
import time
import traceback
import zlib

from dovecot import Dovecot
from house import House, Mta, PASSWORD, USERS

ANNA = USERS[0]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def run(command, expect=0, **options):
    """Runs a program; its output, or the failure with everything it said."""
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=120, **options)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"{shlex.join(map(str, command))} gave {done.returncode}\n{done.stdout.decode(errors='replace')}"
                             f"\n{done.stderr.decode(errors='replace')}")
    return done


def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def imap(house, tls=True):
    if tls:
        context = ssl.create_default_context(cafile=house.certificate)
        return imaplib.IMAP4_SSL("localhost", house.ports["imaps"], ssl_context=context)
    return imaplib.IMAP4("127.0.0.1", house.ports["imap"])


def logged_in(house, user=ANNA):
    client = imap(house)
    client.authenticate("PLAIN", lambda _: b"\0" + user.encode() + b"\0" + PASSWORD.encode())
    return client


@check
def curl_reads_writes_and_searches(house):
    original = Mta(house.maildir()).deliver()
    base = ["curl", "-sS", "--cacert", house.certificate, "-u", f"{ANNA}:{PASSWORD}", "--login-options", "AUTH=PLAIN"]
    imaps = f"imaps://localhost:{house.ports['imaps']}/"
    assert b"INBOX" in run([*base, imaps]).stdout
    found = run([*base, imaps + "INBOX?ALL"]).stdout
    assert re.match(rb"\* (SEARCH|ESEARCH)", found), found
    assert run([*base, imaps + "INBOX;MAILINDEX=1"]).stdout == crlf(original)
    header = run([*base, imaps + "INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)"]).stdout
    assert header.startswith(b"Subject: delivery"), header
    upload = house.base / "upload.eml"
    upload.write_bytes(b"Subject: by curl\r\n\r\nbody\r\n" * 1000)
    run([*base, "-T", upload, imaps + "Drafts"])
    assert run([*base, imaps + "Drafts;MAILINDEX=1"]).stdout == upload.read_bytes()
    starttls = f"imap://localhost:{house.ports['imap']}/"
    assert b"INBOX" in run([*base, "--ssl-reqd", starttls]).stdout
    pop3s = f"pop3s://localhost:{house.ports['pop3s']}/"
    listing = run([*base, pop3s]).stdout.decode().split("\r\n")
    assert listing[0] == f"1 {len(crlf(original))}", listing
    assert run([*base, pop3s + "1"]).stdout == crlf(original)
    assert run([*base, "--ssl-reqd", f"pop3://localhost:{house.ports['pop3']}/1"]).stdout == crlf(original)
    wrong = run([*base[:-4], "-u", f"{ANNA}:wrong", imaps], expect=None)
    assert wrong.returncode == 67, wrong


@check
def imaplib_does_all_it_can(house):
    mta = Mta(house.maildir())
    for _ in range(5):
        mta.deliver()
    client = logged_in(house)
    capabilities = client.capability()[1][0].split()
    assert {b"IMAP4rev1", b"IMAP4rev2", b"IDLE", b"MOVE"} <= set(capabilities), capabilities
    assert client.select()[1] == [b"5"]
    assert client.uid("SEARCH", "ALL")[1] == [b"1 2 3 4 5"]
    assert client.search("UTF-8", "SUBJECT", '"delivery"')[1][0].split() == [b"1", b"2", b"3", b"4", b"5"]
    kind, data = client.fetch("1:2", "(UID FLAGS RFC822.SIZE BODY.PEEK[])")
    bodies = [part for part in data if isinstance(part, tuple)]
    assert kind == "OK" and len(bodies) == 2
    for announced, octets in bodies:
        assert int(re.search(rb"RFC822.SIZE (\d+)", announced)[1]) == len(octets)
    assert client.store("1", "+FLAGS", r"(\Seen $Label1)")[0] == "OK"
    assert client.create("Müll".encode("utf-7").replace(b"+", b"&").decode())[0] == "OK"
    assert client.copy("1:3", "Archive")[0] == "OK"
    assert client.append("Archive", r"(\Flagged)", imaplib.Time2Internaldate(1_700_000_000), b"Subject: x\r\n\r\ny\r\n")[0] == "OK"
    assert client.select("Archive")[1] == [b"4"]
    kind, data = client.fetch("4", "(FLAGS INTERNALDATE)")
    assert b"\\Flagged" in data[0] and b"14-Nov-2023 22:13:20 +0000" in data[0], data
    assert client.select()[0] == "OK"
    client.store("2:3", "+FLAGS", r"\Deleted")
    assert client.expunge()[1] == [b"3", b"2"] or client.expunge()[1] == [b"2", b"2"]
    assert client.search(None, "ALL")[1] == [b"1 2 3"]
    assert client.status("Archive", "(MESSAGES UNSEEN)")[1][0].endswith(b"(MESSAGES 4 UNSEEN 3)")
    assert client.rename("Archive", "Old/Archive".replace("/", client.list()[1][0].split(b'"')[1].decode()))[0] == "OK"
    client.subscribe("Sent")
    assert any(b"Sent" in line for line in client.lsub()[1])
    client.close()
    client.logout()


class Deflated(io.RawIOBase):
    """A socket whose octets are deflated both ways, as imaplib uses one."""

    def __init__(self, sock):
        self.sock, self.wire_in, self.wire_out = sock, 0, 0
        self.deflater, self.inflater = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)

    def sendall(self, octets):
        wire = self.deflater.compress(octets) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        self.wire_out += len(wire)
        self.sock.sendall(wire)

    def readable(self):
        return True

    def readinto(self, buffer):
        plain = self.inflater.decompress(self.inflater.unconsumed_tail, len(buffer))
        while not plain:
            wire = self.sock.recv(16384)
            if not wire:
                return 0
            self.wire_in += len(wire)
            plain = self.inflater.decompress(self.inflater.unconsumed_tail + wire, len(buffer))
        buffer[:len(plain)] = plain
        return len(plain)

    def shutdown(self, how):
        self.sock.shutdown(how)

    def close(self):
        self.sock.close()


@check
def imaplib_compresses(house):
    imaplib.Commands.update({"COMPRESS": ("AUTH", "SELECTED"), "UNAUTHENTICATE": ("AUTH", "SELECTED")})
    client = logged_in(house)
    assert client._simple_command("COMPRESS", "DEFLATE")[0] == "OK"
    layer = client.sock = Deflated(client.sock)
    file = "_file" if hasattr(client, "_file") else "file"
    reader = io.BufferedReader(layer)
    setattr(client, file, reader)
    text = b"Subject: compressed\r\n\r\n" + b"".join(b"line %d of many\r\n" % number for number in range(100_000))
    assert client.append("INBOX", None, None, text)[0] == "OK"
    assert client.select()[0] == "OK"
    for _ in range(3):
        kind, data = client.fetch("1", "(BODY.PEEK[])")
        assert kind == "OK" and data[0][1] == text
        # longer than the server keeps what it can do without
        time.sleep(1.5)
    assert layer.wire_out < len(text) / 3 and layer.wire_in < len(text), (layer.wire_out, layer.wire_in)
    assert client._simple_command("COMPRESS", "DEFLATE")[1][0].startswith(b"[COMPRESSIONACTIVE]")
    client.state = "AUTH"
    assert client._simple_command("UNAUTHENTICATE")[0] == "OK"
    assert layer.inflater.eof
    client.sock = layer.sock
    setattr(client, file, client.sock.makefile("rb"))
    client.state = "NONAUTH"
    client.authenticate("PLAIN", lambda _: b"\0" + USERS[1].encode() + b"\0" + PASSWORD.encode())
    assert client.select()[1] == [b"0"]
    client.logout()
    deadline = time.monotonic() + 10
    while not re.search(r"connection_finished.*plain_in=\d+", house.log_text()):
        assert time.monotonic() < deadline, "no octets of compression in the log"
        time.sleep(0.05)


@check
def poplib_keeps_its_numbers(house):
    mta = Mta(house.maildir())
    originals = [mta.deliver() for _ in range(4)]
    context = ssl.create_default_context(cafile=house.certificate)
    client = poplib.POP3("localhost", house.ports["pop3"])
    assert "STLS" in client.capa()
    client.stls(context)
    client.user(ANNA)
    client.pass_(PASSWORD)
    assert client.stat()[0] == 4
    before = client.uidl()[1]
    client.dele(2)
    assert client.stat()[0] == 3
    assert [line.split()[0] for line in client.list()[1]] == [b"1", b"3", b"4"]
    for number in (1, 3, 4):
        _, lines, _ = client.retr(number)
        assert b"\r\n".join(lines) + b"\r\n" == crlf(originals[number - 1])
    client.sock.shutdown(socket.SHUT_RDWR)      # no QUIT: nothing is deleted
    client = poplib.POP3_SSL("localhost", house.ports["pop3s"], context=context)
    client.user(ANNA)
    client.pass_(PASSWORD)
    assert client.uidl()[1] == before
    client.dele(2)
    client.quit()
    client = poplib.POP3_SSL("localhost", house.ports["pop3s"], context=context)
    client.user(ANNA)
    client.pass_(PASSWORD)
    assert [line.split()[1] for line in client.uidl()[1]] == [line.split()[1] for line in before if not line.startswith(b"2 ")]
    client.quit()


@check
def idle_hears_of_a_delivery_at_once(house):
    Mta(house.maildir()).deliver()
    client = logged_in(house)
    client.select()
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")
    slowest = 0.0
    for number in range(2, 22):
        Mta(house.maildir()).deliver()
        begun = time.monotonic()
        while not (line := client.readline()).endswith(b" EXISTS\r\n"):
            pass
        slowest = max(slowest, time.monotonic() - begun)
        assert line == f"* {number} EXISTS\r\n".encode(), line
    print(f"    slowest of 20 deliveries: {slowest * 1000:.1f} ms")
    client.send(b"DONE\r\n")


MBSYNCRC = """
IMAPAccount there
Host localhost
Port {port}
User {user}
PassCmd "cat {base}/password"
SSLType IMAPS
CertificateFile {certificate}

IMAPStore far
Account there

MaildirStore near
Path {base}/mirror/
Inbox {base}/mirror/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
Remove Both
SyncState *
CopyArrivalDate yes
"""


@check
def mbsync_mirrors_both_ways_and_then_has_nothing_to_do(house):
    mta = Mta(house.maildir()).run()
    (house.base / "mirror").mkdir()
    (house.base / "password").write_text(PASSWORD)
    rc = house.base / "mbsyncrc"
    rc.write_text(MBSYNCRC.format(base=house.base, port=house.ports["imaps"], user=ANNA, certificate=house.certificate))
    mbsync = ["mbsync", "-c", rc, "-a"]
    for _ in range(3):
        run(mbsync)
    mta.stop()
    run(mbsync)
    mirror = house.base / "mirror" / "INBOX"

    def near():
        return sorted(entry for part in ("new", "cur") for entry in os.listdir(mirror / part))

    assert len(near()) == mta.delivered, (len(near()), mta.delivered)
    # changes on the near side: a flag, a deletion, a new message
    first, second, *_ = sorted((mirror / "new").iterdir())
    first.rename(mirror / "cur" / (first.name.split(":")[0] + ":2,FS"))
    second.unlink()
    (mirror / "new" / "1700000000.1.near").write_bytes(b"Subject: from the near side\n\nbody\n")
    run(mbsync)
    client = logged_in(house)
    client.select()
    assert client.search(None, "FLAGGED")[1][0].split(), "the flag did not arrive"
    assert client.search(None, "SUBJECT", '"from the near side"')[1][0].split(), "the message did not arrive"
    assert len(client.search(None, "ALL")[1][0].split()) == mta.delivered
    before = near()
    state = sorted((path.name, path.stat().st_mtime_ns) for path in house.maildir().glob("cur/*"))
    run(mbsync)
    assert near() == before
    assert state == sorted((path.name, path.stat().st_mtime_ns) for path in house.maildir().glob("cur/*"))


INTERIMAP_SIDE = """
[{side}]
type = imaps
host = localhost
port = {port}
username = {user}
password = letters
auth = PLAIN
compress = YES
SSL_verify = NO
"""


@check
def interimap_keeps_two_accounts_alike_by_qresync_and_compress(house):
    for user in USERS:
        house.cli("user", "passwd", user, "--stdin", stdin="letters\n")
    mta = Mta(house.maildir())
    for _ in range(30):
        mta.deliver()
    sides = "".join(INTERIMAP_SIDE.format(side=side, port=house.ports["imaps"], user=user)
                    for side, user in zip(("local", "remote"), USERS))
    config = house.base / "interimap.conf"
    config.write_text("database = both.db\nlist-mailbox = \"*\"\n" + sides)
    config.chmod(0o600)
    (house.base / "data/interimap").mkdir(parents=True, mode=0o700)
    environment = {**os.environ, "XDG_DATA_HOME": str(house.base / "data")}

    def session(user):
        client = imap(house)
        client.login(user, "letters")
        assert client.select()[0] == "OK"
        return client

    def messages(user):
        client = session(user)
        data = client.fetch("1:*", "(FLAGS BODY.PEEK[])")[1]
        client.logout()
        found = [part for part in data if isinstance(part, tuple)]
        flags = [set(re.search(rb"FLAGS \(([^)]*)\)", part[0])[1].split()) - {b"\\Recent"} for part in found]
        return sorted((part[1], sorted(flags)) for part, flags in zip(found, flags))

    def synchronise():
        done = run(["interimap", "--config", config], env=environment)
        assert b"compr." in done.stdout + done.stderr, "COMPRESS was not used"
        ours, theirs = (messages(user) for user in USERS)
        assert ours == theirs, (ours, theirs)
        return len(ours), done.stdout + done.stderr

    assert synchronise()[0] == 30
    for _ in range(5):
        mta.deliver()
    first, second = (session(user) for user in USERS)
    assert first.store("2:4", "+FLAGS", r"(\Seen $Forwarded)")[0] == "OK"
    assert second.store("4:6", "+FLAGS", r"\Flagged")[0] == "OK"
    assert second.store("10:12", "+FLAGS", r"\Deleted")[0] == "OK" and second.expunge()[0] == "OK"
    assert second.append("INBOX", r"(\Seen)", None, b"Subject: appended\r\n\r\nby hand\r\n")[0] == "OK"
    first.logout()
    second.logout()
    assert synchronise()[0] == 33
    house.stop()
    house.start()
    assert b"Added" not in synchronise()[1]


@check
def fetchmail_fetches_each_message_once(house):
    mta = Mta(house.maildir())
    originals = {mta.deliver() for _ in range(10)}
    out = house.base / "fetched"
    out.mkdir()
    deliver = house.base / "mda"
    deliver.write_text(f"#!/bin/sh\ncat > $(mktemp {out}/XXXXXXXX)\n")
    deliver.chmod(0o755)
    for protocol, port in (("pop3", "pop3s"), ("imap", "imaps")):
        rc = house.base / f"fetchmailrc-{protocol}"
        quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
        rc.write_text(f'poll localhost protocol {protocol} port {house.ports[port]} uidl\n'
                      f' user "{ANNA}" password "{quoted}" ssl sslcertfile "{house.certificate}" keep mda "{deliver}"\n')
        rc.chmod(0o600)
        fetchmail = ["fetchmail", "-f", rc, "-i", house.base / f"ids-{protocol}", "--pidfile", house.base / "pid", "--nobounce"]
        environment = {**os.environ, "HOME": str(house.base), "USER": "root", "FETCHMAILHOME": str(house.base)}
        run(fetchmail, env=environment)
        assert len(list(out.iterdir())) == len(originals), (protocol, len(list(out.iterdir())))
        run(fetchmail, expect=1, env=environment)         # 1: no new mail
        assert len(list(out.iterdir())) == len(originals)
        for path in out.iterdir():
            path.unlink()
        client = logged_in(house)                          # fetchmail marks as seen by IMAP; give both the same start
        client.select()
        client.store("1:*", "-FLAGS", r"\Seen")
        client.logout()


@check
def mutt_opens_reads_and_saves(house):
    mta = Mta(house.maildir())
    for _ in range(3):
        mta.deliver()
    saved = house.base / "saved"
    rc = house.base / "muttrc"
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    rc.write_text(f'set imap_user="{ANNA}"\nset imap_pass="{quoted}"\nset certificate_file="{house.certificate}"\n'
                  f'set ssl_verify_host=no\nset mbox_type=mbox\nset wait_key=no\nset header_cache=""\nset confirmappend=no\nset confirmcreate=no\n'
                  f'set auto_tag=yes\nset copy=no\nset quit=yes\nset move=no\nset delete=yes\n'
                  f'push "<tag-pattern>~A<enter><copy-message>{saved}<enter><untag-pattern>~A<enter><display-message><exit>'
                  f'<first-entry><flag-message><sync-mailbox><quit>"\n')
    # auto_tag: a signal between tag-prefix and what it is for makes mutt forget it, and one message is copied instead of all
    at_terminal(["mutt", "-n", "-F", rc, "-f", f"imaps://localhost:{house.ports['imaps']}/INBOX"])
    assert saved.read_bytes().count(b"\nSubject: delivery ") == 3
    client = logged_in(house)
    client.select()
    assert len(client.search(None, "FLAGGED")[1][0].split()) == 1
    assert len(client.search(None, "SEEN")[1][0].split()) >= 1


def at_terminal(command, seconds=30):
    """Runs a program with a terminal of its own until it ends."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(str(command[0]), [str(word) for word in command])
    screen = b""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                octets = os.read(terminal, 65536)
                if not octets:
                    break
                screen += octets
    ended, status = os.waitpid(child, os.WNOHANG)
    while ended == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
        ended, status = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
        raise AssertionError(f"{command[0]} did not end; its screen:\n{screen[-3000:].decode(errors='replace')}")
    assert status == 0, f"{command[0]} ended with {status}:\n{screen[-3000:].decode(errors='replace')}"


@check
def dovecot_after_us_and_before_us_sees_the_same(house):
    mta = Mta(house.maildir())
    for _ in range(6):
        mta.deliver()
    client = logged_in(house)
    client.select()
    client.store("1", "+FLAGS", r"(\Seen \Answered $Forwarded NonJunk)")
    client.store("2", "+FLAGS", r"\Deleted")
    client.expunge()
    client.create("Projects.2026")
    client.subscribe("Projects.2026")
    client.copy("1:3", "Projects.2026")
    client.logout()
    names = ("INBOX", "Projects.2026")

    def ours():
        client = logged_in(house)
        seen = {}
        for name in names:
            client.select(f'"{name}"', readonly=True)
            validity = client.response("UIDVALIDITY")[1]
            seen[name] = (validity, sorted(normal(line) for line in client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")[1]))
        seen["subscribed"] = sorted(line.split(b" ")[-1].strip(b'"') for line in client.lsub()[1] if line)
        client.logout()
        return seen

    def theirs():
        with Dovecot(house.maildir()) as client:
            seen = {}
            for name in names:
                client.select(f'"{name}"', readonly=True)
                validity = client.response("UIDVALIDITY")[1]
                seen[name] = (validity, sorted(normal(line) for line in client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")[1]))
            seen["subscribed"] = sorted(line.split(b" ")[-1].strip(b'"') for line in client.lsub()[1] if line)
            return seen

    before = ours()
    assert before == theirs()
    with Dovecot(house.maildir()) as client:
        client.select()
        client.store("1", "+FLAGS", r"(\Flagged $Label5)")
        client.append("INBOX", "", None, b"Subject: by Dovecot\r\n\r\nbody\r\n")
        client.create('"Made by Dovecot"')
        client.subscribe("Projects")
    mta.deliver()
    assert ours() == theirs()


def normal(line):
    """A FETCH answer without its number, its flags in order."""
    line = line if isinstance(line, bytes) else line[0]
    flags = re.search(rb"FLAGS \(([^)]*)\)", line)[1].split()
    uid = re.search(rb"UID (\d+)", line)[1]
    size = re.search(rb"RFC822.SIZE (\d+)", line)[1]
    return uid, size, tuple(sorted(flag for flag in flags if flag != rb"\Recent"))


def main():
    binary, *names = sys.argv[1:]
    passed = failed = 0
    for function in CHECKS:
        if names and function.__name__ not in names:
            continue
        begun = time.monotonic()
        try:
            with House(binary) as house:
                function(house)
            passed += 1
            print(f"ok    {function.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"FAIL  {function.__name__}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()

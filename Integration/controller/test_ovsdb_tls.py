"""Connections to a real ovsdb-server over every transport, and TLS: valid certificates connect, each invalid one is rejected for
its own reason, and certificates that change on disk are used without losing state."""
import json
import signal
import socket
import subprocess
import threading

import pytest

from lab import Capture, Certificates, OvsdbServer, Site, wait_until
from lab.daemon import VTEPCTL
from lab.namespaces import run

PORT = 6640


def daemon_with(lab, ovsdb):
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    daemon = site.daemons[0]
    daemon.config["ovsdb"] = ovsdb
    daemon.write_config()
    return daemon


def right_certificates(lab):
    pki = Certificates(lab)
    pki.self_signed("ca")
    pki.issue("server")
    pki.issue("switch")
    return pki


def reload(daemon, **ovsdb):
    daemon.config["ovsdb"] = ovsdb
    daemon.reload("configuration reloaded")


@pytest.mark.parametrize("remote", ["unix", "tcp:127.0.0.1", "tcp:[::1]", "tcp:localhost", "ptcp", "ssl:127.0.0.1", "pssl"])
def test_every_transport_connects_and_carries_changes(lab, remote):
    pki = right_certificates(lab)
    daemon = daemon_with(lab, {})
    server = OvsdbServer(daemon.namespace, options=pki.options("server"))
    # ptcp and pssl: the server connects.
    mine, theirs = {
        "unix": (f"unix:{server.socket}", None),
        "tcp:127.0.0.1": (f"tcp:127.0.0.1:{PORT}", f"ptcp:{PORT}:127.0.0.1"),
        "tcp:[::1]": (f"tcp:[::1]:{PORT}", f"ptcp:{PORT}:[::1]"),
        "tcp:localhost": (f"tcp:localhost:{PORT}", f"ptcp:{PORT}:127.0.0.1"),
        "ptcp": (f"ptcp:{PORT}:127.0.0.1", f"tcp:127.0.0.1:{PORT}"),
        "ssl:127.0.0.1": (f"ssl:127.0.0.1:{PORT}", f"pssl:{PORT}:127.0.0.1"),
        "pssl": (f"pssl:{PORT}", f"ssl:127.0.0.1:{PORT}"),
    }[remote]
    server.remotes = [theirs] if theirs else []
    server.start()
    daemon.config["ovsdb"] = {"remotes": [mine], **pki.keys("switch"), **({"peer-name": "db.example.net"} if "ssl" in mine else {})}
    daemon.write_config()
    daemon.start()
    assert daemon.wait_ovsdb()["remote"] == mine
    for count in (1, 2, 3):
        server.vtep_ctl("add-ls", f"ls{count}")
        daemon.wait_logical_switches(count)
    # The server restarts; changes made in the meantime arrive.
    server.kill()
    wait_until(lambda: daemon.ovsdb()["state"] not in ("ACTIVE", "IDLE"), lambda: f"the loss is noticed: {daemon.ovsdb()}")
    assert daemon.ovsdb()["logical_switches"] == 3, "the known state is kept"
    server.start().vtep_ctl("del-ls", "ls1")
    daemon.wait_ovsdb()
    daemon.wait_logical_switches(2)
    assert daemon.ovsdb()["last_error"] is None


def test_remotes_of_both_kinds(lab):
    """One that vtepd dials and one that dials vtepd: the first connection is used until it ends, then the other, without losing
    anything."""
    daemon = Site(lab, vtepd=1, flood="replicate", wait=False).daemons[0]
    dialled, passive = "tcp:127.0.0.1:6641", "ptcp:6640:127.0.0.1"
    daemon.config["ovsdb"] = {"remotes": [dialled, passive], "dscp": 10, "max-backoff-seconds": 1}
    daemon.write_config()
    server = OvsdbServer(daemon.namespace, remotes=["tcp:127.0.0.1:6640"]).start()
    capture = Capture(daemon.namespace, "lo", "tcp and (dst port 6641 or src port 6640)")
    daemon.start()

    def states():
        return {row["remote"]: row["state"] for row in daemon.ctl("show", "ovsdb")}

    def wait_states(**expected):
        wait_until(lambda: states() == {dialled: expected["dialled"], passive: expected["passive"]},
                   lambda: f"{expected}: {daemon.ctl('show', 'ovsdb')}\n{daemon.log()[-2000:]}")

    wait_states(dialled="VOID", passive="ACTIVE")
    server.vtep_ctl("add-ls", "ls1")
    daemon.wait_logical_switches(1)
    server.appctl("ovsdb-server/add-remote", "ptcp:6641:127.0.0.1")
    server.appctl("ovsdb-server/remove-remote", "tcp:127.0.0.1:6640")
    wait_states(dialled="ACTIVE", passive="CONNECTING")
    server.vtep_ctl("add-ls", "ls2")
    daemon.wait_logical_switches(2)
    # The other may knock: it is not needed.
    server.appctl("ovsdb-server/add-remote", "tcp:127.0.0.1:6640")
    wait_until(lambda: server.log().count("tcp:127.0.0.1:6640: connection closed by peer") > 1, lambda: server.log()[-2000:])
    assert states() == {dialled: "ACTIVE", passive: "CONNECTING"}
    before = daemon.log().count("is replicated")
    server.appctl("ovsdb-server/remove-remote", "ptcp:6641:127.0.0.1")
    wait_until(lambda: daemon.log().count("is replicated") > before, lambda: f"the other is used:\n{daemon.log()[-2000:]}")
    wait_states(dialled="VOID", passive="ACTIVE")
    server.vtep_ctl("add-ls", "ls3")
    daemon.wait_logical_switches(3)
    # Our own packets, from the first on, in both.
    marks = capture.fields("tcp.dstport", "ip.dsfield.dscp", only="ip")
    assert {row[1] for row in marks if row[0] == "6641"} == {"10"}
    assert {row[1] for row in marks if row[0] != "6641"} == {"10"}


@pytest.mark.parametrize("remote, words", [
    (f"tcp:127.0.0.1:{PORT}", "Connection refused"), ("unix:/nonexistent/sock", "No such file or directory"),
    ("tcp:no-such-host.invalid:6640", "cannot resolve the host name"), ("tcp:192.0.2.99:6640", "No route to host"),
    ("tcp:127.0.0.1:6699", "no answer within 5 s"),
    ("ptcp:6640:192.0.2.99", "cannot listen: Cannot assign requested address"),
])
def test_connection_failures_are_explained(lab, remote, words):
    daemon = daemon_with(lab, {"remotes": [remote]})
    daemon.namespace.run("nft", "add table ip t; add chain ip t i { type filter hook input priority 0; }; add rule ip t i tcp dport 6699 drop")
    daemon.start()
    daemon.wait_ovsdb(error=words)
    assert daemon.ctl("show", "ovsdb")[0]["remote"] == remote


def test_wrong_certificates_are_refused_for_their_reasons(lab):
    pki = right_certificates(lab)
    pki.issue("expired", end="20200201000000Z")
    pki.issue("early", start="20980101000000Z")
    pki.self_signed("alone")
    pki.self_signed("ca2")
    pki.issue("stranger", by="ca2")
    pki.issue("client-only", extensions="extendedKeyUsage=clientAuth")
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch")})
    # Nobody listens yet.
    daemon.start()
    daemon.wait_ovsdb(error="refused")
    reasons = []

    def refused(words, server_certificate=None, **keys):
        server = None
        if server_certificate:
            # The server does not verify us, so we are the side that rejects.
            server = OvsdbServer(daemon.namespace, f"db{len(reasons)}", [f"pssl:{PORT}"], pki.options(server_certificate)).start()
        reload(daemon, remotes=[f"ssl:127.0.0.1:{PORT}"], **{**pki.keys("switch"), **keys})
        reasons.append(daemon.wait_ovsdb(error=words)["last_error"])
        assert daemon.ovsdb()["logical_switches"] is None
        if server:
            server.stop()

    refused("it has expired", "expired")
    refused("it is not valid yet", "early")
    refused("it is self-signed", "alone")
    refused("it is not signed by the authority", "stranger")
    refused("it does not match peer-name", "server", **{"peer-name": "other.example.net"})
    refused("it is not for TLS servers", "client-only")
    refused("does not belong to certificate", "server", **{"private-key": str(pki.path("server.key"))})
    refused("it holds a private key, not a certificate", "server", certificate=str(pki.path("switch.key")))
    refused("nowhere.pem: cannot read it", "server", **{"ca-certificate": str(pki.path("nowhere.pem"))})
    # The server rejects us: it does not trust the authority of our certificate.
    server = OvsdbServer(daemon.namespace, "unknown", [f"pssl:{PORT}"], pki.options("server")).start()
    reload(daemon, remotes=[f"ssl:127.0.0.1:{PORT}"], **{**pki.keys("stranger"), "ca-certificate": str(pki.path("ca.pem"))})
    reasons.append(daemon.wait_ovsdb(error="the peer does not trust the authority")["last_error"])
    server.stop()
    assert len(reasons) == len(set(reasons)) >= 7, reasons
    # The right one still connects after all this.
    OvsdbServer(daemon.namespace, "right", [f"pssl:{PORT}"], pki.options("server")).start()
    reload(daemon, remotes=[f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch"), **{"peer-name": ["elsewhere", "db.example.net"]})
    daemon.wait_ovsdb()


def s_server(daemon, pki, *options):
    """openssl's own server."""
    process = daemon.namespace.popen(
        "openssl", "s_server", "-accept", f"127.0.0.1:{PORT}", "-cert", pki.path("server.pem"), "-key", pki.path("server.key"), "-CAfile",
        pki.path("ca.pem"), "-Verify", "3", "-quiet", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    listening = lambda: f":{PORT} " in daemon.namespace.run("ss", "-ltn").stdout.replace("\t", " ")
    wait_until(listening, "s_server listens")
    return process


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_both_versions_are_spoken(lab, version):
    pki = right_certificates(lab)
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch")})
    process = s_server(daemon, pki, version)
    daemon.start()
    # Its decrypted output is our first request.
    assert b'"method"' in read_until(process.stdout, b"get_schema")


def read_until(stream, word):
    seen = b""
    while word not in seen:
        piece = stream.read1(4096)
        assert piece, seen
        seen += piece
    return seen


def test_an_old_version_is_refused(lab):
    pki = right_certificates(lab)
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch")})
    s_server(daemon, pki, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    daemon.start()
    assert "neither TLS 1.2 nor TLS 1.3" in daemon.wait_ovsdb(error="TLS 1.2")["last_error"]


def test_nothing_is_sent_in_plaintext(lab):
    """Whatever the other side does instead of TLS, it sees only handshakes."""
    pki = right_certificates(lab)
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch")})
    with daemon.namespace.entered():
        listener = socket.create_server(("127.0.0.1", PORT))
    lab.on_close(listener.close)
    seen = []
    answers = [b"", b'{"method":"echo","params":[],"id":"echo"}', b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"]

    def serve():
        for answer in answers:
            client, _ = listener.accept()
            with client:
                client.settimeout(30)
                data = client.recv(65536)
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                while piece := client.recv(65536):
                    data += piece
                seen.append(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    daemon.start()
    daemon.wait_ovsdb(error="the peer does not speak TLS on this port")
    thread.join(60)
    assert len(seen) == len(answers)
    for data in seen:
        assert data[:2] == b"\x16\x03", data[:20]
        assert b"method" not in data and b"get_schema" not in data


def test_clients_must_present_a_certificate(lab):
    pki = right_certificates(lab)
    pki.issue("expired", end="20200201000000Z")
    daemon = daemon_with(lab, {"remotes": [f"pssl:{PORT}:127.0.0.1"], **pki.keys("switch")})
    daemon.start()

    def connect(words, *options):
        # A listener that keeps listening, whoever connects.
        daemon.namespace.run("openssl", "s_client", "-connect", f"127.0.0.1:{PORT}", "-quiet", *options, check=False)
        return daemon.wait_ovsdb(error=words)["last_error"]

    reasons = {
        connect("the peer sent no certificate"),
        connect("neither TLS 1.2 nor TLS 1.3", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
        connect("it has expired", "-cert", pki.path("expired.pem"), "-key", pki.path("expired.key")),
    }
    assert len(reasons) == 3
    OvsdbServer(daemon.namespace, remotes=[f"ssl:127.0.0.1:{PORT}"], options=pki.options("server")).start()
    daemon.wait_ovsdb()


def test_revoked_peers_are_refused(lab):
    """By the list in `crl`, which is read for each connection and after SIGHUP; a list that has expired refuses everybody."""
    pki = right_certificates(lab)
    pki.revoke("crl.pem")
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch"), "crl": str(pki.path("crl.pem"))})
    server = OvsdbServer(daemon.namespace, remotes=[f"pssl:{PORT}"], options=pki.options("server")).start()
    daemon.start()
    daemon.wait_ovsdb()

    def after_hangup(words, *revoked, **options):
        pki.revoke("crl.pem", *revoked, **options)
        daemon.reload("configuration reloaded")
        daemon.wait_ovsdb(error=words)

    after_hangup("CN=server': it is revoked by the list in crl", "server")
    server.vtep_ctl("add-ls", "ls0")
    assert daemon.ovsdb()["state"] != "ACTIVE" and daemon.ovsdb()["logical_switches"] == 0
    after_hangup("the revocation list in crl has expired", expired=True)
    rows = json.loads(run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "doctor", check=False).stdout)
    found = [row for row in rows if row["check"] == "certificates" and row["status"] == "error"]
    assert [row["subject"] for row in found] == [str(pki.path("crl.pem"))] and "latest list" in found[0]["remedy"], found
    # Without a signal: the next connection uses the new list.
    pki.revoke("crl.pem", "switch")
    daemon.wait_ovsdb()
    daemon.wait_logical_switches(1)


def test_certificates_are_rotated_without_losing_state(lab):
    pki = right_certificates(lab)
    pki.self_signed("ca2")
    pki.issue("server2", by="ca2")
    pki.issue("switch2", by="ca2")
    pki.copy("server", "server-now")
    pki.copy("switch", "switch-now")
    pki.copy("ca", "ca-now")
    daemon = daemon_with(lab, {"remotes": [f"ssl:127.0.0.1:{PORT}"], **pki.keys("switch-now", "ca-now")})
    server = OvsdbServer(daemon.namespace, remotes=[f"pssl:{PORT}"], options=pki.options("server-now", "ca-now")).start()
    for number in range(20):
        server.vtep_ctl("add-ls", f"ls{number}")
    daemon.start()
    daemon.wait_ovsdb()
    daemon.wait_logical_switches(20)

    gaps, done = [], threading.Event()

    def watch():
        while not done.wait(0.02):
            row = daemon.ovsdb()
            if row["logical_switches"] not in (20, 21):
                gaps.append(row)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        # A key that does not match its certificate is not used; the session continues.
        pki.path("switch-now.key").write_bytes(pki.path("switch2.key").read_bytes())
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "cannot use the new key or certificates" in daemon.log(), "the mistake is reported")
        assert daemon.ovsdb()["state"] == "ACTIVE"
        # The whole authority is replaced, on both sides. ovsdb-server rereads its files when they change.
        for name in ("server", "switch", "ca"):
            pki.copy(f"{name}2", f"{name}-now")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "key or certificates have changed" in daemon.log(), "the new ones are noticed")
        daemon.wait_ovsdb()
        server.vtep_ctl("add-ls", "ls20")
        daemon.wait_logical_switches(21)
        # Without a signal: the next connection uses the current files.
        for name in ("server", "switch", "ca"):
            pki.copy(name, f"{name}-now")
        before = daemon.log().count("is replicated")
        server.appctl("ovsdb-server/reconnect")
        wait_until(lambda: daemon.log().count("is replicated") > before, lambda: f"it is connected again:\n{daemon.log()[-2000:]}")
        daemon.wait_ovsdb()
    finally:
        done.set()
        watcher.join()
    assert gaps == []
    # SIGHUP with unchanged files interrupts nothing.
    before = daemon.log().count("is replicated")
    daemon.reload("configuration reloaded")
    assert daemon.ovsdb()["state"] == "ACTIVE" and daemon.log().count("is replicated") == before

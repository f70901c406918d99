"""virtio-user ports and the process behind them: one that comes late, is silent, hangs or goes keeps nothing else waiting."""
import signal
import socket

import pytest

from lab import Site, StandIn, wait_until
from lab.daemon import Refused
from lab.site import VNI

SILENT = "is connected and does not answer"


@pytest.fixture
def pair(lab):
    return Site(lab, flood="replicate")


def add(daemon, name, kind, path, role, *options):
    daemon.ctl("port", "add", "--name", name, "--kind", kind, "--socket", path, "--role", role, "--vni", 77, *options, timeout=10)


def wait_state(daemon, name, state):
    wait_until(lambda: daemon.port(name)["state"] == state, lambda: f"{name} is {state}: {daemon.port(name)}\n{daemon.log()[-3000:]}", 30)


def with_vni(site):
    for daemon in site.daemons:
        daemon.ctl("vni", "add", "--vni", 77, "--flood", "none")
    return site.daemons


def assert_alive(daemon):
    """Other commands are answered, changes among them."""
    daemon.ctl("port", "add", "--name", "other", "--kind", "tap", "--device", "other", "--vni", 77, timeout=10)
    assert daemon.port("other")["state"] == "up"
    daemon.ctl("port", "delete", "other", timeout=10)


def test_a_server_waits_for_its_back_end(lab, pair):
    first, second = with_vni(pair)
    path = first.directory / "run/v.sock"
    add(first, "v", "virtio-user", "v.sock", "server", "--socket-mode", "0600")
    assert first.port("v")["state"] == "waiting" and path.stat().st_mode & 0o777 == 0o600
    assert_alive(first)
    first.ctl("port", "delete", "v", timeout=10)
    assert not path.exists()
    add(first, "v", "virtio-user", "v.sock", "server", "--queues", 2)
    # Whoever removes the socket gets it again.
    path.unlink()
    wait_until(path.exists, "the socket is there again")
    # A back end that comes, goes and comes.
    for _ in range(2):
        add(second, "v", "vhost-user", path, "client", "--queues", 2)
        wait_state(first, "v", "up")
        wait_state(second, "v", "up")
        assert first.port("v")["queues"] == 2
        ping_through(pair)
        second.ctl("port", "delete", "v", timeout=10)
        wait_state(first, "v", "waiting")
        assert_alive(first)
    # A daemon that waits for back ends ends at once.
    add(first, "w", "virtio-user", "w.sock", "server")
    assert first.stop() == 0 and not path.exists()
    # It also starts with them.
    first.config["vnis"].append({"vni": 77, "flood": "none"})
    first.config["ports"].append({"name": "v", "kind": "virtio-user", "socket": "v.sock", "role": "server", "vni": 77})
    first.write_config()
    first.start()
    assert_alive(first)
    add(second, "v", "vhost-user", path, "client")
    wait_state(first, "v", "up")


def ping_through(site):
    """Ping between the hosts' ends of two taps behind the ports."""
    for number, daemon in enumerate(site.daemons, 1):
        daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "t", "--vni", 77)
        daemon.namespace.ip(f"addr add 10.7.0.{number}/24 dev t")
    wait_until(lambda: site.daemons[0].namespace.run("ping", "-c", 1, "-W", 1, "10.7.0.2", check=False).returncode == 0,
               lambda: f"ping through v: {[daemon.ctl('show', 'drops') for daemon in site.daemons]}", 30)
    for daemon in site.daemons:
        daemon.ctl("port", "delete", "t")


class BackEndOfDPDK(StandIn):
    """DPDK's vhost driver as the back end, with a tap behind it."""

    def virtual_device(self):
        return f"net_vhost0,iface={self.socket_path},client={int(self.role == 'server')}"


@pytest.mark.parametrize("role", ["server", "client"])
def test_dpdks_back_end(lab, role):
    site = Site(lab, vtepd=1, flood="replicate")
    daemon, near = site.daemons[0], site.guests[0]
    path = daemon.directory / "run/v.sock"
    daemon.ctl("port", "add", "--name", "v", "--kind", "virtio-user", "--socket", "v.sock", "--role", role, "--vni", VNI, timeout=10)
    assert daemon.port("v")["state"] == "waiting"
    for name in ("far", "next"):
        far = BackEndOfDPDK(lab, name, 9, path, role).start().wait_booted()
        wait_state(daemon, "v", "up")
        far.wait_ping(near.ipv4)
        far.kill()
        wait_state(daemon, "v", "waiting")


def test_a_silent_back_end(lab, pair):
    """It is connected and says nothing, or what no back end says."""
    daemon = with_vni(pair)[0]
    with socket.socket(socket.AF_UNIX) as listener:
        path = daemon.directory / "run/silent.sock"
        listener.bind(str(path))
        listener.listen(0)
        # There is room for one connection.
        add(daemon, "a", "virtio-user", path, "client")
        wait_until(lambda: any(SILENT in note for note in daemon.port("a")["notes"]), lambda: f"a note says so: {daemon.port('a')}")
        assert_alive(daemon)
        accepted = listener.accept()[0]
        accepted.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        wait_until(lambda: any("does not speak vhost-user" in note for note in daemon.port("a")["notes"]),
                   lambda: f"a note says so: {daemon.port('a')}")
        accepted.close()
        assert_alive(daemon)
        daemon.ctl("port", "delete", "a", timeout=10)
    add(daemon, "s", "virtio-user", "s.sock", "server")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(daemon.directory / "run/s.sock"))
        wait_until(lambda: any(SILENT in note for note in daemon.port("s")["notes"]), lambda: f"a note says so: {daemon.port('s')}")
        assert_alive(daemon)
        # Another one is not kept off.
        add(pair.daemons[1], "s", "vhost-user", daemon.directory / "run/s.sock", "client")
        wait_state(daemon, "s", "up")


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_back_end_that_hangs(lab, pair, role):
    """The driver asks it for the state of each ring when its port is deleted."""
    first, second = with_vni(pair)
    path = first.directory / "run/v.sock"
    other = "client" if role == "server" else "server"
    if role == "client":
        add(second, "v", "vhost-user", path, other)
    add(first, "v", "virtio-user", path, role)
    if role == "server":
        add(second, "v", "vhost-user", path, other)
    wait_state(first, "v", "up")
    second.process.send_signal(signal.SIGSTOP)
    try:
        first.ctl("port", "delete", "v", timeout=25)
        assert_alive(first)
    finally:
        second.process.send_signal(signal.SIGCONT)


def test_a_memif_server_without_room(lab, pair):
    """The kernel keeps who connects waiting when nobody accepts."""
    daemon = with_vni(pair)[0]
    path = daemon.directory / "run/full.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen(0)
        # There is room for one connection.
        add(daemon, "m0", "memif", path, "client", "--memif-id", 0)
        with pytest.raises(Refused, match="accepts no connections, or is no memif server; restart that process, or name another socket"):
            add(daemon, "m1", "memif", path, "client", "--memif-id", 1)
        assert_alive(daemon)


def test_the_driver_under_another_kind_is_refused(lab, pair):
    daemon = with_vni(pair)[0]
    with pytest.raises(Refused, match="use kind: virtio-user"):
        daemon.ctl("port", "add", "--name", "d", "--kind", "dpdk", "--devargs", "net_virtio_user7,path=/tmp/x,server=1", "--vni", 77, timeout=10)

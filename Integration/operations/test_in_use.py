"""Devices and sockets in use by another process are refused, and the other process is not affected."""
import fcntl
import os
import struct

import pytest

from lab import Site, VirtioGuest, Vtepd, wait_until
from lab.daemon import Refused
from lab.site import VNI

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE = 0x400454CA, 0x0002, 0x1000, 0x0100


@pytest.fixture
def two(lab):
    """A site, and a second daemon on the same host with its own underlay interface and UDP port; it has no ports yet."""
    site = Site(lab, vtepd=1, flood="none")
    host = site.hosts[0].namespace
    host.ip("link add u1 type veth peer name u1far")
    host.ip("link set u1 up")
    host.ip("address add 192.0.3.1/24 dev u1")
    second = Vtepd(host, {
        "underlay": {"addresses": ["192.0.3.1"], "device": "u1", "udp-port": 4790},
        "vnis": [{"vni": VNI, "flood": "none"}], "ports": [],
    })
    # Not in the first one's folders.
    second.directory = lab.directory / "second"
    second.directory.mkdir()
    second.config_path, second.log_path = second.directory / "vtepd.yaml", second.directory / "vtepd.log"
    second.socket_path = second.directory / "run/vtepd.sock"
    second.config.update({"name": "second", "run-dir": str(second.directory / "run"), "state-dir": str(second.directory / "state")})
    second.write_config()
    site.daemons[0].write_config()
    return site, second


def add(daemon, **settings):
    words = [word for key, value in settings.items() for word in (f"--{key}", value)]
    return daemon.ctl("port", "add", "--name", "x", *words, "--vni", VNI)


def test_tap_of_another_daemon(lab, two):
    site, second = two
    first, host = site.daemons[0], site.hosts[0].namespace
    first.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tapA", "--vni", VNI)
    host.ip("address add 10.0.0.99/24 dev tapA")
    site.guests[0].wait_ping("10.0.0.99")
    second.start()
    with pytest.raises(Refused, match="tap tapA is in use by another process"):
        add(second, kind="tap", device="tapA")
    # Named in its file: the daemon runs, the port waits.
    second.stop()
    second.config["ports"] = [{"name": "x", "kind": "tap", "device": "tapA", "vni": VNI}]
    second.write_config()
    second.start(wait=False)
    wait_until(lambda: second.process.poll() is None and "tap tapA is in use by another process" in second.log(),
               lambda: f"the log reports it: {second.log()}")
    wait_until(second.socket_path.exists, "the control socket is there")
    wait_until(lambda: second.ctl("status")["unattached"] == ["x"], "status tells")
    assert second.stop() == 0
    assert site.guests[0].ping("10.0.0.99", 3) == 3
    assert "10.0.0.99/24" in host.ip("address show dev tapA") and "10.0.0.0/24 dev tapA" in host.ip("route")


def test_tap_of_any_other_process(lab, two):
    """As QEMU or a VPN would hold one; a multi-queue tap that nobody has open is taken over."""
    site, second = two
    host = site.hosts[0].namespace
    second.start()
    with host.entered(), open("/dev/net/tun", "r+b", buffering=0) as held:
        fcntl.ioctl(held, TUNSETIFF, struct.pack("16sH22x", b"tapB", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE))
        with pytest.raises(Refused, match="tap tapB is in use by another process"):
            add(second, kind="tap", device="tapB")
        assert "tapB" in host.ip("link")
    host.ip("tuntap add dev tapC mode tap multi_queue")
    with host.entered(), open("/dev/net/tun", "r+b", buffering=0) as held:
        fcntl.ioctl(held, TUNSETIFF, struct.pack("16sH22x", b"tapC", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE))
        with pytest.raises(Refused, match="tap tapC is in use by another process"):
            add(second, kind="tap", device="tapC")
    # No longer in use.
    assert add(second, kind="tap", device="tapC") == {"changed": True}
    second.wait_ports_up()
    second.ctl("port", "delete", "x")
    assert "tapC" in host.ip("link"), "the operator's tap stays"
    host.ip("link delete tapC")


def test_tap_name_of_another_kind_of_interface(two):
    site, second = two
    host = site.hosts[0].namespace
    second.start()
    host.ip("link add tapD type veth peer name tapDfar")
    with pytest.raises(Refused, match="an interface of this name exists and is not a tap but of kind veth; ip link delete tapD"):
        add(second, kind="tap", device="tapD")
    host.ip("link delete tapD")
    assert add(second, kind="tap", device="tapD") == {"changed": True}


def test_interface_in_use_by_another_daemon(two):
    site, second = two
    first = site.daemons[0]
    second.start()
    with pytest.raises(Refused, match=f"interface port1: it is in use by another vtepd, process {first.process.pid}"):
        add(second, kind="netdev", device="port1")

    # A killed process holds nothing.
    first.kill()
    assert add(second, kind="netdev", device="port1") == {"changed": True}
    second.wait_ports_up()
    second.ctl("port", "delete", "x")
    first.start().wait_ports_up()


def test_underlay_port_in_use_by_another_daemon(two):
    site, second = two
    second.config["underlay"].pop("udp-port")
    second.write_config()
    second.start(wait=False)
    wait_until(lambda: second.process.poll() is not None, "it ends")
    assert second.process.returncode == 2 and "UDP port 4789 is in use" in second.log()
    assert site.daemons[0].ctl("status")["state"] == "running"


@pytest.mark.parametrize("kind", ["vhost-user", "memif"])
def test_socket_in_use_by_another_daemon(lab, two, kind):
    site, second = two
    first = site.daemons[0]
    path = lab.directory / "s.sock"
    first.ctl("port", "add", "--name", "s", "--kind", kind, "--socket", path, "--role", "server", "--vni", VNI)
    second.start()
    with pytest.raises(Refused, match="another process already listens there"):
        add(second, kind=kind, socket=path, role="server")
    inode = os.stat(path).st_ino
    assert second.stop() == 0
    assert os.stat(path).st_ino == inode
    if kind == "vhost-user":
        VirtioGuest(lab, path, listens=False).boot()
        wait_until(lambda: first.port("s")["state"] == "up", "the first one serves it")

"""Guests that move: they are announced, every VTEP learns the move from one frame, and the old port claims nothing."""
import struct
import time

import pytest

from lab import Capture, Site, wait_until
from lab.frames import BROADCAST, ethernet, mac_bytes, mac_number, receive
from lab.site import VNI

MOVED = mac_number(0x4D01)


def rarp(mac):
    """As QEMU announces a guest."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + mac_bytes(mac) + b"\x00" * 4 + mac_bytes(mac) + b"\x00" * 4
    return (mac_bytes(BROADCAST) + mac_bytes(mac) + b"\x80\x35" + body).ljust(60, b"\x00")


def gratuitous_arp(mac, address=b"\x0a\x00\x00\x63"):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac_bytes(mac) + address + b"\x00" * 6 + address
    return (mac_bytes(BROADCAST) + mac_bytes(mac) + b"\x08\x06" + body).ljust(60, b"\x00")


def neighbor_advertisement(mac):
    """Unsolicited, to all nodes."""
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
    from scapy.layers.l2 import Ether

    return bytes(Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src="fd00::63", dst="ff02::1", hlim=255)
                 / ICMPv6ND_NA(R=0, S=0, O=1, tgt="fd00::63") / ICMPv6NDOptDstLLAddr(lladdr=mac))


def place(daemon, mac):
    row = daemon.macs().get(mac)
    return row and (row["port"] or row["vtep"])


def fdb(kernel, mac):
    """The VTEP that the kernel's VXLAN device has for an address."""
    for line in kernel.namespace.run("bridge", "fdb", "show", "dev", f"vx{VNI}").stdout.splitlines():
        if line.startswith(mac) and " dst " in line:
            return line.split(" dst ")[1].split()[0]
    return None


@pytest.mark.parametrize("announcement", [rarp, gratuitous_arp, neighbor_advertisement])
@pytest.mark.parametrize("flood", ["multicast", "replicate"])
def test_one_frame_updates_every_vtep(lab, announcement, flood):
    site = Site(lab, vtepd=3, kernel=1, flood=flood)
    sockets = [guest.namespace.raw_socket("eth0") for guest in site.guests]
    if flood == "multicast":
        site.wait_joined()
    else:
        for daemon, own in zip(site.daemons, site.hosts):
            daemon.wait_resolved(*(site.address(host) for host in site.hosts + site.kernels if host is not own))
    sockets[0].send(announcement(MOVED))
    wait_until(lambda: [place(daemon, MOVED) for daemon in site.daemons] == ["vm1", "192.0.2.1", "192.0.2.1"], "all know the old place")
    wait_until(lambda: fdb(site.kernels[0], MOVED) == "192.0.2.1", "the kernel knows the old place")
    capture = Capture(site.switch.namespace, "hv2", "udp port 4789", inbound=True)
    sockets[1].send(announcement(MOVED))
    wait_until(lambda: [place(daemon, MOVED) for daemon in site.daemons] == ["192.0.2.2", "vm2", "192.0.2.2"],
               lambda: f"all know the new location: {[place(daemon, MOVED) for daemon in site.daemons]}")
    wait_until(lambda: fdb(site.kernels[0], MOVED) == "192.0.2.2", "the kernel knows the new place")
    # One frame: one packet to the group, or one to each peer.
    moved = [packet for packet in capture.stop().packets() if mac_bytes(MOVED) in packet]
    assert len(moved) == (1 if flood == "multicast" else 3)
    assert [daemon.macs()[MOVED]["moves"] for daemon in site.daemons] == [1, 1, 1]


def test_guest_is_announced_when_its_port_comes_up(lab):
    site = Site(lab, vtepd=2, kernel=1)
    site.wait_joined()
    first, second = site.daemons
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    second.ctl("port", "set", "vm2", "--mac", MOVED, "--anti-spoofing")
    wait_until(lambda: place(second, MOVED) == "vm2", "a static address on the host that the guest leaves")
    first.ctl("port", "add", "--name", "new", "--kind", "tap", "--device", "tapnew", "--vni", VNI, "--mac", MOVED,
              "--anti-spoofing", "--announce", "--no-enabled")
    time.sleep(0.5)
    assert not [packet for packet in capture.packets() if mac_bytes(MOVED) in packet], "announced while the port is down"
    # The guest leaves: its port goes down and claims nothing any more.
    second.ctl("port", "set", "vm2", "--no-enabled")
    assert second.port("vm2")["state"] == "down"
    assert MOVED not in second.macs()
    # ... and arrives here.
    site.hosts[0].namespace.ip("link set tapnew up")
    first.ctl("port", "set", "new", "--enabled")
    first.wait_ports_up("new")
    wait_until(lambda: place(second, MOVED) == "192.0.2.1", "the old host knows the new place")
    wait_until(lambda: fdb(site.kernels[0], MOVED) == "192.0.2.1", "the kernel knows the new place")
    frames = [packet for packet in capture.stop().packets() if mac_bytes(MOVED) in packet]
    assert len(frames) == 1 and frames[0].endswith(rarp(MOVED)), frames
    assert second.drops().get("inner-source-own", 0) == 0


def test_port_that_is_down_claims_no_address(lab):
    """With the port down, an address from its `macs` is learned behind another VTEP at once."""
    site = Site(lab, vtepd=2, kind="tap", wait=False)
    first, second = site.daemons
    first.config["ports"][0]["macs"] = [MOVED]
    first.write_config()
    site.start()
    site.wait_joined()
    assert first.macs()[MOVED]["type"] == "static"
    raw = site.guests[1].namespace.raw_socket("tap1")
    raw.send(rarp(MOVED))
    wait_until(lambda: first.drops().get("inner-source-own") == 1, "a live guest's address is defended")
    site.guests[0].namespace.ip("link set tap1 down")
    wait_until(lambda: first.port("vm1")["state"] == "down", "the guest is gone")
    wait_until(lambda: MOVED not in first.macs(), "nothing is claimed")
    raw.send(rarp(MOVED))
    wait_until(lambda: place(first, MOVED) == "192.0.2.2", "the address is where it speaks")
    assert first.drops()["inner-source-own"] == 1
    # The port is up again: the configured address applies again.
    site.guests[0].namespace.ip("link set tap1 up")
    wait_until(lambda: place(first, MOVED) == "vm1", "the address is the port's again")


def test_disabled_port(lab):
    site = Site(lab, vtepd=2, kind="tap")
    site.wait_joined()
    site.guests[0].wait_ping(site.guests[1].ipv4)
    daemon, guest = site.daemons[0], site.guests[0]
    assert daemon.ctl("port", "set", "vm1", "--no-enabled") == {"changed": True}
    assert daemon.ctl("port", "set", "vm1", "--no-enabled") == {"changed": False}
    row = daemon.port("vm1")
    assert (row["state"], row["enabled"]) == ("down", False)
    assert guest.mac not in daemon.macs()
    assert "NO-CARRIER" in guest.namespace.ip("link show dev tap1")
    wait_until(lambda: site.switch.members(site.group) == {"hv2"}, "the group is left with its last port")
    assert guest.ping(site.guests[1].ipv4, 2) == 0
    daemon.ctl("port", "set", "vm1", "--enabled")
    daemon.wait_ports_up()
    site.wait_joined()
    guest.wait_ping(site.guests[1].ipv4)
    assert "NO-CARRIER" not in guest.namespace.ip("link show dev tap1")


def test_prepared_vni(lab):
    site = Site(lab, vtepd=2)
    site.wait_joined()
    daemon = site.daemons[0]
    daemon.ctl("port", "delete", "vm1")
    wait_until(lambda: site.switch.members(site.group) == {"hv2"}, "the group is left")
    # The switch: a host on the underlay that this daemon does not talk to yet.
    other = "192.0.2.254"
    assert daemon.vtep(other) is None
    with pytest.raises(AssertionError, match="VNI 77 is not defined"):
        daemon.ctl("port", "prepare", "--vni", 77)
    with pytest.raises(AssertionError, match="own address"):
        daemon.ctl("port", "prepare", "--vni", VNI, "--vtep", "192.0.2.1")
    assert daemon.ctl("port", "prepare", "--vni", VNI, "--vtep", other, "--seconds", 600) == {"changed": True}
    assert daemon.ctl("port", "prepare", "--vni", VNI, "--vtep", other, "--seconds", 600) == {"changed": False}
    site.wait_joined()
    daemon.wait_resolved(other)
    row = next(row for row in daemon.ctl("show", "vnis") if row["vni"] == VNI)
    assert 590 < row["prepared_s"] <= 600 and row["ports"] == []
    assert [(row["vnis"], row["joined"]) for row in daemon.ctl("show", "multicast")] == [([VNI], True)]
    # It ends on its own.
    daemon.ctl("port", "prepare", "--vni", VNI, "--seconds", 1)
    wait_until(lambda: site.switch.members(site.group) == {"hv2"}, "the group is left again")
    assert next(row for row in daemon.ctl("show", "vnis") if row["vni"] == VNI)["prepared_s"] is None


def test_frames_find_the_moved_guest(lab):
    """A stream to an address that moves: packets sent after the announcement arrive at the new location."""
    site = Site(lab, vtepd=3)
    site.wait_joined()
    sockets = [guest.namespace.raw_socket("eth0") for guest in site.guests]
    sockets[0].send(rarp(MOVED))
    wait_until(lambda: place(site.daemons[2], MOVED) == "192.0.2.1", "the old place is known")
    sender = sockets[2]
    source = site.guests[2].mac
    for number in range(100):
        sender.send(ethernet(source, MOVED, b"stream %06d" % number + b"\x00" * 33))
    receive(sockets[0], lambda frame: b"stream 000099" in frame)
    sockets[1].send(rarp(MOVED))
    wait_until(lambda: place(site.daemons[2], MOVED) == "192.0.2.2", "the new place is known")
    # In pieces that fit the receiving socket's buffer.
    for part in range(1000, 2000, 100):
        for number in range(part, part + 100):
            sender.send(ethernet(source, MOVED, b"stream %06d" % number + b"\x00" * 33))
        for number in range(part, part + 100):
            receive(sockets[1], lambda frame: b"stream %06d" % number in frame)

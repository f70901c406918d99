"""Flood and learn: an unknown destination goes to all VTEPs, a known one to one VTEP, and a moved one to its new location."""

import pytest

from lab import Capture, Site, wait_until
from lab.frames import ethernet, mac_number, receive
from lab.hosts import like_a_wire
from lab.site import VNI


@pytest.mark.quick
def test_unknown_goes_to_all_and_known_to_one(lab):
    site = Site(lab, vtepd=2, kernel=1)
    for host in site.hosts:
        like_a_wire(host.namespace, "u0")
    site.wait_joined()
    vm1, vm2, vm3 = site.guests
    sockets = [guest.namespace.raw_socket("eth0") for guest in site.guests]
    unknown = mac_number(0x77)
    probe = ethernet(vm1.mac, unknown, b"unknown destination".ljust(46, b"\x00"))
    captures = {port: Capture(site.switch.namespace, port, "udp port 4789") for port in ("hv1", "hv2", "hv3")}

    sockets[0].send(probe)
    for guest, raw in zip((vm2, vm3), sockets[1:]):
        assert receive(raw, lambda frame: b"unknown destination" in frame) == probe, f"{guest.name} received different bytes"
    for port, capture in captures.items():
        capture.wait(1)
    # One packet to the group, whatever its members.
    assert captures["hv1"].fields("ip.dst", "vxlan.vni", only="frame contains \"unknown destination\"") == [(site.group, str(VNI))]

    # vm2 answers: from now on only its host receives frames for it.
    sockets[1].send(ethernet(vm2.mac, vm1.mac, b"the answer".ljust(46, b"\x00")))
    receive(sockets[0], lambda frame: b"the answer" in frame)
    wait_until(lambda: vm2.mac in site.daemons[0].macs(), "hv1 has learned vm2")
    for number in range(20):
        sockets[0].send(ethernet(vm1.mac, vm2.mac, b"to a known place %03d" % number + b"\x00" * 30))
    for number in range(20):
        receive(sockets[1], lambda frame: b"to a known place %03d" % number in frame)
    known = 'frame contains "to a known place"'
    for capture in captures.values():
        capture.stop()
    assert captures["hv1"].fields("ip.dst", only=known) == [("192.0.2.2",)] * 20
    assert len(captures["hv2"].fields("ip.dst", only=known)) == 20
    assert captures["hv3"].fields("ip.dst", only=known) == []

    table = site.daemons[0].macs()
    assert (table[vm1.mac]["location"], table[vm1.mac]["port"], table[vm1.mac]["type"]) == ("port", "vm1", "learned")
    assert (table[vm2.mac]["location"], table[vm2.mac]["vtep"], table[vm2.mac]["vni"]) == ("vtep", "192.0.2.2", VNI)


def test_moved_guest_is_followed_with_its_first_frame(lab):
    site = Site(lab, vtepd=2, kernel=1)
    site.wait_joined()
    sockets = [guest.namespace.raw_socket("eth0") for guest in site.guests]
    vm1 = site.guests[0]
    roaming = mac_number(0x99)
    places = [("port", "vm1"), ("vtep", "192.0.2.2"), ("vtep", "192.0.2.3")]

    def place():
        row = site.daemons[0].macs().get(roaming)
        return row and (row["location"], row["port"] or row["vtep"])

    moves = 0
    for where in (1, 2, 0, 2, 1, 0):
        sockets[where].send(ethernet(roaming, payload=b"here I am %d".ljust(46, b"\x00")))
        wait_until(lambda: place() == places[where], lambda: f"{roaming} is at {places[where]}, not {place()}")
        moves += 1
    assert site.daemons[0].macs()[roaming]["moves"] == moves - 1

    # Traffic goes to the new location: from vm1 to the address, now at hv3.
    sockets[2].send(ethernet(roaming))
    wait_until(lambda: place() == places[2], "it is behind hv3")
    sockets[0].send(ethernet(vm1.mac, roaming, b"follows you".ljust(46, b"\x00")))
    receive(sockets[2], lambda frame: b"follows you" in frame)


def test_guests_on_all_port_kinds_reach_each_other(lab):
    """Taps and netdevs, two vtepd and two kernels: every guest pings every other, also with full-size packets."""
    site = Site(lab, vtepd=2, kernel=2, kind="tap")
    site.wait_joined()
    site.wait_all_pings()
    for source in site.guests:
        for target in site.guests:
            if source is not target:
                wait_until(lambda: source.ping(target.ipv4, 1, 1, 1400, "-M", "do"), f"{source.name} reaches {target.name} at full size")
    assert set(site.daemons[0].macs()) >= {guest.mac for guest in site.guests}


def test_entries_age_and_static_ones_stay(lab):
    site = Site(lab, vtepd=2, vni={"ageing-seconds": 2})
    site.wait_joined()
    daemon = site.daemons[0]
    daemon.ctl("mac", "add", "--vni", VNI, "--mac", mac_number(1), "--vtep", "192.0.2.2")
    gone = mac_number(0x12)
    site.guests[0].namespace.raw_socket("eth0").send(ethernet(gone))
    wait_until(lambda: gone in daemon.macs(), "it is learned")
    wait_until(lambda: gone not in daemon.macs(), "it has aged")
    assert daemon.macs()[mac_number(1)]["type"] == "static"


def test_flush_by_vni_port_and_vtep(lab):
    site = Site(lab, vtepd=2, kernel=1)
    site.wait_joined()
    daemon = site.daemons[0]
    sockets = [guest.namespace.raw_socket("eth0") for guest in site.guests]
    places = {mac_number(0x10): 0, mac_number(0x20): 1, mac_number(0x30): 2}

    def learn():
        for mac, where in places.items():
            sockets[where].send(ethernet(mac))
        wait_until(lambda: set(daemon.macs()) >= set(places), lambda: f"all are learned: {list(daemon.macs())}")

    for filters, mac in ((("--port", "vm1"), mac_number(0x10)), (("--vtep", "192.0.2.2"), mac_number(0x20)), (("--vtep", "192.0.2.3"), mac_number(0x30))):
        learn()
        daemon.ctl("mac", "flush", *filters)
        left = set(daemon.macs())
        assert mac not in left and left >= set(places) - {mac}
    learn()
    daemon.ctl("mac", "flush", "--vni", VNI)
    assert not set(daemon.macs()) & set(places)

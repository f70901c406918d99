"""Trains: packets of one flow leave as one UDP segmentation request and come in as one, and each is right on the wire."""
import socket
import struct

import pytest

from lab import Capture, Guest, Site, UnderlayHost, Vtepd, tcp_stream, wait_until
from lab.frames import ethernet, mac_bytes, udp_flow, vxlan4, vxlan6
from lab.hosts import like_a_wire, veth
from lab.ovn import OpenVSwitch
from lab.site import VNI

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM, GSO_UDP_L4 = 1, 5
STATION = "02:00:00:00:aa:01"


def outer(field):
    return field.split(",")[0]


def pair(lab, ipv6=False, workers=1, underlay=None):
    """Two daemons whose underlays are the ends of one cable."""
    site = Site(lab, vtepd=2, flood="replicate", ipv6=ipv6, dataplane={"workers": workers}, underlay={"driver": "af_packet", **(underlay or {})},
                wait=False)
    site.start()
    site.wait_all_pings()
    return site


def features(daemon):
    return daemon.ctl("show", "underlay")[0]["features"]


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_trains_are_right_on_the_wire(lab, ipv6):
    """TCP of a guest, cut for the wire: every datagram has a right outer and inner checksum, whoever cut it."""
    site = pair(lab, ipv6)
    vm1, vm2 = site.guests
    hv1 = site.hosts[0].namespace
    assert features(site.daemons[0]) == ["trains"]
    whole = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    tcp_stream(vm1, vm2, vm2.ipv4, 256)
    assert any(len(packet) > 4000 for packet in whole.packets()), "some leave as trains"
    whole.stop()

    like_a_wire(hv1, "u0")
    hv1.run("ethtool", "-K", "u0", "gro", "off")
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    for address in (vm2.ipv4, vm2.ipv6):
        tcp_stream(vm1, vm2, address, 256)
    rows = capture.stop().fields("frame.len", "udp.checksum.status", "tcp.checksum.status", "udp.length", only="tcp")
    assert max(int(row[0]) for row in rows) <= 1514 + 70
    assert sum(int(row[0]) > 1000 for row in rows) > 300, "cut packets were seen"
    for length, udp_status, tcp_status, udp_length in rows:
        # 1: good, 3: not computed. Single packets over IPv4 have no outer checksum.
        assert outer(udp_status) in ("1",) if ipv6 else ("1", "3")
        assert tcp_status == "1"
        assert int(outer(udp_length)) == int(length) - (54 if ipv6 else 34)
    assert any(outer(status) == "1" for _, status, _, _ in rows)


def test_without_trains(lab, monkeypatch):
    """A kernel before 6.2, or the operator's word."""
    monkeypatch.setenv("VTEPD_WITHOUT", "trains")
    site = pair(lab)
    vm1, vm2 = site.guests
    assert features(site.daemons[0]) == []
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    tcp_stream(vm1, vm2, vm2.ipv4, 256)
    assert max(map(len, capture.stop().packets())) <= 1514 + 50


def test_checksum_off_is_the_operators_word(lab):
    site = pair(lab, underlay={"udp-checksum": "off"})
    vm1, vm2 = site.guests
    assert features(site.daemons[0]) == []
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    tcp_stream(vm1, vm2, vm2.ipv4, 256)
    assert {outer(checksum) for checksum, in capture.stop().fields("udp.checksum", only="vxlan")} == {"0x0000"}


class Wire:
    """A host with vtepd whose underlay's far end is the test's."""

    def __init__(self, lab, ipv6=False, workers=1):
        self.host, self.far = lab.namespace("hv1"), lab.namespace("far")
        self.guest = Guest(lab, "vm1", 1)
        veth(self.host, "u0", self.far, "u0")
        for namespace in (self.host, self.far):
            namespace.ip("link set u0 mtu 1600 up")
        self.ours, self.theirs = ("2001:db8::1", "2001:db8::66") if ipv6 else ("192.0.2.1", "192.0.2.66")
        self.host.ip(f"address add {self.ours}/{64 if ipv6 else 24} dev u0")
        if ipv6:
            wait_until(lambda: "tentative" not in self.host.ip("-6 address show dev u0"), "nobody else has the address")
        self.guest.attach_veth(self.host, "port1", 1500)
        self.daemon = Vtepd(self.host, {
            "underlay": {"addresses": [self.ours], "device": "u0", "driver": "af_packet"},
            "dataplane": {"memory-mb": 64, "hugepages": "off", "workers": workers},
            "vnis": [{"vni": VNI, "flood": "none"}],
            "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": VNI}],
        }).start()
        self.daemon.wait_ports_up()
        self.header = 62 if ipv6 else 42
        self.build = vxlan6 if ipv6 else vxlan4
        self.raw = self.far.raw_socket("u0", receive=False)
        self.raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.capture = Capture(self.guest.namespace, "eth0", f"ether src {STATION}", inbound=True)

    def send_train(self, frames, **fields):
        """VXLAN packets with these inner frames as one request; all but the last are of one size."""
        macs = self.far.mac("u0"), self.host.mac("u0")
        packets = [self.build(*macs, self.theirs, self.ours, frame, **fields) for frame in frames]
        payload = b"".join(packet[self.header:] for packet in packets)
        whole = bytearray(self.build(*macs, self.theirs, self.ours, payload[8:], **fields)[:self.header] + payload)
        udp = self.header - 8
        addresses = whole[26:34] if self.header == 42 else whole[22:54]
        total = sum(struct.unpack(f"!{len(addresses) // 2}H", addresses)) + 17 + len(payload) + 8
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", whole, udp + 6, total)
        size = len(packets[0]) - self.header
        self.raw.send(struct.pack("=BBHHHH", NEEDS_CSUM, GSO_UDP_L4, self.header, size, udp, 6) + whole)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_trains_are_taken_apart(lab, ipv6, workers):
    """Of sizes that end in the middle of a buffer, with a shorter last one, and with more datagrams than a burst."""
    wire = Wire(lab, ipv6, workers)
    # The VTEP gets its index, and counters, with its first station.
    wire.send_train([ethernet(STATION, wire.guest.mac, bytes(46))])
    wait_until(lambda: wire.daemon.vtep(wire.theirs), "the VTEP is known")
    sent = [wire.capture.wait(1)[0]]
    before = wire.daemon.vtep(wire.theirs)["rx_packets"]
    for size, count, last in ((100, 3, 60), (333, 10, 333), (1500, 40, 77), (60, 64, 60), (46, 2, 46)):
        frames = [ethernet(STATION, wire.guest.mac, struct.pack("!HH", size, number) + bytes(size - 4)) for number in range(count - 1)]
        frames.append(ethernet(STATION, wire.guest.mac, struct.pack("!HH", size, count) + bytes(last - 4)))
        wire.send_train(frames)
        sent += frames
    wire.capture.wait(len(sent))
    assert sorted(wire.capture.packets()) == sorted(sent)
    assert wire.daemon.vtep(wire.theirs)["rx_packets"] - before == len(sent) - 1
    assert "no-buffers" not in wire.daemon.drops()


def test_datagrams_of_a_train_are_judged_one_by_one(lab):
    wire = Wire(lab)
    good = [ethernet(STATION, wire.guest.mac, bytes([number]) * 46) for number in range(3)]
    bad = ethernet("01:00:00:00:00:01", wire.guest.mac, bytes(46))
    wire.send_train([good[0], bad, good[1], good[2]])
    wire.send_train([good[0], good[1]], vni=7)
    wire.capture.wait(3)
    assert wire.capture.packets() == good
    drops = wire.daemon.drops()
    assert (drops["inner-source-multicast"], drops["unknown-vni"]) == (1, 2)


class VXLANBridge(OpenVSwitch):
    """A VTEP with one guest."""

    def __init__(self, lab, switch, number, guest, remote):
        super().__init__(lab, switch, f"ovs{number}", number)
        namespace = self.namespace
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=standalone",
                   "--", "add-port", "br0", "vx0", "--", "set", "Interface", "vx0", "type=vxlan", f"options:remote_ip={remote}",
                   f"options:key={VNI}")
        veth(guest.namespace, "eth0", namespace, "port1")
        like_a_wire(guest.namespace, "eth0")
        namespace.ip("link set port1 up")
        guest.use("eth0", 1450)
        self.vsctl("add-port", "br0", "port1")


def test_open_vswitch_receives(lab):
    site = Site(lab, vtepd=1, flood="replicate", underlay={"driver": "af_packet"}, wait=False)
    site.daemons[0].config["vnis"][0]["peers"] = ["192.0.2.9"]
    site.daemons[0].write_config()
    guest = Guest(lab, "vm9", 9)
    VXLANBridge(lab, site.switch, 9, guest, site.hosts[0].ipv4)
    site.start()
    guest.wait_ping(site.guests[0].ipv4)
    guest.wait_ping(site.guests[0].ipv6)  # addresses are tentative at first
    for address in (guest.ipv4, guest.ipv6):
        tcp_stream(site.guests[0], guest, address, 512)
    assert features(site.daemons[0]) == ["trains"]

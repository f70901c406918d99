"""Underlay frames for other hosts are dropped as in the kernel, and counted."""
import signal

import pytest

from lab import Capture, Guest, Vtepd, wait_until
from lab.frames import BROADCAST, ethernet, mac_number, tagged, vxlan4, vxlan6
from lab.hosts import veth
from lab.site import VNI

OURS = {4: "192.0.2.1", 6: "2001:db8::1"}
GROUP = {4: "239.1.1.1", 6: "ff05::100"}
GROUP_MAC = {4: "01:00:5e:01:01:01", 6: "33:33:00:00:01:00"}
SOMEBODY = "02:00:00:00:77:77"
STATION = mac_number(0xA1)


class Wire:
    """A host whose VTEP is vtepd (or the kernel) on a cable to the test. Accepted packets reach its guest."""

    def __init__(self, lab, device="u0", group=None, name="hv1"):
        self.host, self.far = lab.namespace(name), lab.namespace(f"far-{name}")
        self.guest = Guest(lab, f"vm-{name}", 1)
        veth(self.host, "u0", self.far, "u0")
        for namespace in (self.host, self.far):
            namespace.ip("link set u0 mtu 1600 up")
        self.device = device
        if device != "u0":
            self.host.ip(f"link add {device} type bridge")
            self.host.ip(f"link set {device} mtu 1600 address 02:00:00:00:07:01 up")
            self.host.ip(f"link set u0 master {device}")
        self.host.ip(f"address add {OURS[4]}/24 dev {device}")
        self.host.ip(f"address add {OURS[6]}/64 dev {device}")
        wait_until(lambda: "tentative" not in self.host.ip(f"-6 address show dev {device}"), "nobody else has the address")
        self.raw = self.far.raw_socket("u0", receive=False)
        self.from_mac, self.group = self.far.mac("u0"), group

    def start(self, family, **keys):
        self.guest.attach_veth(self.host, "port1", 1500)
        flood = {"flood": "multicast", "group": GROUP[family]} if self.group else {"flood": "none"}
        self.daemon = Vtepd(self.host, {
            "underlay": {"addresses": list(OURS.values()), "device": self.device, **keys},
            "protection": {"mac-move": {"moves": 0}},
            "vnis": [{"vni": VNI, **flood}],
            "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": VNI}],
        }).start()
        self.daemon.wait_ports_up()
        return self.listen()

    def start_kernel(self, family):
        local = OURS[family]
        self.host.ip("link add br0 type bridge mcast_snooping 0")
        group = f"group {GROUP[family]} dev {self.device}" if self.group else ""
        self.host.ip(f"link add vx0 type vxlan id {VNI} {group} local {local} dstport 4789")
        self.host.ip("link set vx0 master br0 up")
        self.host.ip("link set br0 up")
        veth(self.host, "port1", self.guest.namespace, "eth0")
        self.host.ip("link set port1 master br0 up")
        self.guest.use("eth0")
        return self.listen()

    def listen(self):
        self.capture = Capture(self.guest.namespace, "eth0", "ether proto 0x88b5", inbound=True)
        return self

    def packet(self, family, text, to_mac, destination=None):
        inner = ethernet(STATION, BROADCAST, text.encode().ljust(46, b"\x00"))
        build, source = (vxlan4, "192.0.2.66") if family == 4 else (vxlan6, "2001:db8::66")
        return build(self.from_mac, to_mac, source, destination or OURS[family], inner)

    def taken(self):
        """What the guest has received, in order."""
        return [frame[14:].rstrip(b"\x00").decode() for frame in self.capture.packets()]

    def drops(self, reason):
        return self.daemon.drops().get(reason, 0)


@pytest.mark.parametrize("who", ["vtepd", "kernel"])
@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_frame_for_another_host(lab, family, who):
    """A promiscuous interface receives everything; only frames for its own address and for groups count."""
    wire = Wire(lab, group=True)
    wire.start(family) if who == "vtepd" else wire.start_kernel(family)
    wire.host.ip("link set u0 promisc on")
    ours = wire.host.mac("u0")
    for number in range(20):
        wire.raw.send(wire.packet(family, f"other {number}", SOMEBODY))
        wire.raw.send(wire.packet(family, f"other group {number}", SOMEBODY, GROUP[family]))
    wire.raw.send(wire.packet(family, "ours", ours))
    wire.raw.send(wire.packet(family, "group", GROUP_MAC[family], GROUP[family]))
    wire.raw.send(wire.packet(family, "group in a unicast frame", ours, GROUP[family]))
    wire.raw.send(wire.packet(family, "last", ours))
    # With XDP, what is not as usual comes by way of the kernel: what follows may overtake it.
    expected = sorted(["ours", "group", "group in a unicast frame", "last"])
    wait_until(lambda: sorted(wire.taken()) == expected, lambda: f"nothing but ours arrives: {wire.taken()}")
    if who == "vtepd":
        assert wire.drops("outer-mac-other-host") == 40


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_address_that_changes_at_run_time(lab, family):
    wire = Wire(lab).start(family)
    old = wire.host.mac("u0")
    wire.raw.send(wire.packet(family, "before", old))
    wait_until(lambda: wire.taken() == ["before"], "it is taken")
    wire.host.ip(f"link set u0 address {SOMEBODY}")
    wire.host.ip("link set u0 promisc on")
    wire.raw.send(wire.packet(family, "to the old address", old))
    wire.raw.send(wire.packet(family, "to the new one", SOMEBODY))
    wait_until(lambda: len(wire.taken()) > 1, "it is taken")
    assert wire.taken() == ["before", "to the new one"]
    assert wire.drops("outer-mac-other-host") == 1


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_group_frame_with_a_unicast_packet(lab, family):
    """RFC 1122 section 3.3.6."""
    wire = Wire(lab, group=True).start(family)
    for mac in (BROADCAST, GROUP_MAC[family]):
        wire.raw.send(wire.packet(family, "no", mac))
    wire.raw.send(wire.packet(family, "group in a broadcast frame", BROADCAST, GROUP[family]))
    wire.raw.send(wire.packet(family, "yes", wire.host.mac("u0")))
    wait_until(lambda: "yes" in wire.taken(), "the good one is taken")
    assert wire.taken() == ["group in a broadcast frame", "yes"]
    assert wire.drops("outer-mac-group") == 2


@pytest.mark.parametrize("who", ["vtepd", "kernel"])
def test_bridge_takes_the_addresses_of_its_ports(lab, who):
    """What counts is the kernel's classification of a frame, not the interface's own address alone."""
    wire = Wire(lab, device="br7", group=True)
    wire.start(4) if who == "vtepd" else wire.start_kernel(4)
    wire.host.ip("link set br7 promisc on")
    ours = wire.host.mac("u0")
    assert ours != wire.host.mac("br7")
    for text, mac in (("no", SOMEBODY), ("the bridge's", "02:00:00:00:07:01"), ("the port's", ours), ("no", SOMEBODY)):
        wire.raw.send(wire.packet(4, text, mac))
    wait_until(lambda: "the port's" in wire.taken(), lambda: f"both are accepted: {wire.taken()}")
    assert wire.taken() == ["the bridge's", "the port's"]
    if who == "vtepd":
        assert wire.drops("outer-mac-other-host") == 2


def test_priority_tag_on_the_underlay(lab):
    """802.1p switches send VLAN 0, which is a priority and not a VLAN. The kernel accepts such frames, but not those of another
    VLAN."""
    wire = Wire(lab).start(4)
    ours = wire.host.mac("u0")
    wire.raw.send(tagged(wire.packet(4, "VLAN 9", ours), 9))
    wire.raw.send(tagged(wire.packet(4, "priority", ours), 0, priority=5))
    wire.raw.send(tagged(wire.packet(4, "somebody else's", SOMEBODY), 0, priority=5))
    wire.raw.send(wire.packet(4, "last", ours))
    # AF_XDP leaves tagged frames to the packet sockets, and either may be the first.
    wait_until(lambda: {"priority", "last"} <= set(wire.taken()), lambda: f"both are taken: {wire.taken()}")
    assert len(wire.taken()) == 2
    assert wire.drops("outer-mac-other-host") == 1
    row = wire.daemon.ctl("show", "underlay")[0]
    assert (row["ignored"], row["missed"], row["up"]) == ({}, 0, True)


def test_full_socket_is_counted(lab):
    wire = Wire(lab).start(4, driver="af_packet")
    # Dropped on arrival, so that nothing else can lose them.
    inner = ethernet(STATION, BROADCAST)
    packet = vxlan4(wire.from_mac, wire.host.mac("u0"), "192.0.2.66", OURS[4], inner, vni=VNI + 1)
    sent = 60_000 * len(wire.daemon.ctl("show", "workers"))  # a worker's socket holds some 40,000
    wire.daemon.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(sent):
            wire.raw.send(packet)
    finally:
        wire.daemon.process.send_signal(signal.SIGCONT)

    def places():
        """Where all of them are."""
        return wire.daemon.ctl("show", "underlay")[0]["missed"], wire.drops("unknown-vni")

    wait_until(lambda: sum(places()) == sent, lambda: f"each of {sent} is accounted for: {places()}")
    assert min(places()) > 0

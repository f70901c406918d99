"""Two uplinks: flooded packets arrive once, whichever uplink they use, also while one is down or silent."""
import pytest

from lab import Capture, Guest, Site, Vtepd, wait_until
from lab.frames import BROADCAST, ethernet, mac_number, vxlan4, vxlan6
from lab.hosts import veth
from lab.namespaces import run
from lab.site import VNI

COUNT = 50


def flood(sender, text):
    raw = sender.namespace.raw_socket("eth0", receive=False)
    for number in range(COUNT):
        raw.send(ethernet(sender.mac, BROADCAST, f"{text} {number}".encode().ljust(46, b"\x00")))


class Receiver:
    def __init__(self, guest):
        self.capture = Capture(guest.namespace, "eth0", "ether proto 0x88b5", inbound=True)

    def count(self, text):
        return sum(frame[14:].startswith(text.encode() + b" ") for frame in self.capture.packets())


def test_two_uplinks_in_one_segment(lab):
    site = Site(lab, vtepd=1, kernel=1, underlay={"device": ["u0", "u1"]}, wait=False)
    ours = site.hosts[0].namespace
    site.switch.connect(ours, "u1", "hv1b", "192.0.2.101/24")
    site.start()
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    wait_until(lambda: site.switch.members(site.group) == {"hv1", "hv1b", "hv2"}, lambda: f"{site.switch.members(site.group)}")
    vm2.wait_ping(vm1.ipv4)

    def arrives_once(text, duplicates):
        receiver, before = Receiver(vm1), daemon.drops().get("uplink-duplicate", 0)
        flood(vm2, text)
        wait_until(lambda: receiver.count(text) >= COUNT, lambda: f"all arrive: {receiver.count(text)}")
        if duplicates:
            wait_until(lambda: daemon.drops().get("uplink-duplicate", 0) >= before + COUNT, lambda: f"the copies are counted: {daemon.drops()}")
        assert receiver.count(text) == COUNT

    arrives_once("both", True)
    # Packets that we send return on the other uplink. This is not a loop, and the peer receives them once.
    receiver = Receiver(vm2)
    flood(vm1, "sent")
    wait_until(lambda: receiver.count("sent") >= COUNT, "all arrive")
    assert receiver.count("sent") == COUNT
    assert "outer-source-own" not in daemon.drops()

    ours.ip("link set u0 down")
    wait_until(lambda: sum(row["up"] for row in daemon.ctl("show", "underlay")) == 1, "one uplink is down")
    arrives_once("one down", False)
    ours.ip("link set u0 up")
    wait_until(lambda: site.switch.members(site.group) == {"hv1", "hv1b", "hv2"}, lambda: f"{site.switch.members(site.group)}")
    arrives_once("both again", True)

    # An uplink is up but silent: the switch no longer sends there. The other one takes over within about a second.
    for silent, text in (("hv1b", "u1 silent"), ("hv1", "u0 silent")):
        bridge = ["bridge", "-n", site.switch.namespace.full_name, "link", "set", "dev", silent, "state"]
        run(*bridge, 0)
        receiver = Receiver(vm1)

        def delivered():
            flood(vm2, f"try {text}")
            return receiver.count(f"try {text}") > 0

        wait_until(delivered, "the other uplink has taken over")
        arrives_once(text, False)
        run(*bridge, 3)
        wait_until(lambda: silent in site.switch.members(site.group), "the switch has seen it join again")


@pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
def test_two_leaves(lab, family):
    """Each uplink in its own segment; both leaves forward the group. Senders delivered by only one leaf pass too."""
    host, leaves = lab.namespace("hv1"), [lab.namespace("leaf1"), lab.namespace("leaf2")]
    for number, leaf in enumerate(leaves):
        veth(host, f"u{number}", leaf, "host")
        leaf.ip("link set host mtu 1600 up")
        host.ip(f"link set u{number} mtu 1600 up")
        host.ip(f"address add 10.{number}.0.1/24 dev u{number}")
    host.ip("address add 10.255.0.1/32 dev lo")
    host.ip("address add fd00:ffff::1/128 dev lo")
    own, group, group_mac, build = (
        ("10.255.0.1", "239.1.1.1", "01:00:5e:01:01:01", vxlan4) if family == 4 else
        ("fd00:ffff::1", "ff05::100", "33:33:00:00:01:00", vxlan6))
    other_group, other_mac = ("239.1.1.2", "01:00:5e:01:01:02") if family == 4 else ("ff05::101", "33:33:00:00:01:01")
    guest = Guest(lab, "vm1", 1).attach_veth(host, "port1", 1500)
    daemon = Vtepd(host, {
        "underlay": {"addresses": [own], "device": ["u0", "u1"]},
        "dataplane": {"memory-mb": 64, "hugepages": "off", "workers": 2},
        "vnis": [{"vni": VNI, "flood": "multicast", "group": group}, {"vni": VNI + 1, "flood": "multicast", "group": other_group}],
        "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": VNI, "vlans": {7: VNI + 1}}],
    }).start()
    daemon.wait_ports_up()
    wait_until(lambda: all(row["joined"] for row in daemon.ctl("show", "multicast")) and len(daemon.ctl("show", "multicast")) == 4,
               lambda: f"each group on each uplink: {daemon.ctl('show', 'multicast')}")
    sockets = [leaf.raw_socket("host", receive=False) for leaf in leaves]
    macs = [leaf.mac("host") for leaf in leaves]
    receiver = Receiver(guest)

    def send(text, number, by, sender=1, to=group, to_mac=group_mac, vni=VNI):
        source = f"10.255.0.{10 + sender}" if family == 4 else f"fd00:ffff::{10 + sender}"
        inner = ethernet(mac_number(0x500 + sender), BROADCAST, f"{text} {number}".encode().ljust(46, b"\x00"))
        for leaf in by:
            sockets[leaf].send(build(macs[leaf], to_mac, source, to, inner, vni=vni))

    def arrive(text, count):
        wait_until(lambda: receiver.count(text) >= count, lambda: f"{text}: {receiver.count(text)} of {count}; {daemon.drops()}")

    for number in range(COUNT):
        send("both", number, (0, 1))
        send("first leaf", number, (0,), sender=2)
        send("second leaf", number, (1,), sender=3)
    for text in ("both", "first leaf", "second leaf"):
        arrive(text, COUNT)
    wait_until(lambda: daemon.drops().get("uplink-duplicate", 0) == COUNT, lambda: f"each copy is counted: {daemon.drops()}")
    assert [receiver.count(text) for text in ("both", "first leaf", "second leaf")] == [COUNT] * 3

    # One sender with two groups, each through a different leaf: both are delivered.
    everything = Capture(guest.namespace, "eth0", inbound=True)
    for number in range(COUNT):
        send("tree 1", number, (0,), sender=4)
        send("tree 2", number, (1,), sender=4, to=other_group, to_mac=other_mac, vni=VNI + 1)
    arrive("tree 1", COUNT)
    wait_until(lambda: sum(b"tree 2" in frame for frame in everything.packets()) == COUNT, lambda: f"all of tree 2: {len(everything.seen)}")

    for leaf, other in ((0, 1), (1, 0)):
        host.ip(f"link set u{leaf} down")
        wait_until(lambda: not next(row for row in daemon.ctl("show", "underlay") if row["device"] == f"u{leaf}")["up"], "it is down")
        for number in range(COUNT):
            send(f"down {leaf}", number, (other,))
        arrive(f"down {leaf}", COUNT)
        host.ip(f"link set u{leaf} up")
        wait_until(lambda: all(row["up"] for row in daemon.ctl("show", "underlay")), "both are up")
    assert daemon.drops().get("uplink-duplicate", 0) == COUNT

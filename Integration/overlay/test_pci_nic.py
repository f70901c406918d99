"""vtepd in a virtual machine drives an emulated PCI card, with the kernel's VXLAN device on the other end of its wire."""
import shlex
import typing

import pytest

from lab import Capture, Guest, tcp_stream, wait_until
from lab.daemon import REPOSITORY
from lab.frames import ethernet, vxlan4
from lab.guest import QEMU
from lab.hosts import like_a_wire, veth
from lab.jobs import Job, listen
from lab.namespaces import run
from lab.pci_machine import BridgedMachine, PCIMachine, SRIOVMachine
from lab.site import GROUP4, VNI

USED = {name: "used" for name in (
    "tx-tcp-checksum", "tx-udp-checksum", "tso", "multi-segment", "vxlan-checksum", "vxlan-tso", "rx-udp-checksum")}
# What QEMU's e1000e and igb do: they look for the headers by themselves, and find no further than UDP.
FINDS_OUTER = "software: the self-test has failed: over IPv4, of TCP over IPv4 inside, octet 40 of a packet is wrong"
ALONE = "software: not tested: net_virtio has no loopback mode, and no other NIC is there"


class Card(typing.NamedTuple):
    device: str
    driver: str
    received: str
    # Two prove their offloads to each other.
    count: int
    offloads: dict
    is_new: bool = False


CARDS = {
    "virtio": Card(
        "virtio-net-pci,disable-legacy=on,iommu_platform=on", "net_virtio", "promiscuous", 1,
        {**{name: ALONE for name in USED}, "multi-segment": "used, untested", "rx-udp-checksum": "software: net_virtio does not offer it"}),
    "e1000e": Card("e1000e", "net_e1000_em", "multicast-filter", 2, {
        **USED, "tso": "software: net_e1000_em does not offer it", "vxlan-tso": "software: net_e1000_em does not offer it",
        "vxlan-checksum": FINDS_OUTER,
        "rx-udp-checksum": "software: the self-test has failed: over IPv4, nothing is said about a right checksum"}),
    # In QEMU since 8.0. It repeats PSH and FIN in all segments that it cuts: the test sees the flags.
    "igb": Card("igb", "net_e1000_igb", "multicast-filter", 2, {
        **USED, "tso": "software: the self-test has failed: over IPv4, octet 47 of a packet is wrong", "vxlan-checksum": FINDS_OUTER,
        "vxlan-tso": "software: the self-test has failed: over IPv4, of IPv4 inside, 1 of 7 packets come back"}, is_new=True),
}
MACS = ["52:54:00:00:00:01", "52:54:00:00:00:02"]


def newer_qemu():
    """The command of a QEMU that has igb."""
    result = run(REPOSITORY / "scripts/newer-qemu", timeout=300, check=False)
    if result.returncode:
        pytest.skip(f"no QEMU with igb: {result.stderr.strip()[-200:]}")
    return shlex.split(result.stdout)


class Scene:
    """Host: 192.0.2.1 on the tap vtep0, and 10.0.0.1 behind a port. Peer: 192.0.2.2, and 10.0.0.2 behind the VXLAN device."""

    def __init__(self, lab, card, kind=PCIMachine):
        self.peer, self.card = lab.namespace("peer"), card
        self.machine = kind(
            lab, "host", self.peer, card.device, MACS[:card.count], qemu=newer_qemu() if card.is_new else QEMU).start().wait_booted()
        self.machine.shell("echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore")  # each tap answers for its own address
        self.peer.sysctl("net.ipv6.conf.wire0.disable_ipv6", 1)
        self.peer.ip("address add 192.0.2.2/24 dev wire0")
        self.peer.ip(f"link add vx0 type vxlan id {VNI} group {GROUP4} dev wire0 ttl 4 local 192.0.2.2 dstport 4789 udpcsum")
        # QEMU's e1000e takes unfinished checksums for others, and completes only those of the outer packet.
        like_a_wire(self.peer, "vx0")
        self.peer.ip("link add br0 type bridge mcast_snooping 0")
        self.peer.ip("link set vx0 master br0 up")
        self.peer.ip("link set br0 up")
        self.guest = Guest(lab, "vm2", 2)
        veth(self.peer, "g0", self.guest.namespace, "eth0")
        self.peer.ip("link set g0 master br0 up")
        self.guest.use("eth0", 1450)
        # The ends of streams: the machine as host, and the peer.
        self.station = Guest(lab, "station", 2, namespace=self.peer)
        self.start()

    def start(self, **underlay):
        count = self.card.count
        self.machine.start_vtepd({
            "underlay": {"addresses": ["192.0.2.1"], "dpdk": self.machine.addresses, "tap": ["vtep0", "vtep1"][:count], **underlay},
            "vnis": [{"vni": VNI, "flood": "multicast", "group": GROUP4}],
            "ports": [{"name": "vm1", "kind": "tap", "device": "tap1", "vni": VNI}],
        })
        self.machine.shell("ip address add 192.0.2.1/24 dev vtep0; ip link set tap1 up; ip address add 10.0.0.1/24 dev tap1")

    def row(self):
        return self.machine.ctl("show", "underlay")[0]

    def sent(self):
        """Frames that the host gave to the tap, that vtepd gave to the NIC, and that came out at the other end of the wire."""
        return [
            int(self.machine.shell("cat /sys/class/net/vtep0/statistics/tx_packets")), self.row()["tx_packets"],
            int(self.peer.run("cat", "/sys/class/net/wire0/statistics/rx_packets").stdout),
        ]

    def dropped(self):
        return sum(row["count"] for row in self.machine.ctl("show", "drops") if row["reason"] == "udp-checksum")

    def wait_pings(self):
        self.machine.wait_ping("192.0.2.2")
        self.machine.wait_ping("10.0.0.2")
        wait_until(lambda: self.station.ping("192.0.2.1"), "the peer reaches the host")
        wait_until(lambda: self.guest.ping("10.0.0.1"), "the guest reaches the port")


def check_offloads(scene):
    """A stream through the tap is cut by the NIC, or by vtepd; a packet whose checksum is wrong is dropped, whoever verifies it."""
    card, machine = scene.card, scene.machine
    assert scene.row()["offloads"] == card.offloads
    before = scene.sent()
    tcp_stream(machine, scene.station, "192.0.2.2", 256)
    tap, nic, wire = [after - count for after, count in zip(scene.sent(), before)]
    assert wire >= 180 and tap < 150, (tap, nic, wire)
    # Some frames are neither the stream's nor the tap's.
    assert (nic < tap + 20) if card.offloads["tso"] == "used" else (nic > wire - 20), (tap, nic, wire)
    packet = vxlan4(scene.peer.mac("wire0"), MACS[0], "192.0.2.2", "192.0.2.1", ethernet("02:00:00:00:00:99"), VNI, checksum=True)
    before = scene.dropped()
    with scene.peer.raw_socket("wire0") as raw:
        raw.send(packet)
        raw.send(packet[:-1] + b"\x55")
    wait_until(lambda: scene.dropped() == before + 1, lambda: f"{machine.ctl('show', 'drops')}")


def check_host_beside_load(scene):
    """The host's streams and pings go on while the overlay takes all that the machine can do. They are short: on a hub, cards lose frames before
    vtepd sees them (`missed`)."""
    machine = scene.machine
    machine.shell("mkfifo /tmp/load")
    with listen(machine, 6000, "nc -l -p 6000 <>/tmp/load >/dev/null"), Job(scene.guest, "nc 10.0.0.1 6000 </dev/zero"):

        def received():
            """Octets that came through the tunnel."""
            return int(machine.shell("cat /sys/class/net/tap1/statistics/rx_bytes"))

        begin = received()
        wait_until(lambda: received() > begin + 1_000_000, "the load runs")
        for source, target, address in ((machine, scene.station, "192.0.2.2"), (scene.station, machine, "192.0.2.1")):
            begin = received()
            tcp_stream(source, target, address, 16)
            assert received() > begin + 16 * 1024, "the overlay has the larger share"
        assert scene.station.ping("192.0.2.1", 5, 10) == 5
    machine.shell("rm /tmp/load")


@pytest.mark.parametrize("name", CARDS)
def test_card(lab, name):
    card = CARDS[name]
    scene = Scene(lab, card)
    machine = scene.machine
    wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    row = scene.row()
    assert (row["driver"], row["dpdk"], row["features"]) == (card.driver, machine.addresses[0], [card.received]), row
    assert machine.shell("cat /sys/class/net/vtep0/address").strip() == MACS[0]
    scene.wait_pings()
    if card.count > 1:
        check_offloads(scene)
    else:
        assert row["offloads"] == card.offloads
        tcp_stream(machine, scene.station, "192.0.2.2", 256)
    tcp_stream(scene.station, machine, "192.0.2.1", 256)
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)
    check_host_beside_load(scene)

    for signal, mode in (("TERM", "trust" if name == "virtio" else "off"), ("KILL", "off")):
        machine.stop_vtepd(signal)
        scene.start(offloads=mode)
        scene.wait_pings()
        state = "used, untested" if mode == "trust" else "software: underlay.offloads is off"
        assert scene.row()["offloads"]["tx-tcp-checksum"] == state, scene.row()
        tcp_stream(machine, scene.station, "192.0.2.2", 128)

    machine.shell("ip link set vtep0 mtu 1400")
    wait_until(lambda: scene.row()["mtu"] == 1400, lambda: f"{scene.row()}")
    scene.wait_pings()

    # Jumbo frames, in several of DPDK's buffers.
    for interface, mtu in (("wire0", 9000), ("vx0", 8950), ("g0", 8950), ("br0", 8950)):
        scene.peer.ip(f"link set {interface} mtu {mtu}")
    scene.guest.namespace.ip("link set eth0 mtu 8950")
    machine.shell("ip link set vtep0 mtu 9000; ip link set tap1 mtu 8950")
    wait_until(lambda: scene.row()["mtu"] == 9000, lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    wait_until(lambda: scene.guest.ping("10.0.0.1", 1, 1, 8922), "the largest packet passes the overlay")
    wait_until(lambda: scene.station.ping("192.0.2.1", 1, 1, 8972), "the largest packet reaches the host")
    wait_until(lambda: machine.ping("10.0.0.2", 1, 1, 8922), "and the other way")
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)

    if name != "e1000e":
        machine.set_link(False)
        wait_until(lambda: not scene.row()["up"], lambda: f"{scene.row()}")
        assert name != "virtio" or "after the driver's report" in machine.shell("cat /tmp/log")
        machine.set_link(True)
        wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}")
        scene.wait_pings()

    # The kernel wants the card back, and finds it again.
    machine.shell(f"echo 1 >/sys/bus/pci/devices/{machine.addresses[0]}/remove", seconds=60)
    wait_until(lambda: not scene.row()["up"], lambda: f"{scene.row()}")
    assert f"the NIC {machine.addresses[0]} was taken away" in machine.shell("cat /tmp/log")
    machine.shell("echo 1 >/sys/bus/pci/rescan")
    machine.take(machine.addresses[0])
    wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    machine.shell("ip address add 192.0.2.1/24 dev vtep0")
    scene.wait_pings()

    # The card goes back to the kernel, as the documentation says.
    status, output = machine.shell(f"vtepctl underlay release {machine.addresses[0]} 2>&1", check=False)
    assert status == 1 and "vtepd uses it" in output, output
    machine.stop_vtepd()
    address = machine.addresses[0]
    status, output = machine.shell(f"vtepctl underlay release {address} 2>&1", check=False)
    # The machine's kernel has no driver for an e1000e or igb.
    expected = (0, "has the kernel's driver virtio-pci: eth0") if name == "virtio" else (1, "no driver of the kernel has taken it")
    assert status == expected[0] and expected[1] in output, output
    if name == "virtio":
        machine.shell("ip link set eth0 up && ip address add 192.0.2.1/24 dev eth0")
        machine.wait_ping("192.0.2.2")


def test_virtual_function(lab):
    """The kernel keeps the card itself, DPDK has a virtual function; both are on the wire."""
    scene = Scene(lab, Card("igb", "net_e1000_igb_vf", "multicast-filter", 1, {}, is_new=True), SRIOVMachine)
    machine = scene.machine
    machine.shell("ip address add 192.0.3.3/24 dev eth0")
    scene.peer.ip("address add 192.0.3.2/24 dev wire0")
    for signal in (None, "TERM", "KILL"):
        if signal:
            machine.stop_vtepd(signal)
            scene.start()
        wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
        row = scene.row()
        assert (row["driver"], row["features"]) == ("net_e1000_igb_vf", ["multicast-filter"]), row
        scene.wait_pings()
        wait_until(lambda: scene.station.ping("192.0.3.3"), "the kernel has the card itself")
    tcp_stream(machine, scene.station, "192.0.2.2", 256)
    tcp_stream(scene.station, machine, "192.0.2.1", 256)
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)


def test_checksums_inside_vxlan(lab):
    """A virtio card completes them wherever they are: its host's kernel does it, when it must. What it does not do is to cut there."""
    card = Card(CARDS["virtio"].device, "net_virtio", "promiscuous", 2, {
        **USED, "rx-udp-checksum": "software: net_virtio does not offer it",
        "vxlan-tso": "software: the self-test has failed: over IPv4, of IPv4 inside, nothing comes back"})
    scene = Scene(lab, card, BridgedMachine)
    machine = scene.machine
    wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    assert scene.row()["offloads"] == card.offloads
    scene.wait_pings()
    # From a tap's kernel, which leaves its checksums to vtepd, into the tunnel.
    capture = Capture(scene.peer, "wire0-0", "udp dst port 4789", inbound=True)
    tcp_stream(machine, scene.guest, "10.0.0.2", 256)
    # What vtepd cut is complete; what came as one segment is left to the card, which leaves it to the kernel here.
    capture.packets()
    assert 0 < capture.unfinished < len(capture.seen)
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)

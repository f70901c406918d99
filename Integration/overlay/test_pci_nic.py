"""vtepd in a virtual machine drives an emulated PCI card, with the kernel's VXLAN device on the other end of its wire."""
import pytest

from lab import Guest, tcp_stream, wait_until
from lab.hosts import like_a_wire, veth
from lab.pci_machine import PCIMachine
from lab.site import GROUP4, VNI

CARDS = {
    "virtio": ("virtio-net-pci,disable-legacy=on,iommu_platform=on", "net_virtio", "promiscuous"),
    "e1000e": ("e1000e", "net_e1000_em", "multicast-filter"),
}
MAC = "52:54:00:00:00:01"


class Scene:
    """Host: 192.0.2.1 on the tap vtep0, and 10.0.0.1 behind a port. Peer: 192.0.2.2, and 10.0.0.2 behind the VXLAN device."""

    def __init__(self, lab, card):
        self.peer = lab.namespace("peer")
        self.machine = PCIMachine(lab, "host", self.peer, card, MAC).start().wait_booted()
        self.peer.sysctl("net.ipv6.conf.wire0.disable_ipv6", 1)
        self.peer.ip("address add 192.0.2.2/24 dev wire0")
        self.peer.ip(f"link add vx0 type vxlan id {VNI} group {GROUP4} dev wire0 ttl 4 local 192.0.2.2 dstport 4789")
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

    def start(self):
        self.machine.start_vtepd({
            "underlay": {"addresses": ["192.0.2.1"], "dpdk": self.machine.address, "tap": "vtep0"},
            "vnis": [{"vni": VNI, "flood": "multicast", "group": GROUP4}],
            "ports": [{"name": "vm1", "kind": "tap", "device": "tap1", "vni": VNI}],
        })
        self.machine.shell("ip address add 192.0.2.1/24 dev vtep0; ip link set tap1 up; ip address add 10.0.0.1/24 dev tap1")

    def row(self):
        return self.machine.ctl("show", "underlay")[0]

    def wait_pings(self):
        self.machine.wait_ping("192.0.2.2")
        self.machine.wait_ping("10.0.0.2")
        wait_until(lambda: self.station.ping("192.0.2.1"), "the peer reaches the host")
        wait_until(lambda: self.guest.ping("10.0.0.1"), "the guest reaches the port")


@pytest.mark.parametrize("card", CARDS)
def test_card(lab, card):
    device, driver, received = CARDS[card]
    scene = Scene(lab, device)
    machine = scene.machine
    wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    row = scene.row()
    assert (row["driver"], row["dpdk"], row["features"]) == (driver, machine.address, [received]), row
    assert machine.shell("cat /sys/class/net/vtep0/address").strip() == MAC
    scene.wait_pings()
    tcp_stream(machine, scene.station, "192.0.2.2", 256)
    tcp_stream(scene.station, machine, "192.0.2.1", 256)
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)

    for signal in ("TERM", "KILL"):
        machine.stop_vtepd(signal)
        scene.start()
        scene.wait_pings()

    machine.shell("ip link set vtep0 mtu 1400")
    wait_until(lambda: scene.row()["mtu"] == 1400, lambda: f"{scene.row()}")
    scene.wait_pings()

    # Jumbo frames, in several of DPDK's buffers.
    for name, mtu in (("wire0", 9000), ("vx0", 8950), ("g0", 8950), ("br0", 8950)):
        scene.peer.ip(f"link set {name} mtu {mtu}")
    scene.guest.namespace.ip("link set eth0 mtu 8950")
    machine.shell("ip link set vtep0 mtu 9000; ip link set tap1 mtu 8950")
    wait_until(lambda: scene.row()["mtu"] == 9000, lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    wait_until(lambda: scene.guest.ping("10.0.0.1", 1, 1, 8922), "the largest packet passes the overlay")
    wait_until(lambda: scene.station.ping("192.0.2.1", 1, 1, 8972), "the largest packet reaches the host")
    wait_until(lambda: machine.ping("10.0.0.2", 1, 1, 8922), "and the other way")
    tcp_stream(scene.guest, machine, "10.0.0.1", 256)

    if card == "virtio":
        machine.set_link(False)
        wait_until(lambda: not scene.row()["up"], lambda: f"{scene.row()}")
        assert "after the driver's report" in machine.shell("cat /tmp/log")
        machine.set_link(True)
        wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}")
        scene.wait_pings()

    # The kernel wants the card back, and finds it again.
    machine.shell(f"echo 1 >/sys/bus/pci/devices/{machine.address}/remove", seconds=60)
    wait_until(lambda: not scene.row()["up"], lambda: f"{scene.row()}")
    assert f"the NIC {machine.address} was taken away" in machine.shell("cat /tmp/log")
    machine.shell("echo 1 >/sys/bus/pci/rescan")
    machine.take_card()
    wait_until(lambda: scene.row()["up"], lambda: f"{scene.row()}\n{machine.shell('cat /tmp/log')}")
    machine.shell("ip address add 192.0.2.1/24 dev vtep0")
    scene.wait_pings()

    # The card goes back to the kernel, as the documentation says.
    status, output = machine.shell(f"vtepctl underlay release {machine.address} 2>&1", check=False)
    assert status == 1 and "vtepd uses it" in output, output
    machine.stop_vtepd()
    status, output = machine.shell(f"vtepctl underlay release {machine.address} 2>&1", check=False)
    # The machine's kernel has no driver for an e1000e.
    expected = (0, "has the kernel's driver virtio-pci: eth0") if card == "virtio" else (1, "no driver of the kernel has taken it")
    assert status == expected[0] and expected[1] in output, output
    if card == "virtio":
        machine.shell("ip link set eth0 up && ip address add 192.0.2.1/24 dev eth0")
        machine.wait_ping("192.0.2.2")

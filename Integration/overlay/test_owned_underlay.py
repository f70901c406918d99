"""An uplink whose NIC DPDK drives, with its exception tap. The NIC is a veth's end behind DPDK's af_packet driver; from there the kernel
gets nothing, as from a real NIC. The other end leads to a switch and a peer with the kernel's VXLAN device."""
import pytest

from lab import Capture, Vtepd, tcp_stream, wait_until
from lab.frames import BROADCAST, ethernet, tagged, vxlan4
from lab.namespaces import run
from lab.owned_site import NIC, OwnedSite
from lab.site import GROUP4, VNI


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_guests_and_host(lab, ipv6, workers):
    site = OwnedSite(lab, ipv6, workers).start()
    site.wait_all_pings()
    wait_until(lambda: site.switch.members(site.group) == {"hv1", "hv2"}, lambda: f"joined: {site.switch.members(site.group)}")
    for first, second in (site.guests, site.stations):
        for source, target in ((first, second), (second, first)):
            for address in (target.ipv4, target.ipv6):
                tcp_stream(source, target, address, 1024)
    row = site.underlay()
    assert (row["device"], row["driver"], row["up"], row["mtu"]) == ("vtep0", "net_af_packet", True, 1500)
    assert row["dpdk"].startswith(NIC) and row["features"] == ["promiscuous"] and "no list of groups" in row["notes"][0]
    assert site.host.namespace.mac("vtep0") == site.host.mac
    queues = sum((worker["queues"] for worker in site.daemon.ctl("show", "workers")), [])
    assert sorted(queues) == sorted([f"{name}/{number}" for name in ("net_af_packet0", "vtep0") for number in range(workers)] + ["vm1/0"])
    drops = site.daemon.drops()
    assert not {"transmit-full", "refused-by-kernel", "offload-headers", "outer-fragment", "frame-too-long", "no-buffers"} & set(drops), drops


def test_flooding_and_joins(lab):
    """The switch sends a group only to those that have joined it by IGMP, through the tap."""
    site = OwnedSite(lab).start()
    site.wait_all_pings()
    wait_until(lambda: site.switch.members(GROUP4) == {"hv1", "hv2"}, lambda: f"joined: {site.switch.members(GROUP4)}")
    capture = Capture(site.vm1.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    raw = site.vm2.namespace.raw_socket("eth0", receive=False)
    for _ in range(20):
        raw.send(ethernet(site.vm2.mac, BROADCAST, b"flooded".ljust(46, b"\x00")))
    capture.wait(20)
    back = Capture(site.vm2.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    raw = site.vm1.namespace.raw_socket("eth0", receive=False)
    for _ in range(20):
        raw.send(ethernet(site.vm1.mac, BROADCAST, b"flooded".ljust(46, b"\x00")))
    back.wait(20)
    site.daemon.ctl("port", "delete", "vm1")
    wait_until(lambda: site.switch.members(GROUP4) == {"hv2"}, lambda: f"left: {site.switch.members(GROUP4)}")


def test_frames_between_nic_and_tap(lab):
    """Tags and foreign protocols reach the tap as they are, and leave by it; a priority tag in front of VXLAN is nothing."""
    site = OwnedSite(lab, flood="replicate").start()
    site.wait_all_pings()
    host, switch = site.host.namespace, site.switch.namespace
    at_tap = Capture(host, "vtep0", inbound=True)
    wire = switch.raw_socket("hv1", receive=False)
    source = "02:00:00:00:99:01"
    lldp = ethernet(source, "01:80:c2:00:00:0e", b"lldp".ljust(46, b"\x00"), 0x88cc)
    vlan = tagged(ethernet(source, site.host.mac, b"vlan".ljust(46, b"\x00")), 7)
    other = ethernet(source, "02:00:00:00:99:02", b"not ours".ljust(46, b"\x00"))
    for frame in (lldp, vlan, other):
        wire.send(frame)
    wait_until(lambda: {lldp, vlan, other} <= set(at_tap.packets()), lambda: f"{[packet.hex() for packet in at_tap.packets()]}")

    inner = ethernet(site.vm2.mac, site.vm1.mac, b"tagged outside".ljust(46, b"\x00"))
    packet = vxlan4(site.peer.namespace.mac("u0"), site.host.mac, site.peer.ipv4, site.host.ipv4, inner, vni=VNI)
    at_guest = Capture(site.vm1.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    wire.send(tagged(packet, 0, priority=7))
    at_guest.wait(1)
    assert at_guest.packets() == [inner]

    at_wire = Capture(switch, "hv1", inbound=True)
    ours = host.raw_socket("vtep0", receive=False)
    ours.send(vlan)
    ours.send(inner)
    wait_until(lambda: {vlan, inner} <= set(at_wire.packets()), lambda: f"{[packet.hex() for packet in at_wire.packets()]}")


def test_nic_and_tap_follow_each_other(lab):
    site = OwnedSite(lab, flood="replicate").start()
    site.wait_all_pings()
    host = site.host.namespace

    def link(name):
        return host.ip(f"link show {name}")

    host.ip("link set vtep0 mtu 1400")
    wait_until(lambda: " mtu 1400 " in link("u0"), lambda: f"the NIC follows: {link('u0')}")
    wait_until(lambda: site.underlay()["mtu"] == 1400, "the MTU is noticed")
    host.ip("link set vtep0 mtu 1500")
    wait_until(lambda: " mtu 1500 " in link("u0"), lambda: f"the NIC follows: {link('u0')}")
    # More than the driver takes.
    host.ip("link set vtep0 mtu 9000")
    wait_until(lambda: " mtu 1500 " in link("vtep0"), lambda: f"back: {link('vtep0')}\n{site.daemon.log()}")
    assert "the NIC net_af_packet0 refuses MTU 9000" in site.daemon.log()

    host.ip("link set vtep0 address 02:00:00:00:77:01")
    wait_until(lambda: host.mac("u0") == "02:00:00:00:77:01", "the NIC has the address of the tap")
    site.wait_all_pings()
    tcp_stream(site.vm1, site.vm2, site.vm2.ipv4, 256)

    host.ip(f"route add {site.peer.ipv4}/32 dev lo")
    wait_until(lambda: site.daemon.vtep(site.peer.ipv4)["reason"] == "the route leaves by lo, which is not in underlay.tap",
               lambda: f"{site.daemon.vtep(site.peer.ipv4)}")
    host.ip("link set vtep0 down")
    host.ip("link set vtep0 name vtep7")
    wait_until(lambda: "underlay.tap vtep0: the interface is now called vtep7" in site.daemon.log(), site.daemon.log)


@pytest.mark.parametrize("is_persistent", [True, False], ids=["persistent tap", "tap of vtepd"])
def test_restarts(lab, is_persistent):
    site = OwnedSite(lab, is_persistent=is_persistent).start()
    site.wait_all_pings()
    host = site.host.namespace
    for end in (site.daemon.stop, site.daemon.kill):
        status = end()
        assert status in (0, None)
        if is_persistent:
            # The addresses wait for the next start.
            assert site.host.ipv4 in host.ip("address show vtep0") and not site.carrier()
        else:
            wait_until(lambda: "vtep0" not in host.ip("link"), "the tap is gone")
        site.start()
        site.wait_all_pings()
        tcp_stream(site.vm2, site.vm1, site.vm1.ipv4, 256)


def test_deleted_tap_comes_back(lab):
    site = OwnedSite(lab, is_persistent=False).start()
    site.wait_all_pings()
    host = site.host.namespace
    index = host.ip("-o link show vtep0").split(":")[0]
    host.ip("link delete vtep0")
    wait_until(lambda: host.ip("-o link show vtep0", check=False).split(":")[0] not in ("", index), "there is another one")
    wait_until(lambda: site.underlay()["up"], lambda: f"{site.underlay()}")
    site.host.set_up_tap()
    site.wait_all_pings()


def test_link(lab):
    """DPDK's tap driver has a link that follows its interface, and takes a list of groups."""
    host = lab.namespace("hv1")
    daemon = Vtepd(host, {"underlay": {"addresses": ["192.0.2.1"], "dpdk": "net_tap0,iface=wire0", "tap": "vtep0"}, "vnis": [], "ports": []})
    daemon.start()
    host.ip("address add 192.0.2.1/24 dev vtep0")

    def carrier():
        return "LOWER_UP" in host.ip("link show vtep0")

    def row():
        return daemon.ctl("show", "underlay")[0]

    wait_until(lambda: row()["up"] and carrier(), lambda: f"{row()}")
    wait_until(lambda: row()["features"] == ["multicast-filter"], lambda: f"{row()}")
    host.ip("link set wire0 down")
    wait_until(lambda: not row()["up"] and not carrier(), lambda: f"{row()}")
    assert daemon.ctl("status")["problems"] == ["underlay.tap vtep0: the NIC net_tap0 has no link"]
    host.ip("link set wire0 up")
    wait_until(lambda: row()["up"] and carrier(), lambda: f"{row()}")
    # A bridge or tcpdump wants everything.
    host.ip("link set vtep0 promisc on")
    wait_until(lambda: row()["features"] == ["promiscuous"] and row()["notes"] == ["promiscuous, as vtep0 is"], lambda: f"{row()}")
    host.ip("link set vtep0 promisc off")
    wait_until(lambda: row()["features"] == ["multicast-filter"], lambda: f"{row()}")


def test_refusals(lab):
    """A NIC that is not there, a tap that is something else, and another pair at run time."""
    host = lab.namespace("hv1")
    underlay = {"addresses": ["192.0.2.1"], "dpdk": "net_af_packet0,iface=nowhere", "tap": "vtep0"}
    daemon = Vtepd(host, {"underlay": underlay, "vnis": [], "ports": []})

    def refused(text):
        daemon.write_config()
        daemon.start(wait=False)
        assert daemon.process.wait(60) == 2
        assert text in daemon.log().splitlines()[-1], daemon.log()

    refused("underlay.dpdk net_af_packet0: attach net_af_packet0 (iface=nowhere)")
    underlay["dpdk"] = "0000:ff:1f.7"
    refused("bind the device to vfio-pci")
    host.ip("link add vtep0 type bridge")
    underlay["dpdk"] = "net_null0"
    refused("an interface of this name exists and is not a tap but of kind bridge")
    host.ip("link delete vtep0")
    daemon.start()
    assert run("ip", "-n", host.full_name, "link", "show", "vtep0").stdout

    underlay["tap"] = "vtep1"
    daemon.reload("cannot become the NIC net_null0 with the tap vtep1 while vtepd runs; restart vtepd")
    assert [row["device"] for row in daemon.ctl("show", "underlay")] == ["vtep0"]
    # Another uplink beside it is no problem.
    underlay.update(dpdk=["net_null0", "net_null1"], tap=["vtep0", "vtep1"])
    daemon.reload("configuration reloaded")
    assert [row["device"] for row in daemon.ctl("show", "underlay")] == ["vtep0", "vtep1"]

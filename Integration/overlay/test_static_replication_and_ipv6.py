"""Without multicast: head-end replication and static addresses; also over IPv6, against the kernel's VXLAN device."""
import pytest

from lab import Capture, Site
from lab.frames import ethernet, receive
from lab.site import VNI


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_replication_without_multicast(lab, ipv6):
    # The host itself is to see what it sends.
    site = Site(lab, vtepd=2, kernel=1, flood="replicate", ipv6=ipv6, underlay={"driver": "af_packet"})
    for daemon, host in zip(site.daemons, site.hosts):
        daemon.wait_resolved(*(site.address(other) for other in site.hosts + site.kernels if other is not host))
    capture = Capture(site.switch.namespace, "br0", "udp port 4789 and (ip multicast or ip6 multicast)")
    sent = Capture(site.hosts[0].namespace, "u0", "udp port 4789")
    site.wait_all_pings()

    raw = site.guests[0].namespace.raw_socket("eth0")
    receivers = [guest.namespace.raw_socket("eth0") for guest in site.guests[1:]]
    probe = ethernet(site.guests[0].mac, payload=b"one copy each".ljust(46, b"\x00"))
    raw.send(probe)
    for receiver in receivers:
        assert receive(receiver, lambda frame: b"one copy each" in frame) == probe
    address = "ipv6.dst" if ipv6 else "ip.dst"
    copies = sent.stop().fields(address, only='frame contains "one copy each"')
    assert sorted(copies) == sorted((site.address(host),) for host in [site.hosts[1], *site.kernels])
    # Nothing was sent to the group, and nobody joined one.
    assert capture.stop().packets() == []
    assert site.switch.members(site.group) == set()


def test_static_addresses_need_neither_flooding_nor_learning(lab):
    site = Site(lab, vtepd=2, flood="none", vni={"learning": False}, wait=False)
    vm1, vm2 = site.guests
    for daemon, here, there, host in ((site.daemons[0], vm1, vm2, site.hosts[1]), (site.daemons[1], vm2, vm1, site.hosts[0])):
        daemon.config["vnis"][0]["macs"] = [{"mac": there.mac, "vtep": host.ipv4}]
        daemon.write_config()
        for address in (there.ipv4, there.ipv6):
            here.namespace.ip(f"neighbor replace {address} lladdr {there.mac} dev eth0 nud permanent")
    site.start()
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789")
    vm1.wait_ping(vm2.ipv4)
    vm1.wait_ping(vm2.ipv6)
    rows = site.daemons[0].macs()
    assert (rows[vm2.mac]["type"], rows[vm2.mac]["vtep"]) == ("static", "192.0.2.2")
    assert [row["type"] for row in rows.values() if row["location"] == "vtep"] == ["static"]
    assert {destination.split(",")[0] for destination, in capture.stop().fields("ip.dst", only="vxlan")} <= {"192.0.2.1", "192.0.2.2"}
    assert site.daemons[0].ctl("show", "multicast") == []


def test_ipv6_multicast_with_the_kernel(lab):
    site = Site(lab, vtepd=2, kernel=1, ipv6=True)
    site.wait_joined()
    site.wait_all_pings()
    assert site.daemons[0].macs()[site.guests[2].mac]["vtep"] == site.kernels[0].ipv6


def test_peers_come_and_go(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    daemon = site.daemons[0]
    site.guests[0].wait_ping(site.guests[1].ipv4)
    daemon.ctl("peer", "delete", "--vni", VNI, "192.0.2.2")
    assert next(row for row in daemon.ctl("show", "vnis") if row["vni"] == VNI)["peers"] == []
    daemon.ctl("mac", "flush", "--vni", VNI)
    site.guests[0].forget_neighbors()
    before = daemon.drops().get("flood-no-receiver", 0)
    assert site.guests[0].ping(site.guests[1].ipv4) == 0
    assert daemon.drops().get("flood-no-receiver", 0) > before
    daemon.ctl("peer", "add", "--vni", VNI, "192.0.2.2")
    site.guests[0].wait_ping(site.guests[1].ipv4)

"""A real ovsdb-server, with vtep-ctl as the controller: bindings, remote addresses and flood sets take effect on the wire, and so
does their removal."""
import pytest

from lab import Capture, wait_until
from lab.controlled import VNI, ControlledSite
from lab.frames import ethernet, mac_number, receive


def tunnelled(capture, only=""):
    """(outer destination, VNI) of captured VXLAN packets."""
    return set(capture.fields("ip.dst", "vxlan.vni", only=only or "vxlan"))


@pytest.mark.parametrize("remote", ["unix", "tcp", "ssl"])
def test_bind_reach_unbind(lab, remote):
    site = ControlledSite(lab, remote=remote)
    assert site.ctl("list-ports", "hv1").split() == ["p1"]
    row = site.rows("Physical_Switch", "tunnel_ips", "description")[0]
    assert row["tunnel_ips"] == "192.0.2.1" and row["description"].startswith("vtepd")
    capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
    site.bm.ping(site.vm.ipv4)
    assert capture.packets() == []

    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    assert site.vm.ping(site.bm.ipv4, count=3) == 3
    assert set(capture.fields("vxlan.vni", only="vxlan")) == {(str(VNI),)}
    vnis = site.daemon.ctl("show", "vnis")
    assert [(row["vni"], row["source"], row["logical_switch"], row["peers"], row["ports"]) for row in vnis] == [
        (VNI, "ovsdb", "ls0", ["192.0.2.2"], ["p1"])]
    macs = site.daemon.macs()
    assert (macs[site.vm.mac]["type"], macs[site.vm.mac]["vtep"]) == ("controller", "192.0.2.2")
    assert (macs[site.bm.mac]["type"], macs[site.bm.mac]["port"]) == ("learned", "p1")
    bindings = site.daemon.ctl("show", "bindings")
    assert [(row["port"], row["vlan"], row["vni"], row["source"]) for row in bindings] == [("p1", None, VNI, "ovsdb")]
    # Everything that we wrote was committed.
    transactions = site.daemon.ctl("ovsdb", "transactions")
    assert transactions and {row["result"] for row in transactions} == {"committed"}

    site.ctl("unbind-ls", "hv1", "p1", 0)
    wait_until(lambda: site.daemon.ctl("show", "bindings") == [], "the binding is gone")
    capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
    assert site.bm.ping(site.vm.ipv4, count=3) == 0
    assert capture.packets() == []


def test_vlan_binding(lab):
    site = ControlledSite(lab)
    site.bm.tag(100)
    site.connect(vlan=100)
    site.bm.wait_ping(site.vm.ipv4)
    assert site.daemon.macs()[site.bm.mac]["vlan"] == 100
    # Another VLAN is separate.
    site.ctl("unbind-ls", "hv1", "p1", 100, "--", "bind-ls", "hv1", "p1", 101, "ls0")
    wait_until(lambda: [row["vlan"] for row in site.daemon.ctl("show", "bindings")] == [101], "VLAN 101 is bound instead")
    assert site.bm.ping(site.vm.ipv4, count=3) == 0


def test_known_addresses_need_no_flood(lab):
    """Without a flood set no unknown destination is sent; known addresses are."""
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.ctl("del-mcast-remote", "ls0", "unknown-dst", "192.0.2.2")
    wait_until(lambda: site.daemon.ctl("show", "vnis")[0]["flood"] == "none", "the flood set is gone")
    capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
    raw = site.bm.namespace.raw_socket("eth0")
    for destination in ("ff:ff:ff:ff:ff:ff", mac_number(77), site.vm.mac):
        raw.send(ethernet(site.bm.mac, destination))
    capture.wait(1)
    assert set(capture.fields("eth.dst", only="vxlan")) == {(f"{site.kernels[0].namespace.mac('u0')},{site.vm.mac}",)}
    site.ctl("del-ucast-remote", "ls0", site.vm.mac)
    site.wait_mac(site.vm.mac)


def test_replication_and_groups(lab):
    """Source node: a copy to each; service node: one copy to one of them; a multicast address with its own locators: to its
    members."""
    site = ControlledSite(lab, kernels=2)
    site.connect()
    site.bm.wait_ping(site.guests[0].ipv4)
    site.bm.wait_ping(site.guests[1].ipv4)
    raw = site.bm.namespace.raw_socket("eth0")

    def receivers(destination, count):
        capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
        raw.send(ethernet(site.bm.mac, destination))
        capture.wait(count)
        return sorted(row[0].split(",")[0] for row in capture.fields("ip.dst", only=f"vxlan && eth.dst == {destination}"))

    group = "01:00:5e:01:01:01"
    assert receivers(group, 2) == ["192.0.2.2", "192.0.2.3"]
    site.ctl("add-mcast-remote", "ls0", group, "192.0.2.3")
    site.wait_mac(group, type="controller", vtep="192.0.2.3")
    assert receivers(group, 1) == ["192.0.2.3"]
    assert receivers("ff:ff:ff:ff:ff:ff", 2) == ["192.0.2.2", "192.0.2.3"]
    site.ctl("clear", "Logical_Switch", "ls0", "replication_mode")
    wait_until(lambda: receivers("ff:ff:ff:ff:ff:ff", 1) == ["192.0.2.2"], "one service node gets it")
    # The service node is gone: the other one takes over.
    site.kernels[0].namespace.ip("link set u0 down")
    site.host.namespace.flush_neighbors()
    wait_until(lambda: receivers("ff:ff:ff:ff:ff:ff", 0) == ["192.0.2.3"], "the other service node gets it", 60, 0.5)
    site.ctl("del-mcast-remote", "ls0", group, "192.0.2.3")
    site.wait_mac(group)


def test_tunnel_key_of_a_locator(lab):
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
    site.server.transact(
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "l",
         "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.2", "tunnel_key": 7777}},
        {"op": "insert", "table": "Ucast_Macs_Remote",
         "row": {"MAC": mac_number(9), "logical_switch": ["uuid", site.rows("Logical_Switch")[0]["_uuid"][1]], "locator": ["named-uuid", "l"]}})
    site.wait_mac(mac_number(9), type="controller", vtep="192.0.2.2")
    site.bm.namespace.raw_socket("eth0").send(ethernet(site.bm.mac, mac_number(9)))
    wait_until(lambda: ("192.0.2.2", "7777") in tunnelled(capture), "a packet has the locator's key")
    # Others use the logical switch's own key.
    assert site.bm.ping(site.vm.ipv4, count=2) == 2


def test_not_forwarded_without_a_key(lab):
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    for key in ("0", None):
        site.ctl(*(["set", "Logical_Switch", "ls0", "tunnel_key=0"] if key else ["clear", "Logical_Switch", "ls0", "tunnel_key"]))
        site.wait_vni(present=False)
        assert site.bm.ping(site.vm.ipv4, count=2) == 0
        site.ctl("set", "Logical_Switch", "ls0", f"tunnel_key={VNI}")
        site.wait_vni()
        site.bm.wait_ping(site.vm.ipv4)
    # Another VNI on the wire.
    capture = Capture(site.host.namespace, "u0", "udp port 4789 and src 192.0.2.1")
    site.ctl("set", "Logical_Switch", "ls0", "tunnel_key=6000")
    site.wait_vni(6000)
    site.bm.namespace.raw_socket("eth0").send(ethernet(site.bm.mac, site.vm.mac))
    wait_until(lambda: ("192.0.2.2", "6000") in tunnelled(capture), "packets have the new VNI")


def test_local_switching(lab):
    """Two ports of one logical switch reach each other; returned frames carry the right tags."""
    site = ControlledSite(lab, ports=2)
    site.add_switch()
    site.ctl("bind-ls", "hv1", "p1", 0, "ls0", "--", "bind-ls", "hv1", "p2", 0, "ls0")
    site.locals[0].wait_ping(site.locals[1].ipv4)
    raw = site.locals[1].namespace.raw_socket("eth0")
    site.locals[0].namespace.raw_socket("eth0").send(ethernet(site.locals[0].mac, site.locals[1].mac, b"here"))
    receive(raw, lambda frame: frame[14:18] == b"here")

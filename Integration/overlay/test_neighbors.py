"""Neighbour suppression against the kernel's VXLAN device and the kernels of hosts as judges: known addresses are answered by vtepd, tagged and
untagged, IPv4 and IPv6; a host that takes another MAC address is found at once."""
import ipaddress
import re

from lab import Capture, Guest, Site, wait_until
from lab.site import VNI

MACS = [{"mac": "02:00:00:00:00:63", "vtep": "192.0.2.2", "ip": ["10.0.0.99", "fd00::63"]}]


def resolved(guest, address):
    """The MAC address by which the guest's kernel knows an address; None: it does not."""
    found = re.search(r"lladdr (\S+)", guest.namespace.run("ip", "neigh", "show", "to", address).stdout)
    return found and found[1]


def asks(guest, address):
    """Asks anew, and returns the answer."""
    guest.forget_neighbors()
    guest.ping(address)
    return resolved(guest, address)


def requests(capture):
    """IP addresses asked for in tunnels."""
    rows = capture.fields("arp.dst.proto_ipv4", "icmpv6.nd.ns.target_address", only="arp.opcode == 1 || icmpv6.type == 135")
    return [value for row in rows for value in row if value]


def test_known_addresses_are_answered_here(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", vni={"neighbor-suppression": "known", "macs": MACS}, wait=False)
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    tagged = Guest(lab, "vm3", 3)
    tagged.attach_veth(site.hosts[0].namespace, "port2", 1450)
    tagged.tag(100)
    daemon.config["ports"].append({"name": "vm3", "kind": "netdev", "device": "port2", "vlans": {100: VNI}})
    daemon.write_config()
    site.start()
    vm2_ipv6 = str(ipaddress.ip_address(vm2.ipv6))
    # Nobody knows vm2 yet: the first request is flooded. vm2 asks for vm1 itself, and so vtepd hears of its address.
    vm1.wait_ping(vm2.ipv4)
    vm1.wait_ping(vm2.ipv6)
    for target in (vm1.ipv4, vm1.ipv6):
        assert asks(vm2, target) == vm1.mac

    def known():
        return {row["address"]: (row["mac"], row["state"], row["sources"]) for row in daemon.ctl("show", "neighbors")}

    wait_until(lambda: known().get(vm2.ipv4) == (vm2.mac, "known", ["overlay"]) and vm2_ipv6 in known(), lambda: f"{known()}")
    assert known()["10.0.0.99"] == ("02:00:00:00:00:63", "known", ["file"])
    wire = Capture(site.kernels[0].namespace, "u0", "udp port 4789", inbound=True)
    before = daemon.ctl("show", "vnis")[0]["neighbor_answers"]
    # A host that nobody answers for is asked for in the tunnel, the others are not.
    for guest in (vm1, tagged):
        for address, mac in ((vm2.ipv4, vm2.mac), (vm2_ipv6, vm2.mac), ("10.0.0.99", MACS[0]["mac"]), ("fd00::63", MACS[0]["mac"])):
            assert asks(guest, address) == mac, (guest.name, address)
        asks(guest, "10.0.0.77")
    found = requests(wire)
    assert "10.0.0.77" in found and not {vm2.ipv4, vm2_ipv6, "10.0.0.99", "fd00::63"} & set(found), found
    assert daemon.ctl("show", "vnis")[0]["neighbor_answers"] >= before + 8
    # trace names the decision.
    answer = daemon.ctl("trace", "--port", "vm1", "--src-mac", vm1.mac, "--arp", f"{vm1.ipv4},{vm2.ipv4}")
    stages = {stage["stage"]: stage for stage in answer["stages"]}
    assert answer["outcome"] == "answered" and stages["neighbor"]["facts"]["mac"] == vm2.mac
    answer = daemon.ctl("trace", "--port", "vm1", "--src-mac", vm1.mac, "--arp", f"{vm1.ipv4},{vm1.ipv4}")
    assert answer["outcome"] == "sent" and "neighbor" not in {stage["stage"] for stage in answer["stages"]}
    # A link-local address is answered for once its station has told whether it is a router: here vm2's kernel, as its interface comes up.
    link_local = re.search(r"inet6 (fe80\S+)/", vm2.namespace.ip("address show dev eth0 scope link"))[1]
    for is_router in (True, False):
        vm2.namespace.sysctl("net.ipv6.conf.all.forwarding", int(is_router))
        vm2.namespace.sysctl("net.ipv6.conf.eth0.ndisc_notify", 1)
        vm2.namespace.ip("link set eth0 down")
        vm2.namespace.ip("link set eth0 up")
        wait_until(lambda: any(row["address"] == link_local and row["router"] is is_router for row in daemon.ctl("show", "neighbors")),
                   lambda: f"{link_local}: {daemon.ctl('show', 'neighbors')}")
        wire = Capture(site.kernels[0].namespace, "u0", "udp port 4789", inbound=True)
        vm1.forget_neighbors()
        assert vm1.ping(f"{link_local}%eth0")
        entry = vm1.namespace.run("ip", "neigh", "show", "to", link_local).stdout
        assert vm2.mac in entry and ("router" in entry) is is_router, entry
        assert link_local not in requests(wire)
    # Addresses given by command, and taken away again.
    daemon.ctl("mac", "add", "--vni", VNI, "--mac", "02:00:00:00:00:64", "--vtep", "192.0.2.2", "--ip", "10.0.0.100", "--ip", "fd00::64")
    for address in ("10.0.0.100", "fd00::64"):
        assert asks(vm1, address) == "02:00:00:00:00:64"
    daemon.ctl("config", "save")
    assert "10.0.0.100" in daemon.config_path.read_text()
    daemon.ctl("mac", "delete", "--vni", VNI, "--mac", "02:00:00:00:00:64")
    assert not {"10.0.0.100", "fd00::64"} & set(known())
    # vm2 gets another MAC address, and asks with it: its address is contested, and whoever asks reaches it.
    vm2.namespace.ip("link set eth0 down")
    vm2.namespace.ip("link set eth0 address 02:00:00:00:00:42")
    vm2.namespace.ip("link set eth0 up")
    wait_until(lambda: asks(vm2, vm1.ipv4) == vm1.mac, "vm2 asks")
    wait_until(lambda: known()[vm2.ipv4][:2] == ("02:00:00:00:00:42", "contested"), lambda: f"{known()}")
    wait_until(lambda: asks(vm1, vm2.ipv4) == "02:00:00:00:00:42", "the new address is found")
    assert vm2.ipv4 in requests(wire)
    # Off: everything is flooded. A flush forgets what was learned, and nothing else.
    daemon.ctl("mac", "flush")
    assert set(known()) == {"10.0.0.99", "fd00::63"}
    daemon.ctl("vni", "set", VNI, "--neighbor-suppression", "off")
    asks(vm1, "10.0.0.99")
    assert "10.0.0.99" in requests(wire)

"""The kernel routes our packets: next-hop objects, and rules about UDP and its port."""
import pytest

from lab import wait_until
from lab.routed import Routed, subnet


def hops(site):
    """[(address, device)] of the far VTEP."""
    return [(hop["address"], hop["device"]) for hop in site.daemons[0].vtep(site.addresses[1])["next_hops"]]


def wait_hops(site, *expected):
    wait_until(lambda: hops(site) == sorted(expected, key=lambda hop: hop[1]), lambda: f"{expected}, not {hops(site)}")


@pytest.mark.parametrize("compat", [0, 1])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_next_hop_objects(lab, ipv6, compat):
    site = Routed(lab, ipv6)
    host, (vm1, vm2) = site.hosts[0], site.guests
    vm1.wait_ping(vm2.ipv4)
    first, second = ((subnet(router, 1, ipv6)[1], f"u{router - 1}") for router in (1, 2))
    host.sysctl("net.ipv4.nexthop_compat_mode", compat)
    family, length = ("-6", 128) if ipv6 else ("-4", 32)
    for number, (address, device) in ((1, first), (2, second), (3, first)):
        host.ip(f"{family} nexthop add id {number} via {address} dev {device}")

    def route(nhid):
        host.ip(f"{family} route replace {site.addresses[1]}/{length} src {site.addresses[0]} nhid {nhid}")

    host.ip(f"{family} route delete {site.addresses[1]}/{length}")
    wait_until(lambda: site.daemons[0].vtep(site.addresses[1])["reason"] == "no route", "the route is gone")
    route(1)
    wait_hops(site, first)
    host.ip("nexthop add id 10 group 1/2,3")
    route(10)
    wait_hops(site, first, second)
    vm1.wait_ping(vm2.ipv4)
    # Members change without a notification about the route. The same next hop is shown once, whatever its ID.
    host.ip("nexthop replace id 10 group 1/3")
    wait_hops(site, first)
    host.ip("nexthop replace id 10 group 2")
    wait_hops(site, second)
    vm1.wait_ping(vm2.ipv4)
    host.ip(f"{family} nexthop replace id 2 via {first[0]} dev {first[1]}")
    wait_hops(site, first)
    host.ip(f"{family} nexthop add id 4 blackhole")
    route(4)
    wait_until(lambda: "blackhole" in (site.daemons[0].vtep(site.addresses[1])["reason"] or ""),
               lambda: f"the reason is reported: {site.daemons[0].vtep(site.addresses[1])}")
    assert hops(site) == []
    host.ip("nexthop replace id 10 group 3")
    route(10)
    wait_hops(site, first)
    vm1.wait_ping(vm2.ipv4)
    # With its last next hop, the route disappears too.
    for number in (1, 2, 3):
        host.ip(f"{family} nexthop delete id {number}")
    wait_until(lambda: hops(site) == [], lambda: f"nothing is left: {hops(site)}")


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_rules_about_our_port(lab, ipv6):
    site = Routed(lab, ipv6)
    host, (vm1, vm2) = site.hosts[0], site.guests
    first, second = ((subnet(router, 1, ipv6)[1], f"u{router - 1}") for router in (1, 2))
    family, far = "-6" if ipv6 else "-4", site.addresses[1]
    length = 128 if ipv6 else 32
    host.ip(f"{family} route replace {far}/{length} src {site.addresses[0]} via {first[0]}")
    host.ip(f"{family} route add {far}/{length} via {second[0]} dev {second[1]} table 100")

    def kernel():
        """How the kernel would route our packet."""
        out = host.ip(f"{family} route get {far} from {site.addresses[0]} ipproto udp dport 4789")
        return out.split("via ")[1].split()[0], out.split("dev ")[1].split()[0]

    wait_hops(site, first)
    assert kernel() == first
    for rule in ("ipproto tcp", "ipproto udp dport 4790", "ipproto tcp dport 4789", "fwmark 7"):
        host.ip(f"{family} rule add {rule} lookup 100")
    host.ip(f"{family} rule add ipproto udp dport 4789 lookup 100")
    wait_hops(site, second)
    assert kernel() == second
    vm1.wait_ping(vm2.ipv4)
    host.ip(f"{family} rule delete ipproto udp dport 4789 lookup 100")
    wait_hops(site, first)
    assert kernel() == first
    for rule in ("ipproto udp", f"from {site.addresses[0]} dport 4000-5000"):
        rule = rule if "dport" not in rule else f"{rule} ipproto udp"
        host.ip(f"{family} rule add {rule} lookup 100")
        wait_hops(site, second)
        assert kernel() == second
        host.ip(f"{family} rule delete {rule} lookup 100")
        wait_hops(site, first)
    # The port changes, and with it the matching rule.
    daemon = site.daemons[0]
    daemon.config["underlay"]["udp-port"] = 4790
    daemon.reload("configuration reloaded")
    wait_hops(site, second)

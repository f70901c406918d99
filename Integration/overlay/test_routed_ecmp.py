"""VTEPs in different subnets, with two paths between them (`Routed`)."""
import pytest

from lab import Capture, wait_until
from lab.routed import Routed, subnet


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_one_router(lab, ipv6):
    site = Routed(lab, ipv6, routers=1)
    site.guests[0].wait_ping(site.guests[1].ipv4)
    site.guests[0].wait_ping(site.guests[1].ipv6)
    hops = site.daemons[0].vtep(site.addresses[1])["next_hops"]
    assert [hop["address"] for hop in hops] == [subnet(1, 1, ipv6)[1]]


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_two_next_hops_share_traffic_and_fail_over(lab, ipv6):
    site = Routed(lab, ipv6)
    vm1, vm2 = site.guests
    vm1.wait_ping(vm2.ipv4)
    wait_until(lambda: [hop["state"] for hop in site.daemons[0].vtep(site.addresses[1])["next_hops"]] == ["resolved"] * 2,
               lambda: f"both next hops are resolved: {site.daemons[0].vtep(site.addresses[1])}")
    raw = vm1.namespace.raw_socket("eth0", receive=False)
    captures = [Capture(router.namespace, "to1", "udp port 4789", inbound=True) for router in site.routers]
    receiver = Capture(vm2.namespace, "eth0", "udp port 7", inbound=True)
    site.send_flows(raw)
    site.send_flows(raw)
    assert len(receiver.wait(400)) == 400
    ways = [[ports.split(",") for ports, in capture.stop().fields("udp.srcport", only="udp.dstport == 7")] for capture in captures]
    shares = [len(way) for way in ways]
    assert sum(shares) == 400 and min(shares) >= 100, f"both next hops carry traffic: {shares}"
    # A flow keeps its path and its outer source port.
    flows = [{inner: outer for outer, inner in way} for way in ways]
    assert not set(flows[0]) & set(flows[1])
    assert all(flows[index][inner] == outer for index, way in enumerate(ways) for outer, inner in way)

    # The link to the first router fails: all traffic takes the second.
    site.hosts[0].ip("link set u0 down")
    wait_until(lambda: len(site.daemons[0].vtep(site.addresses[1])["next_hops"]) == 1
               or sum(hop["state"] == "resolved" for hop in site.daemons[0].vtep(site.addresses[1])["next_hops"]) == 1,
               lambda: f"one next hop is left: {site.daemons[0].vtep(site.addresses[1])}")
    receiver = Capture(vm2.namespace, "eth0", "udp port 7", inbound=True)
    site.send_flows(raw)
    assert len(receiver.wait(200)) == 200


def test_next_hop_that_stops_answering_is_abandoned(lab):
    """The router fails but the link stays up: only the neighbour's state shows it."""
    site = Routed(lab)
    vm1, vm2 = site.guests
    vm1.wait_ping(vm2.ipv4)
    site.hosts[0].flush_neighbors()
    site.routers[0].namespace.run("sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=8")
    site.hosts[0].ip("neigh replace 10.1.1.1 dev u0 nud failed", check=False)
    wait_until(lambda: [hop["state"] for hop in site.daemons[0].vtep(site.addresses[1])["next_hops"] if hop["address"] == "10.1.1.1"] != ["resolved"],
               lambda: f"r1 is no longer resolved: {site.daemons[0].vtep(site.addresses[1])}", 90)
    raw = vm1.namespace.raw_socket("eth0", receive=False)

    def all_arrive():
        receiver = Capture(vm2.namespace, "eth0", "udp port 7", inbound=True)
        site.send_flows(raw, 100)
        try:
            return len(receiver.wait(100, 5)) == 100
        except AssertionError:
            return False
        finally:
            receiver.stop()

    wait_until(all_arrive, lambda: f"all flows take the second path: {site.daemons[0].vtep(site.addresses[1])}", 90)


def test_route_changes_are_followed(lab):
    site = Routed(lab)
    vm1, vm2 = site.guests
    vm1.wait_ping(vm2.ipv4)
    site.hosts[0].ip(f"route replace {site.addresses[1]}/32 src {site.addresses[0]} via 10.2.1.1")
    wait_until(lambda: [hop["address"] for hop in site.daemons[0].vtep(site.addresses[1])["next_hops"]] == ["10.2.1.1"], "the new route is used")
    vm1.wait_ping(vm2.ipv4)
    site.hosts[0].ip(f"route delete {site.addresses[1]}/32")
    wait_until(lambda: site.daemons[0].vtep(site.addresses[1])["state"] != "resolved", "the VTEP is unreachable")
    before = site.daemons[0].drops().get("no-route", 0)
    vm1.ping(vm2.ipv4)
    wait_until(lambda: site.daemons[0].drops().get("no-route", 0) > before, lambda: f"frames without a route are counted: {site.daemons[0].drops()}")
    site.hosts[0].ip(f"route add {site.addresses[1]}/32 src {site.addresses[0]} via 10.1.1.1")
    vm1.wait_ping(vm2.ipv4)

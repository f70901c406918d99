"""Two VNIs joined by one logical router that runs on two gateways at once, with a guest on each and kernel VXLAN hosts in both VNIs, which
have no router of their own. IPv4 and IPv6."""
import re
import socket
import threading

import pytest

from lab import Guest, KernelVXLANHost, Switch, UnderlayHost, Vtepd, exchange, wait_until
from lab.daemon import Refused
from lab.frames import arp_request

LEFT, RIGHT = 5001, 5002
GATEWAY = {1: ("10.0.1.254", "fd00:1::fe"), 2: ("10.0.2.254", "fd00:2::fe")}
ROUTER = {
    "name": "r1",
    "interfaces": [
        {"vni": LEFT, "addresses": ["10.0.1.254/24", "fd00:1::fe/64"]},
        {"vni": RIGHT, "addresses": ["10.0.2.254/24", "fd00:2::fe/64"]},
    ],
    "routes": [{"prefix": "198.51.100.0/24", "via": "10.0.2.9"}, {"prefix": "2001:db8:100::/64", "via": "fd00:2::9"}],
}


def use_gateway(guest, subnet):
    for address in GATEWAY[subnet]:
        guest.namespace.ip(f"route add default via {address}")


class RoutedSite:
    """Guest a is on gateway hv1 in VNI LEFT, b on hv2 in RIGHT; k1 and k2 are behind the kernel's VTEP hv3, in LEFT and RIGHT. c moves."""

    def __init__(self, lab, configure=None):
        self.lab = lab
        self.switch = Switch(lab)
        self.hosts = [UnderlayHost(lab, self.switch, number) for number in (1, 2)]
        self.kernel = KernelVXLANHost(lab, self.switch, 3)
        for vni in (LEFT, RIGHT):
            self.kernel.vxlan(vni, remotes=[host.ipv4 for host in self.hosts])
        self.a, self.b, self.c = Guest(lab, "a", 1, 1), Guest(lab, "b", 2, 2), Guest(lab, "c", 9, 2)
        self.k1, self.k2 = Guest(lab, "k1", 11, 1), Guest(lab, "k2", 12, 2)
        self.a.attach_veth(self.hosts[0].namespace, "port1", 1450)
        self.b.attach_veth(self.hosts[1].namespace, "port1", 1450)
        self.c.attach_veth(self.hosts[1].namespace, "port9", 1450)
        self.kernel.add_guest(self.k1, LEFT)
        self.kernel.add_guest(self.k2, RIGHT)
        for guest, subnet in ((self.a, 1), (self.b, 2), (self.c, 2), (self.k1, 1), (self.k2, 2)):
            use_gateway(guest, subnet)
        self.daemons = []
        for number, host in enumerate(self.hosts):
            others = [self.kernel.ipv4, self.hosts[1 - number].ipv4]
            config = {
                "underlay": {"addresses": [host.ipv4], "device": "u0"},
                "vnis": [{"vni": vni, "flood": "replicate", "peers": others} for vni in (LEFT, RIGHT)],
                "ports": [{"name": "p1", "kind": "netdev", "device": "port1", "vni": (LEFT, RIGHT)[number]},
                          {"name": "p9", "kind": "netdev", "device": "port9", "vni": RIGHT}],
                "routers": [ROUTER],
            }
            self.daemons.append(Vtepd(host.namespace, config).start(wait=False))
        for daemon in self.daemons:
            daemon.wait_running()
            wait_until(lambda: daemon.port("p1")["state"] == "up", "the port is up")
        wait_until(lambda: self.daemons[1].port("p9")["state"] == "up", "the port is up")

    @property
    def log(self):
        return "".join(f"{daemon.ctl('show', 'routers')}\n{daemon.ctl('show', 'drops')}\n" for daemon in self.daemons)


@pytest.fixture(scope="module")
def site():
    from lab import Lab
    with Lab() as lab:
        yield RoutedSite(lab)


def reach(site, source, target):
    for address in (target.ipv4, target.ipv6):
        wait_until(lambda: source.ping(address), lambda: f"{source.name} reaches {address}:\n{site.log}")


def test_every_guest_reaches_every_other(site):
    """From a port, from a tunnel, to a port and to a tunnel; and from tunnel to tunnel, where both are behind the kernel's VTEP."""
    reach(site, site.a, site.b)
    reach(site, site.b, site.k1)
    reach(site, site.k1, site.k2)
    reach(site, site.a, site.k2)
    for guest, subnet in ((site.a, 1), (site.k2, 2), (site.a, 2)):
        for address in GATEWAY[subnet]:
            assert guest.ping(address, count=2) == 2, f"{guest.name}, router {address}:\n{site.log}"
    # Gateways have the same MAC address, which hosts see as one router's.
    macs = {daemon.ctl("show", "routers")[0]["mac"] for daemon in site.daemons}
    assert len(macs) == 1
    for guest, subnet in ((site.a, 1), (site.b, 2), (site.k1, 1)):
        neighbors = guest.namespace.ip("neigh show")
        assert f"{GATEWAY[subnet][0]} dev eth0 lladdr {next(iter(macs))}" in neighbors, neighbors
    rows = site.daemons[0].ctl("show", "routers")
    assert [(row["vni"], row["state"], row["source"]) for row in rows] == [(LEFT, "up", "config"), (RIGHT, "up", "config")]
    assert all(row["rx_packets"] > 0 and row["tx_packets"] > 0 for row in rows)
    moves = [row for daemon in site.daemons for row in daemon.ctl("show", "mac-moves")]
    assert moves == [], moves


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_tcp_arrives_unchanged(site, family):
    """With the kernel's large segments and unfinished checksums, in both directions, judged by SHA-256."""
    for source, target in ((site.a, site.b), (site.a, site.k2), (site.k1, site.k2)):
        reach(site, source, target)
        exchange(source, target, getattr(target, family))


def test_traceroute_names_the_router(site):
    reach(site, site.a, site.b)
    for target, gateway in ((site.b.ipv4, GATEWAY[1][0]), (site.b.ipv6, GATEWAY[1][1])):
        out = site.a.namespace.run("tracepath", "-n", target).stdout
        hops = re.findall(r"^ *(\d+): +(\S+)", out, re.M)
        assert ("1", gateway) in hops and ("2", target) in hops, out


def test_trace_names_the_route(site):
    reach(site, site.a, site.b)
    router = site.daemons[0].ctl("show", "routers")[0]["mac"]

    def routed(*arguments):
        answer = site.daemons[0].ctl("trace", "--port", "p1", "--src-mac", site.a.mac, *arguments)
        return answer, next(stage["facts"] for stage in answer["stages"] if stage["stage"] == "route")

    answer, facts = routed("--dst-mac", router, "--ipv4", f"{site.a.ipv4},{site.b.ipv4}")
    assert answer["outcome"] == "sent" and [frame["vtep"] for frame in answer["sent"]] == [site.hosts[1].ipv4]
    assert (facts["router"], facts["to_vni"], facts["next_hop"], facts["mac"], facts["action"]) == (
        "r1", RIGHT, site.b.ipv4, site.b.mac, "forward")
    assert facts["prefix"] == "10.0.2.0/24"
    _, facts = routed("--dst-mac", router, "--ipv4", f"{site.a.ipv4},198.51.100.7")
    assert (facts["prefix"], facts["next_hop"]) == ("198.51.100.0/24", "10.0.2.9")
    # What the router drops: by whom, and that its sender hears of it.
    answer, facts = routed("--dst-mac", router, "--ipv4", f"{site.a.ipv4},203.0.113.1")
    assert (facts["router"], facts["action"], facts["prefix"]) == ("r1", "drop", None)
    text = site.daemons[0].table("trace", "--port", "p1", "--src-mac", site.a.mac, "--dst-mac", router, "--ipv4", f"{site.a.ipv4},203.0.113.1")
    assert "router r1, no route to 203.0.113.1: dropped: router-no-route" in text and "the sender is told\n" in text
    explained = site.daemons[0].ctl("explain", router, "--vni", LEFT)
    # Its own address, and the one from which it asks for neighbours.
    own = [row["mac"] for row in site.daemons[0].ctl("show", "mac-table", "--vni", LEFT) if row["port"] == "(router)"]
    assert router in own and len(own) == 2
    for mac in own:
        explained = site.daemons[0].ctl("explain", mac, "--vni", LEFT)
        assert explained["sources"][0]["holds"] and {row["action"] for row in explained["outcomes"]} == {"route"}, explained
    answer, facts = routed("--arp", f"{site.a.ipv4},{GATEWAY[1][0]}")
    assert facts["action"] == "answer" and [frame["port"] for frame in answer["sent"]] == ["p1"]


def test_senders_are_told(site):
    """No such host, and no route."""
    a = site.a
    reach(site, a, site.b)
    for address, answer in (("10.0.2.77", "Destination Host Unreachable"), ("203.0.113.1", "Destination Net Unreachable"),
                            ("fd00:2::77", "Address unreachable"), ("2001:db8:5::1", "No route")):
        out = a.namespace.run("ping", "-n", "-c", 1, "-W", 8, address, check=False).stdout
        gateway = GATEWAY[1][":" in address]
        assert f"From {gateway}" in out and answer in out, f"{address}: {out}\n{site.log}"
    drops = site.daemons[0].drops()
    assert drops["router-no-route"] >= 2 and drops["router-neighbor-unresolved"] >= 2, drops


def test_static_route(site):
    """Its next hop is a guest with addresses of another network."""
    site.c.namespace.ip("address add 198.51.100.1/32 dev lo")
    site.c.namespace.ip("address add 2001:db8:100::1/128 dev lo")
    for address in ("198.51.100.1", "2001:db8:100::1"):
        wait_until(lambda: site.a.ping(address), lambda: f"a reaches {address}:\n{site.log}")
    rows = [row for row in site.daemons[0].ctl("show", "routes", "--router", "r1") if row["type"] == "static"]
    assert [(row["prefix"], row["next_hop"], row["vni"], row["active"]) for row in rows] == [
        ("198.51.100.0/24", "10.0.2.9", RIGHT, True), ("2001:db8:100::/64", "fd00:2::9", RIGHT, True)]
    with pytest.raises(Refused, match="there is no router 'r2'"):
        site.daemons[0].ctl("show", "routes", "--router", "r2")


def test_session_survives_a_move(site):
    """Guest c moves to the other gateway, with its open connection to a."""
    c = site.c
    reach(site, site.a, c)
    with c.namespace.entered():
        listener = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)

    def echo():
        connection, _ = listener.accept()
        while data := connection.recv(100):
            connection.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    with site.a.namespace.entered():
        client = socket.create_connection((c.ipv4, 7000), timeout=30)
    with listener, client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        there = site.hosts[0].namespace
        site.hosts[1].namespace.ip(f"link set port9 netns {there.full_name}")
        there.ip("link set port9 mtu 1450 up")
        wait_until(lambda: site.daemons[0].port("p9")["state"] == "up", lambda: f"c is here:\n{site.daemons[0].log()[-2000:]}")
        c.namespace.raw_socket("eth0", receive=False).send(arp_request(c.mac, c.ipv4, c.ipv4))
        client.sendall(b"after")
        assert client.recv(100) == b"after"
    wait_until(lambda: site.daemons[1].macs("--vni", RIGHT).get(c.mac, {}).get("vtep") == site.hosts[0].ipv4,
               lambda: f"c is behind hv1: {site.daemons[1].macs('--vni', RIGHT)}")

"""VTEPs in different subnets, behind one router or two.

    vm1 ── hv1 ══ u0, u1 ══ r1, r2 ══ u0, u1 ══ hv2 ── vm2        VTEP addresses on lo: 10.255.0.1 and 10.255.0.2
"""
from .daemon import Vtepd
from .frames import udp_flow
from .hosts import Guest, Router
from .site import VNI


def subnet(router, host, ipv6):
    """(host's address, router's address) on the link between a router and a host."""
    return (f"fd10:{router}:{host}::2", f"fd10:{router}:{host}::1") if ipv6 else (f"10.{router}.{host}.2", f"10.{router}.{host}.1")


class Routed:
    def __init__(self, lab, ipv6=False, routers=2):
        self.routers = [Router(lab, f"r{number}") for number in range(1, routers + 1)]
        self.hosts = [lab.namespace(f"hv{number}") for number in (1, 2)]
        self.addresses = ["fd00:ffff::1", "fd00:ffff::2"] if ipv6 else ["10.255.0.1", "10.255.0.2"]
        length, plen = (128, 64) if ipv6 else (32, 24)
        for number, host in enumerate(self.hosts, 1):
            host.ip(f"address add {self.addresses[number - 1]}/{length} dev lo")
            for index, router in enumerate(self.routers):
                ours, theirs = subnet(index + 1, number, ipv6)
                router.connect(host, f"u{index}", f"to{number}", [f"{theirs}/{plen}"], [f"{ours}/{plen}"])
                router.namespace.ip(f"route add {self.addresses[number - 1]}/{length} via {ours}")
        for number, host in enumerate(self.hosts, 1):
            hops = "".join(f" nexthop via {subnet(index + 1, number, ipv6)[1]} dev u{index}" for index in range(routers))
            host.ip(f"route add {self.addresses[2 - number]}/{length} src {self.addresses[number - 1]}{hops}")
        self.guests, self.daemons = [], []
        for number, host in enumerate(self.hosts, 1):
            guest = Guest(lab, f"vm{number}", number).attach_veth(host, "port1", 1400)
            devices = [f"u{index}" for index in range(routers)]
            self.guests.append(guest)
            self.daemons.append(Vtepd(host, {
                "underlay": {"addresses": [self.addresses[number - 1]], "device": devices if routers > 1 else "u0"},
                "vnis": [{"vni": VNI, "flood": "replicate", "peers": [self.addresses[2 - number]]}],
                "ports": [{"name": guest.name, "kind": "netdev", "device": "port1", "vni": VNI}],
            }).start(wait=False))
        for daemon in self.daemons:
            daemon.wait_running()
            daemon.wait_ports_up()

    def send_flows(self, socket, count=200):
        for number in range(count):
            socket.send(udp_flow(self.guests[0].mac, self.guests[1].mac, number))

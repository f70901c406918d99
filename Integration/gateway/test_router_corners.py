"""Routers and odd packets, with a Linux router between two such hosts as judge: what is forwarded, byte for byte, and what the sender is told.
Fragments towards smaller MTUs and to the router itself; addresses that move, and prefixes of one or two addresses."""
import pytest
from scapy.layers.inet import ICMP, IP, UDP, IPOption_LSRR, IPOption_NOP, IPOption_Router_Alert, IPOption_SSRR
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from lab import Capture, Guest, KernelVXLANHost, Lab, Router, Switch, UnderlayHost, Vtepd, wait_until
from lab.frames import BROADCAST

LEFT, RIGHT = 5001, 5002
ADDRESSES = {LEFT: ["10.0.1.254/24", "fd00:1::fe/64"], RIGHT: ["10.0.2.254/24", "fd00:2::fe/64"]}
OWN = {"10.0.1.254", "10.0.2.254", "fd00:1::fe", "fd00:2::fe"}
# Only vtepd's: a second address of a network, a single one, a pair each.
MORE = ["10.0.2.253/24", "10.0.9.1/32", "10.1.0.0/31", "fd00:9::/127"]


class Hosts:
    """a in LEFT, with an MTU of 1500, and b in RIGHT, with 1280."""

    def __init__(self, lab, suffix=""):
        self.a, self.b = Guest(lab, f"a{suffix}", 1, 1), Guest(lab, f"b{suffix}", 2, 2)

    def use_gateways(self, *guests):
        for guest, subnet in ((self.a, 1), (self.b, 2), *((guest, 2) for guest in guests)):
            guest.namespace.ip(f"route add default via 10.0.{subnet}.254")
            guest.namespace.ip(f"route add default via fd00:{subnet}::fe")

    def wait(self):
        for address in (self.b.ipv4, self.b.ipv6):
            self.a.wait_ping(address)


class LinuxSite(Hosts):
    def __init__(self, lab):
        super().__init__(lab, "-linux")
        router = Router(lab).namespace
        for name in ("net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"):
            router.sysctl(name, 0)
        for guest, port, vni, mtu in ((self.a, "left", LEFT, 1500), (self.b, "right", RIGHT, 1280)):
            guest.attach_veth(router, port, mtu)
            for address in ADDRESSES[vni]:
                router.ip(f"address add {address} dev {port}")
        self.use_gateways()
        self.mac = router.mac("left")
        self.wait()


class VtepdSite(Hosts):
    """b and c in RIGHT, and k behind the kernel's VTEP, over an underlay of 1400 octets."""

    def __init__(self, lab):
        super().__init__(lab)
        switch = Switch(lab, mtu=1400)
        host = UnderlayHost(lab, switch, 1)
        kernel = KernelVXLANHost(lab, switch, 2)
        kernel.vxlan(RIGHT, remotes=[host.ipv4])
        self.c, self.k = Guest(lab, "c", 3, 2), Guest(lab, "k", 12, 2)
        kernel.add_guest(self.k, RIGHT, mtu=1350)
        for guest, mtu in ((self.a, 1500), (self.b, 1280), (self.c, 1280)):
            guest.attach_veth(host.namespace, f"port-{guest.name}", mtu)
        self.use_gateways(self.c, self.k)
        self.daemon = Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0"},
            "vnis": [{"vni": vni, "flood": "replicate", "peers": [kernel.ipv4]} for vni in (LEFT, RIGHT)],
            "ports": [{"name": name, "kind": "netdev", "device": f"port-{name}", "vni": vni} for name, vni in (("a", LEFT), ("b", RIGHT), ("c", RIGHT))],
            "routers": [{"name": "r", "interfaces": [
                {"vni": LEFT, "addresses": ADDRESSES[LEFT]}, {"vni": RIGHT, "addresses": ADDRESSES[RIGHT] + MORE}]}],
        }).start(wait=False)
        self.daemon.wait_running()
        self.daemon.wait_ports_up()
        self.mac = self.daemon.ctl("show", "routers")[0]["mac"]
        self.wait()


@pytest.fixture(scope="module")
def site():
    with Lab() as lab:
        yield VtepdSite(lab)


def ip(payload=None, **fields):
    return IP(**{"src": "10.0.1.1", "dst": "10.0.2.2", "id": 77, **fields}) / (payload or UDP(sport=1, dport=9))


def ip6(payload=None, **fields):
    return IPv6(**{"src": "fd00:1::1", "dst": "fd00:2::2", **fields}) / (payload or UDP(sport=1, dport=9))


CASES = {
    # First: Linux sends one of these a second, with other errors to the same host in between.
    "no route": ip(dst="203.0.113.1"),
    "ttl 1": ip(ttl=1), "ttl 2": ip(ttl=2), "no operation": ip(options=[IPOption_NOP()] * 4), "router alert": ip(options=[IPOption_Router_Alert()]),
    "loose source route": ip(options=[IPOption_LSRR(routers=["10.0.2.9"])]), "strict source route": ip(options=[IPOption_SSRR(routers=["10.0.2.9"])]),
    "its own source": ip(src="10.0.1.254"), "its other source": ip(src="10.0.2.254"), "loopback source": ip(src="127.0.0.1"),
    "group source": ip(src="224.0.0.5"), "broadcast source": ip(src="255.255.255.255"),
    "no source": ip(src="0.0.0.0"), "directed broadcast": ip(dst="10.0.2.255"), "near directed broadcast": ip(dst="10.0.1.255"),
    "loopback destination": ip(dst="127.0.0.1"), "no route, group source": ip(src="224.0.0.5", dst="203.0.113.1"),
    "error, ttl 1": ip(ICMP(type=3, code=1) / ip(), ttl=1), "later fragment, ttl 1": ip(frag=10, ttl=1), "fragment": ip(flags="MF"),
    "to the router": ip(dst="10.0.1.254"), "to its other address": ip(dst="10.0.2.254"), "ttl 1 to the router": ip(dst="10.0.1.254", ttl=1),
    "unknown protocol": ip(Raw(b"...."), dst="10.0.1.254", proto=253), "ping": ip(ICMP(id=1, seq=1), dst="10.0.1.254"),
    "ping the other address": ip(ICMP(id=1, seq=2), dst="10.0.2.254"), "error to the router": ip(ICMP(type=3, code=1) / ip(), dst="10.0.1.254"),
    "hop limit 1": ip6(hlim=1), "hop limit 2": ip6(hlim=2), "hop-by-hop": ip6(IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / UDP(dport=9)),
    "destination options": ip6(IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / UDP(dport=9)),
    "routing header": ip6(IPv6ExtHdrRouting(segleft=0) / UDP(dport=9)), "IPv6 fragment": ip6(IPv6ExtHdrFragment(m=1, id=5) / UDP(dport=9)),
    "IPv6 loopback source": ip6(src="::1"), "IPv6 group source": ip6(src="ff02::5"), "link-local source": ip6(src="fe80::ff:fe00:101"),
    "IPv6 no route": ip6(dst="2001:db8:77::1"), "IPv6 error, hop limit 1": ip6(ICMPv6DestUnreach() / ip6(), hlim=1),
    "IPv6 to the router": ip6(dst="fd00:1::fe"), "IPv6 to its other address": ip6(dst="fd00:2::fe"),
    "IPv6 unknown protocol": ip6(Raw(b"...."), dst="fd00:1::fe", nh=253), "IPv6 ping": ip6(ICMPv6EchoRequest(id=1, seq=1), dst="fd00:1::fe"),
    "IPv6 ping the other address": ip6(ICMPv6EchoRequest(id=1, seq=2), dst="fd00:2::fe"),
    # Both sides have to have seen something of these.
    "end": ip(ttl=2), "end to the router": ip(dst="10.0.1.254"),
}


def outcomes(site):
    """What comes of each case: packets that b gets, as octets without the Ethernet header, and what the router answers: source, type, code and
    the field behind the checksum, or the message of a ping."""
    received, told = Capture(site.b.namespace, "eth0", inbound=True), Capture(site.a.namespace, "eth0", inbound=True)
    raw = site.a.namespace.raw_socket("eth0", receive=False)
    markers = {name: f"<{number:03}>".encode().ljust(40, b".") for number, name in enumerate(CASES)}
    for name, packet in CASES.items():
        raw.send(bytes(Ether(src=site.a.mac, dst=site.mac) / packet / Raw(markers[name])))

    def has(capture, name):
        return any(markers[name] in packet for packet in capture.packets())

    wait_until(lambda: has(received, "end") and has(told, "end to the router"), "the last packets have passed")
    found = {name: [] for name in CASES}
    for name, marker in markers.items():
        for packet in received.packets():
            if marker in packet:
                found[name].append(packet[14:packet.index(marker) + 40].hex())
        for packet in told.packets():
            layers = Ether(packet)
            source = layers.payload.src
            # Of b come errors, too.
            if marker not in packet or source not in OWN and not source.startswith("fe80:"):
                continue
            source = source if source in OWN else "link-local"
            message = bytes(layers[ICMP]) if IP in layers else bytes(layers.payload)[40:]
            if ICMPv6EchoReply in layers or ICMP in layers and layers[ICMP].type == 0:
                found[name].append((source, message[:message.index(marker) + 40].hex()))
            else:
                found[name].append((source, message[:2].hex(), message[4:8].hex()))
    return found


def test_odd_packets_as_with_linux(lab, site):
    expected, found = outcomes(LinuxSite(lab)), outcomes(site)
    assert expected["ttl 1"] == [("10.0.1.254", "0b00", "00000000")] and len(expected["ttl 2"]) == 1 and not expected["its own source"]
    differences = {name: f"Linux {expected[name]}, vtepd {found[name]}" for name in CASES if expected[name] != found[name]}
    assert not differences, "\n".join(f"{name}: {text}" for name, text in differences.items())


def test_fragments(site):
    """Towards a smaller MTU at a port and in a tunnel, of fragments again; to the router, which answers in fragments."""
    a, b, k = site.a, site.b, site.k
    capture = Capture(b.namespace, "eth0", "icmp", inbound=True)
    a.wait_ping(k.ipv4)
    for target in (b.ipv4, k.ipv4, "10.0.1.254", "10.0.2.254"):
        for size in (1400, 4000, 9000):
            assert a.ping(target, 2, 5, size, "-M", "dont") == 2, f"{target} {size}: {site.daemon.drops()}"
    lengths = [int(length) for length, in capture.fields("ip.len", only="ip.flags.mf == 1")]
    assert lengths and max(lengths) <= 1280, lengths
    # As the kernel does: DF is heeded, in IPv6 always; the answers of the router itself are fragmented.
    assert a.ping(b.ipv4, 1, 2, 1400, "-M", "do") == 0
    for target in (b.ipv6, k.ipv6):
        wait_until(lambda: a.ping(target, 1, 2, 4000), f"the path MTU to {target} is found")
    for target in ("fd00:1::fe", "fd00:2::fe"):
        assert a.ping(target, 2, 5, 4000) == 2, site.daemon.drops()
    assert b.ping("fd00:2::fe", 2, 5, 4000) == 2
    # Datagrams whose checksums the sender's kernel leaves to the network card.
    program = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n{}\n")
    server = b.namespace.popen("python3", "-c", program.format("s.bind(('', 7777))\nfor _ in range(2):\n  d, p = s.recvfrom(65535)\n  s.sendto(d, p)"))
    wait_until(lambda: ":7777" in b.namespace.run("ss", "-lun").stdout, "the server listens")
    client = program.format("s.setsockopt(0, 10, 0)\ns.settimeout(10)\nfor n in (1400, 5000):\n  d = bytes(i * 7 % 256 for i in range(n))\n"
                            f"  s.sendto(d, ('{b.ipv4}', 7777))\n  assert s.recv(65535) == d")
    a.namespace.run("python3", "-c", client)
    assert server.wait(10) == 0
    # Eight fragments at most.
    before = site.daemon.drops().get("router-address", 0)
    assert a.ping("10.0.1.254", 1, 1, 20000, "-M", "dont") == 0
    assert site.daemon.drops()["router-address"] > before


def test_addresses_of_the_router_and_of_hosts(site):
    """Second addresses, single ones and pairs; an address that moves to another host, and one that moves with its MAC address."""
    a, b, c = site.a, site.b, site.c
    c.namespace.ip("address add 10.1.0.1/31 dev eth0")
    c.namespace.ip("address add fd00:9::1/127 dev eth0")
    for address in ("10.0.2.253", "10.0.9.1", "10.1.0.0", "10.1.0.1", "fd00:9::", "fd00:9::1"):
        wait_until(lambda: a.ping(address), lambda: f"a reaches {address}: {site.daemon.drops()}")
    assert b.ping("10.0.2.253") and b.ping("10.1.0.1")

    def neighbor(address):
        return {row["address"]: row["mac"] for row in site.daemon.ctl("show", "neighbors")}.get(address)

    # VRRP without a virtual MAC address, as of CARP and others: the new owner announces itself.
    b.namespace.ip("address add 10.0.2.100/24 dev eth0")
    a.wait_ping("10.0.2.100")
    assert neighbor("10.0.2.100") == b.mac
    b.namespace.ip("address del 10.0.2.100/24 dev eth0")
    c.namespace.ip("address add 10.0.2.100/24 dev eth0")
    sockets = {guest: guest.namespace.raw_socket("eth0", receive=False) for guest in (b, c)}
    sockets[c].send(bytes(Ether(src=c.mac, dst=BROADCAST) / ARP(op=1, hwsrc=c.mac, psrc="10.0.2.100", pdst="10.0.2.100")))
    wait_until(lambda: neighbor("10.0.2.100") == c.mac, lambda: f"c has it: {neighbor('10.0.2.100')}")
    assert a.ping("10.0.2.100")
    # With a virtual MAC address: only its place changes.
    virtual = "00:00:5e:00:01:07"
    announcement = bytes(Ether(src=virtual, dst=BROADCAST) / ARP(op=1, hwsrc=virtual, psrc="10.0.2.107", pdst="10.0.2.107"))
    raw = a.namespace.raw_socket("eth0", receive=False)
    for guest in (b, c, b):
        capture = Capture(guest.namespace, "eth0", f"ether dst {virtual}", inbound=True)
        sockets[guest].send(announcement)
        wait_until(lambda: site.daemon.macs("--vni", RIGHT).get(virtual, {}).get("port") == guest.name and neighbor("10.0.2.107") == virtual,
                   lambda: f"{virtual} is at {guest.name}")
        raw.send(bytes(Ether(src=a.mac, dst=site.mac) / IP(src=a.ipv4, dst="10.0.2.107") / UDP(dport=9)))
        capture.wait(1)

"""Ports of kind netdev with every setting as the kernel has it by default: frames that the kernel refuses, large segments, fragments,
tags, and what vtepd must leave alone on the interface.

    a ── eth0~na ── vtepd (hv1) ── nb~eth0 ── b      and a second host with vtepd or the kernel's VXLAN device behind the underlay
"""
import json
import re
import signal

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import Capture, Site, wait_until
from lab.frames import ethernet, mac_bytes, tagged, udp_flow
from lab.hosts import Guest
from lab.site import VNI
from lab.streams import large_writes, tcp_stream

VLAN = 100


def attach(lab, host, name, number, mtu=1500):
    """A guest at a new veth; no offload or GRO setting is touched."""
    guest = Guest(lab, f"vm{number}", number)
    guest.port = name
    host.ip(f"link add {name} mtu {mtu} type veth peer name eth0 netns {guest.namespace.full_name}")
    host.ip(f"link set {name} up")
    return guest.use("eth0", mtu)


class Pair:
    """Two guests at netdev ports of one daemon, both with an untagged binding and one for VLAN 100."""

    def __init__(self, lab, before=lambda host: None, **options):
        self.site = Site(lab, vtepd=1, flood="none", wait=False, **options)
        self.daemon, self.host = self.site.daemons[0], self.site.hosts[0].namespace
        self.a, self.b = attach(lab, self.host, "na", 11), attach(lab, self.host, "nb", 12)
        self.daemon.config["vnis"].append({"vni": 77, "flood": "none"})
        self.daemon.config["ports"] = [
            {"name": name, "kind": "netdev", "device": name, "vni": VNI, "vlans": {VLAN: 77}} for name in ("na", "nb")]
        self.daemon.write_config()
        before(self.host)
        self.site.start_without_ports_up()
        self.daemon.wait_ports_up()
        self.raw_a, self.raw_b = (guest.namespace.raw_socket("eth0") for guest in (self.a, self.b))
        self.introduce()

    def introduce(self):
        """Both stations are known, untagged and tagged."""
        for raw, guest in ((self.raw_a, self.a), (self.raw_b, self.b)):
            for vni, frame in ((VNI, ethernet(guest.mac)), (77, tagged(ethernet(guest.mac), VLAN))):
                wait_until(lambda: (raw.send(frame), guest.mac in self.daemon.macs("--vni", vni))[1], f"{guest.name} is known in {vni}")

    def sent(self):
        row = self.daemon.port("nb")
        return row["tx_packets"], row["tx_bytes"]


def udp(pair, family, size, number):
    """A frame of `size` octets that no IP stack answers."""
    if family == 4:
        return udp_flow(pair.a.mac, pair.b.mac, number, size=size)
    packet = IPv6(src=f"fd99::{number + 1:x}", dst="fd99::9999") / UDP(sport=9, dport=9) / Raw(b"\x5a" * (size - 62))
    return bytes(Ether(src=pair.a.mac, dst=pair.b.mac) / packet)


# -- refused frames -----------------------------------------------------------------------------------------------------


def far_end(pair, on):
    """Frames above the MTU of the veth's far end."""
    pair.b.namespace.ip(f"link set eth0 mtu {1000 if on else 1500}")


def nft(pair, on):
    if on:
        pair.host.run("nft", "add table netdev t")
        pair.host.run("nft", 'add chain netdev t c { type filter hook egress device "nb" priority 0; }')
        pair.host.run("nft", "add rule netdev t c meta length > 1000 drop")
    else:
        pair.host.run("nft", "delete table netdev t")


def tc(pair, on):
    if on:
        # Longer than 1000 octets: TC_ACT_SHOT, else TC_ACT_UNSPEC.
        pair.host.run("tc", "filter", "add", "dev", "nb", "egress", "prio", "7", "protocol", "all", "bpf", "da", "bytecode",
                      "4,128 0 0 0,37 0 1 1000,6 0 0 2,6 0 0 4294967295")
    else:
        pair.host.run("tc", "filter", "delete", "dev", "nb", "egress", "prio", "7")


@pytest.mark.parametrize("cause", [far_end, nft, tc])
def test_frames_around_refused_ones_arrive(lab, cause):
    """IPv4 and IPv6, untagged and tagged: one in three is refused, the others arrive, and each frame is accounted for."""
    pair = Pair(lab)
    cause(pair, True)
    # What the guest's own IP stack sends is counted, too.
    others = Capture(pair.a.namespace, "eth0", f"ip6 and ether src {pair.a.mac} and not udp port 9", outbound=True)

    def sent():
        while True:
            known = len(others.packets())
            packets, octets = pair.sent()
            if len(others.packets()) == known:  # none was sent in between
                return packets - known, octets - sum(map(len, others.packets()))

    for family in (4, 6):
        for tags in (False, True):
            frames = [udp(pair, family, 1200 if number % 3 == 1 else 200, number) for number in range(60)]
            good = {frame for number, frame in enumerate(frames) if number % 3 != 1}
            if tags:
                frames, good = [tagged(frame, VLAN) for frame in frames], {tagged(frame, VLAN) for frame in good}
            came = Capture(pair.b.namespace, "eth0", inbound=True)
            before, refused = sent(), pair.daemon.drops().get("refused-by-kernel", 0)
            for frame in frames:
                pair.raw_a.send(frame)
            wait_until(lambda: pair.daemon.drops().get("refused-by-kernel", 0) == refused + 20,
                       lambda: f"20 are refused: {pair.daemon.drops()}")
            wait_until(lambda: good <= set(came.packets()), lambda: f"{len(good - set(came.packets()))} of {len(good)} have not come")
            wait_until(lambda: sent() == (before[0] + 40, before[1] + sum(map(len, good))),
                       lambda: f"40 frames are counted as sent: {before}, {sent()}")
    assert re.search(r"the kernel last refused a frame \d+ s ago: ENOBUFS", " ".join(pair.daemon.port("nb")["notes"]))
    assert set(pair.daemon.drops()) == {"refused-by-kernel"}
    cause(pair, False)
    frame = udp(pair, 4, 1200, 999)
    pair.raw_a.send(frame)
    pair.raw_b.settimeout(10)
    while pair.raw_b.recv(4096) != frame:
        pass


def test_full_size_frames_with_tags(lab):
    """The kernel allows four octets above the MTU for 0x8100 only: an S-tag's frame is refused, and counted; an MTU 4 larger helps."""
    pair = Pair(lab)
    for name in ("na", "nb"):
        pair.daemon.ctl("port", "set", name, "--tpid", "0x88a8")

    def resize(guest, mtu):
        pair.host.ip(f"link set {guest.port} mtu {mtu}")
        guest.namespace.ip(f"link set eth0 mtu {mtu}")
        wait_until(lambda: pair.daemon.port(guest.port)["mtu"] == mtu, "the MTU is shown")

    resize(pair.a, 1504)
    frame = tagged(udp(pair, 4, 1514, 1), VLAN, 0x88A8)
    came = Capture(pair.b.namespace, "eth0", inbound=True)
    pair.raw_a.send(frame)
    wait_until(lambda: pair.daemon.drops().get("too-big-for-port") == 1, lambda: f"counted: {pair.daemon.drops()}")
    text = next(row["description"] for row in pair.daemon.ctl("show", "drops") if row["reason"] == "too-big-for-port" and row["count"])
    assert "4 more for full-size frames with an 0x88a8 tag" in text
    resize(pair.b, 1504)
    # Another flow, so that the refused frame would be told from it.
    other = tagged(udp(pair, 4, 1514, 2), VLAN, 0x88A8)
    pair.raw_a.send(other)
    wait_until(lambda: other in came.packets(), "with a larger MTU it fits")
    assert frame not in came.packets()
    resize(pair.b, 1500)
    pair.daemon.ctl("port", "set", "nb", "--tpid", "0x8100")
    pair.raw_a.send(frame)
    wait_until(lambda: tagged(udp(pair, 4, 1514, 1), VLAN) in came.packets(), "with 0x8100 it fits")
    assert pair.daemon.drops() == {"too-big-for-port": 1}


# -- segments -------------------------------------------------------------------------------------------------------------


def large(row, before, direction):
    """Octets in a frame, on average."""
    return (row[f"{direction}_bytes"] - before[f"{direction}_bytes"]) / (row[f"{direction}_packets"] - before[f"{direction}_packets"])


@pytest.mark.parametrize("missing", ["", "vnet-offloads"])
def test_segments_between_two_ports(lab, monkeypatch, missing):
    """A stream with the kernel's defaults: large segments come in and go out as they are. Without offloads they are cut up."""
    monkeypatch.setenv("VTEPD_WITHOUT", missing)
    pair = Pair(lab)
    features = pair.daemon.port("nb")["features"]
    assert {"csum", "host-tso4", "host-tso6"} <= set(features) and ("guest-tso4" in features) == (not missing)
    for address in (pair.b.ipv4, pair.b.ipv6):
        pair.a.wait_ping(address)
        before = [pair.daemon.port(name) for name in ("na", "nb")]
        large_writes(pair.a, pair.b, address)
        after = [pair.daemon.port(name) for name in ("na", "nb")]
        assert large(after[0], before[0], "rx") > 1600
        assert (large(after[1], before[1], "tx") > 1600) == (not missing)
    tcp_stream(pair.b, pair.a, pair.a.ipv4, kilobytes=4096)
    assert pair.daemon.drops() == {}


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("far", ["vtepd", "kernel"])
def test_segments_through_a_tunnel(lab, far, ipv6):
    """Between two hosts, to another vtepd and to the kernel's VXLAN device, in both directions."""
    site = Site(lab, vtepd=2, flood="replicate", ipv6=ipv6) if far == "vtepd" else Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6)
    near, other = site.guests
    near.namespace.ip("link set eth0 mtu 1430")
    other.namespace.ip("link set eth0 mtu 1430")
    for address, back in ((other.ipv4, near.ipv4), (other.ipv6, near.ipv6)):
        near.wait_ping(address)
        tcp_stream(near, other, address, kilobytes=4096)
        tcp_stream(other, near, back, kilobytes=4096)
    for daemon in site.daemons:
        assert not {"frame-too-long", "offload-headers", "refused-by-kernel", "too-big-for-port"} & set(daemon.drops())


# -- fragments ------------------------------------------------------------------------------------------------------------


def test_fragments_arrive_as_they_were_sent(lab):
    pair = Pair(lab)
    came = Capture(pair.b.namespace, "eth0", inbound=True)
    whole = IP(src="10.99.0.1", dst="10.99.0.2", id=4711) / UDP(sport=9, dport=9) / Raw(bytes(range(250)) * 16)
    pieces = [bytes(Ether(src=pair.a.mac, dst=pair.b.mac) / piece) for piece in fragment(whole, fragsize=1400)]
    assert len(pieces) == 3
    for piece in pieces:
        pair.raw_a.send(piece)
    wait_until(lambda: [frame for frame in came.packets() if frame in pieces] == pieces, lambda: f"three fragments: {len(came.packets())}")
    for address in (pair.b.ipv4, pair.b.ipv6):
        pair.a.wait_ping(address)
        assert pair.a.ping(address, 5, 2, 8000) == 5
    assert pair.daemon.drops() == {}


# -- the interface is the host's --------------------------------------------------------------------------------------------


def test_neighbours_and_address_stay(lab):
    """Entries of the host's table, permanent ones included, survive that a port is attached, deleted and added again."""
    neighbours = {"10.99.1.1": "02:00:00:00:99:01", "fd98::1": "02:00:00:00:99:02"}

    def before(host):
        host.ip("address add 10.99.1.9/24 dev lo")
        for address, mac in neighbours.items():
            host.ip(f"neigh replace {address} lladdr {mac} dev na nud permanent")

    def found():
        rows = json.loads(pair.host.ip("-j neigh show dev na nud permanent"))
        return {row["dst"]: row["lladdr"] for row in rows if row["dst"] in neighbours}

    pair = Pair(lab, before)
    # IPv6 is off on a port's interface, and with it go its entries.
    kept = {"10.99.1.1": neighbours["10.99.1.1"]}
    mac = pair.host.mac("na")
    assert found().items() >= kept.items()
    pair.daemon.ctl("port", "delete", "na")
    assert found().items() >= kept.items()
    pair.daemon.ctl("port", "add", "--name", "na", "--kind", "netdev", "--device", "na", "--vni", VNI)
    pair.daemon.wait_ports_up("na")
    assert found().items() >= kept.items() and pair.host.mac("na") == mac


def test_what_the_host_sends_is_not_received(lab):
    pair = Pair(lab)
    ours = pair.host.raw_socket("na", receive=False)
    before = pair.daemon.port("na")["rx_packets"]
    for _ in range(50):
        ours.send(ethernet("02:00:00:00:98:01", pair.b.mac))
    pair.raw_a.settimeout(10)
    while mac_bytes("02:00:00:00:98:01") != pair.raw_a.recv(4096)[6:12]:
        pass
    pair.introduce()
    assert "02:00:00:00:98:01" not in pair.daemon.macs()
    assert pair.daemon.port("na")["rx_packets"] - before < 50


def test_frames_that_find_the_socket_full_are_counted(lab):
    pair = Pair(lab)
    frame, count = udp(pair, 4, 1514, 1), 30000
    before = pair.daemon.port("na")["rx_packets"]
    pair.daemon.process.send_signal(signal.SIGSTOP)
    for _ in range(count):
        pair.raw_a.send(frame)
    pair.daemon.process.send_signal(signal.SIGCONT)
    wait_until(lambda: pair.daemon.port("na")["rx_packets"] - before >= count, lambda: f"all are counted: {pair.daemon.port('na')}")
    assert 0 < pair.daemon.drops()["receive-full"] < count


# -- the interface changes --------------------------------------------------------------------------------------------------


def test_larger_mtu_at_run_time(lab):
    """Frames of any kind, IP or not, up to the new size; and after a smaller one the larger are counted."""
    pair = Pair(lab)
    frame = ethernet(pair.a.mac, pair.b.mac, bytes(range(250)) * 35)
    came = Capture(pair.b.namespace, "eth0", inbound=True)

    def resize(mtu):
        for guest in (pair.a, pair.b):
            pair.host.ip(f"link set {guest.port} mtu {mtu}")
            guest.namespace.ip(f"link set eth0 mtu {mtu}")
        wait_until(lambda: all(pair.daemon.port(name)["mtu"] == mtu for name in ("na", "nb")), "the MTU is shown")

    resize(9000)
    pair.raw_a.send(frame)
    wait_until(lambda: frame in came.packets(), lambda: f"a frame of {len(frame)} octets arrives: {pair.daemon.drops()}")
    pair.host.ip("link set nb mtu 1500")
    wait_until(lambda: pair.daemon.port("nb")["mtu"] == 1500, "the MTU is shown")
    pair.raw_a.send(frame)
    wait_until(lambda: pair.daemon.drops() == {"too-big-for-port": 1}, lambda: f"it is too big: {pair.daemon.drops()}")
    resize(1500)
    frame = udp(pair, 4, 1514, 1)
    pair.raw_a.send(frame)
    wait_until(lambda: frame in came.packets(), "a frame of ordinary size arrives")


def test_another_interface_takes_the_name(lab):
    """A renamed interface stays the port's until another one has its name; with the new interface the port works at once."""
    pair = Pair(lab)
    pair.host.ip("link set nb name old")
    wait_until(lambda: any("now called old" in note for note in pair.daemon.port("nb")["notes"]), lambda: f"noted: {pair.daemon.port('b')}")
    assert pair.a.ping(pair.b.ipv4, 3, 2) == 3
    fresh = attach(lab, pair.host, "nb", 13)
    wait_until(lambda: pair.a.ping(fresh.ipv4), lambda: f"the new one is the port's: {pair.daemon.port('b')}\n{pair.daemon.log()}")
    assert pair.a.ping(pair.b.ipv4) == 0 and not pair.daemon.port("nb")["notes"]


def test_two_ports_swap_their_interfaces(lab):
    pair = Pair(lab)
    for before, after in (("na", "nx"), ("nb", "na"), ("nx", "nb")):
        pair.host.ip(f"link set {before} name {after}")
    for source, target in ((pair.a, pair.b), (pair.b, pair.a)):
        source.wait_ping(target.ipv4)
    wait_until(lambda: pair.daemon.macs()[pair.a.mac]["port"] == "nb" and pair.daemon.macs()[pair.b.mac]["port"] == "na",
               lambda: f"each port has the interface of its name: {pair.daemon.macs()}")


def test_moved_away_and_back(lab):
    """With the same index: the old sockets are deaf for good."""
    pair = Pair(lab)
    away = lab.namespace("away")
    for _ in range(2):
        pair.host.ip(f"link set nb netns {away.full_name}")
        wait_until(lambda: pair.daemon.port("nb")["state"] == "waiting", "it is gone")
        away.ip(f"link set nb netns {pair.host.full_name}")
        pair.host.ip("link set nb up")
        pair.a.wait_ping(pair.b.ipv4)
        assert pair.b.ping(pair.a.ipv4, 3, 2) == 3

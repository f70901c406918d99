"""Malformed input: each packet raises exactly one counter, traffic continues, and memory use stays flat."""
import struct

import pytest

from lab import Chatter, Guest, Vtepd, wait_until
from lab.frames import (BROADCAST, ethernet, echo_request, fix_ipv4_checksum, mac_number, patch, tagged, vxlan4, vxlan6,
                        vxlan_header)
from lab.hosts import veth

# All tests share one bench.
pytestmark = pytest.mark.xdist_group("malformed")

ATTACKER4, ATTACKER6 = "192.0.2.66", "2001:db8::66"
OURS4, OURS6 = "192.0.2.1", "2001:db8::1"
GUEST, PINNED, REMOTE, NOWHERE, UNROUTED, SMALL = (mac_number(number) for number in range(0xA1, 0xA7))
OTHER = mac_number(0xB1)


class Bench:
    """One vtepd, an attacker on the underlay, and guests."""

    def __init__(self, lab):
        # No switch between them: a snooping bridge drops broken IP headers itself.
        self.host, self.attacker = lab.namespace("hv1"), lab.namespace("attacker")
        veth(self.host, "u0", self.attacker, "u0")
        for namespace, number in ((self.host, 1), (self.attacker, 102)):
            namespace.ip("link set u0 mtu 1600 up")
            namespace.ip(f"address add 192.0.2.{number}/24 dev u0")
            namespace.ip(f"address add 2001:db8::{number:x}/64 dev u0")
        self.guests = {}
        for name, mtu in (("p1", 1600), ("p2", 1500), ("p3", 1500), ("p4", 1500), ("p5", 1500)):
            guest = Guest(lab, name, 1)
            guest.namespace.ip(f"link add eth0 mtu {mtu} type veth peer name {name} netns {self.host.full_name}")
            self.host.ip(f"link set {name} mtu {mtu} up")
            guest.namespace.ip(f"link set eth0 mtu {mtu} up")
            guest.device = "eth0"
            self.guests[name] = guest
        self.daemon = Vtepd(self.host, {
            "underlay": {"addresses": [OURS4, OURS6], "device": "u0"},
            # One station sends both locally and remotely.
            "protection": {"mac-move": {"moves": 0}},
            "vnis": [
                {"vni": 5001, "flood": "replicate", "peers": ["192.0.2.102"], "macs": [
                    {"mac": REMOTE, "vtep": "192.0.2.102"}, {"mac": NOWHERE, "vtep": "192.0.2.99"}, {"mac": UNROUTED, "vtep": "203.0.113.9"}]},
                {"vni": 5002, "flood": "none"},
                {"vni": 5003, "flood": "replicate", "peers": ["192.0.2.102"], "accept-from": "peers"},
                {"vni": 5004, "flood": "replicate", "peers": ["192.0.2.102"]},
                {"vni": 5005, "flood": "none"},
            ],
            "ports": [
                {"name": "p1", "kind": "netdev", "device": "p1", "vni": 5001, "vlans": {100: 5002, 300: 5005}, "macs": [PINNED]},
                {"name": "p2", "kind": "netdev", "device": "p2", "vlans": {200: 5001}},
                {"name": "p3", "kind": "netdev", "device": "p3", "vni": 5003},
                {"name": "p5", "kind": "netdev", "device": "p5", "vni": 5001, "macs": [SMALL]},
                {"name": "t1", "kind": "tap", "device": "t1", "vni": 5001},
                {"name": "p4", "kind": "netdev", "device": "p4", "vni": 5002, "macs": [OTHER]},
            ],
        }).start()
        tap = self.tap = lab.namespace("t1")
        self.host.ip(f"link set t1 netns {tap.full_name}")
        tap.ip("link set t1 up")
        self.daemon.wait_ports_up()
        self.daemon.wait_resolved("192.0.2.102")
        self.guests["p4"].namespace.ip("link set eth0 down")
        wait_until(lambda: self.daemon.port("p4")["state"] == "down", "the port is down")
        self.wire = self.attacker.raw_socket("u0", receive=False)
        self.sockets = {name: guest.namespace.raw_socket("eth0") for name, guest in self.guests.items()}
        self.sockets["t1"] = tap.raw_socket("t1")
        # The only port that rejects untagged frames; frames from the other ports are flooded.
        self.chatter = Chatter(self.guests["p2"])
        self.from_mac, self.to_mac = self.attacker.mac("u0"), self.host.mac("u0")

    # -- sound packets to start from -------------------------------------------------------------------------------

    def ipv4(self, inner=None, source=ATTACKER4, destination=OURS4, **options):
        return vxlan4(self.from_mac, self.to_mac, source, destination, ethernet(GUEST) if inner is None else inner, **options)

    def ipv6(self, inner=None, source=ATTACKER6, destination=OURS6, **options):
        return vxlan6(self.from_mac, self.to_mac, source, destination, ethernet(GUEST) if inner is None else inner, **options)

    def send(self, where, frame):
        (self.wire if where == "wire" else self.sockets[where]).send(frame)

    def check_drop(self, where, frame, reason):
        """Sends the frame, which must raise this counter and no other."""
        before = self.chatter.undisturbed(self.daemon.drops)
        self.send(where, frame)
        self.wait_drops(before, {reason: 1})

    def wait_drops(self, before, expected):
        """Waits until exactly these are counted for the test's frames; `before` is from an undisturbed moment."""
        def counted():
            after = self.daemon.drops()
            after["untagged-not-bound"] = after.get("untagged-not-bound", 0) - self.chatter.count()
            return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}

        wait_until(lambda: counted() == expected, lambda: f"{expected} is counted, and nothing else: {counted()}", 10)

    def forwards(self, number):
        """Valid traffic in both directions."""
        payload = b"still forwarding %06d" % number
        self.send("wire", self.ipv4(ethernet(GUEST, BROADCAST, payload.ljust(46, b"\x00")), checksum=True))
        self.sockets["p1"].settimeout(20)
        while payload not in self.sockets["p1"].recv(65535):
            pass


# A NIC of DPDK passes them to its tap: they are not VXLAN for us, and what becomes of them is the kernel's business.
NOT_VXLAN = {"IP version 5", "IP header length 16", "IP version 0", "to another host", "to a group not joined", "to the broadcast address",
             "version 4 in IPv6", "five extension headers", "to another IPv6 host"}


# Offsets: Ethernet 0, IPv4 14 (total length 16, flags 20, protocol 23, checksum 24), UDP 34 (length 38, checksum 40),
# VXLAN 42, inner 50. IPv6: payload length 18, next header 20, UDP 54 (checksum 60).
def outer_ipv4(bench):
    sound = bench.ipv4()
    yield "IP version 5", "outer-ipv4-header", patch(sound, 14, b"\x55")
    yield "IP header length 16", "outer-ipv4-header", patch(patch(sound, 14, b"\x44"), 32, struct.pack("!H", 4789))
    yield "IP version 0", "outer-ipv4-header", patch(sound, 14, b"\x05")
    yield "IP checksum off by one", "outer-ipv4-checksum", patch(sound, 24, struct.pack("!H", struct.unpack_from("!H", sound, 24)[0] ^ 1))
    yield "IP checksum 0", "outer-ipv4-checksum", patch(sound, 24, b"\x00\x00")
    yield "TTL changed on the way", "outer-ipv4-checksum", patch(sound, 22, b"\x09")
    yield "IP length beyond the packet", "outer-length", patch(sound, 16, struct.pack("!H", len(sound)), fix=True)
    yield "IP length 65535", "outer-length", patch(sound, 16, b"\xff\xff", fix=True)
    yield "IP length below its header", "outer-length", patch(sound, 16, b"\x00\x0a", fix=True)
    yield "packet cut in the inner frame", "outer-length", sound[:60]
    for source in ("0.0.0.0", "255.255.255.255", "224.0.0.5", "127.0.0.1"):
        yield f"from {source}", "outer-source-invalid", bench.ipv4(source=source)
    yield "from our address", "outer-source-own", bench.ipv4(source=OURS4)
    yield "to another host", "not-our-destination", bench.ipv4(destination="192.0.2.77")
    yield "to a group not joined", "not-our-destination", bench.ipv4(destination="239.9.9.9")
    yield "to the broadcast address", "not-our-destination", bench.ipv4(destination="255.255.255.255")


def outer_udp(bench):
    sound = bench.ipv4()
    yield "UDP length 0", "udp-length", patch(sound, 38, b"\x00\x00")
    yield "UDP length 7", "udp-length", patch(sound, 38, b"\x00\x07")
    yield "UDP length beyond IP", "udp-length", patch(sound, 38, struct.pack("!H", len(sound) - 33))
    yield "IP ends in the UDP header", "udp-length", patch(sound, 16, b"\x00\x18", fix=True)
    good = bench.ipv4(checksum=True)
    yield "UDP checksum", "udp-checksum", patch(good, 40, bytes(octet ^ 0x55 for octet in good[40:42]))
    yield "damaged payload", "udp-checksum", patch(good, 70, b"\xee")
    yield "no VXLAN header", "vxlan-truncated", bench.ipv4(b"", header=b"")
    yield "VXLAN header of 7", "vxlan-truncated", bench.ipv4(b"", header=vxlan_header(5001)[:7])


def vxlan(bench):
    inner = ethernet(GUEST)
    for flags in (0x00, 0xF7, 0x04):
        yield f"flags {flags:#04x}", "vxlan-flags", bench.ipv4(header=vxlan_header(5001, flags))
    for vni in (0, 4711, 0xFFFFFF):
        yield f"VNI {vni}", "unknown-vni", bench.ipv4(vni=vni)
    yield "no inner frame", "inner-runt", bench.ipv4(b"")
    yield "inner frame of 13", "inner-runt", bench.ipv4(inner[:13])
    yield "inner tag cut", "inner-runt", bench.ipv4(tagged(inner, 5)[:16])
    yield "inner source multicast", "inner-source-multicast", bench.ipv4(ethernet("01:00:5e:01:01:01"))
    yield "inner source broadcast", "inner-source-multicast", bench.ipv4(ethernet(BROADCAST))
    yield "inner source zero", "inner-source-zero", bench.ipv4(ethernet("00:00:00:00:00:00"))
    yield "inner source is ours", "inner-source-own", bench.ipv4(ethernet(PINNED))
    yield "inner 802.1Q", "inner-vlan", bench.ipv4(tagged(inner, 100))
    yield "inner 802.1ad", "inner-vlan", bench.ipv4(tagged(inner, 100, 0x88A8))
    yield "CE outside, Not-ECT inside", "ecn-forbidden", bench.ipv4(echo_request(GUEST, BROADCAST, "10.0.0.1", "10.0.0.2"), tos=3)
    yield "from no peer", "peer-not-allowed", bench.ipv4(vni=5003)
    yield "behind another VTEP", "split-horizon", bench.ipv4(ethernet(GUEST, REMOTE))
    yield "inner STP", "inner-link-local-control", bench.ipv4(ethernet(GUEST, "01:80:c2:00:00:00"))
    yield "inner LLDP", "inner-link-local-control", bench.ipv4(ethernet(GUEST, "01:80:c2:00:00:0e"))
    yield "VNI without a port", "flood-no-receiver", bench.ipv4(vni=5004)
    yield "larger than the port's MTU", "too-big-for-port", bench.ipv4(ethernet(GUEST, SMALL, bytes(1540)))


def outer_ipv6(bench):
    sound = bench.ipv6()

    def extended(kind, *headers):
        """Inserts extension headers before UDP; each is given as its bytes after the next-header octet."""
        kinds = [kind] * len(headers) + [17]
        chain = b"".join(bytes([following]) + body for following, body in zip(kinds[1:], headers))
        length = struct.pack("!H", len(chain) + len(sound) - 54)
        return sound[:18] + length + bytes([kinds[0]]) + sound[21:54] + chain + sound[54:]

    yield "version 4 in IPv6", "outer-ipv6-header", patch(sound, 14, b"\x40")
    yield "to a mapped address", "outer-ipv6-header", bench.ipv6(destination="::ffff:192.0.2.1")
    yield "IPv6 length beyond the packet", "outer-length", patch(sound, 18, struct.pack("!H", len(sound)))
    yield "IPv6 first fragment", "outer-fragment", extended(44, b"\x00\x00\x01\x00\x00\x00\x07")
    yield "five extension headers", "outer-extension-header", extended(60, *[b"\x00\x01\x04\x00\x00\x00\x00"] * 5)
    for source in ("::", "::1", "ff02::1", "::ffff:192.0.2.66"):
        yield f"from {source}", "outer-source-invalid", bench.ipv6(source=source)
    yield "from our IPv6 address", "outer-source-own", bench.ipv6(source=OURS6)
    yield "to another IPv6 host", "not-our-destination", bench.ipv6(destination="2001:db8::77")
    yield "IPv6 without checksum", "udp6-zero-checksum", bench.ipv6(checksum=0)
    yield "IPv6 wrong checksum", "udp-checksum", bench.ipv6(checksum=0x1234)


def access(bench):
    frame = ethernet(GUEST)
    yield "source multicast", "source-multicast", "p1", ethernet("03:00:00:00:00:01")
    yield "source zero", "source-zero", "p1", ethernet("00:00:00:00:00:00")
    yield "STP", "link-local-control", "p1", ethernet(GUEST, "01:80:c2:00:00:00")
    yield "PAUSE", "link-local-control", "p1", ethernet(GUEST, "01:80:c2:00:00:01")
    yield "VLAN without binding", "vlan-not-bound", "p1", tagged(frame, 101)
    yield "untagged without binding", "untagged-not-bound", "p2", frame
    yield "tag cut off", "runt-frame", "t1", tagged(frame, 100)[:16]
    yield "two tags", "inner-vlan", "p1", tagged(tagged(frame, 7), 100)
    yield "larger than the underlay", "too-big-for-underlay", "p1", ethernet(GUEST, REMOTE, bytes(1551))
    yield "back to where it came from", "same-port", "p1", ethernet(GUEST, PINNED)
    yield "unknown and flood: none", "flood-disabled", "p1", tagged(frame, 300)
    yield "no route to the VTEP", "no-route", "p1", ethernet(GUEST, UNROUTED)
    yield "VTEP that does not answer", "neighbor-unresolved", "p1", ethernet(GUEST, NOWHERE)
    yield "to a port that is down", "port-down", "p1", tagged(ethernet(GUEST, OTHER), 100)


@pytest.fixture(scope="module")
def bench():
    from lab import Lab

    with Lab() as lab:
        made = Bench(lab)
        yield made


def test_each_packet_raises_exactly_its_counter(bench):
    cases = [(name, reason, "wire", packet) for group in (outer_ipv4, outer_udp, vxlan, outer_ipv6) for name, reason, packet in group(bench)]
    cases += [(name, reason, where, frame) for name, reason, where, frame in access(bench)]
    assert len(cases) >= 40
    if bench.daemon.owns_uplinks:
        cases = [case for case in cases if case[0] not in NOT_VXLAN]
    wrong = []
    for number, (name, reason, where, packet) in enumerate(cases):
        try:
            bench.check_drop(where, packet, reason)
        except (AssertionError, OSError) as error:
            wrong.append(f"{name}: {error}")
        bench.forwards(number)
    assert not wrong, "\n".join(wrong)


def test_memory_stays_flat_and_traffic_continues(bench):
    packets = [packet for group in (outer_ipv4, outer_udp, vxlan, outer_ipv6) for _, _, packet in group(bench)]

    def storm(rounds):
        for number in range(rounds):
            for packet in packets:
                bench.send("wire", packet)
            bench.forwards(100_000 + number)

    storm(20)
    before = bench.daemon.resident_bytes()
    storm(200)
    growth = bench.daemon.resident_bytes() - before
    assert growth < 4 << 20, f"{growth} bytes more after {200 * len(packets)} malformed packets"


def test_ipv4_fragments_are_reassembled_or_dropped(bench):
    """The kernel reassembles for the packet socket's fan-out group; an incomplete datagram is not delivered."""
    if bench.daemon.owns_uplinks:
        pytest.skip("fragments on NICs of DPDK are dropped (docs/decisions/0033)")
    before = bench.chatter.undisturbed(bench.daemon.drops)
    payload = b"sent in two pieces".ljust(200, b"\x00")
    packet = bench.ipv4(ethernet(GUEST, BROADCAST, payload), id=77, flags=0)
    cut = 34 + 104
    first = patch(patch(packet[:cut], 16, struct.pack("!H", cut - 14)), 20, b"\x20\x00", fix=True)
    second = packet[:34] + packet[cut:]
    second = patch(patch(second, 16, struct.pack("!H", len(second) - 14)), 20, struct.pack("!H", 104 // 8), fix=True)
    bench.send("wire", patch(first, 18, b"\x00\x4c", fix=True))  # another datagram, whose second half never comes
    bench.send("wire", first)
    bench.send("wire", second)
    bench.sockets["p1"].settimeout(20)
    while payload not in (frame := bench.sockets["p1"].recv(65535)):
        assert b"sent in two pieces" not in frame
    bench.wait_drops(before, {})


def test_unspecified_bits_are_ignored(bench):
    """RFC 7348 section 5: reserved fields are ignored on receipt."""
    for number, header in enumerate([vxlan_header(5001, 0xFF, b"\xff\xff\xff", 0xFF), vxlan_header(5001, 0x08, b"\x80\x00\x00", 0x01)]):
        payload = b"reserved bits %d" % number
        bench.send("wire", bench.ipv4(ethernet(GUEST, BROADCAST, payload.ljust(46, b"\x00")), header=header))
        while payload not in bench.sockets["p1"].recv(65535):
            pass

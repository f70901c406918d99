"""Containers with tunnels of their own behind veth ports (k3s, kind, nested VXLAN), UDP segmentation and SCTP: the kernel leaves checksums
and segmentation to the network card, which is vtepd here, and says where the checksum is. All offloads are the kernel's defaults."""
import os
import socket
import struct

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab import Capture, Lab, Site, tcp_stream, wait_until
from lab.hosts import like_a_wire
from lab.namespaces import SOL_PACKET

pytestmark = pytest.mark.xdist_group("nested-tunnels")

UDP_SEGMENT, PACKET_VNET_HDR, NEEDS_CSUM = 103, 15, 1

# The device that a container makes: `ip link add tun0 ...`; {own} and {other} are addresses of eth0.
TUNNELS = {
    "vxlan": "type vxlan id 7 dstport 4789 local {own4} remote {other4}",
    "vxlan without checksum, another port": "type vxlan id 7 dstport 8472 noudpcsum local {own4} remote {other4}",
    "vxlan over IPv6": "type vxlan id 7 dstport 4789 local {own6} remote {other6}",
    "geneve": "type geneve id 7 remote {other4}",
    "geneve over IPv6": "type geneve id 7 remote {other6} udp6zerocsumrx",
    "gretap": "type gretap local {own4} remote {other4} key 9",
    "gretap with checksum": "type gretap local {own4} remote {other4} csum",
    "gre over IPv6": "type ip6gre local {own6} remote {other6} encaplimit none",
    "ipip": "type ipip local {own4} remote {other4}",
    "sit": "type sit local {own4} remote {other4}",
}


@pytest.fixture(scope="module")
def site(request):
    with Lab() as lab:
        site = Site(lab, flood="replicate", kind=getattr(request, "param", "netdev"))
        if site.kind == "netdev":
            # What a container's tunnel sends must fit the smallest underlay: without DF nobody is told.
            for host, guest in zip(site.hosts, site.guests):
                host.namespace.ip("link set port1 mtu 1450")
                guest.namespace.ip("link set eth0 mtu 1450")
        site.wait_all_pings()
        yield site


def add_tunnel(guest, other, name, options):
    options = options.format(own4=guest.ipv4, own6=guest.ipv6, other4=other.ipv4, other6=other.ipv6)
    done = guest.namespace.run("ip", "link", "add", name, *options.split(), check=False)
    if "Unknown device type" in done.stderr:
        pytest.skip(f"the kernel has no such device: {options.split()[1]}")
    assert done.returncode == 0, done.stderr
    guest.namespace.ip(f"link set {name} up")


def address(guest, subnet, device):
    number = guest.ipv4.split(".")[-1]
    guest.namespace.ip(f"address add 10.{subnet}.0.{number}/24 dev {device}")
    guest.namespace.ip(f"address add fd00:{subnet}::{number}/64 dev {device} nodad")


def check_streams(site, subnet, families=(4, 6), large=True):
    """TCP both ways, byte by byte; and what the receiving veth gets has right checksums in all headers. `large`: the kernel leaves
    segmentation to vtepd, or else the test would be about nothing."""
    first, second = site.guests
    host = site.hosts[1]
    arriving = Capture(site.hosts[0].namespace, "port1", inbound=True)
    # The tunnel's datagrams come joined.
    like_a_wire(host.namespace, "port1")
    leaving = Capture(host.namespace, "port1", outbound=True)
    for family in families:
        for source, target in ((first, second), (second, first)):
            number = target.ipv4.split(".")[-1]
            tcp_stream(source, target, f"10.{subnet}.0.{number}" if family == 4 else f"fd00:{subnet}::{number}", kilobytes=3000)
    assert any(len(frame) > 3000 for frame in arriving.packets()) == large
    rows = leaving.fields("ip.checksum.status", "udp.checksum.status", "tcp.checksum.status", only="frame.len > 1000 && tcp",
                          decode="udp.port==8472,vxlan")
    assert len(rows) > 1000
    for row in rows:
        ip, udp, tcp = (set(filter(None, field.split(","))) for field in row)
        assert ip <= {"1"} and udp <= {"1", "3"} and tcp == {"1"}, row
    for daemon in site.daemons:
        assert not set(daemon.drops()) & {"offload-headers", "offload-segment-size", "frame-truncated", "frame-too-long"}, daemon.drops()


@pytest.mark.parametrize("kind", TUNNELS)
def test_tcp_through_a_tunnel_of_the_containers(site, kind):
    for guest, other in (site.guests, reversed(site.guests)):
        add_tunnel(guest, other, "tun0", TUNNELS[kind])
        address(guest, 77, "tun0")
    try:
        check_streams(site, 77, families=(6,) if kind == "sit" else (4,) if kind == "ipip" else (4, 6))
    finally:
        for guest in site.guests:
            guest.namespace.ip("link delete tun0")


def test_tcp_through_a_tunnel_inside_a_tunnel(site):
    """The outer tunnel's device segments; the innermost checksum is still left to vtepd."""
    for guest, other in (site.guests, reversed(site.guests)):
        number = guest.ipv4.split(".")[-1]
        other_number = other.ipv4.split(".")[-1]
        add_tunnel(guest, other, "tun0", TUNNELS["vxlan"])
        address(guest, 77, "tun0")
        add_tunnel(guest, other, "tun1", f"type vxlan id 8 dstport 4789 local fd00:77::{number} remote fd00:77::{other_number}")
        address(guest, 78, "tun1")
    try:
        check_streams(site, 78, large=False)
    finally:
        for guest in site.guests:
            guest.namespace.ip("link delete tun1")
            guest.namespace.ip("link delete tun0")


@pytest.mark.parametrize("family", [4, 6])
def test_udp_segmentation(site, family):
    """What a sender hands over at once arrives as the datagrams that it asked for."""
    first, second = site.guests
    sort, own = (socket.AF_INET, second.ipv4) if family == 4 else (socket.AF_INET6, second.ipv6)
    with second.namespace.entered():
        receiver = socket.socket(sort, socket.SOCK_DGRAM)
    with first.namespace.entered():
        sender = socket.socket(sort, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind((own, 6000))
        receiver.settimeout(10)
        sender.connect((own, 6000))
        sender.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
        arriving = Capture(site.hosts[0].namespace, "port1", "udp", inbound=True)
        for _ in range(20):
            data = os.urandom(24_001)
            sender.send(data)
            got = [receiver.recv(65_535) for _ in range(21)]
            assert [len(part) for part in got] == [1200] * 20 + [1]
            assert b"".join(got) == data
        assert any(len(frame) > 24_000 for frame in arriving.packets()), "the kernel has cut them itself"


def unfinished(complete, start, offset):
    """A complete frame with only the pseudo-header's sum in the checksum field, or nothing in that of SCTP."""
    if offset == 8:
        field = b"\0\0\0\0"
    else:
        # All that the checksum covers, and the checksum, sum up to the complement of the pseudo-header.
        rest = complete[start:] + b"\0" * (len(complete[start:]) % 2)
        total = sum(struct.unpack(f"!{len(rest) // 2}H", rest))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        field = struct.pack("!H", 0xFFFF - total)
    return complete[:start + offset] + field + complete[start + offset + len(field):]


def test_checksums_anywhere(site):
    """A sender's checksum is finished wherever it is: in every kind of tunnel, and SCTP's."""
    first, second = site.guests
    outer4, outer6 = IP(src=first.ipv4, dst=second.ipv4), IPv6(src=first.ipv6, dst=second.ipv6)
    inner4, inner6 = IP(src="172.16.0.1", dst="172.16.0.2"), IPv6(src="fd99::1", dst="fd99::2")
    frame = Ether(src="02:00:00:00:99:01", dst="02:00:00:00:99:02")
    tcp, data = TCP(sport=4000, dport=5000, flags="PA"), Raw(os.urandom(501))
    packets = [
        (outer4 / SCTP(sport=7, dport=8) / SCTPChunkData(data=b"SCTP!" * 40), SCTP, 8),
        (outer6 / SCTP(sport=7, dport=8) / SCTPChunkData(data=b"SCTP!" * 41), SCTP, 8),
        (outer4 / UDP(sport=50000, dport=6081) / GENEVE(vni=7, proto=0x6558) / frame / inner4 / tcp / data, TCP, 16),
        (outer6 / UDP(sport=50000, dport=8472) / VXLAN(vni=7, flags=8) / frame / inner6 / UDP(sport=5, dport=6) / data, UDP, 6),
        (outer4 / GRE(proto=0x6558, chksum_present=1) / frame / inner6 / tcp / data, TCP, 16),
        (outer6 / GRE(proto=0x0800) / inner4 / SCTP(sport=7, dport=8) / SCTPChunkData(data=b"SCTP!" * 42), SCTP, 8),
        (outer4 / inner4 / tcp / data, TCP, 16),
        (outer4 / inner6 / tcp / data, TCP, 16),
    ]
    raw = first.namespace.raw_socket("eth0", receive=False)
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    capture = Capture(second.namespace, "eth0", inbound=True)
    expected = []
    for packet, layer, offset in packets:
        complete = bytes(Ether(src=first.mac, dst=second.mac) / packet)
        covered = packet[layer] if layer is not UDP else packet[UDP].payload[UDP]
        start = len(complete) - len(bytes(covered))
        raw.send(struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, start, offset) + unfinished(complete, start, offset))
        expected.append(complete)
    wait_until(lambda: set(expected) <= set(capture.packets()),
               lambda: f"missing: {[Ether(frame).summary() for frame in expected if frame not in capture.packets()]}")


# The last one, since it takes the place of the other site.
@pytest.mark.parametrize("site", ["tap"], indirect=True)
def test_tcp_through_a_tunnel_behind_a_tap(site):
    """A tap's kernel segments for tunnels itself, but leaves the checksum inside."""
    first, second = site.guests
    for guest, other in ((first, second), (second, first)):
        add_tunnel(guest, other, "tun0", TUNNELS["vxlan"])
        address(guest, 77, "tun0")
    for target in ("10.77.0.2", "fd00:77::2"):
        tcp_stream(first, second, target)
    for daemon in site.daemons:
        assert "offload-headers" not in daemon.drops(), daemon.drops()

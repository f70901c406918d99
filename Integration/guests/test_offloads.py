"""Checksums and segmentation that guests leave to vtepd: the result is correct to the octet, and invalid requests are dropped.
Guests are a driver implemented in this file, or virtual machines."""
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from lab import Capture, Site, VirtioGuest, VirtualMachine, tcp_stream, wait_until
from lab.daemon import Refused
from lab.frames import mac_bytes
from lab.hosts import like_a_wire
from lab.owned import needs_room
from lab.site import VNI
from lab.virtio_guest import (
    F_CSUM, F_GUEST_CSUM, F_GUEST_TSO4, F_GUEST_TSO6, F_HOST_TSO4, F_HOST_TSO6, F_HOST_UFO, F_MRG_RXBUF, F_VERSION_1)

SENDS = F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_UFO
TAKES = F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6
NEEDS_CSUM, GSO_TCPV4, GSO_UDP, GSO_TCPV6 = 1, 1, 3, 4
A, B, C, D = (f"02:00:00:00:aa:{number:02x}" for number in (1, 2, 3, 4))


def virtio_header(gso=0, size=0, start=34, offset=16, flags=NEEDS_CSUM, header_length=66):
    return struct.pack("<BBHHHHH", flags, gso, header_length, size, start, offset, 0)


def add_guest(lab, daemon, name, features, *options):
    daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock", "--vni", VNI, *options)
    guest = VirtioGuest(lab, daemon.directory / f"run/{name}.sock", features=F_VERSION_1 | F_MRG_RXBUF | features,
                        ring_size=64, buffer_bytes=68_000).boot()
    wait_until(lambda: daemon.port(name)["state"] == "up", f"{name} is up")
    return guest


def large_segment(source, target, ipv6, payload, sequence=0xFFFFF000, flags="PA"):
    """A TCP segment as a guest's kernel hands it to the driver: the checksum field holds the pseudo-header sum."""
    network = IPv6(src="fd00::1", dst="fd00::2") if ipv6 else IP(src="10.0.0.1", dst="10.0.0.2", id=0xFFF0, flags="DF")
    tcp = TCP(sport=4000, dport=5000, seq=sequence, ack=9, flags=flags, window=777,
              options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
    frame = bytearray(bytes(Ether(src=source, dst=target) / network / tcp / Raw(payload)))
    start = 54 if ipv6 else 34
    addresses = frame[22:54] if ipv6 else frame[26:34]
    total = sum(struct.unpack(f"!{len(addresses) // 2}H", addresses)) + 6 + len(frame) - start
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, start + 16, total)
    return bytes(frame)


def recomputed(frame):
    """The frame with checksums and lengths as scapy computes them."""
    packet = Ether(frame)
    for layer, fields in ((IP, ("chksum", "len")), (IPv6, ("plen",)), (TCP, ("chksum",)), (UDP, ("chksum",))):
        if layer in packet:
            for field in fields:
                delattr(packet[layer], field)
    return bytes(packet)


def ours(guest):
    """Frames received from A, B, C or D: the guests' own stacks also send frames on their own."""
    stations = {mac_bytes(mac) for mac in (A, B, C, D)}
    return [(header, frame) for header, frame in guest.packets() if frame[6:12] in stations]


def collect(guest, count, what):
    """`count` packets of our stations, as pairs of virtio header and frame."""
    packets = []

    def arrived():
        packets.extend(ours(guest))
        return len(packets) >= count

    wait_until(arrived, lambda: f"{what}: {len(packets)} of {count} frames", 20, 0.005)
    return packets


def check_segments(packets, payload, size, sequence=0xFFFFF000):
    """Finished frames whose payloads are the stream's, in order."""
    assert [len(Ether(frame)[TCP].payload) for _, frame in packets] == [
        len(payload[start:start + size]) for start in range(0, len(payload), size)]
    for index, (header, frame) in enumerate(packets):
        assert header[:10] == bytes(10), "nothing is left to the guest"
        assert frame == recomputed(frame), "lengths and checksums"
        packet = Ether(frame)
        assert packet[TCP].seq == (sequence + index * size) & 0xFFFFFFFF
        assert packet[TCP].flags == ("PA" if index == len(packets) - 1 else "A")
        if IP in packet:
            assert packet[IP].id == (0xFFF0 + index) & 0xFFFF
    assert b"".join(bytes(Ether(frame)[TCP].payload) for _, frame in packets) == payload


@pytest.fixture
def site(lab):
    return Site(lab, vtepd=2, flood="replicate")


def learn(guests):
    """Every guest announces itself."""
    for mac, guest in guests.items():
        assert guest.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / Raw(b"\x00" * 46)))


@pytest.mark.parametrize("ipv6", [False, True])
def test_large_segments(lab, site, ipv6):
    """Unchanged to a local guest that accepts them, split for one that does not; through a tunnel, split and joined."""
    needs_room()
    here, there = site.daemons
    guests = {A: add_guest(lab, here, "a", SENDS), B: add_guest(lab, here, "b", TAKES),
              C: add_guest(lab, here, "c", 0), D: add_guest(lab, there, "d", TAKES)}
    for daemon in site.daemons:
        wait_until(lambda: (learn(guests), set(guests) <= set(daemon.macs()))[1], "all addresses are learned", 20, 0.2)
    for guest in guests.values():
        wait_until(lambda: not ours(guest), "quiet")

    start, gso = (54, GSO_TCPV6) if ipv6 else (34, GSO_TCPV4)
    payload = bytes(index * 13 + (index >> 8) & 255 for index in range(60_001))
    request = virtio_header(gso, 1400, start)

    frame = large_segment(A, B, ipv6, payload)
    assert guests[A].send(frame, header=request)
    (header, got), = collect(guests[B], 1, "to a guest that takes it")
    flags, kind, _, size, checksum_start, offset, _ = struct.unpack("<BBHHHHH", header[:12])
    assert (flags, kind, size, checksum_start, offset) == (NEEDS_CSUM, gso, 1400, start, 16)
    # The vhost library writes its own pseudo-header sum.
    assert got[:start + 16] + got[start + 18:] == frame[:start + 16] + frame[start + 18:]

    assert guests[A].send(large_segment(A, C, ipv6, payload), header=request)
    check_segments(collect(guests[C], 43, "to a guest that takes nothing"), payload, 1400)

    like_a_wire(site.hosts[0].namespace, "u0")
    capture = Capture(site.hosts[0].namespace, "u0", "udp port 4789")
    assert guests[A].send(large_segment(A, D, ipv6, payload), header=request)
    packets = []

    def arrived():
        packets.extend(ours(guests[D]))
        return sum(len(Ether(frame)[TCP].payload) for _, frame in packets) >= len(payload)

    wait_until(arrived, lambda: f"through the tunnel: {len(packets)} frames", 20, 0.005)
    assert b"".join(bytes(Ether(frame)[TCP].payload) for _, frame in packets) == payload
    assert len(packets) < 43, "segments were joined for a guest that takes large ones"
    capture.wait(43)
    rows = capture.fields("tcp.len", "tcp.checksum.status", "frame.len", only="vxlan && tcp")
    assert len(rows) == 43
    assert all(int(byte_count) <= 1614 and status == "1" for _, status, byte_count in rows), rows
    assert sum(int(byte_count) for byte_count, _, _ in rows) == len(payload)

    # Only a checksum.
    for target, mac in ((C, C), (D, D)):
        frame = large_segment(A, mac, ipv6, b"hello")
        assert guests[A].send(frame, header=virtio_header(start=start))
        header, got = collect(guests[target], 1, "a short frame")[0]
        assert got == recomputed(frame) and header[:10] == bytes(10)


def test_invalid_requests_are_dropped(lab, site):
    daemon = site.daemons[0]
    guests = {A: add_guest(lab, daemon, "a", SENDS), B: add_guest(lab, daemon, "b", TAKES)}
    wait_until(lambda: (learn(guests), set(guests) <= set(daemon.macs()))[1], "all addresses are learned", 20, 0.2)
    payload = b"x" * 6000
    large = large_segment(A, B, False, payload)
    udp = bytes(Ether(src=A, dst=B) / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(payload))
    short = large_segment(A, B, False, b"hello")
    cut = bytearray(short)
    cut[46] = 0xF0  # the TCP header ends beyond the frame
    beyond = bytearray(large)
    struct.pack_into("!H", beyond, 16, 0xFFFF)
    wrong = [
        ("offload-segment-size", large, virtio_header(GSO_TCPV4, 1)),
        ("offload-segment-size", large, virtio_header(GSO_TCPV4, 65_500)),
        ("offload-headers", bytes(beyond), virtio_header(GSO_TCPV4, 1000)),
        ("offload-headers", bytes(cut), virtio_header(GSO_TCPV4, 1000)),
        ("offload-headers", udp, virtio_header(GSO_UDP, 1000, offset=6)),
        # The checksum start is beyond the end of the frame.
        ("offload-headers", short, virtio_header(start=40_000)),
        ("offload-headers", short, virtio_header(start=0xFFFF, offset=0xFFFF)),
    ]
    for reason, frame, header in wrong:
        before = daemon.drops().get(reason, 0)
        assert guests[A].send(frame, header=header)
        wait_until(lambda: daemon.drops().get(reason, 0) == before + 1, lambda: f"{reason} for {header.hex()}: {daemon.drops()}")
    # No request has done harm: a valid one is served.
    guests[B].packets()
    assert guests[A].send(large, header=virtio_header(GSO_TCPV4, 1000))
    assert len(collect(guests[B], 1, "a sound request")[0][1]) == len(large)
    assert daemon.process.poll() is None


def test_offloads_off(lab, site):
    """vtepd does not offer segmentation to the guest, which receives only complete frames of normal size."""
    daemon = site.daemons[0]
    off = add_guest(lab, daemon, "off", SENDS | TAKES, "--offloads", "off")
    auto = add_guest(lab, daemon, "auto", SENDS | TAKES)
    assert {"host-tso4", "host-tso6"} <= set(daemon.port("auto")["features"])
    assert not {"csum", "guest-csum", "host-tso4", "host-tso6", "guest-tso4"} & set(daemon.port("off")["features"])
    assert daemon.port("off")["offloads"] == "off" and daemon.port("auto")["offloads"] == "auto"
    guests = {A: auto, B: off}
    wait_until(lambda: (learn(guests), set(guests) <= set(daemon.macs()))[1], "all addresses are learned", 20, 0.2)
    wait_until(lambda: not ours(off), "quiet")
    payload = b"0123456789" * 1000
    assert auto.send(large_segment(A, B, False, payload), header=virtio_header(GSO_TCPV4, 1000))
    check_segments(collect(off, 10, "segments"), payload, 1000)
    # The negotiated features stay.
    with pytest.raises(Refused, match="delete the port and add it again"):
        daemon.ctl("port", "set", "off", "--offloads", "auto")
    with pytest.raises(Refused, match="delete the port and add it again"):
        daemon.ctl("port", "add", "--name", "off", "--kind", "vhost-user", "--socket", "off.sock", "--offloads", "auto")


def test_streams_of_virtual_machines(lab):
    """A real guest kernel on both sides: large segments, and every octet correct, over IPv4 and IPv6."""
    site = Site(lab, vtepd=2, flood="replicate")
    machines = []
    for number, daemon in ((11, site.daemons[0]), (12, site.daemons[0]), (13, site.daemons[1])):
        name = f"m{number}"
        daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock", "--vni", VNI)
        machines.append(VirtualMachine(lab, name, number, daemon.directory / f"run/{name}.sock").start())
        machines[-1].daemon = daemon
    for machine in machines:
        machine.wait_booted()
        assert {"csum", "guest-csum", "guest-tso4", "guest-tso6", "host-tso4", "host-tso6"} <= set(
            machine.daemon.port(machine.name)["features"])
    first, second, other = machines
    for target in (second, other):
        for address in (target.ipv4, target.ipv6):
            first.wait_ping(address)
            before = [machine.daemon.port(machine.name) for machine in (first, target)]
            tcp_stream(first, target, address, kilobytes=8192)
            after = [machine.daemon.port(machine.name) for machine in (first, target)]
            sent = [after[0][f"rx_{unit}"] - before[0][f"rx_{unit}"] for unit in ("bytes", "packets")]
            taken = [after[1][f"tx_{unit}"] - before[1][f"tx_{unit}"] for unit in ("bytes", "packets")]
            assert sent[0] / sent[1] > 3000, f"{first.name} sends large segments: {sent}"
            assert taken[0] / taken[1] > 2000, f"{target.name} receives large segments: {taken}"
    # To and from a namespace behind a packet socket.
    namespace = site.guests[0]
    tcp_stream(first, namespace, namespace.ipv4, kilobytes=2048)
    tcp_stream(namespace, first, first.ipv6, kilobytes=2048)

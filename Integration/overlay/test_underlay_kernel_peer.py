"""A kernel VXLAN device with the kernel's defaults at the other end of a veth: segments and checksums that it leaves to others."""
import socket
import struct

import pytest

from lab import Capture, Site, tcp_stream, wait_until
from lab.frames import internet_checksum, mac_bytes, tagged
from lab.site import VNI

SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6 = 1, 1, 4


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_streams_both_ways(lab, ipv6, workers):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, dataplane={"workers": workers})
    ours, theirs = site.guests
    site.wait_all_pings()
    large = Capture(site.switch.namespace, "hv2", "udp port 4789", inbound=True)
    for source, target in ((ours, theirs), (theirs, ours)):
        for address in (target.ipv4, target.ipv6):
            tcp_stream(source, target, address, 1024)
    assert any(len(packet) > 4000 for packet in large.packets()), "the kernel leaves segmentation to others"
    drops = site.daemons[0].drops()
    assert not {"udp-checksum", "frame-truncated", "offload-headers", "frame-too-long", "refused-by-kernel"} & set(drops), drops


def test_datagrams_with_unfinished_checksums(lab):
    """UDP of the peer's guest, of one segment: only the inner checksum is left to do."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    ours, theirs = site.guests
    site.wait_all_pings()
    capture = Capture(ours.namespace, "eth0", "udp port 7777", inbound=True)
    with theirs.namespace.entered():
        for family, target in ((socket.AF_INET, ours.ipv4), (socket.AF_INET6, ours.ipv6)):
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hello\n", (target, 7777))
    capture.wait(2)
    for packet in capture.packets():
        assert packet[-6:] == b"hello\n"


def large_segment(source, target, vlan, ipv6, payload, tpid):
    """A tagged TCP segment and its virtio-net header, as a guest's kernel hands it to a NIC."""
    tcp = struct.pack("!HHIIBBHHH", 4000, 5000, 7, 9, 0x50, 0x18, 777, 0, 0) + payload
    if ipv6:
        addresses = bytes.fromhex("fd00" + "00" * 13 + "02") + bytes.fromhex("fd00" + "00" * 13 + "01")
        header = struct.pack("!IHBB", 0x60000000, len(tcp), 6, 64) + addresses
    else:
        addresses = bytes([10, 0, 0, 2, 10, 0, 0, 1])
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + addresses
        header = header[:10] + struct.pack("!H", internet_checksum(header)) + header[12:]
    pseudo = ~internet_checksum(addresses + struct.pack("!II", len(tcp), 6)) & 0xFFFF
    tcp = tcp[:16] + struct.pack("!H", pseudo) + tcp[18:]
    frame = mac_bytes(target) + mac_bytes(source) + (b"\x86\xdd" if ipv6 else b"\x08\x00") + header + tcp
    start = 14 + len(header) + 4
    note = struct.pack("=BBHHHH", NEEDS_CSUM, GSO_TCPV6 if ipv6 else GSO_TCPV4, start + 20, 1300, start, 16)
    return note + tagged(frame, vlan, tpid)


@pytest.mark.parametrize("ipv6", [False, True], ids=["inner IPv4", "inner IPv6"])
def test_tagged_segments(lab, ipv6):
    """The VNI carries the tag; the segment is cut behind it."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", vni={"inner-vlan": "carry"})
    ours, theirs = site.guests
    site.wait_all_pings()
    raw = theirs.namespace.raw_socket("eth0", receive=False)
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    payload = bytes(number * 7 + (number >> 8) & 255 for number in range(10_000))
    capture = Capture(ours.namespace, "eth0", inbound=True)
    raw.send(large_segment(theirs.mac, ours.mac, 9, ipv6, payload, 0x8100))

    def segments():
        return [packet for packet in capture.packets() if packet[12:16] == b"\x81\x00\x00\x09"]

    def received():
        header = 18 + (40 if ipv6 else 20) + 20
        return b"".join(packet[header:] for packet in segments())

    wait_until(lambda: len(received()) >= len(payload), lambda: f"{len(received())} of {len(payload)}: {site.daemons[0].drops()}")
    assert received() == payload


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_jumbo(lab, ipv6):
    """An underlay of 9000, from the start."""
    # With an XDP program, a veth takes no large MTU; nor do the virtual drivers of DPDK.
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, underlay={"driver": "af_packet"}, wait=False)
    set_mtu(site, 9000)
    site.start()
    site.wait_all_pings()
    check_jumbo(site, ipv6)


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_mtu_that_changes_at_run_time(lab, ipv6):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, underlay={"driver": "af_packet"})
    ours, theirs = site.guests
    daemon = site.daemons[0]
    site.wait_all_pings()
    set_mtu(site, 9000)
    wait_until(lambda: daemon.ctl("show", "underlay")[0]["mtu"] == 9000, "the MTU is noticed")
    check_jumbo(site, ipv6)

    # Down again, on our side only: what is too big now is counted, the rest goes on.
    site.hosts[0].namespace.ip("link set u0 mtu 1600")
    wait_until(lambda: daemon.ctl("show", "underlay")[0]["mtu"] == 1600, "the MTU is noticed")
    before = daemon.drops().get("too-big-for-underlay", 0)
    assert ours.ping(theirs.ipv4, 1, 1, 4000) == 0
    wait_until(lambda: daemon.drops().get("too-big-for-underlay", 0) > before, "what does not fit is counted")
    assert ours.ping(theirs.ipv4, 3) == 3
    site.hosts[0].namespace.ip("link set u0 mtu 9000")
    wait_until(lambda: ours.ping(theirs.ipv4, 1, 1, 4000) == 1, "large packets go again")


def set_mtu(site, mtu):
    switch = site.switch.namespace
    for host in site.hosts + site.kernels:
        host.namespace.ip(f"link set u0 mtu {mtu}")
        switch.ip(f"link set {host.switch_port} mtu {mtu}")
    switch.ip(f"link set br0 mtu {mtu}")
    inner = mtu - (70 if site.ipv6 else 50)
    site.hosts[0].namespace.ip(f"link set port1 mtu {inner}")
    peer = site.kernels[0].namespace
    port = f"g-{site.guests[1].name}"[:15]
    for device in (port, f"vx{VNI}", f"br{VNI}"):
        peer.ip(f"link set {device} mtu {inner}")
    for guest in site.guests:
        guest.namespace.ip(f"link set eth0 mtu {inner}")


def check_jumbo(site, ipv6):
    ours, theirs = site.guests
    largest = 9000 - (70 if ipv6 else 50) - 28
    for source, target in ((ours, theirs), (theirs, ours)):
        wait_until(lambda: source.ping(target.ipv4, 1, 1, largest, "-M", "do") == 1,
                   lambda: f"the largest packet arrives: {site.daemons[0].drops()}")
        for address in (target.ipv4, target.ipv6):
            tcp_stream(source, target, address, 1024)
    assert not {"frame-truncated", "frame-too-long", "udp-checksum", "too-big-for-underlay"} & set(site.daemons[0].drops())

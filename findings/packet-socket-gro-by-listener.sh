#!/bin/bash
# 2026-11-29. Linux 6.18.44, iproute2 6.1.0, ethtool 6.1, Python 3.11. Who decides whether a packet socket sees joined VXLAN packets.
#
# GRO joins packets before a packet socket gets them, so what the socket sees should be a matter of the interface. For VXLAN it is a matter
# of the socket that listens to the UDP port, to which the packet socket has no relation: with none, or an ordinary one, every packet
# comes alone; with UDP_GRO set on it (no read, no packet ever delivered), packets that have an outer checksum come as one of gso_type 5
# (UDP), those without, which is VXLAN's usual way, alone; with a kernel VXLAN device, whatever its VNI, both come as one of gso_type 1,
# joined as the inner TCP. So a capture or a user-space tunnel end point meets packets of up to 64 KiB, or meets them no more, when another program
# on the host makes or removes a VXLAN device.
#
# Output seen (16 TCP segments of one stream in VXLAN; packets seen, gso_type):
#   listener            without outer checksum   with outer checksum
#   none                16, 0                    16, 0
#   UDP socket          16, 0                    16, 0
#   UDP_GRO socket      16, 0                    1, 5
#   VXLAN device        1, 1                     1, 1
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, to make network namespaces"; exit 1; }
n="finding$$"
trap 'ip netns delete "$n" 2>/dev/null || true' EXIT
ip netns add "$n"
ip netns exec "$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
ip -n "$n" link add u0 type veth peer name p0
ip -n "$n" address add 10.9.0.2/24 dev p0
# A veth joins only what a sender without segmentation offload sends.
ip netns exec "$n" ethtool -K u0 tx off > /dev/null
ip netns exec "$n" ethtool -K p0 gro on
ip -n "$n" link set u0 up
ip -n "$n" link set p0 up
# Packets wait 20 ms for their successors, as they do for a moment behind a busy network card.
ip netns exec "$n" bash -c 'echo 20000000 > /sys/class/net/p0/gro_flush_timeout; echo 1 > /sys/class/net/p0/napi_defer_hard_irqs'
ip netns exec "$n" python3 - <<'PYTHON'
import socket
import struct
import subprocess
import sys
import time

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, ETH_P_IP, UDP_GRO, COUNT = 263, 15, 23, 0x800, 104, 16


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF ^ total


def ipv4(source, destination, protocol, payload):
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination)
    )
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def with_checksum(source, destination, protocol, segment, offset):
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">HH", protocol, len(segment))
    return segment[:offset] + struct.pack(">H", checksum(pseudo + segment)) + segment[offset + 2 :]


with open("/sys/class/net/p0/address") as file:
    MAC = bytes.fromhex(file.read().strip().replace(":", ""))
OTHER = bytes.fromhex("020000000001")


def packet(index, has_checksum):
    payload = bytes([index]) * 1000
    segment = struct.pack(">HHIIBBHHH", 1000, 2000, 1 + 1000 * index, 1, 0x50, 0x10, 1000, 0, 0) + payload
    inner = MAC + OTHER + b"\x08\x00" + ipv4("192.168.7.1", "192.168.7.2", 6, with_checksum("192.168.7.1", "192.168.7.2", 6, segment, 16))
    datagram = struct.pack(">HHHH", 50000, 4789, 16 + len(inner), 0) + bytes.fromhex("0800000000000700") + inner
    if has_checksum:
        datagram = with_checksum("10.9.0.1", "10.9.0.2", 17, datagram, 6)
    return MAC + OTHER + b"\x08\x00" + ipv4("10.9.0.1", "10.9.0.2", 17, datagram)


def packet_socket(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((interface, ETH_P_IP))
    sock.settimeout(0.3)
    return sock


near, far = packet_socket("u0"), packet_socket("p0")


def seen(has_checksum):
    packets = [packet(index, has_checksum) for index in range(COUNT)]
    for data in packets:
        near.send(bytes(10) + data)
    received = []
    while True:
        try:
            received.append(far.recv(70000))
        except TimeoutError:
            break
    return len(received), max(p[1] for p in received)


def udp(gro):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("10.9.0.2", 4789))
    if gro:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    return sock


def row(name):
    time.sleep(0.2)
    results = [seen(False), seen(True)]
    print(f"{name:19s} " + " ".join(f"{f'{count}, {kind}':24s}" for count, kind in results).rstrip())
    return results


print("listener            without outer checksum   with outer checksum")
table = [row("none")]
for name, gro in (("UDP socket", False), ("UDP_GRO socket", True)):
    with udp(gro):
        table.append(row(name))
subprocess.run(["ip", "link", "add", "vx0", "type", "vxlan", "id", "99", "dstport", "4789", "dev", "p0"], check=True)
subprocess.run(["ip", "link", "set", "vx0", "up"], check=True)
table.append(row("VXLAN device"))
alone, as_udp, as_tcp = (COUNT, 0), (1, 5), (1, 1)
sys.exit(0 if table == [[alone, alone], [alone, alone], [alone, as_udp], [as_tcp, as_tcp]] else 1)
PYTHON

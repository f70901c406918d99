#!/bin/bash
# 2026-11-29. Linux 6.18.44, iproute2 6.1.0, Python 3.11. What a packet socket says about TCP segments inside a tunnel.
#
# A kernel VXLAN device sends TCP over a veth. A packet socket with PACKET_VNET_HDR at the other end receives packets of up to 64 KiB, which
# is as documented. But the header speaks of the inner packet: gso_type is TCPv4 and csum_start lies behind the VXLAN header, while the
# packet in the hands of the program is UDP. Nothing says that there is a tunnel in between, as the header of 24 octets of a tap does.
# The same octets and header are of no use for sending: the kernel, which no longer knows about the tunnel, cannot check or cut
# them. sendmsg(2) fails with ENOMEM, whatever the interface can do, and with a queueing discipline on the interface it succeeds and
# nothing arrives. A program that copies frames from one interface to another must cut such packets itself.
#
# Output seen:
#   received: UDP to port 4789, gso_type 1 (TCPv4), csum_start 84 (inner TCP), checksum unfinished, longer than the MTU
#   sent again, no queueing discipline:   ENOMEM, arrived: 0
#   sent again, pfifo on the interface:   returned its length, arrived: 0
#   an ordinary TCP segment of that size: returned its length, arrived: 1
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, to make network namespaces"; exit 1; }
a="finding$$-a" b="finding$$-b"
trap 'ip netns delete "$a" 2>/dev/null || true; ip netns delete "$b" 2>/dev/null || true' EXIT
for n in "$a" "$b"; do
  ip netns add "$n"
  ip netns exec "$n" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  ip -n "$n" link set lo up
done
ip -n "$a" link add u0 type veth peer name p0 netns "$b"
ip -n "$b" link add q0 type veth peer name r0
for i in a:u0:1:2 b:p0:2:1; do
  IFS=: read -r side dev own far <<< "$i"
  n=${!side}
  ip -n "$n" address add "10.9.0.$own/24" dev "$dev"
  ip -n "$n" link set "$dev" up
  ip -n "$n" link add vx0 type vxlan id 7 local "10.9.0.$own" remote "10.9.0.$far" dstport 4789 dev "$dev"
  ip -n "$n" address add "192.168.7.$own/24" dev vx0
  ip -n "$n" link set vx0 up
done
ip -n "$b" link set q0 up
ip -n "$b" link set r0 up
ip netns exec "$b" python3 - "$a" <<'PYTHON'
import errno
import socket
import struct
import subprocess
import sys
import threading

there = sys.argv[1]
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 15, 23, 3
CLIENT = "import socket; s = socket.create_connection(('192.168.7.2', 5001)); s.sendall(bytes(2000000)); s.close()"


def packet_socket(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    sock.bind((interface, ETH_P_ALL))
    sock.settimeout(0.3)
    return sock


def drain(sock):
    packets = []
    while True:
        try:
            packets.append(sock.recv(70000))
        except TimeoutError:
            return packets


def transfer():
    """What a packet socket sees of TCP from the VXLAN device in the other namespace."""
    server = socket.create_server(("192.168.7.2", 5001))

    def sink():
        connection, _ = server.accept()
        while connection.recv(1 << 20):
            pass

    reader = threading.Thread(target=sink)
    reader.start()
    capture = packet_socket("p0")
    subprocess.run(["ip", "netns", "exec", there, "python3", "-c", CLIENT], check=True)
    reader.join()
    server.close()
    # UDP to port 4789 only.
    return [p for p in drain(capture) if p[10 + 12 : 10 + 14] == b"\x08\x00" and p[10 + 23] == 17 and p[10 + 36 : 10 + 38] == b"\x12\xb5"]


packet = max(transfer(), key=len)
flags, kind, _, _, start, _ = struct.unpack("<BBHHHH", packet[:10])
print(
    f"received: UDP to port 4789, gso_type {kind} ({'TCPv4' if kind == 1 else '?'}), csum_start {start}"
    f" ({'inner TCP' if start == 84 else '?'}), checksum {'unfinished' if flags & 1 else 'complete'},"
    f" {'longer than the MTU' if len(packet) > 1600 else 'short'}"
)
results = [kind, start, flags & 1, len(packet) > 1600]
far, near = packet_socket("r0"), packet_socket("q0")


def send(word, data):
    drain(far)
    try:
        outcome = "returned its length" if near.send(data) == len(data) else "cut"
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    arrived = sum(len(p) == len(data) for p in drain(far))
    print(f"{word:37s} {outcome}, arrived: {arrived}")
    results.extend([outcome, arrived])


send("sent again, no queueing discipline:", packet)
subprocess.run(["tc", "qdisc", "add", "dev", "q0", "root", "pfifo", "limit", "100"], check=True)
send("sent again, pfifo on the interface:", packet)
# Ethernet, IPv4 and TCP headers alone, the payload as before: the inner packet on its own.
send("an ordinary TCP segment of that size:", struct.pack("<BBHHHH", 1, 1, 66, 1398, 34, 16) + packet[10 + 50 :])
DONE = "returned its length"
sys.exit(0 if results == [1, 84, 1, True, "ENOMEM", 0, DONE, 0, DONE, 1] else 1)
PYTHON

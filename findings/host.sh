#!/bin/bash
# 2026-11-28. Linux 6.18.44, Debian's python3 3.11.2 and iproute2 6.1.0.
#
# A packet socket that sets PACKET_IGNORE_OUTGOING and joins a fan-out group still receives the frames that the host itself sends.
# setsockopt(2) succeeds before and after joining, and getsockopt(2) still returns 1. The group has a setting of its own,
# PACKET_FANOUT_FLAG_IGNORE_OUTGOING (0x4000), which must be set when the group is created. A program that reads an interface
# through a library that joins groups, even groups of one, mistakes the host's own ARP, MLD and LLDP for received frames. Output
# seen:
#
#   no group, option set:                   0 frames of our own, getsockopt 1
#   group, option set before joining:       1 frames of our own, getsockopt 1
#   group, option set after joining:        1 frames of our own, getsockopt 1
#   group made with its own flag:           0 frames of our own, getsockopt 1
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, for a network namespace"; exit 2; }
name="finding-host-$$"
ip netns add "$name"
trap 'ip netns delete "$name"' EXIT
ip -n "$name" link add name near type veth peer name far
ip -n "$name" link set near up
ip -n "$name" link set far up
uname -sr
ip netns exec "$name" /usr/bin/python3 - <<'PYTHON'
import socket
import sys
import time

SOL_PACKET, PACKET_FANOUT, PACKET_IGNORE_OUTGOING, FLAG_IGNORE_OUTGOING = 263, 18, 23, 0x4000
FRAME = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + b"\x88\xb5" + b"own" * 20


def reader(group=None, flags=0, after=False):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setblocking(False)
    if not after:
        made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.bind(("near", 3))
    if group:
        made.setsockopt(SOL_PACKET, PACKET_FANOUT, group | flags << 16)
    if after:
        made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    return made


readers = [
    ("no group, option set:", reader(), 0), ("group, option set before joining:", reader(1), 1),
    ("group, option set after joining:", reader(2, after=True), 1), ("group made with its own flag:", reader(3, FLAG_IGNORE_OUTGOING), 0),
]
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sender.bind(("near", 0))
sender.send(FRAME)
time.sleep(0.3)
same = True
for what, made, expected in readers:
    count = 0
    try:
        while True:
            count += made.recv(2000) == FRAME
    except BlockingIOError:
        pass
    option = made.getsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING)
    print(f"{what:<40}{count} frames of our own, getsockopt {option}")
    same = same and (count, option) == (expected, 1)
sys.exit(0 if same else 1)
PYTHON

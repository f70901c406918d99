#!/bin/bash
# 2026-11-28. Linux 6.18.44, iproute2 6.1.0, Python 3.11. A multicast socket's membership outlives its interface.
#
# An interface leaves its network namespace and returns with its old index (or a driver is reloaded). The kernel has dropped the
# interface's groups, so no IGMP or MLD report is sent and a snooping switch stops delivering. The socket still lists the
# membership: IP_ADD_MEMBERSHIP for the same group and index fails with EADDRINUSE, as if all were well. Only leaving first (which
# succeeds) and joining again restores the interface's membership. The program is not notified; only the kernel's list (ip maddress)
# shows it.
#
# Output seen:
#   joined:            kernel lists 239.1.1.1: yes
#   moved and back:    kernel lists 239.1.1.1: no, index is the same: yes
#   join again:        errno 98 (EADDRINUSE), kernel lists 239.1.1.1: no
#   leave, then join:  kernel lists 239.1.1.1: yes
#   the same for IPv6: no, errno 98, yes
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, to make network namespaces"; exit 1; }
here="finding$$-a" there="finding$$-b"
trap 'ip netns delete "$here" 2>/dev/null || true; ip netns delete "$there" 2>/dev/null || true' EXIT
ip netns add "$here"
ip netns add "$there"
# Index 77 is free on both sides, so that the interface keeps it.
ip -n "$here" link add u0 index 77 type veth peer name p0
ip -n "$here" link set p0 up
ip -n "$here" link set u0 up
ip netns exec "$here" python3 - "$here" "$there" <<'PYTHON'
import errno
import socket
import struct
import subprocess
import sys

here, there = sys.argv[1:]
INDEX = 77


def ip(*words):
    return subprocess.run(["ip", *words], check=True, text=True, capture_output=True).stdout


def listed(group):
    return any(group in line.split() for line in ip("-n", here, "maddress", "show", "dev", "u0").splitlines())


def change(sock, option, group):
    """errno of joining or leaving; 0 when it succeeded."""
    try:
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, option, socket.inet_aton(group) + bytes(4) + struct.pack("=i", INDEX))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, option, socket.inet_pton(socket.AF_INET6, group) + struct.pack("=i", INDEX))
    except OSError as error:
        return error.errno
    return 0


def yes(value):
    return "yes" if value else "no"


def walk(family, group, join, leave):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    assert change(sock, join, group) == 0
    results = [listed(group)]
    ip("-n", here, "link", "set", "u0", "netns", there)
    ip("-n", there, "link", "set", "u0", "netns", here)
    ip("-n", here, "link", "set", "u0", "up")
    same = ip("-n", here, "-o", "link", "show", "u0").startswith(f"{INDEX}:")
    results += [listed(group), same]
    code = change(sock, join, group)
    results += [code, listed(group)]
    results += [change(sock, leave, group), change(sock, join, group), listed(group)]
    return results


four = walk(socket.AF_INET, "239.1.1.1", socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP)
six = walk(socket.AF_INET6, "ff05::100", socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP)
print(f"joined:            kernel lists 239.1.1.1: {yes(four[0])}")
print(f"moved and back:    kernel lists 239.1.1.1: {yes(four[1])}, index is the same: {yes(four[2])}")
print(f"join again:        errno {four[3]} ({errno.errorcode.get(four[3])}), kernel lists 239.1.1.1: {yes(four[4])}")
print(f"leave, then join:  kernel lists 239.1.1.1: {yes(four[7])}")
print(f"the same for IPv6: {yes(six[1])}, errno {six[3]}, {yes(six[7])}")
expected = [True, False, True, errno.EADDRINUSE, False, 0, 0, True]
sys.exit(0 if four == expected and six == expected else 1)
PYTHON

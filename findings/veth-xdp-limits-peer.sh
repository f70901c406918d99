#!/bin/bash
# 2026-11-29. Linux 6.18, iproute2 6.1.0, ethtool 6.1. What an XDP program on one end of a veth does to the other end.
#
# An XDP program is a property of the interface that it is attached to. On a veth it also changes the peer, which may be in another
# namespace, and of whose owner nobody has asked: its largest MTU shrinks from 65535 to what fits a page, so that jumbo frames can no
# longer be set there, and TCP segmentation offload is turned off, so that TCP from there costs more. Both end with the program. The
# program is two instructions long and passes everything.
#
# Output seen (page size 4096):
#   before:  peer maxmtu 65535, tcp-segmentation-offload on, MTU 9000 accepted
#   with a program on the other end:  peer maxmtu 3506, tcp-segmentation-offload off, MTU 9000 refused
#   after:  peer maxmtu 65535, tcp-segmentation-offload on, MTU 9000 accepted
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 2; }
ns="xdp-finding-$$"
ip netns add "$ns-a"
ip netns add "$ns-b"
trap 'ip netns del "$ns-a"; ip netns del "$ns-b"' EXIT
ip -n "$ns-a" link add ve0 type veth peer name ve1 netns "$ns-b"
ip -n "$ns-a" link set ve0 up
ip -n "$ns-b" link set ve1 up

peer() {
  local limit offload mtu=refused
  limit="$(ip -n "$ns-b" -d link show ve1 | grep -o 'maxmtu [0-9]*')"
  offload="$(ip netns exec "$ns-b" ethtool -k ve1 | sed -n 's/^tcp-segmentation-offload: //p')"
  ip -n "$ns-b" link set ve1 mtu 9000 2>/dev/null && mtu=accepted && ip -n "$ns-b" link set ve1 mtu 1500
  echo "peer $limit, tcp-segmentation-offload $offload, MTU 9000 $mtu"
}

# Loads "return XDP_PASS" and keeps it attached, as a link of bpf(2), until its standard input ends.
attach='
import ctypes, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes.ljust(120, b"\0"))
    code = libc.syscall(321 if sys.maxsize and __import__("os").uname().machine == "x86_64" else 280, command, buffer, 120)
    assert code >= 0, ctypes.get_errno()
    return code
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 2, 0x95, 0, 0, 0))
text = ctypes.create_string_buffer(b"Apache-2.0")
program = bpf(5, struct.pack("=IIQQ", 6, 2, ctypes.addressof(code), ctypes.addressof(text)))
link = bpf(28, struct.pack("=IIII", program, socket.if_nametoindex("ve0"), 37, 4))
print("attached", flush=True)
sys.stdin.read()
'
before="$(peer)"
echo "before:  $before"
coproc holder { ip netns exec "$ns-a" python3 -c "$attach"; }
read -r _ <&"${holder[0]}"
during="$(peer)"
echo "with a program on the other end:  $during"
exec {holder[1]}>&-
wait "$holder_PID" 2>/dev/null || true
after="$(peer)"
echo "after:  $after"
[[ "$before" == "peer maxmtu 65535, tcp-segmentation-offload on, MTU 9000 accepted" && "$after" == "$before" ]]
[[ "$during" =~ ^"peer maxmtu 3"[0-9]+", tcp-segmentation-offload off, MTU 9000 refused"$ ]]

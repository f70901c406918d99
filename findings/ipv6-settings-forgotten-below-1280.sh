#!/bin/bash
# 2026-11-30. Linux 6.18.44, iproute2 6.1.0. An interface whose MTU was below 1280 for a moment has forgotten its IPv6 settings.
#
# Below 1280 (RFC 8200 section 5) the kernel takes IPv6 off the interface, with /proc/sys/net/ipv6/conf/INTERFACE itself. When the MTU is
# 1280 or more again, it makes both anew from net.ipv6.conf.default: disable_ipv6=1 is 0 again, accept_ra=0 is 1, and the interface has a
# link-local address. Nothing is logged. RTM_DELNETCONF and RTM_NEWNETCONF come (`ip monitor netconf`), but the latter has neither of the two.
# Settings of IPv4 (here rp_filter) stay.
# A port of a bridge, a tap of a virtual machine or a mirror, on which somebody has turned IPv6 off, speaks then.
#
# Output seen:
#   before:    disable_ipv6=1 accept_ra=0 rp_filter=2, 0 IPv6 addresses
#   MTU 1000:  no settings of IPv6, rp_filter=2
#   MTU 1500:  disable_ipv6=0 accept_ra=1 rp_filter=2, 1 IPv6 addresses
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, to make a network namespace" >&2; exit 2; }
ns="finding$$"
trap 'ip netns delete "$ns"' EXIT
ip netns add "$ns"
ip -n "$ns" link add u0 type veth peer name p0
ip -n "$ns" link set p0 up
inside() { ip netns exec "$ns" "$@"; }
inside sysctl -qw net.ipv6.conf.u0.disable_ipv6=1 net.ipv6.conf.u0.accept_ra=0 net.ipv4.conf.u0.rp_filter=2
ip -n "$ns" link set u0 up
setting() { echo "${1##*.}=$(inside sysctl -n "net.$1")"; }
settings() {
  echo "$(setting ipv6.conf.u0.disable_ipv6) $(setting ipv6.conf.u0.accept_ra) $(setting ipv4.conf.u0.rp_filter)," \
    "$(ip -n "$ns" -6 -o address show dev u0 | wc -l) IPv6 addresses"
}
before="$(settings)"
ip -n "$ns" link set u0 mtu 1000
small="$(inside test -e /proc/sys/net/ipv6/conf/u0 && echo "settings of IPv6" || echo "no settings of IPv6"), $(setting ipv4.conf.u0.rp_filter)"
ip -n "$ns" link set u0 mtu 1500
after="$(settings)"
printf 'before:    %s\nMTU 1000:  %s\nMTU 1500:  %s\n' "$before" "$small" "$after"
[ "$before" = "disable_ipv6=1 accept_ra=0 rp_filter=2, 0 IPv6 addresses" ]
[ "$small" = "no settings of IPv6, rp_filter=2" ]
[ "$after" = "disable_ipv6=0 accept_ra=1 rp_filter=2, 1 IPv6 addresses" ]

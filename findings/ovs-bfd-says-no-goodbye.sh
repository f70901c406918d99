#!/bin/bash
# Open vSwitch never sends AdminDown: when its operator disables BFD of a tunnel, or removes the tunnel, it just falls silent.
# 2026-11-30, Debian 12: openvswitch-switch 3.1.0-2+deb12u1.
#
# RFC 5880 section 6.8.16 has a system whose session is disabled enter AdminDown and keep telling its peer for at least a detection time, so
# that the peer does not take it for a failure of the path. With Open vSwitch the peer's detection time runs out, and what it reports is the
# diagnostic of a cut cable. So a VTEP cannot tell maintenance from failure by what an Open vSwitch neighbour says, and must not wait for a
# state AdminDown before it forgets a neighbour.
#
# Output seen:
#   up: state up, remote up, diagnostic No Diagnostic
#   disabled: state down, remote down, diagnostic Control Detection Time Expired
#   disabled: 0 packets in state AdminDown
#   removed: state down, remote down, diagnostic Control Detection Time Expired
#   removed: 0 packets in state AdminDown
set -u
[ "$(id -u)" = 0 ] || { echo "needs root, for network namespaces" >&2; exit 2; }
for package in openvswitch-switch=3.1.0-2+deb12u1; do
  [ "$(dpkg-query -W -f '${Version}' "${package%%=*}" 2>/dev/null)" = "${package#*=}" ] || { echo "needs $package" >&2; exit 2; }
done
command -v tcpdump >/dev/null || { echo "needs tcpdump" >&2; exit 2; }

work=$(mktemp -d)
id=bfd$$
stop() {
  for file in "$work"/*/*.pid "$work"/*.pid; do [ -e "$file" ] && kill "$(cat "$file")"; done 2>/dev/null
  sleep 1
  for n in 1 2; do ip netns delete "$id-$n" 2>/dev/null; done
  rm -rf "$work"
}
trap stop EXIT

host() { # host NUMBER: a switch in a namespace of its own, with the wire u0 and the address 192.0.2.NUMBER
  local n=$1
  mkdir "$work/$n"
  export OVS_RUNDIR=$work/$n OVS_LOGDIR=$work/$n
  ovsdb-tool create "$work/$n/conf.db" /usr/share/openvswitch/vswitch.ovsschema
  in_ns() { ip netns exec "$id-$n" "$@"; }
  in_ns ovsdb-server --remote=punix:"$work/$n/db.sock" --pidfile="$work/$n/db.pid" --detach --no-chdir --log-file -vconsole:off "$work/$n/conf.db" 2>/dev/null
  vsctl "$n" --no-wait init
  in_ns ovs-vswitchd "unix:$work/$n/db.sock" --disable-system --unixctl="$work/$n/ctl" --pidfile="$work/$n/vswitchd.pid" --detach --no-chdir \
    --log-file -vconsole:off 2>/dev/null
  vsctl "$n" add-br wire -- set bridge wire datapath_type=netdev fail_mode=standalone other_config:hwaddr="02:00:00:00:00:0$n" -- add-port wire u0
  in_ns ip address add "192.0.2.$n/24" dev wire
  in_ns ip link set wire up
  tunnel "$n"
}
tunnel() { # tunnel NUMBER: with BFD to the other host
  vsctl "$1" --may-exist add-br br0 -- set bridge br0 datapath_type=netdev -- --may-exist add-port br0 vx -- set interface vx type=vxlan \
    options:remote_ip="192.0.2.$((3 - $1))" options:key=7 bfd:enable=true bfd:min_rx=100 bfd:min_tx=100
}
vsctl() { local n=$1; shift; ovs-vsctl --timeout=30 --db="unix:$work/$n/db.sock" "$@"; }
bfd() { vsctl 2 get interface vx "bfd_status:$1" 2>/dev/null | tr -d '"'; }
said() { echo "state $(bfd state), remote $(bfd remote_state), diagnostic $(bfd diagnostic)"; }
until_state() { for _ in $(seq 300); do [ "$(bfd state)" = "$1" ] && return; sleep 0.1; done; echo "in vain: state $1" >&2; exit 1; }
listen() {
  ip netns exec "$id-2" tcpdump -U -i u0 -w "$work/wire.pcap" udp port 4789 and src 192.0.2.1 2>/dev/null &
  echo $! >"$work/tcpdump.pid"
  sleep 1
}
# In the captured packets: 50 octets in front of the inner frame, 42 in front of BFD, whose second octet begins with the state; 0 is AdminDown.
admin_down() {
  kill "$(cat "$work/tcpdump.pid")"
  wait 2>/dev/null
  tcpdump -r "$work/wire.pcap" 'udp[8+8+14+20+2:2] = 3784 and udp[8+8+14+20+8+1] & 0xc0 = 0' 2>/dev/null | wc -l
}

for n in 1 2; do ip netns add "$id-$n" && ip netns exec "$id-$n" ip link set lo up; done
ip -n "$id-1" link add u0 type veth peer name u0 netns "$id-2"
for n in 1 2; do
  ip -n "$id-$n" link set u0 up
  ip netns exec "$id-$n" ethtool -K u0 tx off >/dev/null 2>&1
done
host 1
host 2

result=0
expect() { echo "$1"; [ "$1" = "$2" ] || { echo "  expected: $2"; result=1; }; }

until_state up
for _ in $(seq 50); do [ "$(bfd remote_state)" = up ] && break; sleep 0.1; done
expect "up: $(said)" "up: state up, remote up, diagnostic No Diagnostic"
listen
vsctl 1 set interface vx bfd:enable=false
until_state down
sleep 1
expect "disabled: $(said)" "disabled: state down, remote down, diagnostic Control Detection Time Expired"
expect "disabled: $(admin_down) packets in state AdminDown" "disabled: 0 packets in state AdminDown"
tunnel 1
until_state up
listen
vsctl 1 del-port br0 vx
until_state down
sleep 1
expect "removed: $(said)" "removed: state down, remote down, diagnostic Control Detection Time Expired"
expect "removed: $(admin_down) packets in state AdminDown" "removed: 0 packets in state AdminDown"
exit $result

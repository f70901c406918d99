#!/bin/bash
# Physical_Switch.tunnel_ips is a set, so a switch with an IPv4 and an IPv6 address would list both. ovn-controller-vtep uses one of
# them for the whole switch: the first in TEXT order.
# 2026-11-28, Debian 12: ovn-controller-vtep 23.03.1-1~deb12u2, openvswitch-vtep 3.1.0-2+deb12u1.
#
# So hypervisors send to 2001:db8::1 if the other address is 203.0.113.1, but to 192.0.2.1 if the other is that; and 10.0.0.1 wins
# over 9.0.0.1. No log mentions that an address was ignored.
#
# Output seen:
#   203.0.113.1 and 2001:db8::1: hypervisors send to 2001:db8::1
#   192.0.2.1 and 2001:db8::1: hypervisors send to 192.0.2.1
#   9.0.0.1 and 10.0.0.1: hypervisors send to 10.0.0.1
set -u
for package in ovn-central=23.03.1-1~deb12u2 ovn-controller-vtep=23.03.1-1~deb12u2 openvswitch-vtep=3.1.0-2+deb12u1; do
  [ "$(dpkg-query -W -f '${Version}' "${package%%=*}" 2>/dev/null)" = "${package#*=}" ] || { echo "needs $package" >&2; exit 2; }
done

work=$(mktemp -d)
export OVS_RUNDIR=$work OVN_RUNDIR=$work OVS_LOGDIR=$work OVN_LOGDIR=$work
stop() { for file in "$work"/*.pid; do [ -e "$file" ] && kill "$(cat "$file")"; done 2>/dev/null; rm -rf "$work"; }
trap stop EXIT

start() { local name=$1; shift; "$@" --pidfile="$work/$name.pid" --detach --no-chdir --log-file="$work/$name.log" -vconsole:off 2>/dev/null; }
server() {
  ovsdb-tool create "$work/$1.db" "$2"
  start "$1" ovsdb-server --unixctl="$work/$1.ctl" --remote=punix:"$work/$1.sock" "$work/$1.db"
}
server sb /usr/share/ovn/ovn-sb.ovsschema
server vtep /usr/share/openvswitch/vtep.ovsschema
ovn-sbctl --timeout=10 --db=unix:"$work/sb.sock" init
start controller ovn-controller-vtep --vtep-db=unix:"$work/vtep.sock" --ovnsb-db=unix:"$work/sb.sock"

result=0
number=0
try() { # FIRST SECOND EXPECTED
  number=$((number + 1))
  vtep-ctl --timeout=10 --db=unix:"$work/vtep.sock" add-ps "ps$number" \
    -- set Physical_Switch "ps$number" "tunnel_ips=\"$1\",\"$2\""
  local told=""
  for _ in $(seq 100); do
    told=$(ovn-sbctl --timeout=10 --db=unix:"$work/sb.sock" --bare --columns=ip find encap "chassis_name=ps$number")
    [ -n "$told" ] && break
    sleep 0.1
  done
  echo "$1 and $2: hypervisors send to $told"
  [ "$told" = "$3" ] || { echo "  expected: $3"; result=1; }
}
try 203.0.113.1 2001:db8::1 2001:db8::1
try 192.0.2.1 2001:db8::1 192.0.2.1
try 9.0.0.1 10.0.0.1 10.0.0.1
exit $result

#!/bin/bash
# ovn-controller-vtep removes a logical switch in two ways that look alike to the switch, and neither is one clean message.
# 2026-11-28, Debian 12: ovn-controller-vtep 23.03.1-1~deb12u2, openvswitch-vtep 3.1.0-2+deb12u1.
#
# * `ovn-appctl exit` clears the tunnel key (to no value), the flood set and ONE remote address in its first transaction, and each
#   further address in its own transaction. A switch that follows the database sees a network without a key that still has
#   addresses, a moment later one with fewer, and so on.
# * SIGTERM, the usual way to stop a daemon, clears nothing at all.
# * Deleting the logical port of type vtep removes everything in one transaction, and the key becomes 0, which is a value.
#
# Output seen:
#   exit: 3 transactions, addresses deleted in each: 1 1 1
#   exit: the key after it: []
#   SIGTERM: 0 transactions
#   lsp-del: 1 transaction, addresses deleted in it: 3
#   lsp-del: the key after it: 0
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
nb() { ovn-nbctl --timeout=10 --db=unix:"$work/nb.sock" "$@"; }
sb() { ovn-sbctl --timeout=10 --db=unix:"$work/sb.sock" "$@"; }
vtep() { vtep-ctl --timeout=10 --db=unix:"$work/vtep.sock" "$@"; }
addresses() { vtep list-remote-macs ls0 | grep -c 'vxlan_over_ipv4'; }
until_true() { for _ in $(seq 100); do "$@" && return; sleep 0.1; done; echo "in vain: $*" >&2; exit 1; }
is() { [ "$1" = "$("${@:2}")" ]; }
controller() {
  start controller ovn-controller-vtep --vtep-db=unix:"$work/vtep.sock" --ovnsb-db=unix:"$work/sb.sock"
  until_true is 4 addresses   # three machines and the flood set
  sleep 0.5                   # it may say all of it twice
}
records() { ovsdb-tool show-log "$work/vtep.db" | grep -c '^record'; }
since() { ovsdb-tool -mm show-log "$work/vtep.db" | awk -v first="$1" '/^record/ { sub(":", "", $2); show = $2 >= first } show'; }
deleted() { since "$1" | awk '/^record/ { if (seen++) printf "%d ", count; count = 0 } /table Ucast_Macs_Remote/ { count++ } END { if (seen) printf "%d", count }'; }
gone() { [ "$(addresses)" = 0 ]; }

server nb /usr/share/ovn/ovn-nb.ovsschema
server sb /usr/share/ovn/ovn-sb.ovsschema
server vtep /usr/share/openvswitch/vtep.ovsschema
start northd ovn-northd --unixctl="$work/northd.ctl" --ovnnb-db=unix:"$work/nb.sock" --ovnsb-db=unix:"$work/sb.sock"
nb ls-add sw0 -- lsp-add sw0 sw0-vtep -- lsp-set-type sw0-vtep vtep -- lsp-set-addresses sw0-vtep unknown \
  -- lsp-set-options sw0-vtep vtep-physical-switch=ps0 vtep-logical-switch=ls0
for n in 1 2 3; do nb lsp-add sw0 "vm$n" -- lsp-set-addresses "vm$n" "02:00:00:00:00:0$n 10.0.0.$n"; done
nb --wait=sb sync
sb chassis-add hv2 vxlan 192.0.2.2
for n in 1 2 3; do sb lsp-bind "vm$n" hv2; done
vtep add-ps ps0 -- set Physical_Switch ps0 tunnel_ips=192.0.2.1 -- add-port ps0 p1 -- add-ls ls0 -- bind-ls ps0 p1 0 ls0

result=0
expect() { echo "$1"; [ "$1" = "$2" ] || { echo "  expected: $2"; result=1; }; }

controller
before=$(records)
ovs-appctl -t "$work/ovn-controller-vtep.$(cat "$work/controller.pid").ctl" exit
until_true gone
expect "exit: $(($(records) - before)) transactions, addresses deleted in each: $(deleted "$before")" \
  "exit: 3 transactions, addresses deleted in each: 1 1 1"
expect "exit: the key after it: $(vtep get Logical_Switch ls0 tunnel_key)" "exit: the key after it: []"

controller
before=$(records)
kill "$(cat "$work/controller.pid")"
sleep 2
expect "SIGTERM: $(($(records) - before)) transactions" "SIGTERM: 0 transactions"

controller
before=$(records)
nb lsp-del sw0-vtep
until_true gone
expect "lsp-del: $(($(records) - before)) transaction, addresses deleted in it: $(deleted "$before")" \
  "lsp-del: 1 transaction, addresses deleted in it: 3"
expect "lsp-del: the key after it: $(vtep get Logical_Switch ls0 tunnel_key)" "lsp-del: the key after it: 0"
exit $result

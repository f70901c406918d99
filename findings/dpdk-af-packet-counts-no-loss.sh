#!/bin/bash
# 2026-11-29. Debian 12: dpdk-dev 22.11.11-0+deb12u1 (dpdk-testpmd, net_af_packet), Linux 6.18.
#
# DPDK's net_af_packet does not say that it loses frames. Its receive ring has 512 places by default. When an application does not empty
# it fast enough, the kernel drops what does not fit, and counts it in the packet socket (PACKET_STATISTICS, tp_drops). The driver
# does not read that counter: imissed, rx_nombuf and ierrors stay 0, and no extended statistic has the frames either. An operator who watches
# rte_eth_stats sees fewer frames, and no loss. Nor can an application ask how full the ring is (rte_eth_rx_queue_count is not supported).
#
# Here 5,000 frames come while testpmd has started the port and does not poll it; then it polls. Output seen:
#   sent 5000; RX-packets 512, RX-missed 0, RX-nombuf 0, RX-errors 0; extended statistics of missed frames: rx_missed_errors 0
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, for a network namespace" >&2; exit 2; }
version="$(dpkg-query -W -f '${Version}' dpdk-dev 2>/dev/null || true)"
[ "$version" = 22.11.11-0+deb12u1 ] || { echo "needs dpdk-dev 22.11.11-0+deb12u1, not '$version'" >&2; exit 2; }
ns="afp-finding-$$"
folder="$(mktemp -d)"
ip netns add "$ns"
trap 'ip netns del "$ns"; rm -rf "$folder"' EXIT
ip -n "$ns" link add ve0 type veth peer name ve1
for end in ve0 ve1; do
  ip netns exec "$ns" sysctl -qw "net.ipv6.conf.$end.disable_ipv6=1"
  ip -n "$ns" link set "$end" up
done
mkfifo "$folder/in"
ip netns exec "$ns" dpdk-testpmd --no-huge -m 256 --no-pci --file-prefix "$ns" -l 0-1 --vdev net_af_packet0,iface=ve0 -- -i --total-num-mbufs=8192 --forward-mode=rxonly \
  <"$folder/in" >"$folder/out" 2>&1 &
exec 3>"$folder/in"
for _ in $(seq 100); do
  grep -q "Done" "$folder/out" && break
  sleep 0.2
done
ip netns exec "$ns" python3 - <<'PYTHON'
import socket
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw.bind(("ve1", 0))
for number in range(5000):
    raw.send(b"\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x88\xb5" + number.to_bytes(4, "big") + bytes(46))
PYTHON
echo start >&3
sleep 1
printf 'show port stats 0\nshow port xstats 0\nquit\n' >&3
exec 3>&-
wait
value() { grep -o "$1: *[0-9]*" "$folder/out" | head -1 | grep -o '[0-9]*$'; }
extended="$(grep -o 'rx_missed_errors: [0-9]*' "$folder/out" | head -1 | tr -d :)"
line="sent 5000; RX-packets $(value RX-packets), RX-missed $(value RX-missed), RX-nombuf $(value RX-nombuf), RX-errors $(value RX-errors); extended statistics of missed frames: $extended"
echo "$line"
[ "$line" = "sent 5000; RX-packets 512, RX-missed 0, RX-nombuf 0, RX-errors 0; extended statistics of missed frames: rx_missed_errors 0" ]

#!/bin/bash
# 2026-11-30. Debian 12: dpdk-dev 22.11.11-0+deb12u1 (dpdk-testpmd, net_memif).
#
# One frame that takes two buffers of a memif ring makes DPDK's net_memif deliver tens of thousands of old frames when the ring has come
# round. The sender (eth_memif_tx) marks the first buffer's descriptor as continued (MEMIF_DESC_FLAG_NEXT), and clears the mark only in descriptors
# that continue a frame. So when the ring comes round and a short frame takes that place, it is marked, too. The receiver (eth_memif_rx) follows the mark without asking whether the sender
# has put anything there: it reads past the ring's head and joins what it finds. If that is the last frame of a burst, the difference between its
# place and the head is negative, as a 16-bit number 65,535: it reads all places of the ring over and over, until it comes to the head again.
#
# Here one testpmd sends a frame of 3000 octets and then frames of 64 to another one, and stops. Output seen:
#   one frame of 3000 octets, 4096 of 64: received 66854, and 265981 another time
#   4096 frames of 64 octets: received 4096
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "needs root, for DPDK" >&2; exit 2; }
version="$(dpkg-query -W -f '${Version}' dpdk-dev 2>/dev/null || true)"
[ "$version" = 22.11.11-0+deb12u1 ] || { echo "needs dpdk-dev 22.11.11-0+deb12u1, not '$version'" >&2; exit 2; }
folder="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT

testpmd() { # role
  dpdk-testpmd --no-huge -m 256 --no-pci --file-prefix "memif-finding-$$-$1" -l 0-1 --vdev "net_memif0,role=$1,id=0,socket=$folder/socket,socket-abstract=no" \
    -- -i --total-num-mbufs=8192 --mbuf-size=4096 --burst=1 <"$folder/$1.in" >"$folder/$1.out" 2>&1 &
}

await() { # file, text, times
  for _ in $(seq 150); do
    [ "$(grep -c "$2" "$1")" -ge "$3" ] && return
    sleep 0.2
  done
  cat "$1" >&2
  exit 2
}

received() { # sizes and numbers of frames
  rm -f "$folder"/*
  mkfifo "$folder/server.in" "$folder/client.in"
  testpmd server
  exec 3>"$folder/server.in"
  await "$folder/server.out" "testpmd>" 1
  testpmd client
  exec 4>"$folder/client.in"
  await "$folder/client.out" "testpmd>" 1
  printf 'set fwd rxonly\nstart\n' >&3
  sleep 1
  while [ $# -gt 0 ]; do
    printf 'set txpkts %s\nset fwd io\nstart tx_first %s\n' "$1" "$2" >&4
    sleep 1
    echo stop >&4
    shift 2
  done
  echo 'show port stats 0' >&3
  echo quit >&4
  exec 4>&-
  printf 'stop\nquit\n' >&3
  exec 3>&-
  wait
  grep -o 'RX-packets: *[0-9]*' "$folder/server.out" | grep -o '[0-9]*$' | head -1
}

long="$(received 3000 1 64 4096)"
echo "one frame of 3000 octets, 4096 of 64: received $long"
plain="$(received 64 4096)"
echo "4096 frames of 64 octets: received $plain"
[ "$plain" = 4096 ] && [ "$long" -gt 65536 ]

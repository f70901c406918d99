#!/bin/bash
# 2026-12-01. Debian 12: libdpdk-dev 22.11.11-0+deb12u1 (downloaded, unpacked, not installed), gcc 12.2.0.
#
# DPDK's preparation of checksum offload sums up a wrong pseudo-header for TCP or UDP behind IPv6 extension headers.
# rte_net_intel_cksum_prepare(), with which most of DPDK's drivers answer rte_eth_tx_prepare(), puts the pseudo-header's sum into the checksum field
# before the NIC adds the rest. It takes number and length from the fixed IPv6 header: of a packet with destination options the number is 60,
# not 6, and the length counts the options, too (RFC 8200 section 8.1 wants those of TCP). The packet may be described to the driver without fault, with
# l3_len over all headers; the field may have held the right sum before. It returns 0, and the packet leaves with a checksum that its receiver
# refuses. Output seen:
#   without extension headers: returns 0, field 0x5b93, right 0x5b93
#   behind 8 octets of destination options: returns 0, field 0x5bd1, right 0x5b93
set -euo pipefail
version=22.11.11-0+deb12u1
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root "libdpdk-dev=$version"
dpkg -x libdpdk-dev_*.deb root
cat >look.c <<'C'
#include <rte_config.h>
#include <rte_net.h>
#include <stdio.h>
#include <string.h>

static uint8_t packet[256];

// TCP over IPv6 between 2001:db8::1 and 2001:db8::2, 20 octets of header and 4 of payload, behind `extension` octets of destination options.
static void look(const char *name, int extension) {
  struct rte_mbuf m;
  memset(&m, 0, sizeof m);
  memset(packet, 0, sizeof packet);
  uint8_t *ip = packet + 14, *tcp = ip + 40 + extension;
  packet[12] = 0x86, packet[13] = 0xdd;
  ip[0] = 0x60, ip[5] = (uint8_t)(extension + 24), ip[6] = extension != 0 ? 60 : 6, ip[7] = 64;
  memcpy(ip + 8, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
  memcpy(ip + 24, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
  if (extension != 0) memcpy(ip + 40, "\x06\0\x01\x04\0\0\0\0", 8);
  tcp[12] = 0x50, tcp[13] = 0x10;
  uint32_t sum = 6 + 24;
  for (int offset = 8; offset < 40; offset += 2) sum += (uint32_t)(ip[offset] << 8 | ip[offset + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  tcp[16] = (uint8_t)(sum >> 8), tcp[17] = (uint8_t)sum;
  m.buf_addr = packet;
  m.nb_segs = 1;
  m.data_len = (uint16_t)(14 + 40 + extension + 24);
  m.pkt_len = m.data_len;
  m.l2_len = 14, m.l3_len = (uint64_t)(40 + extension), m.l4_len = 20;
  m.ol_flags = RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM;
  int code = rte_net_intel_cksum_prepare(&m);
  printf("%s: returns %d, field 0x%02x%02x, right 0x%04x\n", name, code, tcp[16], tcp[17], sum);
}

int main(void) {
  look("without extension headers", 0);
  look("behind 8 octets of destination options", 8);
  return 0;
}
C
include="$folder/root/usr/include"
gcc -O1 -march=corei7 -w -I"$include/dpdk" -I"$include/x86_64-linux-gnu/dpdk" -I"$include" -o look look.c
./look | tee seen
diff seen - <<'SEEN'
without extension headers: returns 0, field 0x5b93, right 0x5b93
behind 8 octets of destination options: returns 0, field 0x5bd1, right 0x5b93
SEEN

// The parts of DPDK that Swift cannot import: fields of struct rte_mbuf (aligned above 16 bytes), macros, and set-up calls that
// take structures full of bit-fields. Accessors and wrappers only: no decisions.
#ifndef CDPDK_SHIM_H
#define CDPDK_SHIM_H

#include <rte_config.h> // first: SwiftPM drops the -include of libdpdk.pc

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_hash.h>
#include <rte_ip_frag.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_meter.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_spinlock.h>
#include <rte_version.h>
#include <rte_vhost.h>

_Static_assert(sizeof(rte_spinlock_t) == 4, "spinlocks are kept in a plain array of UInt32");

typedef struct rte_mbuf *cdpdk_mbuf;

// -- errno and constants that are macros --------------------------------------------------------------------------
static inline int cdpdk_errno(void) { return rte_errno; }
static inline uint64_t cdpdk_tx_offload_multi_segs(void) { return RTE_ETH_TX_OFFLOAD_MULTI_SEGS; }
static inline unsigned cdpdk_max_ports(void) { return RTE_MAX_ETHPORTS; }
static inline uint64_t cdpdk_vhost_client_flag(void) { return RTE_VHOST_USER_CLIENT; }
static inline uint64_t cdpdk_vhost_compliant_flag(void) { return RTE_VHOST_USER_NET_COMPLIANT_OL_FLAGS; }
static inline unsigned cdpdk_headroom(void) { return RTE_PKTMBUF_HEADROOM; }

// -- log -----------------------------------------------------------------------------------------------------------
// Debian 12 (glibc 2.36) declares fopencookie(3) only with _GNU_SOURCE, which cannot be defined for one module; Debian 13 always
// does.
#ifdef __cookie_io_functions_t_defined
typedef cookie_io_functions_t cdpdk_cookie_functions;
#else
typedef struct {
  ssize_t (*read)(void *, char *, size_t);
  ssize_t (*write)(void *, const char *, size_t);
  int (*seek)(void *, int64_t *, int);
  int (*close)(void *);
} cdpdk_cookie_functions;
FILE *fopencookie(void *cookie, const char *mode, cdpdk_cookie_functions functions);
#endif
typedef void (*cdpdk_log_sink)(const char *text, ssize_t size);
static inline ssize_t cdpdk_log_write(void *cookie, const char *text, size_t size) {
  ((cdpdk_log_sink)cookie)(text, (ssize_t)size);
  return (ssize_t)size;
}
// DPDK flushes the stream after each message. rte_openlog_stream is looked up at run time: since DPDK 23.11 it is in a library of
// its own (librte_log), which does not exist in 22.11 to link with.
static inline int cdpdk_log_to(cdpdk_log_sink sink) {
  int (*open_stream)(FILE *) = (int (*)(FILE *))dlsym((void *)0, "rte_openlog_stream");
  if (open_stream == NULL) return -ENOSYS;
  cdpdk_cookie_functions functions = {.write = cdpdk_log_write};
  FILE *stream = fopencookie((void *)sink, "w", functions);
  return stream == NULL ? -errno : open_stream(stream);
}

// -- mbuf fields -----------------------------------------------------------------------------------------------------
static inline void *_Nonnull cdpdk_mbuf_data(cdpdk_mbuf m) { return rte_pktmbuf_mtod(m, void *); }
static inline uint32_t cdpdk_mbuf_length(cdpdk_mbuf m) { return m->pkt_len; }
static inline uint16_t cdpdk_mbuf_segment_length(cdpdk_mbuf m) { return m->data_len; }
static inline uint16_t cdpdk_mbuf_segment_count(cdpdk_mbuf m) { return m->nb_segs; }
static inline cdpdk_mbuf cdpdk_mbuf_next(cdpdk_mbuf m) { return m->next; }
static inline int cdpdk_mbuf_is_exclusive(cdpdk_mbuf m) { return (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0 && rte_mbuf_refcnt_read(m) == 1; }
// Of a slice (cdpdk_mbuf_slice) whose bytes no clone shares. DPDK and its drivers do not use the bit: dynamic flags are given out from
// the other end.
#define CDPDK_SLICE RTE_MBUF_F_LAST_FREE
static inline int cdpdk_mbuf_owns_bytes(cdpdk_mbuf m) { return ((m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0 || (m->ol_flags & CDPDK_SLICE) != 0) && rte_mbuf_refcnt_read(m) == 1; }
// Keeps `length` bytes from `offset` on, of a single-segment packet that has them.
static inline void cdpdk_mbuf_keep(cdpdk_mbuf m, uint16_t offset, uint32_t length) { m->data_off += offset; m->data_len = (uint16_t)length; m->pkt_len = length; }
static inline uint16_t cdpdk_mbuf_headroom(cdpdk_mbuf m) { return m->data_off; }
// Prepends n bytes, which the headroom must have.
static inline void cdpdk_mbuf_grow_front(cdpdk_mbuf m, uint16_t n) { m->data_off -= n; m->data_len += n; m->pkt_len += n; }
// The buffer's shape as one word: offset of the data, references, segments, and the port that it came in through. Two packets with the
// same word differ in nothing of it.
static inline uint64_t cdpdk_mbuf_shape(cdpdk_mbuf m) { uint64_t w; memcpy(&w, &m->data_off, sizeof w); return w; }
// Of one segment that nobody else refers to.
static inline int cdpdk_shape_is_single(uint64_t w) { uint16_t f[4]; memcpy(f, &w, sizeof w); return f[1] == 1 && f[2] == 1; }
static inline uint16_t cdpdk_shape_offset(uint64_t w) { uint16_t f[4]; memcpy(f, &w, sizeof w); return f[0]; }
static inline void *_Nonnull cdpdk_mbuf_buffer(cdpdk_mbuf m) { return m->buf_addr; }
// Sets where the only segment lies in its buffer.
static inline void cdpdk_mbuf_place(cdpdk_mbuf m, uint16_t offset, uint32_t length) { m->data_off = offset; m->data_len = (uint16_t)length; m->pkt_len = length; }
// What makes a frame an uncommon one, to be combined over a burst and then asked about.
static inline uint64_t cdpdk_mbuf_flags(cdpdk_mbuf m) { return m->ol_flags; }
// Whether a buffer has this shape, and a frame in it no flag of these: at once.
static inline int cdpdk_mbuf_is_of(cdpdk_mbuf m, uint64_t shape, uint64_t flags) {
  typedef unsigned long long words __attribute__((vector_size(16)));
  words found, same = {shape, 0}, mask = {UINT64_MAX, flags};
  _Static_assert(offsetof(struct rte_mbuf, ol_flags) == offsetof(struct rte_mbuf, data_off) + 8, "flags follow the shape");
  memcpy(&found, &m->data_off, sizeof found);
  found ^= same;
#if defined(__SSE4_1__)
  typedef long long pair __attribute__((vector_size(16)));
  return __builtin_ia32_ptestz128((pair)found, (pair)mask);
#else
  return ((found[0] & mask[0]) | (found[1] & mask[1])) == 0;
#endif
}
// NULL if there is not enough head- or tailroom.
static inline void *cdpdk_mbuf_prepend(cdpdk_mbuf m, uint16_t n) { return rte_pktmbuf_prepend(m, n); }
static inline void *cdpdk_mbuf_append(cdpdk_mbuf m, uint16_t n) { return rte_pktmbuf_append(m, n); }
static inline void *cdpdk_mbuf_remove_front(cdpdk_mbuf m, uint16_t n) { return rte_pktmbuf_adj(m, n); }
static inline int cdpdk_mbuf_linearize(cdpdk_mbuf m) { return rte_pktmbuf_linearize(m); }
static inline int cdpdk_mbuf_chain(cdpdk_mbuf head, cdpdk_mbuf tail) { return rte_pktmbuf_chain(head, tail); }
// Appends a single-segment packet to a packet whose last segment is known.
static inline void cdpdk_mbuf_join(cdpdk_mbuf head, cdpdk_mbuf last, cdpdk_mbuf m) { last->next = m; head->nb_segs++; head->pkt_len += m->data_len; }
static inline cdpdk_mbuf cdpdk_mbuf_alloc(struct rte_mempool *p) { return rte_pktmbuf_alloc(p); }
static inline cdpdk_mbuf cdpdk_mbuf_clone(cdpdk_mbuf m, struct rte_mempool *p) {
  cdpdk_mbuf clone = rte_pktmbuf_clone(m, p);
  if (clone != NULL) { m->ol_flags &= ~CDPDK_SLICE; clone->ol_flags &= ~CDPDK_SLICE; }
  return clone;
}
static inline cdpdk_mbuf cdpdk_mbuf_copy(cdpdk_mbuf m, struct rte_mempool *p) { return rte_pktmbuf_copy(m, p, 0, UINT32_MAX); }
// Whether a packet has a buffer of this pool, or shares one.
static inline int cdpdk_mbuf_uses(cdpdk_mbuf m, const struct rte_mempool *p) {
  for (; m != NULL; m = m->next)
    if ((RTE_MBUF_CLONED(m) ? rte_mbuf_from_indirect(m) : m)->pool == p) return 1;
  return 0;
}
static inline uint16_t cdpdk_mbuf_tailroom(cdpdk_mbuf m) { return rte_pktmbuf_tailroom(m); }
// -1 if the last segment is shorter.
static inline int cdpdk_mbuf_trim(cdpdk_mbuf m, uint16_t n) { return rte_pktmbuf_trim(m, n); }
// Keeps the first n octets, and frees the buffers behind them. The packet has at least so many, and its first buffer at least one.
static inline void cdpdk_mbuf_cut(cdpdk_mbuf m, uint32_t n) {
  struct rte_mbuf *last = m;
  uint16_t count = 1;
  m->pkt_len = n;
  for (; last->data_len < n; n -= last->data_len, last = last->next) count++;
  last->data_len = (uint16_t)n;
  m->nb_segs = count;
  struct rte_mbuf *rest = last->next;
  last->next = NULL;
  rte_pktmbuf_free(rest);
}
static inline void cdpdk_mbuf_free(cdpdk_mbuf m) { rte_pktmbuf_free(m); }
static inline void cdpdk_mbuf_free_bulk(cdpdk_mbuf *m, unsigned n) { rte_pktmbuf_free_bulk(m, n); }
static inline void cdpdk_prefetch(const void *p) { rte_prefetch0(p); }

// -- IP fragments ------------------------------------------------------------------------------------------------------
// A death row, as the library calls it: packets that it has given up.
static inline size_t cdpdk_death_row_size(void) { return sizeof(struct rte_ip_frag_death_row); }
static inline void cdpdk_death_row_clear(void *row) { ((struct rte_ip_frag_death_row *)row)->cnt = 0; }
// NULL: it is empty.
static inline cdpdk_mbuf cdpdk_death_row_take(void *row) {
  struct rte_ip_frag_death_row *r = row;
  return r->cnt == 0 ? NULL : r->row[--r->cnt];
}
// Where a fragment has come in, for as long as it waits.
static inline void cdpdk_mbuf_note_port(cdpdk_mbuf m, uint16_t port) { m->port = port; }
static inline uint16_t cdpdk_mbuf_noted_port(cdpdk_mbuf m) { return m->port; }
// The library tells packets apart by addresses and identification alone, and hosts of two VNIs may use the same ones. So it gets a copy of the
// headers, with `owner` in place of the first two octets of the destination; what it puts together are the packet's own headers.
static inline cdpdk_mbuf cdpdk_reassemble(struct rte_ip_frag_tbl *t, void *row, cdpdk_mbuf m, uint64_t now, uint16_t l2, uint16_t l3, uint16_t owner, int ipv6) {
  m->l2_len = l2;
  m->l3_len = l3;
  const char *header = rte_pktmbuf_mtod_offset(m, const char *, l2);
  if (ipv6) {
    // One behind the other, as in the packet: newer releases look.
    struct { struct rte_ipv6_hdr ip; struct rte_ipv6_fragment_ext fragment; } copy;
    memcpy(&copy, header, sizeof copy);
    memcpy(&copy.ip.dst_addr, &owner, sizeof owner);
    return rte_ipv6_frag_reassemble_packet(t, row, m, now, &copy.ip, &copy.fragment);
  }
  struct rte_ipv4_hdr copy;
  memcpy(&copy, header, sizeof copy);
  memcpy(&copy.dst_addr, &owner, sizeof owner);
  return rte_ipv4_frag_reassemble_packet(t, row, m, now, &copy);
}
// The only function of the library that its authors call experimental: without it packets stay until another one needs their place.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
static inline void cdpdk_fragments_expire(struct rte_ip_frag_tbl *t, void *row, uint64_t now) { rte_ip_frag_table_del_expired_entries(t, row, now); }
#pragma clang diagnostic pop
// The packet begins with its IP header, and so do the fragments, whose Ethernet headers and IPv4 checksums are still to be written.
// Their number, or a negative errno.
static inline int cdpdk_fragment(cdpdk_mbuf m, cdpdk_mbuf *fragments, uint16_t room, uint16_t mtu, struct rte_mempool *p, uint32_t identification, int ipv6) {
  if (!ipv6) return rte_ipv4_fragment_packet(m, fragments, room, mtu, p, p);
  int n = rte_ipv6_fragment_packet(m, fragments, room, mtu, p, p);
  for (int i = 0; i < n; i++) {
    struct rte_ipv6_fragment_ext *e = rte_pktmbuf_mtod_offset(fragments[i], struct rte_ipv6_fragment_ext *, sizeof(struct rte_ipv6_hdr));
    e->id = rte_cpu_to_be_32(identification);
  }
  return n;
}

// -- offloads --------------------------------------------------------------------------------------------------------
// What a driver reports about a received packet ...
static inline int cdpdk_mbuf_checksum_is_unfinished(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE; }
static inline int cdpdk_mbuf_is_large_segment(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0; }
static inline uint16_t cdpdk_mbuf_segment_size(cdpdk_mbuf m) { return m->tso_segsz; }
static inline void cdpdk_mbuf_set_received(cdpdk_mbuf m, int unfinished, int large, uint16_t segment, uint32_t packet_type) {
  m->ol_flags |= (unfinished ? RTE_MBUF_F_RX_L4_CKSUM_NONE : 0) | (large ? RTE_MBUF_F_RX_LRO : 0);
  m->tso_segsz = segment;
  m->packet_type = packet_type;
}
static inline uint32_t cdpdk_mbuf_packet_type(cdpdk_mbuf m) { return m->packet_type; }
// ... where its sender says that it has left a checksum (virtio csum_start and csum_offset), counted from the end, so that tags may come
// and go in front. In the field of a flow director's match, which we never enable: a value there is ours.
#define CDPDK_CHECKSUM_OFFSET_BITS 15
static inline void cdpdk_mbuf_note_checksum(cdpdk_mbuf m, uint16_t start, uint16_t offset) {
  if (start == 0) return;
  uint32_t n = start < m->pkt_len ? m->pkt_len - start : 0;
  m->hash.usr = n << CDPDK_CHECKSUM_OFFSET_BITS | (offset < 1u << CDPDK_CHECKSUM_OFFSET_BITS ? offset : (1u << CDPDK_CHECKSUM_OFFSET_BITS) - 1);
  m->ol_flags |= RTE_MBUF_F_RX_FDIR_ID;
}
// Start << 16 | offset, both of the packet as it is now; 0: nothing is noted.
static inline uint64_t cdpdk_mbuf_noted_checksum(cdpdk_mbuf m) {
  uint32_t n = m->hash.usr >> CDPDK_CHECKSUM_OFFSET_BITS;
  if ((m->ol_flags & RTE_MBUF_F_RX_FDIR_ID) == 0 || n > m->pkt_len) return 0;
  return (uint64_t)(m->pkt_len - n) << 16 | (m->hash.usr & ((1u << CDPDK_CHECKSUM_OFFSET_BITS) - 1));
}
// ... and what a driver must do with a packet to send. Requests keep this form from one port to the other. Those inside tunnels of their
// sender are never handed to a driver.
#define CDPDK_REQUEST (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)
#define CDPDK_REQUEST_FIELDS (CDPDK_REQUEST | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TUNNEL_MASK \
                              | RTE_MBUF_F_TX_OUTER_IP_CKSUM | RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_OUTER_IPV6)
static inline int cdpdk_mbuf_has_request(cdpdk_mbuf m) { return (m->ol_flags & CDPDK_REQUEST) != 0; }
// Sole owner of its memory, no pending offload, no noted tag.
#define CDPDK_UNCOMMON (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL | CDPDK_REQUEST | RTE_MBUF_F_RX_VLAN_STRIPPED)
static inline int cdpdk_mbuf_is_plain(cdpdk_mbuf m) { return (m->ol_flags & CDPDK_UNCOMMON) == 0 && rte_mbuf_refcnt_read(m) == 1; }
static inline uint64_t cdpdk_uncommon_flags(void) { return CDPDK_UNCOMMON; }
// The same question about the flags of a whole burst.
static inline int cdpdk_flags_are_plain(uint64_t flags) { return (flags & CDPDK_UNCOMMON) == 0; }
// Whether a driver reported a checksum or a large segment for any packet of a burst.
static inline int cdpdk_flags_have_report(uint64_t flags) { return (flags & (RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO)) != 0; }
static inline int cdpdk_mbuf_wants_segments(cdpdk_mbuf m) { return (m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)) != 0; }
static inline int cdpdk_mbuf_is_tunnelled_request(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_TX_TUNNEL_MASK) != 0; }
static inline int cdpdk_mbuf_is_udp_request(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM; }
static inline int cdpdk_mbuf_is_ipv6_request(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_TX_IPV6) != 0; }
static inline uint16_t cdpdk_mbuf_l2(cdpdk_mbuf m) { return m->l2_len; }
static inline uint16_t cdpdk_mbuf_l3(cdpdk_mbuf m) { return m->l3_len; }
static inline uint16_t cdpdk_mbuf_l4(cdpdk_mbuf m) { return m->l4_len; }
static inline void cdpdk_mbuf_set_request(cdpdk_mbuf m, int udp, int ipv6, int tunnelled, uint16_t l2, uint16_t l3, uint16_t l4, uint16_t segment) {
  m->ol_flags = (m->ol_flags & ~CDPDK_REQUEST_FIELDS) | (udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM)
    | (ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) | (tunnelled ? RTE_MBUF_F_TX_TUNNEL_IP : 0)
    | (segment == 0 ? 0 : udp ? RTE_MBUF_F_TX_UDP_SEG : RTE_MBUF_F_TX_TCP_SEG);
  m->tx_offload = rte_mbuf_tx_offload(l2, l3, l4, segment, 0, 0, 0);
}
static inline uint64_t cdpdk_vxlan_flags(int ipv6) {
  return RTE_MBUF_F_TX_TUNNEL_VXLAN | (ipv6 ? RTE_MBUF_F_TX_OUTER_IPV6 : RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_OUTER_IP_CKSUM);
}
// Adds that the request is about the frame inside VXLAN: outer link and network header, then UDP, VXLAN and the inner link header.
static inline void cdpdk_mbuf_name_vxlan(cdpdk_mbuf m, int ipv6, uint16_t outer_l2, uint16_t outer_l3, uint16_t l2) {
  m->ol_flags |= cdpdk_vxlan_flags(ipv6);
  m->outer_l2_len = outer_l2;
  m->outer_l3_len = outer_l3;
  m->l2_len = l2;
}
static inline uint16_t cdpdk_mbuf_outer_l2(cdpdk_mbuf m) { return m->outer_l2_len; }
static inline uint16_t cdpdk_mbuf_outer_l3(cdpdk_mbuf m) { return m->outer_l3_len; }
static inline void cdpdk_mbuf_clear_request(cdpdk_mbuf m) { m->ol_flags &= ~CDPDK_REQUEST_FIELDS; }
// Brings a packet with a request into the form in which the device wants it: DPDK's drivers compute the pseudo-header anew, without the
// length if they are to cut it. 0: they do not take it, for its size for example.
static inline int cdpdk_mbuf_prepare(cdpdk_mbuf m, uint16_t port) {
  const uint64_t header = (m->ol_flags & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4)) == (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4) ? RTE_MBUF_F_TX_IP_CKSUM : 0;
  m->ol_flags |= header;
  if (rte_eth_tx_prepare(port, 0, &m, 1) == 1) return 1;
  m->ol_flags &= ~header;
  return 0;
}
// A NIC's word about the TCP or UDP checksum of a received packet, to be compared with the next one.
static inline uint64_t cdpdk_mbuf_checksum_verdict(cdpdk_mbuf m) { return m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK; }
static inline void cdpdk_mbuf_set_checksum_right(cdpdk_mbuf m) { m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD; }
static inline uint64_t cdpdk_checksum_is_right(void) { return RTE_MBUF_F_RX_L4_CKSUM_GOOD; }
// The division behind a CRC32c (RFC 9260 appendix A) over n octets, continued from c, which is all ones at first.
static inline uint32_t cdpdk_crc32c(uint32_t c, const void *octets, size_t n) {
  const uint8_t *p = (const uint8_t *)octets;
#if defined(__SSE4_2__)
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    c = (uint32_t)__builtin_ia32_crc32di(c, w);
  }
  for (; n > 0; p++, n--) c = __builtin_ia32_crc32qi(c, *p);
#else
  for (; n > 0; p++, n--) {
    c ^= *p;
    for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (0x82f63b78u & -(c & 1));
  }
#endif
  return c;
}

// -- VLAN tags ---------------------------------------------------------------------------------------------------------
// Tag control information beside the packet, in the field where a NIC stores stripped tags. We never enable stripping, so a value
// there is ours. 0: no tag noted.
static inline uint16_t cdpdk_mbuf_noted_tag(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? m->vlan_tci : 0; }
static inline int cdpdk_mbuf_has_noted_tag(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0; }
static inline void cdpdk_mbuf_note_tag(cdpdk_mbuf m, uint16_t tci) { m->vlan_tci = tci; m->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED; }

// -- packet I/O --------------------------------------------------------------------------------------------------------
static inline uint16_t cdpdk_rx_burst(uint16_t port, uint16_t queue, cdpdk_mbuf *m, uint16_t n) { return rte_eth_rx_burst(port, queue, m, n); }
static inline uint16_t cdpdk_tx_burst(uint16_t port, uint16_t queue, cdpdk_mbuf *m, uint16_t n) { return rte_eth_tx_burst(port, queue, m, n); }
// Receive side scaling's hash of the packet's flow, if the driver tells it.
static inline int cdpdk_mbuf_has_hash(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0; }
static inline uint32_t cdpdk_mbuf_hash(cdpdk_mbuf m) { return m->hash.rss; }
static inline void cdpdk_mbuf_set_hash(cdpdk_mbuf m, uint32_t hash) { m->hash.rss = hash; m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH; }
// Rings of packets between io-cores and workers: one consumer each; several producers only if `shared`.
static inline struct rte_ring *cdpdk_packets_create(const char *name, unsigned count, int socket, int shared) {
  unsigned flags = RING_F_SC_DEQ | (shared ? 0 : RING_F_SP_ENQ);
  struct rte_ring *r = rte_ring_create(name, count, socket, flags);
  return r != NULL ? r : rte_ring_create(name, count, SOCKET_ID_ANY, flags);
}
static inline uint16_t cdpdk_packets_put(struct rte_ring *r, cdpdk_mbuf *m, unsigned n) { return (uint16_t)rte_ring_enqueue_burst(r, (void *const *)m, n, NULL); }
static inline uint16_t cdpdk_packets_take(struct rte_ring *r, cdpdk_mbuf *m, unsigned n) { return (uint16_t)rte_ring_sc_dequeue_burst(r, (void **)m, n, NULL); }
static inline unsigned cdpdk_packets_room(struct rte_ring *r) { return rte_ring_free_count(r); }
static inline void cdpdk_spin_lock(uint32_t *l) { rte_spinlock_lock((rte_spinlock_t *)l); }
static inline void cdpdk_spin_unlock(uint32_t *l) { rte_spinlock_unlock((rte_spinlock_t *)l); }

// -- devices -----------------------------------------------------------------------------------------------------------
// `rss_flows`: RTE_ETH_RSS_* of what is spread over the receive queues; 0: whatever the driver does by itself. `link_events`, `removal_events`:
// the driver is to report them. `loopback`: the NIC receives what it sends; drivers that cannot either say so or send.
static inline int cdpdk_device_configure(uint16_t port, uint16_t rxq, uint16_t txq, uint64_t rx_offloads, uint64_t tx_offloads, uint64_t rss_flows,
                                         int link_events, int removal_events, int loopback) {
  struct rte_eth_conf conf;
  memset(&conf, 0, sizeof conf);
  conf.lpbk_mode = loopback != 0;
  conf.rxmode.offloads = rx_offloads;
  conf.txmode.offloads = tx_offloads;
  conf.intr_conf.lsc = link_events != 0;
  conf.intr_conf.rmv = removal_events != 0;
  if (rss_flows != 0) { conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS; conf.rx_adv_conf.rss_conf.rss_hf = rss_flows; }
  return rte_eth_dev_configure(port, rxq, txq, &conf);
}
static inline int cdpdk_device_has_link_events(uint32_t flags) { return (flags & RTE_ETH_DEV_INTR_LSC) != 0; }
static inline int cdpdk_device_has_removal_events(uint32_t flags) { return (flags & RTE_ETH_DEV_INTR_RMV) != 0; }
// Flows of IP packets, told apart by addresses and, where there are any, ports.
static inline uint64_t cdpdk_rss_flows(void) { return RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP; }
static inline uint64_t cdpdk_rx_offload_hash(void) { return RTE_ETH_RX_OFFLOAD_RSS_HASH; }
static inline uint64_t cdpdk_rx_offload_scatter(void) { return RTE_ETH_RX_OFFLOAD_SCATTER; }
static inline uint64_t cdpdk_rx_offload_udp_checksum(void) { return RTE_ETH_RX_OFFLOAD_UDP_CKSUM; }
static inline uint64_t cdpdk_tx_offload_tcp_checksum(void) { return RTE_ETH_TX_OFFLOAD_TCP_CKSUM; }
static inline uint64_t cdpdk_tx_offload_udp_checksum(void) { return RTE_ETH_TX_OFFLOAD_UDP_CKSUM; }
static inline uint64_t cdpdk_tx_offload_ipv4_checksum(void) { return RTE_ETH_TX_OFFLOAD_IPV4_CKSUM; }
static inline uint64_t cdpdk_tx_offload_tso(void) { return RTE_ETH_TX_OFFLOAD_TCP_TSO; }
static inline uint64_t cdpdk_tx_offload_vxlan_tso(void) { return RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO | RTE_ETH_TX_OFFLOAD_OUTER_IPV4_CKSUM; }
// Name of the bus a device is on: "vdev", "pci".
static inline const char *cdpdk_device_bus(uint16_t port) {
  struct rte_eth_dev_info info;
  return rte_eth_dev_info_get(port, &info) == 0 ? rte_bus_name(rte_dev_bus(info.device)) : NULL;
}
// Events of all devices, below the drivers. Experimental in DPDK, but the same since 18.02.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static inline int cdpdk_device_events_register(rte_dev_event_cb_fn callback, void *context) {
  return rte_dev_event_callback_register(NULL, callback, context);
}
#pragma GCC diagnostic pop
static inline int cdpdk_device_mac(uint16_t port, uint8_t *octets) {
  struct rte_ether_addr a;
  int r = rte_eth_macaddr_get(port, &a);
  if (r == 0) memcpy(octets, a.addr_bytes, 6);
  return r;
}
static inline int cdpdk_device_set_mac(uint16_t port, const uint8_t *octets) {
  struct rte_ether_addr a;
  memcpy(a.addr_bytes, octets, 6);
  return rte_eth_dev_default_mac_addr_set(port, &a);
}
// The only groups, n addresses of six octets each, that the device is to receive.
static inline int cdpdk_device_set_groups(uint16_t port, const uint8_t *octets, uint32_t n) {
  struct rte_ether_addr *list = (struct rte_ether_addr *)calloc(n == 0 ? 1 : n, sizeof *list);
  if (list == NULL) return -ENOMEM;
  for (uint32_t i = 0; i < n; i++) memcpy(list[i].addr_bytes, octets + 6 * i, 6);
  int r = rte_eth_dev_set_mc_addr_list(port, list, n);
  free(list);
  return r;
}
static inline int cdpdk_device_link_is_up(uint16_t port) {
  struct rte_eth_link link;
  memset(&link, 0, sizeof link);
  return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}
// Stops, closes and detaches; the port identifier is free afterwards.
static inline int cdpdk_device_remove(uint16_t port) {
  struct rte_eth_dev_info info;
  int r = rte_eth_dev_info_get(port, &info);
  if (r != 0) return r;
  (void)rte_eth_dev_stop(port);
  r = rte_eth_dev_close(port);
  if (r != 0) return r;
  return rte_dev_remove(info.device);
}

// -- RCU (quiescent-state based reclamation) -----------------------------------------------------------------------------
static inline struct rte_rcu_qsbr *cdpdk_rcu_create(uint32_t threads) {
  struct rte_rcu_qsbr *v = (struct rte_rcu_qsbr *)rte_zmalloc("vtepd-rcu", rte_rcu_qsbr_get_memsize(threads), RTE_CACHE_LINE_SIZE);
  if (v != NULL && rte_rcu_qsbr_init(v, threads) != 0) { rte_free(v); v = NULL; }
  return v;
}
static inline void cdpdk_rcu_register(struct rte_rcu_qsbr *v, unsigned t) { rte_rcu_qsbr_thread_register(v, t); }
static inline void cdpdk_rcu_unregister(struct rte_rcu_qsbr *v, unsigned t) { rte_rcu_qsbr_thread_unregister(v, t); }
static inline void cdpdk_rcu_online(struct rte_rcu_qsbr *v, unsigned t) { rte_rcu_qsbr_thread_online(v, t); }
static inline void cdpdk_rcu_offline(struct rte_rcu_qsbr *v, unsigned t) { rte_rcu_qsbr_thread_offline(v, t); }
static inline void cdpdk_rcu_quiescent(struct rte_rcu_qsbr *v, unsigned t) { rte_rcu_qsbr_quiescent(v, t); }
static inline uint64_t cdpdk_rcu_start(struct rte_rcu_qsbr *v) { return rte_rcu_qsbr_start(v); }
static inline int cdpdk_rcu_passed(struct rte_rcu_qsbr *v, uint64_t token) { return rte_rcu_qsbr_check(v, token, false); }
static inline void cdpdk_rcu_wait(struct rte_rcu_qsbr *v) { rte_rcu_qsbr_synchronize(v, RTE_QSBR_THRID_INVALID); }

// -- rings of learn events ---------------------------------------------------------------------------------------------
static inline struct rte_ring *cdpdk_ring_create(const char *name, unsigned element_size, unsigned count) {
  return rte_ring_create_elem(name, element_size, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}
static inline int cdpdk_ring_enqueue(struct rte_ring *r, void *element, unsigned size) { return rte_ring_sp_enqueue_elem(r, element, size); }
static inline unsigned cdpdk_ring_dequeue(struct rte_ring *r, void *elements, unsigned size, unsigned n) { return rte_ring_sc_dequeue_burst_elem(r, elements, size, n, NULL); }
static inline unsigned cdpdk_ring_count(struct rte_ring *r) { return rte_ring_count(r); }

// -- rate meters -------------------------------------------------------------------------------------------------------
static inline int cdpdk_meter_conforms(struct rte_meter_srtcm *m, const struct rte_meter_srtcm_profile *p, uint64_t now, uint32_t n) {
  return rte_meter_srtcm_color_blind_check(m, (struct rte_meter_srtcm_profile *)p, now, n) == RTE_COLOR_GREEN;
}

// -- time --------------------------------------------------------------------------------------------------------------
static inline uint64_t cdpdk_cycles(void) { return rte_rdtsc(); }
static inline uint64_t cdpdk_cycles_per_second(void) { return rte_get_tsc_hz(); }

// -- waiting -----------------------------------------------------------------------------------------------------------
// struct epoll_event carries a union; the data is always an unsigned integer here.
// `edge`: report a descriptor once per event, not for as long as it is readable.
static inline int cdpdk_epoll_add(int epfd, int fd, uint64_t data, int edge) {
  struct epoll_event e = {.events = edge ? EPOLLIN | EPOLLET : EPOLLIN, .data.u64 = data};
  return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e);
}
static inline int cdpdk_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
// Events, or 0 when the time is over. Before Linux 5.11 whole milliseconds.
static inline int cdpdk_epoll_wait(int epfd, struct epoll_event *events, int n, long microseconds) {
  if (microseconds > 0) {
    struct timespec t = {.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
    long r = syscall(SYS_epoll_pwait2, epfd, events, n, &t, NULL, 0);
    if (r >= 0 || errno != ENOSYS) return (int)r;
  }
  return epoll_wait(epfd, events, n, (int)((microseconds + 999) / 1000));
}
static inline int cdpdk_epoll_remove(int epfd, int fd) { return epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL); }
// Swift's C library module lacks eventfd(2), prctl(2) and sched_getaffinity(2).
static inline int cdpdk_event_create(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
static inline void cdpdk_event_signal(int fd) { uint64_t one = 1; (void)!write(fd, &one, sizeof one); }
static inline void cdpdk_event_clear(int fd) { uint64_t value; (void)!read(fd, &value, sizeof value); }

// -- memory that is gone ------------------------------------------------------------------------------------------------
// The address where a mapped file has no page; 0 for any other fault.
static inline uintptr_t cdpdk_fault_address(const siginfo_t *info) { return info != NULL && info->si_code == BUS_ADRERR ? (uintptr_t)info->si_addr : 0; }
// Maps empty memory over the page around an address.
static inline int cdpdk_replace_page(uintptr_t address, size_t size) {
  void *page = (void *)(address & ~(uintptr_t)(size - 1));
  return mmap(page, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page ? 0 : -1;
}
// Whether an address is in the memory shared by the guest of a vhost connection.
static inline int cdpdk_guest_has(int vid, uintptr_t address) {
  struct rte_vhost_memory *memory = NULL;
  if (rte_vhost_get_mem_table(vid, &memory) != 0) return 0;
  int found = 0;
  for (uint32_t i = 0; i < memory->nregions; i++)
    found |= address - (uintptr_t)memory->regions[i].mmap_addr < memory->regions[i].mmap_size;
  free(memory);
  return found;
}

// -- threads -----------------------------------------------------------------------------------------------------------
static inline int cdpdk_thread_set_name(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline int cdpdk_thread_id(void) { return (int)syscall(SYS_gettid); }
static inline int cdpdk_thread_signal(int thread, int number) { return (int)syscall(SYS_tgkill, getpid(), thread, number); }
static inline int cdpdk_realtime_signal(int number) { return SIGRTMIN + number; }
// Once it has been called, it allocates nothing: a signal handler may.
static inline int cdpdk_backtrace(void **frames, int count) { return backtrace(frames, count); }
// One allocation, for the caller to free.
static inline char **cdpdk_backtrace_names(void **frames, int count) { return backtrace_symbols(frames, count); }
// Whether this process may run on a CPU.
static inline int cdpdk_cpu_allowed(int cpu) {
  unsigned long mask[16] = {0};
  return syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0 && (mask[cpu / 64] >> (cpu % 64) & 1);
}

#include "kernel.h"
#include "xdp.h"

#endif

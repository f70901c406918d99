// What Swift cannot import of the kernel's packet sockets and taps: request numbers that are macros, structures that glibc declares
// with _GNU_SOURCE only, and ancillary data. Accessors and wrappers only: no decision is taken here.
#ifndef CDPDK_KERNEL_H
#define CDPDK_KERNEL_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

// Newer than Debian 12's headers.
#define CDPDK_PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000

// The constant's name, ENOBUFS for example; NULL for a number without one. Declared by glibc with _GNU_SOURCE only.
extern const char *strerrorname_np(int number);
static inline const char *cdpdk_error_name(int number) { return strerrorname_np(number); }

// -- virtio-net header (virtio 1.3 section 5.1.6), as packet sockets and taps have it: host byte order -----------------------------
struct cdpdk_virtio_header {
  uint8_t flags;
  uint8_t segmentation;
  uint16_t header_length;
  uint16_t segment_size;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
_Static_assert(sizeof(struct cdpdk_virtio_header) == 10, "as the kernel's struct virtio_net_hdr");

// With the places of the headers of a tunnel, for a tap whose header size is set to 24 (Linux 6.17).
struct cdpdk_virtio_tunnel_header {
  struct cdpdk_virtio_header base;
  uint16_t buffers;
  uint16_t hash[2];
  uint16_t hash_report;
  uint16_t padding;
  uint16_t outer_transport_offset;
  uint16_t inner_network_offset;
};
_Static_assert(sizeof(struct cdpdk_virtio_tunnel_header) == 24, "as the kernel's struct virtio_net_hdr_v1_hash_tunnel");

// -- messages: an array for recvmmsg(2) and sendmmsg(2) ----------------------------------------------------------------------------
struct cdpdk_message {
  struct msghdr header;
  unsigned int length;
};
// Room for one struct tpacket_auxdata.
#define CDPDK_CONTROL_SIZE 64
_Static_assert(CMSG_SPACE(sizeof(struct tpacket_auxdata)) <= CDPDK_CONTROL_SIZE, "ancillary data of one message");

static inline void cdpdk_message_set(struct cdpdk_message *m, struct iovec *pieces, size_t count, void *control, size_t control_size) {
  m->header.msg_iov = pieces;
  m->header.msg_iovlen = count;
  m->header.msg_control = control;
  m->header.msg_controllen = control_size;
  m->header.msg_flags = 0;
}
static inline int cdpdk_message_is_truncated(const struct cdpdk_message *m) { return (m->header.msg_flags & MSG_TRUNC) != 0; }
// The tag that the kernel has taken off: TPID << 16 | TCI; 0 when there was none. An old kernel's TPID is missing: 0x8100.
static inline uint32_t cdpdk_message_tag(struct cdpdk_message *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m->header); c != NULL; c = CMSG_NXTHDR(&m->header, c)) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    struct tpacket_auxdata a;
    memcpy(&a, CMSG_DATA(c), sizeof a);
    if ((a.tp_status & TP_STATUS_VLAN_VALID) == 0) return 0;
    return (uint32_t)((a.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? a.tp_vlan_tpid : 0x8100) << 16 | a.tp_vlan_tci;
  }
  return 0;
}
// Number of messages, or a negative errno. Swift's C library module has neither call. A signal interrupts none of these calls, since
// they never wait; the loops are there in case a kernel thinks otherwise.
static inline int cdpdk_receive_messages(int fd, struct cdpdk_message *m, unsigned n) {
  long r;
  do r = syscall(SYS_recvmmsg, fd, m, n, MSG_DONTWAIT, NULL); while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : (int)r;
}
static inline int cdpdk_send_messages(int fd, struct cdpdk_message *m, unsigned n) {
  long r;
  do r = syscall(SYS_sendmmsg, fd, m, n, MSG_DONTWAIT); while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : (int)r;
}
// For taps, which take one frame per call: bytes, or a negative errno.
static inline ssize_t cdpdk_read_pieces(int fd, struct iovec *pieces, int count) {
  ssize_t r;
  do r = readv(fd, pieces, count); while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : r;
}
static inline ssize_t cdpdk_write_pieces(int fd, struct iovec *pieces, int count) {
  ssize_t r;
  do r = writev(fd, pieces, count); while (r < 0 && errno == EINTR);
  return r < 0 ? -errno : r;
}

// -- buffers -------------------------------------------------------------------------------------------------------------------------
// Length of a packet of one segment, whose buffer has that room.
static inline void cdpdk_mbuf_set_length(cdpdk_mbuf m, uint16_t n) { m->data_len = n; m->pkt_len = n; }
// A packet of n bytes of a segment, without copying; NULL when the pool is empty. No other packet may have these bytes. It has no
// tailroom, and its headroom is not its own.
static inline cdpdk_mbuf cdpdk_mbuf_slice(cdpdk_mbuf segment, uint16_t offset, uint16_t n, struct rte_mempool *p) {
  cdpdk_mbuf m = rte_pktmbuf_alloc(p);
  if (m == NULL) return NULL;
  rte_pktmbuf_attach(m, segment);
  m->data_off += offset;
  m->data_len = n;
  m->pkt_len = n;
  m->buf_len = m->data_off + n;
  m->nb_segs = 1;
  m->next = NULL;
  m->ol_flags = (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) | CDPDK_SLICE;
  return m;
}
// The outer checksum needs no verification: the kernel has done it, or the packet has never left this host.
static inline void cdpdk_mbuf_trust_outer(cdpdk_mbuf m) { m->ol_flags |= RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD; }
static inline int cdpdk_mbuf_is_outer_trusted(cdpdk_mbuf m) { return (m->ol_flags & RTE_MBUF_F_RX_OUTER_L4_CKSUM_MASK) == RTE_MBUF_F_RX_OUTER_L4_CKSUM_GOOD; }

// -- packet sockets ------------------------------------------------------------------------------------------------------------------
// A socket that receives nothing until it is bound; a descriptor, or a negative errno.
static inline int cdpdk_packet_open(void) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}
static inline int cdpdk_packet_option(int fd, int option, uint32_t value) {
  return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0 ? 0 : -errno;
}
static inline int cdpdk_socket_option(int fd, int option, int value) {
  return setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0 ? 0 : -errno;
}
static inline int cdpdk_packet_bind(int fd, int interface) {
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0003 /* ETH_P_ALL */), .sll_ifindex = interface};
  return bind(fd, (struct sockaddr *)&a, sizeof a) == 0 ? 0 : -errno;
}
// The index of the interface that the socket is bound to; negative once that is gone.
static inline int cdpdk_packet_interface(int fd) {
  struct sockaddr_ll a;
  socklen_t size = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &size) != 0) return -errno;
  return a.sll_ifindex > 0 ? a.sll_ifindex : -1;
}
static inline int cdpdk_packet_promiscuous(int fd, int interface) {
  struct packet_mreq m = {.mr_ifindex = interface, .mr_type = PACKET_MR_PROMISC};
  return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) == 0 ? 0 : -errno;
}
// The group's number is the kernel's choice; the second and later sockets are given the first one's.
static inline int cdpdk_packet_fanout(int fd, uint16_t group, uint16_t flags) {
  return cdpdk_packet_option(fd, PACKET_FANOUT, (uint32_t)flags << 16 | group);
}
static inline int cdpdk_packet_fanout_group(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &value, &size) == 0 ? value & 0xffff : -errno;
}
// Frames that found the socket full since the last call; a negative errno.
static inline int cdpdk_packet_losses(int fd) {
  struct tpacket_stats s;
  socklen_t size = sizeof s;
  return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &s, &size) == 0 ? (int)s.tp_drops : -errno;
}

// -- taps ----------------------------------------------------------------------------------------------------------------------------
static inline int cdpdk_tap_set_offloads(int fd, unsigned long offloads) { return ioctl(fd, TUNSETOFFLOAD, offloads) == 0 ? 0 : -errno; }
static inline int cdpdk_tap_set_header_size(int fd, int size) { return ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 ? 0 : -errno; }

#endif

// AF_XDP sockets (Linux' Documentation/networking/af_xdp.rst): set-up calls, whose numbers are macros. The rings are read and written
// in Swift (XDPQueue).
#ifndef CDPDK_XDP_H
#define CDPDK_XDP_H

#include <linux/ethtool.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

// Debian 12's <sys/socket.h> has neither.
#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

// A ring that is shared with the kernel. Positions only grow; `size` is a power of two.
struct cdpdk_xdp_ring {
  uint32_t *producer;
  uint32_t *consumer;
  uint32_t *flags;
  void *entries;
  uint32_t size;
  void *memory;
  size_t byte_count;
};

// A socket bound to a receive queue of an interface, with memory of its own for frames: `chunk_count` chunks of `chunk_size` octets.
struct cdpdk_xdp_socket {
  int descriptor;
  int is_zero_copy;
  void *frames;
  size_t frames_byte_count;
  struct cdpdk_xdp_ring fill;
  struct cdpdk_xdp_ring completion;
  struct cdpdk_xdp_ring receive;
  struct cdpdk_xdp_ring transmit;
};

static inline int cdpdk_xdp_map_ring(
    int fd, const struct xdp_ring_offset *place, uint32_t size, size_t entry_size, uint64_t page, struct cdpdk_xdp_ring *ring) {
  ring->byte_count = place->desc + size * entry_size;
  ring->memory = mmap(NULL, ring->byte_count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)page);
  if (ring->memory == MAP_FAILED) {
    ring->memory = NULL;
    return -errno;
  }
  ring->producer = (uint32_t *)((char *)ring->memory + place->producer);
  ring->consumer = (uint32_t *)((char *)ring->memory + place->consumer);
  ring->flags = (uint32_t *)((char *)ring->memory + place->flags);
  ring->entries = (char *)ring->memory + place->desc;
  ring->size = size;
  return 0;
}

// The kernel frees the socket's memory some time after this.
static inline void cdpdk_xdp_close(struct cdpdk_xdp_socket *s) {
  struct cdpdk_xdp_ring *rings[] = {&s->fill, &s->completion, &s->receive, &s->transmit};
  if (s->descriptor >= 0) close(s->descriptor);
  s->descriptor = -1;
  for (int i = 0; i < 4; i++) {
    if (rings[i]->memory != NULL) munmap(rings[i]->memory, rings[i]->byte_count);
    rings[i]->memory = NULL;
  }
  if (s->frames != NULL) munmap(s->frames, s->frames_byte_count);
  s->frames = NULL;
}

static inline int cdpdk_xdp_set_up(
    struct cdpdk_xdp_socket *s, uint32_t chunk_size, uint32_t receive_count, uint32_t transmit_count) {
  int fd = s->descriptor;
  s->frames_byte_count = (size_t)chunk_size * (receive_count + transmit_count);
  void *frames = mmap(NULL, s->frames_byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (frames == MAP_FAILED) return -errno;
  s->frames = frames;
  struct xdp_umem_reg memory = {.addr = (uint64_t)(uintptr_t)frames, .len = s->frames_byte_count, .chunk_size = chunk_size};
  struct xdp_mmap_offsets offsets;
  socklen_t size = sizeof offsets;
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) != 0 ||
      setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &receive_count, sizeof receive_count) != 0 ||
      setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &transmit_count, sizeof transmit_count) != 0 ||
      setsockopt(fd, SOL_XDP, XDP_RX_RING, &receive_count, sizeof receive_count) != 0 ||
      setsockopt(fd, SOL_XDP, XDP_TX_RING, &transmit_count, sizeof transmit_count) != 0 ||
      getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0)
    return -errno;
  int code = cdpdk_xdp_map_ring(fd, &offsets.fr, receive_count, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING, &s->fill);
  if (code == 0)
    code = cdpdk_xdp_map_ring(fd, &offsets.cr, transmit_count, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING, &s->completion);
  if (code == 0) code = cdpdk_xdp_map_ring(fd, &offsets.rx, receive_count, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING, &s->receive);
  if (code == 0) code = cdpdk_xdp_map_ring(fd, &offsets.tx, transmit_count, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING, &s->transmit);
  return code;
}

// Opens a socket and its rings; it receives nothing before it is bound. 0, or a negative errno.
static inline int cdpdk_xdp_open(
    struct cdpdk_xdp_socket *s, uint32_t chunk_size, uint32_t receive_count, uint32_t transmit_count) {
  memset(s, 0, sizeof *s);
  s->descriptor = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (s->descriptor < 0) return -errno;
  int code = cdpdk_xdp_set_up(s, chunk_size, receive_count, transmit_count);
  if (code != 0) cdpdk_xdp_close(s);
  return code;
}

// Binds it to a receive queue: without copies where the driver can do that. 0, or a negative errno.
static inline int cdpdk_xdp_bind(struct cdpdk_xdp_socket *s, int interface_index, uint32_t queue) {
  struct sockaddr_xdp address = {
      .sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_NEED_WAKEUP, .sxdp_ifindex = (uint32_t)interface_index, .sxdp_queue_id = queue};
  if (bind(s->descriptor, (struct sockaddr *)&address, sizeof address) != 0) return -errno;
  struct xdp_options options = {0};
  socklen_t size = sizeof options;
  s->is_zero_copy = getsockopt(s->descriptor, SOL_XDP, XDP_OPTIONS, &options, &size) == 0 && (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  return 0;
}

// Packets for the socket that the kernel has dropped since it was opened: no chunk was free, or the ring was full.
static inline uint64_t cdpdk_xdp_losses(int fd) {
  struct xdp_statistics statistics = {0};
  socklen_t size = sizeof statistics;
  return getsockopt(fd, SOL_XDP, XDP_STATISTICS, &statistics, &size) == 0 ? statistics.rx_dropped + statistics.rx_ring_full : 0;
}

// Has the kernel send what is in the transmit ring, and look at the fill ring. 0, or a negative errno.
static inline int cdpdk_xdp_wake_transmit(int fd) { return sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 ? -errno : 0; }
static inline void cdpdk_xdp_wake_receive(int fd) { (void)recvfrom(fd, NULL, 0, MSG_DONTWAIT, NULL, NULL); }

// Receive queues of an interface (ETHTOOL_GCHANNELS); 0: its driver does not say.
static inline uint32_t cdpdk_receive_queues(const char *interface) {
  struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
  struct ifreq request = {0};
  strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  request.ifr_data = (char *)&channels;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  int code = ioctl(fd, SIOCETHTOOL, &request);
  close(fd);
  return code == 0 ? channels.combined_count + channels.rx_count : 0;
}

// The interface's driver; an empty text: it does not say.
static inline void cdpdk_driver_name(const char *interface, char name[32]) {
  struct ethtool_drvinfo information = {.cmd = ETHTOOL_GDRVINFO};
  struct ifreq request = {0};
  strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  request.ifr_data = (char *)&information;
  name[0] = 0;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (ioctl(fd, SIOCETHTOOL, &request) == 0) strncpy(name, information.driver, 31), name[31] = 0;
  close(fd);
}

#endif

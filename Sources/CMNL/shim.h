// CMNL: libmnl, the kernel's rtnetlink and packet-socket headers, and the few parts of them that Swift cannot import: casts inside
// macros, ioctl(2) request codes, function-like macros.
#ifndef CMNL_SHIM_H
#define CMNL_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/udp.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// <linux/xfrm.h> needs the address types of the kernel's headers; libc's are the same.
#include <netinet/in.h>
#undef __UAPI_DEF_IN6_ADDR
#undef __UAPI_DEF_IN6_ADDR_ALT
#undef __UAPI_DEF_SOCKADDR_IN6
#undef __UAPI_DEF_IPV6_MREQ
#undef __UAPI_DEF_IPPROTO_V6
#undef __UAPI_DEF_IPV6_OPTIONS
#define __UAPI_DEF_IN6_ADDR 0
#define __UAPI_DEF_IN6_ADDR_ALT 0
#define __UAPI_DEF_SOCKADDR_IN6 0
#define __UAPI_DEF_IPV6_MREQ 0
#define __UAPI_DEF_IPPROTO_V6 0
#define __UAPI_DEF_IPV6_OPTIONS 0
#include <linux/xfrm.h>

// Present in every kernel we run on, but not in <net/if.h>.
enum { CMNL_IFF_LOWER_UP = 1 << 16 };

// Payload of a message or attribute, and the attribute after it; nested attributes work alike.
static inline const void *cmnl_message_payload(const struct nlmsghdr *message) {
  return mnl_nlmsg_get_payload(message);
}

// First attribute after a family header of `size` bytes.
static inline const struct nlattr *cmnl_first_attribute(const struct nlmsghdr *message, size_t size) {
  return (const struct nlattr *)mnl_nlmsg_get_payload_offset(message, size);
}

static inline const void *cmnl_attribute_payload(const struct nlattr *attribute) {
  return mnl_attr_get_payload(attribute);
}

// Carrier of the interface behind a descriptor of /dev/net/tun; 0 = off.
static inline int cmnl_tun_set_carrier(int fd, int on) { return ioctl(fd, TUNSETCARRIER, &on); }

// The network namespace of the interface behind a descriptor of /dev/net/tun, or of a socket: a descriptor to close at once, since
// it keeps the namespace alive; -1 and errno.
static inline int cmnl_tun_namespace(int fd) { return ioctl(fd, TUNGETDEVNETNS); }
static inline int cmnl_socket_namespace(int fd) { return ioctl(fd, SIOCGSKNS); }

// Receives a datagram of the kernel, and the ID of the network namespace that it tells of: -1 = the socket's own. Bytes, or -1 and
// errno: ENOSPC when the buffer was too small, as libmnl says it.
static inline ssize_t cmnl_receive(int fd, void *buffer, size_t size, int32_t *namespace_id) {
  struct sockaddr_nl sender;
  struct iovec place = {.iov_base = buffer, .iov_len = size};
  char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {
      .msg_name = &sender, .msg_namelen = sizeof sender, .msg_iov = &place, .msg_iovlen = 1, .msg_control = control,
      .msg_controllen = sizeof control};
  ssize_t count = recvmsg(fd, &message, 0);
  if (count < 0) return -1;
  if ((message.msg_flags & MSG_TRUNC) != 0) {
    errno = ENOSPC;
    return -1;
  }
  *namespace_id = -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_NETLINK && c->cmsg_type == NETLINK_LISTEN_ALL_NSID) memcpy(namespace_id, CMSG_DATA(c), sizeof(int));
  }
  return count;
}

// Limits on the number of open descriptors.
static inline int cmnl_descriptor_limits(uint64_t *soft, uint64_t *hard) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  *soft = limit.rlim_cur;
  *hard = limit.rlim_max;
  return 0;
}

static inline int cmnl_set_descriptor_limit(uint64_t soft) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  limit.rlim_cur = soft;
  return setrlimit(RLIMIT_NOFILE, &limit);
}

// One queue of a tap interface, which is created if there is none and lives as long as its descriptors. Reads and writes never block.
// `flags`: IFF_* besides IFF_TAP and IFF_NO_PI; IFF_TUN_EXCL: EBUSY if an interface of this name exists. A negative errno on failure.
static inline int cmnl_tap_open(const char *name, int flags) {
  struct ifreq request;
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -errno;
  memset(&request, 0, sizeof(request));
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags);
  if (ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  int code = errno;
  close(fd);
  return -code;
}

// Name of the interface behind a descriptor of /dev/net/tun (character device 10:200, wherever its node is); -1 for any other
// descriptor, for an unattached one, and for a detached queue, which receives no frames.
static inline int cmnl_tun_name(int fd, char name[IFNAMSIZ]) {
  struct stat status;
  struct ifreq request;
  if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode)) return -1;
  if (status.st_rdev != makedev(10, 200)) return -1;
  memset(&request, 0, sizeof(request));
  if (ioctl(fd, TUNGETIFF, &request) != 0 || (request.ifr_flags & IFF_DETACH_QUEUE)) return -1;
  memcpy(name, request.ifr_name, IFNAMSIZ);
  name[IFNAMSIZ - 1] = 0;
  return 0;
}

// Whether the interface behind a descriptor of /dev/net/tun outlives its last descriptor.
static inline int cmnl_tun_is_persistent(int fd) {
  struct ifreq request;
  memset(&request, 0, sizeof(request));
  return ioctl(fd, TUNGETIFF, &request) == 0 && (request.ifr_flags & IFF_PERSIST) != 0;
}

#endif

// The XDP program of `underlay.driver: af_xdp`. It hands VXLAN packets for us to the AF_XDP sockets, and leaves everything else to the
// kernel: other protocols and hosts, fragments (the kernel reassembles them for vtepd's packet sockets), tags (priority tags, too), IP options
// and extension headers, and BFD, which has a packet socket of its own, where no data is in front of it (docs/decisions/0045).
// vtepd keeps the maps up to date (Netlink/XDPProgram.swift). Compiled by scripts/xdp-program.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define VXLAN_HEADER_LENGTH 8

// An IPv6 address, or an IPv4 address in the form ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2); network byte order.
struct address {
    __u32 words[4];
};

// Receive queue to AF_XDP socket. What arrives on a queue without a socket passes.
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

// Our addresses, and the groups of our VNIs.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct address);
    __type(value, __u32);
} destinations SEC(".maps");

struct settings {
    __u8 mac[ETH_ALEN];
    // Network byte order.
    __u16 udp_port;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct settings);
} settings SEC(".maps");

// A unicast packet comes in a frame to our MAC address, one to a group in a frame to a group's (docs/decisions/0017).
static __always_inline int is_for_us(const struct ethhdr *ethernet, const struct settings *ours, int is_group)
{
    if (is_group)
        return ethernet->h_dest[0] & 1;
    return __builtin_memcmp(ethernet->h_dest, ours->mac, ETH_ALEN) == 0;
}

// Whether the inner frame goes to one of BFD's addresses: Open vSwitch's and vtep(5)'s, or that of RFC 8971.
static __always_inline int is_bfd(const struct udphdr *udp, const void *end)
{
    static const __u8 open_vswitch[ETH_ALEN] = {0x00, 0x23, 0x20, 0x00, 0x00, 0x01};
    static const __u8 rfc8971[ETH_ALEN] = {0x00, 0x00, 0x5e, 0x00, 0x52, 0x02};
    const struct ethhdr *inner = (const void *)(udp + 1) + VXLAN_HEADER_LENGTH;

    if ((const void *)(inner + 1) > end)
        return 0;
    return __builtin_memcmp(inner->h_dest, open_vswitch, ETH_ALEN) == 0 || __builtin_memcmp(inner->h_dest, rfc8971, ETH_ALEN) == 0;
}

SEC("xdp")
int vtepd_underlay(struct xdp_md *context)
{
    void *data = (void *)(long)context->data;
    void *end = (void *)(long)context->data_end;
    struct ethhdr *ethernet = data;
    void *network = ethernet + 1;
    __u32 first = 0;
    struct address destination = {};
    struct udphdr *udp;
    int is_group;

    struct settings *ours = bpf_map_lookup_elem(&settings, &first);
    if (!ours || network > end)
        return XDP_PASS;
    if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = network;
        udp = (void *)(ip + 1);
        // 0x3fff: more fragments, or not the first one.
        if ((void *)udp > end || ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(0x3fff))
            return XDP_PASS;
        destination.words[2] = bpf_htonl(0xffff);
        destination.words[3] = ip->daddr;
        is_group = (ip->daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000);
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
        struct ipv6hdr *ip = network;
        udp = (void *)(ip + 1);
        if ((void *)udp > end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
            return XDP_PASS;
        __builtin_memcpy(&destination, &ip->daddr, sizeof destination);
        is_group = ip->daddr.in6_u.u6_addr8[0] == 0xff;
    } else {
        return XDP_PASS;
    }
    if ((void *)(udp + 1) > end || udp->dest != ours->udp_port || !is_for_us(ethernet, ours, is_group))
        return XDP_PASS;
    if (!bpf_map_lookup_elem(&destinations, &destination) || is_bfd(udp, end))
        return XDP_PASS;
    return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
}

// The helpers that it calls are open to every licence.
char _license[] SEC("license") = "Apache-2.0";

// Netlink: what the kernel knows and does for us: links, addresses, routes, next-hop objects, neighbours, IPsec policies, tap devices,
// packet sockets, filters. Where to start: `NetlinkSocket` for questions, `NetlinkMonitor` for changes.
//
// Contract. Messages are parsed with libmnl's checks; what a newer kernel adds is passed over. A question returns all of its answer or
// throws a `NetlinkError` with operation, subject and errno. A monitor whose buffer overflowed says so (`resync`), and everything is
// read again.
//
// Threads. A socket belongs to one thread at a time. A monitor has a thread of its own, which blocks.
//
// Never. No VXLAN. The kernel's state is changed only where a function says so.

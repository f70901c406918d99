// Netlink: what the kernel knows and does for us: links, addresses, routes, next-hop objects, neighbours, IPsec policies, tap
// devices, packet sockets, filters. Start with `NetlinkSocket` for queries, `NetlinkMonitor` for changes.
//
// Contract. Messages are parsed with libmnl's checks; additions by newer kernels are ignored. A query returns its complete answer
// or throws a `NetlinkError` with operation, subject and errno. A monitor whose buffer overflowed reports `resync`, and everything
// is read again.
//
// Threads. A socket belongs to one thread at a time. A monitor has a thread of its own, which blocks.
//
// Never. No VXLAN. Only functions that say so change the kernel's state.

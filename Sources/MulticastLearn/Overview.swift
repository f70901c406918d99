// MulticastLearn: how a VNI floods, and which groups the host joins for that. Start with `FloodMode` and `GroupMembership`.
//
// Contract. Groups are joined through ordinary sockets; IGMP and MLD are the kernel's business. The kernel's list of groups
// decides: `verify` reads it back and rejoins the groups that an interface lost when it disappeared and returned.
//
// Threads. `GroupMembership` belongs to the reconciler.
//
// Never. No DPDK, no packets, no IGMP or MLD of our own.

// MulticastLearn: how a VNI floods, and which groups the host is a member of for that. Where to start: `FloodMode`, `GroupMembership`.
//
// Contract. Membership is asked of the kernel with ordinary sockets (IGMP and MLD are its business), and is what the kernel says it is:
// `verify` reads it back and joins again what an interface lost when it went and came back.
//
// Threads. `GroupMembership` belongs to the reconciler.
//
// Never. No DPDK, no packet. We write no IGMP and no MLD.

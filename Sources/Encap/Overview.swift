// Encap: what is in a frame and in a VXLAN packet, and why one is dropped. Where to start: `OuterHeader` (Outer/) for encapsulation,
// `OuterPacket` and `PlainOuterIPv4` for decapsulation, `DropReason` for everything that can be wrong.
//
// Contract. Views (`EthernetView`, `OuterPacket`) are made from bytes that came from anywhere: every length is checked before it is
// read, and what does not fit is a `DropReason`, never a trap. Writers (`OuterHeader`) overwrite every byte of what they write.
// Multi-byte fields are read and written in network byte order; properties are in the host's. MAC and IP addresses are values, not text.
//
// Threads. Everything is a value or a view of the caller's memory; nothing is shared.
//
// Never. No allocation, no class and no error thrown on the path of a packet; no device, no table, no clock, no settings of the
// operator.
//
// Address/ addresses, prefixes, VNIs · Frame/ inner frames: Ethernet, flows, offload requests, control frames · Outer/ the VXLAN packet
// around them · Checksum/ the Internet checksum (RFC 1071), whole and unfinished.

// MACTable: where each MAC address of each bridge domain lives. Where to start: the head of `MACTableReader` (how readers and the writer
// keep out of each other's way), then `MACTable+Learning` (what decides between two claims).
//
// Contract. A look-up is one or two cache lines and never waits. What it finds was true at some moment during the call. Precedence of
// entries: static, controller, learned. A flush takes effect at once for every reader. The table has a fixed size: a new address in a
// full one takes the place of an old one of the port or VTEP that has learned most.
//
// Threads. One writer at a time (`Learner` sees to that), any number of readers through `MACTableReader`. Times are the caller's.
//
// Never. No packet, no port name, no settings: ports, VTEPs and domains are indexes. No lock that a reader could wait for.

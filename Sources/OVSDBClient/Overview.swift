// OVSDBClient: RFC 7047 and the rows of the hardware_vtep schema. Where to start: `OVSDBClient` (connections), `Session` (the protocol,
// without I/O), `Replica` (tables as they are now).
//
// Contract. A replica is what the server has said, applied in order; after each connection it is complete before anybody sees it.
// Changes that nobody has taken yet are merged, so that a slow reader costs no more than the rows that differ. What a server sends that
// the schema does not allow ends the connection, with a message; it changes nothing.
//
// Threads. Connections run on NIO's threads; `OVSDBClient` is an actor. `Session`, `Replica` and everything below them are values.
//
// Never. No VXLAN, no ports, no configuration.

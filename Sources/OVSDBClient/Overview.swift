// OVSDBClient: RFC 7047 and the rows of the hardware_vtep schema. Start with `OVSDBClient` (connections), `Session` (the protocol,
// without I/O) and `Replica` (the current tables).
//
// Contract. A replica is the server's updates applied in order; after each connection it is complete before anyone sees it. Pending
// changes are merged, so a slow reader costs no more than the rows that differ. If a server sends something that the schema does
// not allow, the connection is closed with a message and the replica stays as it was.
//
// Threads. Connections run on NIO's threads; `OVSDBClient` is an actor. `Session`, `Replica` and everything below them are values.
//
// Never. No VXLAN, no ports, no configuration.

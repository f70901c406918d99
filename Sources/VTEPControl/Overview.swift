// VTEPControl: what vtepctl and vtepd say to each other: JSON-RPC 2.0, a line for each message. Where to start: `ControlRequest` and any
// file that is called after a command; `ControlClient` for the side that asks; `PortKeys` for the keys of a port.
//
// Contract. A request is one type, with its answer; its JSON keys are stable, new ones are optional. `ControlAccess` says which requests
// only read. Long lists come in pages.
//
// Threads. Values only; the client blocks.
//
// Never. No data plane, no DPDK, no configuration file.

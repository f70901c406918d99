// vtepd: the daemon around the data plane. Start with `VTEPDaemon` (command line), `Daemon` (what it owns) and `DaemonCommands`
// (commands).
//
// Contract. A configuration (Config/) is read as a whole or not at all; every problem is reported with its line. The control socket
// (Control/) answers each request or says why not. The controller's database (Controller/) becomes edits of the same desired state
// that files and commands edit. Logging never blocks (Log/).
//
// Threads. Services run on the Swift concurrency pool and NIO's threads and never block; blocking work runs on a `BackgroundThread`
// or in a child process (DatabaseServer/).
//
// Never. No packets.

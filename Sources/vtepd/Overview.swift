// vtepd: the daemon around the data plane. Where to start: `VTEPDaemon` (command line), `Daemon` (what it owns), `Daemon+Control`
// (commands).
//
// Contract. A configuration (Config/) is read as a whole, with every problem at its line, or not at all. The control socket (Control/)
// answers each request or says why not. The controller's database (Controller/) becomes edits of the same desired state that files and
// commands edit. Logging never blocks (Log/).
//
// Threads. Services run on the Swift concurrency pool and NIO's threads, and none of them blocks; what has to, is a `BackgroundThread`
// or a child process (DatabaseServer/).
//
// Never. No packet.

// VTEP: the data plane and the one who writes it. Where to start: docs/architecture.md, which numbers the steps of a frame; then
// `Worker` (Worker/) for the frames, `Reconciler` and its `settle` (Reconciler/) for changes.
//
// Contract. `DesiredState` says what is wanted (Settings/). The reconciler compares it with what there is, opens devices (Ports/),
// follows the kernel, and publishes what workers need as a `ForwardingSnapshot` (Snapshot/), which never changes afterwards. A change
// that is refused leaves everything as it was. Every frame is delivered, flooded or dropped for one reason, and counted.
//
// Threads. A worker for each core of the data plane (DPDK's lcores); the learner, the MAC table's one writer (Learning/); the reconciler
// on a thread of its own; the slow path for control frames (SlowPath/); one that reads netlink. Reports (Reports/) run wherever they are
// asked for.
//
// Never. On a worker: no lock but the one of a shared transmit queue, no allocation, no class, array, dictionary, closure or string for
// each frame (`scripts/hot-audit`). Anywhere here: no file, no control socket, no command, no OVSDB.

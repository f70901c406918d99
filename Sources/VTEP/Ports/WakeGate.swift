// WakeGate: protects a worker that requests wakeups from a device while DPDK's threads may be about to free it: they close
// the gate and wait until no worker is inside.

import CDPDK
import Synchronization

struct WakeGate: ~Copyable {
  private let isOpen = Atomic<Bool>(false)
  private let users = Atomic<Int>(0)

  /// One per DPDK device number, for the life of the process.
  nonisolated(unsafe) static let ofDevice: UnsafeMutablePointer<WakeGate> = {
    let count = Int(cdpdk_max_ports())
    let gates = UnsafeMutablePointer<WakeGate>.allocate(capacity: count)
    for index in 0..<count { (gates + index).initialize(to: WakeGate()) }
    return gates
  }()

  func open() {
    isOpen.store(true, ordering: .sequentiallyConsistent)
  }

  /// Returns when no worker is inside.
  func close() {
    isOpen.store(false, ordering: .sequentiallyConsistent)
    while users.load(ordering: .sequentiallyConsistent) != 0 { cdpdk_pause() }
  }

  /// True: the caller is inside, until `leave()`.
  func enter() -> Bool {
    users.add(1, ordering: .sequentiallyConsistent)
    if isOpen.load(ordering: .sequentiallyConsistent) { return true }
    leave()
    return false
  }

  func leave() {
    users.subtract(1, ordering: .sequentiallyConsistent)
  }
}

// WakeGate: lets workers ask a device to wake them while DPDK's threads may be about to free what is behind it: those
// close the gate and wait for who is inside.

import CDPDK
import Synchronization

struct WakeGate: ~Copyable {
  private let isOpen = Atomic<Bool>(false)
  private let users = Atomic<Int>(0)

  /// One for each DPDK device number; they live as long as the process.
  nonisolated(unsafe) static let ofDevice: UnsafeMutablePointer<WakeGate> = {
    let count = Int(cdpdk_max_ports())
    let gates = UnsafeMutablePointer<WakeGate>.allocate(capacity: count)
    for index in 0..<count { (gates + index).initialize(to: WakeGate()) }
    return gates
  }()

  func open() {
    isOpen.store(true, ordering: .sequentiallyConsistent)
  }

  /// Returns when nobody is inside.
  func close() {
    isOpen.store(false, ordering: .sequentiallyConsistent)
    while users.load(ordering: .sequentiallyConsistent) != 0 { cdpdk_pause() }
  }

  /// True: inside, until `leave()`.
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

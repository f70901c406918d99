// Sleeper: a worker or io-core that naps because nothing tells it of frames, and those who give it frames.

import CDPDK
import Synchronization

/// Whether a thread is in a long nap, and the event that ends it. A hint: a thread that is missed wakes up by itself.
struct Sleeper: ~Copyable {
  let naps = Atomic<Bool>(false)
  let event: Int32

  /// Naps below this, in microseconds, end soon enough: waking a thread costs more than they last.
  static let longNap = 200

  /// For the life of the process.
  static func make(event: Int32) -> UnsafeMutablePointer<Sleeper> {
    let sleeper = UnsafeMutablePointer<Sleeper>.allocate(capacity: 1)
    sleeper.initialize(to: Sleeper(event: event))
    return sleeper
  }

  /// For the thread itself, before it sleeps for some microseconds, and with 0 when it is awake.
  func note(nap: Int) { naps.store(nap >= Self.longNap, ordering: .relaxed) }

  /// Ends a long nap.
  @inline(always)
  func wake() {
    if naps.load(ordering: .relaxed), naps.exchange(false, ordering: .relaxed) { cdpdk_event_signal(event) }
  }
}

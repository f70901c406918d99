// Mailbox: messages from other threads to the reconciler: changes of the kernel and of devices, new VTEPs, alarms, addresses
// that move too often. Posting never waits. The reconciler takes all pending messages at once, so that a burst of changes
// makes one snapshot.

import Encap
import Netlink
import Synchronization

final class Mailbox: Sendable {
  enum Message: Sendable {
    case kernel(NetlinkChange)
    case unknownVTEP(Learner.UnknownVTEP)
    /// An address was frozen or released; one that is lost here still stands in the table.
    case macMove(Learner.MoveReport)
    /// Routers have sent ICMP errors.
    case pathMTU([PathMTUReport])
    /// The guest of a port has come, gone, or set up its rings in another way.
    case guest(port: String)
    case alarm(PortAlarm)
    /// BFD has lost or found VTEPs.
    case bfd([BFDService.Change])
    /// The driver of an uplink's NIC reports a change of its link; when, in seconds of the monotonic clock.
    case nicLink(portID: UInt16, at: Double)
    /// A device of DPDK, by its name, is being taken away.
    case nicRemoved(String)
    /// The interface was deleted.
    case puntTapLost(String)
  }

  /// Messages that may wait; a sighting beyond is dropped, since the next frame repeats it. Kernel changes beyond
  /// become one resync.
  private static let capacity = 65_536

  /// Yields after something was posted.
  let signals: AsyncStream<Void>
  private let signal: AsyncStream<Void>.Continuation
  private let pending = Mutex<[Message]>([])

  init() {
    (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  }

  func post(_ message: Message) {
    pending.withLock { pending in
      if pending.count < Self.capacity {
        pending.append(message)
      } else if case .kernel = message {
        pending.removeAll()
        pending.append(.kernel(.resync))
      }
    }
    signal.yield()
  }

  func takeAll() -> [Message] {
    pending.withLock { pending in
      defer { pending.removeAll() }
      return pending
    }
  }

  /// Ends `signals`.
  func close() {
    signal.finish()
  }
}

// TapStore: taps that outlive this process in the hands of the service manager, which has a copy of each descriptor and gives it to the next
// run: the interfaces stay where they are, with their addresses and with carrier, and frames wait in their queues (docs/decisions/0042).

import Glibc
import Netlink
import Synchronization

/// Descriptors of taps, by the names under which the taps are configured.
public final class TapStore: Sendable {
  /// From an earlier run, and not taken yet.
  private let left: Mutex<[String: [Int32]]>
  /// Taps that the service manager was told to let go of.
  private let leaving = Mutex<Set<String>>([])
  private let keep: (@Sendable (_ device: String, [Int32]) -> Bool)?
  private let drop: @Sendable (_ device: String) -> Void

  /// - Parameters:
  ///   - left: what an earlier run has left; owned by the store from now on.
  ///   - keep: has the service manager keep copies; false: they are not kept. Nil: nobody keeps any.
  ///   - drop: has the service manager close its copies.
  public init(
    left: [String: [Int32]] = [:], keep: (@Sendable (_ device: String, [Int32]) -> Bool)? = nil,
    drop: @escaping @Sendable (_ device: String) -> Void = { _ in }
  ) {
    self.left = Mutex(left)
    self.keep = keep
    self.drop = drop
  }

  /// The queues of a tap that an earlier run has left, for the caller to close; nil: there is none, or it has been deleted since.
  ///
  /// - Parameter queues: wanted. A tap with another number cannot go on.
  func take(_ device: String, queues: Int) -> [Int32]? {
    guard let descriptors = left.withLock({ $0.removeValue(forKey: device) }) else { return nil }
    guard descriptors.count == queues, !TapDevice.states(of: descriptors).contains(.gone) else {
      discard(device, descriptors)
      return nil
    }
    return descriptors
  }

  /// Taps live on when this process ends.
  var keepsTaps: Bool { keep != nil }

  /// An earlier run has left a tap of this name, and nobody has taken it.
  func has(_ device: String) -> Bool { left.withLock { $0[device] != nil } }

  /// - Returns: whether the tap lives on when this process ends.
  func keep(_ device: String, _ descriptors: [Int32]) -> Bool {
    guard keep?(device, descriptors) == true else { return false }
    _ = leaving.withLock { $0.remove(device) }
    return true
  }

  /// The tap is to go with its last descriptor here.
  func forget(_ device: String) {
    _ = leaving.withLock { $0.insert(device) }
    drop(device)
  }

  func forget(_ tap: TapQueues) { if let device = tap.keptAs { forget(device) } }

  /// The service manager may have copies a moment longer.
  func isLeaving(_ device: String) -> Bool { leaving.withLock { $0.contains(device) } }

  /// Closes what nobody has taken.
  ///
  /// - Returns: the names of these taps, which the kernel has removed.
  func discardRest() -> [String] {
    let rest = left.withLock { left in
      defer { left = [:] }
      return left
    }
    for (device, descriptors) in rest { discard(device, descriptors) }
    return rest.keys.sorted()
  }

  private func discard(_ device: String, _ descriptors: [Int32]) {
    forget(device)
    for descriptor in descriptors { close(descriptor) }
  }
}

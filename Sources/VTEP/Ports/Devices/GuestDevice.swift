// GuestDevice: the device of a vhost-user port: a socket, and the guest behind it, whose rings workers read and write through DPDK's
// vhost library (librte_vhost). Aspects: +Callbacks (what the library reports), +Rings (whether a guest keeps its rings in order).
//
// The library has one thread that handles the messages of all hypervisors. It also frees what a guest has set up, so it must not do so
// under a worker: `destroy_device` takes the connection out of the slot and waits until every worker has begun another round or sleeps.
// A worker never waits for that thread while it is in a round, so neither waits for the other (docs/decisions/0027).

import CDPDK
import Glibc
import Synchronization

final class GuestDevice: Sendable {
  /// What the guest has set up.
  struct Guest: Equatable, Sendable {
    /// The library's number of the connection; -1: no guest is ready.
    var connection: Int32 = -1
    /// Negotiated virtio feature bits.
    var features: UInt64 = 0
    var mtu: Int?

    var isUp: Bool { connection >= 0 }
  }

  /// Queue pairs that a guest uses. Bit n: pair n.
  struct Queues: Equatable, Sendable {
    /// Of frames that the guest sends, and of frames that it receives.
    var receive: UInt64 = 0
    var transmit: UInt64 = 0
  }

  struct State {
    var guest = Guest()
    /// By connection: rings come and go before and after the device is ready.
    var queues: [Int32: Queues] = [:]
    /// Counts changes of rings and connections.
    var changes: UInt64 = 0
    /// By ring; see `ringFault`.
    var progress: [UInt16: RingProgress] = [:]
  }

  /// The port's name.
  let port: String
  let path: String
  let isClient: Bool
  /// Of its `GuestSlot`.
  let index: UInt16
  let queueCount: Int
  /// Descriptors that the library needed when every guest of the ports up to this one was connected.
  let neededDescriptors: Int
  let mailbox: Mailbox
  nonisolated(unsafe) let rcu: OpaquePointer
  let state = Mutex(State())
  /// The connection that the reconciler may ask the library about. It is locked for as long as that takes, and never by what the library
  /// calls while it has a ring locked.
  let reachable = Mutex<Int32>(-1)
  /// Duplicates of the guest's kicks, one per receive queue in use; -1: the guest gave none.
  private let kicks = Mutex(Kicks())

  private struct Kicks {
    var descriptors: [Int32] = []
    /// `State.changes` that they belong to.
    var changes: UInt64 = 0
  }

  private init(_ socket: Socket, index: UInt16, neededDescriptors: Int, queues: Int, host: PortHost) {
    port = socket.port
    path = socket.path
    isClient = socket.isClient
    self.index = index
    self.neededDescriptors = neededDescriptors
    queueCount = queues
    mailbox = host.mailbox
    rcu = host.rcu
  }

  /// Where hypervisors connect, or are connected to.
  struct Socket {
    /// The port's name.
    var port: String
    /// Absolute.
    var path: String
    /// Connect to the hypervisor's socket, and reconnect; false: create the socket and listen.
    var isClient: Bool

    /// That the library's thread waits for.
    var descriptorCount: Int { isClient ? 1 : 2 }
  }

  // -- open and remove ---------------------------------------------------------------------------------------------------

  /// - Parameters:
  ///   - queues: pairs that the port uses; the guest may use fewer.
  ///   - offersOffloads: the guest may leave checksums unfinished and send large TCP segments.
  static func open(_ socket: Socket, queues: Int, offersOffloads: Bool, host: PortHost) throws(VTEPError) -> GuestDevice {
    let subject = "port \(socket.port)"
    GuestPools.make(host.runtime)
    guard
      let device = registry.withLock({ registry in
        registry.enter(socket) { GuestDevice(socket, index: $0, neededDescriptors: $1, queues: queues, host: host) }
      })
    else {
      throw VTEPError(
        .refused, "\(subject): attach", "DPDK's vhost library has room for \(GuestSlot.limit) sockets, and all are in use",
        remedy: "delete a vhost-user port first")
    }
    let flags = cdpdk_vhost_compliant_flag() | (socket.isClient ? cdpdk_vhost_client_flag() : 0)
    guard rte_vhost_driver_register(socket.path, flags) == 0 else {
      registry.withLock { $0.leave(device) }
      throw VTEPError(
        .environment, "\(subject): socket \(socket.path)", "DPDK's vhost library refuses it", remedy: "see the preceding log lines")
    }
    // Before the socket opens: a hypervisor may be waiting for it, and it keeps what it was offered first.
    if !offersOffloads { _ = rte_vhost_driver_disable_features(socket.path, VirtioFeatures.offloads) }
    guard rte_vhost_driver_callback_register(socket.path, callbacks) == 0, rte_vhost_driver_start(socket.path) == 0 else {
      let limit = device.limitRemark
      device.close()
      throw VTEPError(
        .environment, "\(subject): socket \(socket.path)",
        limit ?? "DPDK's vhost library cannot \(socket.isClient ? "use" : "listen on") it",
        remedy: limit == nil ? "see the preceding log lines" : "delete a vhost-user port")
    }
    return device
  }

  /// Disconnects the guest and gives everything back. No worker refers to the device any more.
  func close() {
    // The library calls back before it frees a guest's memory.
    _ = rte_vhost_driver_unregister(path)
    Self.registry.withLock { $0.leave(self) }
    kicks.withLock { $0.descriptors.forEach { if $0 >= 0 { Glibc.close($0) } } }
  }

  // -- state --------------------------------------------------------------------------------------------------------------

  var guest: Guest { state.withLock { $0.guest } }

  /// Of the guest that is ready.
  var queues: Queues { state.withLock { $0.queues[$0.guest.connection] ?? Queues() } }

  /// The guest's rings have changed since `renewKicks`.
  var hasChangedRings: Bool { state.withLock { $0.changes } != kicks.withLock { $0.changes } }

  /// One per receive queue in use, as of `renewKicks`: readable once the guest has put frames into the queue and was asked to tell.
  var descriptors: [Int32] { kicks.withLock { $0.descriptors } }

  /// Opens the guest's kicks anew, and has the guest not kick: workers ask for it when they no longer poll. Nobody waits for the old ones.
  ///
  /// - Parameter count: the first queues of the device.
  func renewKicks(count: Int) {
    kicks.withLock { kicks in
      kicks.descriptors.forEach { if $0 >= 0 { Glibc.close($0) } }
      kicks.changes = state.withLock { $0.changes }
      kicks.descriptors = reachable.withLock { connection in
        guard connection >= 0 else { return [] }
        // What the guest does with its own receive rings nobody needs to be told.
        for pair in queues.transmit.bits { _ = rte_vhost_enable_guest_notification(connection, UInt16(2 * pair), 0) }
        return (0..<count).map { queue in
          let ring = UInt16(2 * queue + 1)
          _ = rte_vhost_enable_guest_notification(connection, ring, 0)
          var info = rte_vhost_vring()
          guard rte_vhost_get_vhost_vring(connection, ring, &info) == 0, info.kickfd >= 0 else { return -1 }
          return fcntl(info.kickfd, F_DUPFD_CLOEXEC, 0)
        }
      }
    }
  }

  /// What an operator should know about the library's limits; nil: nothing, or it concerns ports that came later.
  var limitRemark: String? {
    let needed = Self.registry.withLock { $0.descriptorCount }
    guard neededDescriptors > Self.descriptorLimit, needed > Self.descriptorLimit else { return nil }
    return
      "DPDK's vhost library serves at most \(Self.descriptorLimit) sockets and connections, and the vhost-user ports need \(needed) once all"
      + " guests are connected: guests beyond are turned away; role: client needs one for each port, role: server two"
  }

  /// Descriptors that the library's thread waits for: its table has 1,024, one of which is its own.
  private static let descriptorLimit = 1023
}

extension UInt64 {
  /// Positions of the bits that are set, ascending.
  var bits: [Int] { (0..<64).filter { self >> UInt64($0) & 1 != 0 } }
}

// GuestDevice+Callbacks: what the vhost library reports, on its own threads and, while a port is opened or removed, on the reconciler's.
// It names only a connection, so the devices are entered in a registry.

import CDPDK
import Synchronization

extension GuestDevice {
  /// All open devices.
  struct Registry {
    private var byPath: [String: GuestDevice] = [:]
    private var byConnection: [Int32: GuestDevice] = [:]
    /// Of slots.
    private var freeIndexes: [UInt16] = []
    private var nextIndex: UInt16 = 0

    /// Descriptors that the library needs when every guest is connected.
    private(set) var descriptorCount = 0

    /// Makes a device for a slot, with the descriptors that the library needs from then on. Nil: there is no free slot.
    mutating func enter(_ socket: Socket, _ make: (UInt16, Int) -> GuestDevice) -> GuestDevice? {
      guard let index = freeIndexes.popLast() ?? (nextIndex < GuestSlot.limit ? nextIndex : nil) else { return nil }
      nextIndex = max(nextIndex, index + 1)
      descriptorCount += socket.descriptorCount
      let device = make(index, descriptorCount)
      byPath[device.path] = device
      return device
    }

    mutating func leave(_ device: GuestDevice) {
      byPath[device.path] = nil
      descriptorCount -= device.isClient ? 1 : 2
      byConnection = byConnection.filter { $0.value !== device }
      freeIndexes.append(device.index)
    }

    mutating func connect(_ connection: Int32, path: String) -> GuestDevice? {
      byConnection[connection] = byPath[path]
      return byConnection[connection]
    }

    mutating func disconnect(_ connection: Int32) -> GuestDevice? { byConnection.removeValue(forKey: connection) }

    subscript(connection: Int32) -> GuestDevice? { byConnection[connection] }
  }

  static let registry = Mutex(Registry())

  /// The library keeps the pointer.
  nonisolated(unsafe) static let callbacks: UnsafePointer<rte_vhost_device_ops> = {
    var operations = rte_vhost_device_ops()
    operations.new_connection = { GuestDevice.connected($0) }
    operations.destroy_connection = { GuestDevice.disconnected($0) }
    operations.new_device = { connection in
      GuestDevice.registry.withLock { $0[connection] }?.start(connection) ?? -1
    }
    operations.destroy_device = { connection in
      GuestDevice.registry.withLock { $0[connection] }?.stop(connection)
    }
    operations.vring_state_changed = { connection, ring, isEnabled in
      GuestDevice.registry.withLock { $0[connection] }?.change(connection, ring: ring, isEnabled: isEnabled != 0)
      return 0
    }
    let pointer = UnsafeMutablePointer<rte_vhost_device_ops>.allocate(capacity: 1)
    pointer.initialize(to: operations)
    return UnsafePointer(pointer)
  }()

  /// - Returns: below 0: the library closes the connection.
  private static func connected(_ connection: Int32) -> Int32 {
    var name = [CChar](repeating: 0, count: 256)
    guard rte_vhost_get_ifname(connection, &name, name.count) == 0 else { return -1 }
    let path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let device = registry.withLock({ $0.connect(connection, path: path) }) else { return -1 }
    device.state.withLock { $0.queues[connection] = Queues() }
    return 0
  }

  private static func disconnected(_ connection: Int32) {
    registry.withLock { $0.disconnect(connection) }?.state.withLock { $0.queues[connection] = nil }
  }

  /// A ring becomes usable or ceases to be. The library may have all rings locked, so it must not be asked anything here.
  private func change(_ connection: Int32, ring: UInt16, isEnabled: Bool) {
    guard ring < 128 else { return }
    let bit: UInt64 = 1 << UInt64(ring / 2)
    state.withLock { state in
      var queues = state.queues[connection] ?? Queues()
      if ring % 2 == 1 {
        queues.receive = isEnabled ? queues.receive | bit : queues.receive & ~bit
      } else {
        queues.transmit = isEnabled ? queues.transmit | bit : queues.transmit & ~bit
      }
      state.queues[connection] = queues
      state.changes += 1
    }
    mailbox.post(.guest(port: port))
  }

  /// The guest is ready. If a second hypervisor connects to the port's socket, its guest takes the first one's place.
  private func start(_ connection: Int32) -> Int32 {
    var features: UInt64 = 0
    var mtu: UInt16 = 0
    _ = rte_vhost_get_negotiated_features(connection, &features)
    if rte_vhost_get_mtu(connection, &mtu) != 0 { mtu = 0 }
    reachable.withLock { $0 = connection }
    state.withLock { state in
      state.guest = Guest(connection: connection, features: features, mtu: mtu == 0 ? nil : Int(mtu))
      state.changes += 1
      state.progress = [:]
    }
    _ = GuestSlot.all[Int(index)].takeClaim()
    GuestSlot.all[Int(index)].connection.store(connection, ordering: .releasing)
    mailbox.post(.guest(port: port))
    return 0
  }

  /// The library is about to free the guest's rings or memory. When this returns nobody uses them.
  private func stop(_ connection: Int32) {
    _ = GuestSlot.all[Int(index)].connection.compareExchange(expected: connection, desired: -1, ordering: .sequentiallyConsistent)
    reachable.withLock { if $0 == connection { $0 = -1 } }
    cdpdk_rcu_wait(rcu)
    state.withLock { state in
      guard state.guest.connection == connection else { return }
      state.guest = Guest()
      state.changes += 1
    }
    mailbox.post(.guest(port: port))
  }
}

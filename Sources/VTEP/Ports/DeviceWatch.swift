// DeviceWatch: receives DPDK's callbacks about a device (link up and down, guests' queues), keeps the state, and notifies the
// reconciler of changes.

import CDPDK
import Glibc
import Synchronization

/// Follows one device from before it is configured until it is removed.
final class DeviceWatch: Sendable {
  /// What a vhost-user guest has set up.
  struct Guest: Equatable, Sendable {
    var isUp = false
    /// The vhost library's connection number; -1 = none.
    var connection: Int32 = -1
    /// Negotiated virtio feature bits.
    var features: UInt64 = 0
    var mtu: Int?
    /// Bit n: the guest uses queue pair n in this direction.
    var receiveQueues: UInt64 = 0
    var transmitQueues: UInt64 = 0
  }

  let portID: UInt16
  private let path: String
  private let mailbox: Mailbox
  private let state = Mutex(Guest())
  /// By ring; see `ringFault`.
  let progress = Mutex<[UInt16: RingProgress]>([:])

  /// - Parameter path: the device's vhost-user socket.
  init(portID: UInt16, path: String, mailbox: Mailbox) {
    self.portID = portID
    self.path = path
    self.mailbox = mailbox
  }

  var guest: Guest { state.withLock { $0 } }

  func start(subject: String) throws(VTEPError) {
    for event in [RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_QUEUE_STATE] {
      try VTEPError.check(
        rte_eth_dev_callback_register(portID, event, Self.callback, Unmanaged.passUnretained(self).toOpaque()),
        "\(subject): follow the device")
    }
  }

  /// No callback arrives after this returns.
  func stop() {
    for event in [RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_QUEUE_STATE] {
      while rte_eth_dev_callback_unregister(
        portID, event, Self.callback, Unmanaged.passUnretained(self).toOpaque()) == -EAGAIN
      { usleep(100) }
    }
    WakeGate.ofDevice[Int(portID)].close()
  }

  /// Called on DPDK's threads, and on the reconciler's while it removes the device.
  private static let callback: rte_eth_dev_cb_fn = { _, event, argument, _ in
    guard let argument else { return 0 }
    let watch = Unmanaged<DeviceWatch>.fromOpaque(argument).takeUnretainedValue()
    if event == RTE_ETH_EVENT_QUEUE_STATE { watch.queuesChanged() } else { watch.linkChanged() }
    watch.mailbox.post(.device(portID: watch.portID))
    return 0
  }

  private func queuesChanged() {
    var event = rte_eth_vhost_queue_event()
    state.withLock { guest in
      while rte_eth_vhost_get_queue_event(portID, &event) == 0 {
        guard event.queue_id < 64 else { continue }
        let bit: UInt64 = 1 << UInt64(event.queue_id)
        if event.rx {
          guest.receiveQueues = event.enable ? guest.receiveQueues | bit : guest.receiveQueues & ~bit
        } else {
          guest.transmitQueues = event.enable ? guest.transmitQueues | bit : guest.transmitQueues & ~bit
        }
      }
    }
  }

  private func linkChanged() {
    if cdpdk_device_link_is_up(portID) == 0 {
      // The driver waits for bursts in progress, but not for wakeup requests: it frees the connection after this call.
      WakeGate.ofDevice[Int(portID)].close()
      // The driver drops its queues without a callback.
      state.withLock { $0 = Guest() }
      return
    }
    let connection = connectionNumber()
    var features: UInt64 = 0
    var mtu: UInt16 = 0
    if connection >= 0 {
      _ = rte_vhost_get_negotiated_features(connection, &features)
      if rte_vhost_get_mtu(connection, &mtu) != 0 { mtu = 0 }
    }
    queuesChanged()
    state.withLock { guest in
      guest.isUp = true
      guest.connection = connection
      guest.features = features
      guest.mtu = mtu == 0 ? nil : Int(mtu)
    }
    WakeGate.ofDevice[Int(portID)].open()
  }

  /// The driver knows the link state once its queues are set up; a guest may be faster.
  private func connectionNumber() -> Int32 {
    let known = rte_eth_vhost_get_vid_from_port_id(portID)
    if known >= 0 { return known }
    var name = [CChar](repeating: 0, count: 256)
    return (0..<Int32(RTE_MAX_VHOST_DEVICE)).first { number in
      rte_vhost_get_ifname(number, &name, name.count) == 0 && strcmp(name, path) == 0
    } ?? -1
  }
}

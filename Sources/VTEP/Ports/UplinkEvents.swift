// UplinkEvents: what DPDK's drivers report about NICs of uplinks by themselves, on the EAL's interrupt thread: a changed link, a NIC that is
// being taken away, a virtual function that its physical function has reset. Everything is left to the reconciler.

import CDPDK
import Glibc
import Synchronization

enum UplinkEvents {
  /// Drivers whose events about the link have been seen to come each time. Once DPDK is told to wait for a driver's events, it never asks the
  /// NIC any more, so all others are asked (`ControlState.followLinks`).
  private static let reliable: Set<String> = ["net_virtio"]

  private static let events = [RTE_ETH_EVENT_INTR_LSC, RTE_ETH_EVENT_INTR_RMV, RTE_ETH_EVENT_INTR_RESET]
  private static let hasBegun = Atomic(false)

  static func reportLinks(_ driver: String) -> Bool { reliable.contains(driver) }

  /// Has events about a NIC posted from now on.
  ///
  /// - Parameter mailbox: lives as long as the NIC.
  static func begin(_ portID: UInt16, _ mailbox: Mailbox) {
    let context = Unmanaged.passUnretained(mailbox).toOpaque()
    for event in events { _ = rte_eth_dev_callback_register(portID, event, heed, context) }
    // Of all devices, and once: those behind vfio-pci, which the kernel wants back.
    guard !hasBegun.exchange(true, ordering: .relaxed) else { return }
    _ = cdpdk_device_events_register(heedDevice, context)
  }

  /// No event of the NIC is on its way when this returns.
  static func end(_ portID: UInt16) {
    let anyContext = UnsafeMutableRawPointer(bitPattern: -1)
    for event in events {
      while rte_eth_dev_callback_unregister(portID, event, heed, anyContext) == -EAGAIN { usleep(1000) }
    }
  }

  private static let heed: rte_eth_dev_cb_fn = { portID, event, context, _ in
    guard let mailbox = mailbox(context) else { return 0 }
    if event == RTE_ETH_EVENT_INTR_LSC {
      mailbox.post(.nicLink(portID: portID, at: MonotonicClock.preciseSeconds()))
    } else if let name = name(of: portID) {
      // A virtual function whose physical function was reset (another MTU, the link down and up) forwards nothing until it is opened anew, and
      // so it is closed like one that goes away.
      mailbox.post(.nicRemoved(name))
    }
    return 0
  }

  private static let heedDevice: rte_dev_event_cb_fn = { name, event, context in
    guard event == RTE_DEV_EVENT_REMOVE, let name, let mailbox = mailbox(context) else { return }
    mailbox.post(.nicRemoved(String(cString: name)))
  }

  private static func mailbox(_ context: UnsafeMutableRawPointer?) -> Mailbox? {
    context.map { Unmanaged<Mailbox>.fromOpaque($0).takeUnretainedValue() }
  }

  private static func name(of portID: UInt16) -> String? {
    var name = [CChar](repeating: 0, count: 256)
    guard rte_eth_dev_get_name_by_port(portID, &name) == 0 else { return nil }
    return name.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
  }
}

// EthernetDevice+Generic: devices that need only their driver's arguments, and state that every driver reports.

import CDPDK
import Glibc

extension EthernetDevice {
  /// Opens a device of a virtual driver under a free name.
  static func open(
    driver: String, arguments: String, queues: Int, runtime: DPDKRuntime, subject: String, remedy: String
  ) throws(VTEPError) -> EthernetDevice {
    try MemifInterrupts.inTurn(driver) { () throws(VTEPError) in
      let portID = try attach(driver: driver, arguments: arguments, subject: subject, remedy: remedy)
      return try starting(portID, queues: queues, purpose: .port, runtime: runtime, subject: subject)
    }
  }

  /// Opens a device by its name on a bus.
  static func open(
    bus: String, name: String, arguments: String, queues: Int, purpose: Purpose = .port, runtime: DPDKRuntime, subject: String
  ) throws(VTEPError) -> EthernetDevice {
    var taken: UInt16 = 0
    guard rte_eth_dev_get_port_by_name(name, &taken) != 0 else {
      throw VTEPError(.refused, "\(subject): attach \(name)", "the device is already in use")
    }
    return try MemifInterrupts.inTurn(name) { () throws(VTEPError) in
      let portID = try attach(
        bus: bus, name: name, arguments: arguments, subject: subject,
        remedy: bus == "pci" ? "bind the device to vfio-pci" : "see the preceding log lines")
      return try starting(portID, queues: queues, purpose: purpose, runtime: runtime, subject: subject)
    }
  }

  private static func starting(
    _ portID: UInt16, queues: Int, purpose: Purpose, runtime: DPDKRuntime, subject: String
  ) throws(VTEPError) -> EthernetDevice {
    do throws(VTEPError) {
      return try start(portID, queues: queues, purpose: purpose, runtime: runtime, subject: subject)
    } catch {
      _ = cdpdk_device_remove(portID)
      throw error
    }
  }

  /// Up with all queues, or else `state`.
  func linkStatus(whenDown state: PortStatus.State, mtu: Int?) -> PortStatus {
    guard cdpdk_device_link_is_up(portID) != 0 else { return PortStatus(state: state, mtu: mtu) }
    return PortStatus(state: .up, mtu: mtu, receiveQueues: queueCount, transmitQueues: queueCount)
  }
}

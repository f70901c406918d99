// DPDKDriver: ports of kind dpdk: any device with a DPDK driver, whether a PCI NIC or a virtual device.

import CDPDK
import Netlink

enum DPDKDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.devargs]
  static let optionalKeys = [PortAttachment.Key.queues]
  static let closesWhenDisabled = true

  /// A guess: drivers differ.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 8 + 2 * attachment.queues }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.devargs, name(attachment))
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard let devargs = attachment.devargs else { return [] }
    if let reason = DPDKDevice.reasonAgainst(devargs) { return [(.devargs, "devargs \(reason)")] }
    // The driver waits for a back end, and all of vtepd would with it.
    if DPDKDevice.waitsForBackEnd(devargs) {
      return [(.devargs, "devargs '\(devargs)': vtepd cannot wait for this driver's back end; use kind: virtio-user")]
    }
    return []
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let devargs = settings.attachment.devargs ?? ""
    let name = name(settings.attachment)
    let device = try EthernetDevice.open(
      bus: DPDKDevice.bus(devargs), name: name, arguments: DPDKDevice.arguments(devargs),
      queues: settings.attachment.queues, runtime: host.runtime, subject: "port \(settings.name)")
    do throws(VTEPError) {
      if let mtu = settings.mtu {
        try VTEPError.check(rte_eth_dev_set_mtu(device.portID, UInt16(mtu)), "port \(settings.name): mtu \(mtu)")
      }
    } catch {
      try? device.remove(subject: "port \(settings.name)")
      throw error
    }
    return OpenedPort(device: .ethdev(device))
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    guard let device = device.ethernet else { return PortStatus(mtu: settings.mtu) }
    var mtu: UInt16 = 0
    let hasMTU = rte_eth_dev_get_mtu(device.portID, &mtu) == 0 && mtu > 0
    return device.linkStatus(whenDown: .down, mtu: hasMTU ? Int(mtu) : settings.mtu)
  }

  /// `0000:03:00.0` of `0000:03:00.0,rx_burst=…`.
  private static func name(_ attachment: PortAttachment) -> String {
    DPDKDevice.name(attachment.devargs ?? "")
  }
}

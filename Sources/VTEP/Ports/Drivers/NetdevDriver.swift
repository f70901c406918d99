// NetdevDriver: ports of kind netdev: an existing kernel interface, read through a packet socket.

import CDPDK
import Glibc
import Netlink

enum NetdevDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.device]
  static let optionalKeys: [PortAttachment.Key] = []
  static let awaitsInterface = true
  static let finishesChecksums = true
  // The kernel removes the outermost tag, and DPDK's net_af_packet always puts it back as 0x8100.
  static let showsTPID = false

  /// Packet socket, claim, and an occasional socket for ioctl.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 4 }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.device, attachment.device ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    interfaceProblems(attachment)
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    guard let link = try host.link(settings.attachment.device ?? "", subject: subject) else { return nil }
    let claim = try claim(link, subject: subject)
    let users = try VTEPError.wrap(subject) { () throws(NetlinkError) in try InterfaceUsers(host.netlink) }
    if let use = users.use(of: link) {
      throw VTEPError(
        .refused, "\(subject): interface \(link.name)", "it \(use.what), which would be cut off",
        remedy: "\(use.undo), or name another interface")
    }
    let side = host.guardHost(link, claim: claim)
    do throws(VTEPError) {
      let device = try EthernetDevice.openPacketSocket(
        link: link, queues: 1, filterPort: nil, promiscuous: true, runtime: host.runtime, subject: subject)
      return OpenedPort(device: .ethdev(device), link: link, hostSide: side)
    } catch {
      try? side.guardian?.remove(host.netlink)
      throw error
    }
  }

  private static func claim(_ link: Link, subject: String) throws(VTEPError) -> InterfaceClaim {
    do throws(NetlinkError) {
      return try InterfaceClaim(link)
    } catch  where error.code == EBUSY {
      throw VTEPError(
        .refused, "\(subject): interface \(link.name)", "it is in use by another vtepd" + (error.detail.map { ", \($0)" } ?? ""),
        remedy: "stop it, or name another interface")
    } catch {
      throw VTEPError(.environment, subject, "\(error)")
    }
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    PortStatus(
      state: link?.isRunning ?? false ? .up : .down, mtu: link?.mtu ?? 1500, receiveQueues: device.queueCount,
      transmitQueues: device.queueCount, remark: remark(link))
  }

  private static func remark(_ link: Link?) -> String? {
    guard let link else { return nil }
    var remarks: [String] = []
    if link.kind == "veth" {
      remarks.append(
        "\(link.name) is a veth: vtepd completes checksums that its peer left unfinished; segments larger"
          + " than the MTU are dropped as frame-truncated (ethtool -K PEER tso off gso off)")
    }
    if link.hasGRO {
      remarks.append(
        "\(link.name) has GRO on: segments that it joins to more than the MTU are dropped as frame-truncated"
          + " (ethtool -K \(link.name) gro off)")
    }
    return remarks.isEmpty ? nil : remarks.joined(separator: "; ")
  }
}

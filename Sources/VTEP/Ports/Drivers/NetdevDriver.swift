// NetdevDriver: ports of kind netdev: an existing kernel interface, through a packet socket of our own. The interface's address, state,
// MTU and neighbours are left alone, and whatever the senders behind it leave to hardware, checksums and the cutting of large segments,
// is taken as from a guest (docs/decisions/0024).

import Encap
import Glibc
import Netlink

enum NetdevDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.device]
  static let optionalKeys: [PortAttachment.Key] = []
  static let awaitsInterface = true
  static let offersOffloads = true
  static let usesDPDK = false

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
    let users = try VTEPError.wrap(subject) { () throws(NetlinkError) in try host.interfaceUsers.read() }
    if let use = users.use(of: link) {
      throw VTEPError(
        .refused, "\(subject): interface \(link.name)", "it \(use.what), which would be cut off",
        remedy: "\(use.undo), or name another interface")
    }
    let side = host.guardHost(link, claim: claim)
    do throws(VTEPError) {
      let device = try PacketSocketDevice.open(link, queues: 1, purpose: .port, subject: subject)
      return OpenedPort(device: .packetSocket(device), link: link, hostSide: side)
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
    var status = PortStatus(
      state: link?.isRunning ?? false ? .up : .down, mtu: link?.mtu ?? 1500, receiveQueues: device.queueCount,
      transmitQueues: device.queueCount)
    // What the kernel leaves to us comes in any case.
    status.features = ["csum", "host-tso4", "host-tso6", "host-ecn", "host-uso"]
    if KernelFeatures.takesRequests && settings.offloads == .auto {
      status.features += ["guest-csum", "guest-tso4", "guest-tso6", "guest-ecn"]
      status.takes = [.takesUnfinished, .takesSegments]
      if KernelFeatures.takesTrains {
        status.features += ["guest-uso4", "guest-uso6"]
        status.takes.insert(.takesSegmentsUDP)
      }
    }
    if let link, let name = settings.attachment.device, link.name != name {
      status.remark = "the interface is now called \(link.name); one that is called \(name) takes its place"
    }
    return status
  }
}

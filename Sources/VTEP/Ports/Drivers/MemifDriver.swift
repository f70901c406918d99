// MemifDriver: ports of kind memif: rings in memory shared with another process (VPP, a container's network function)
// over a unix socket. Both sides poll: DPDK's driver requests no wakeups from its peer.

import CDPDK
import Netlink

enum MemifDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.socket]
  static let optionalKeys = [PortAttachment.Key.role, .memifID, .queues, .socketOwner, .socketGroup, .socketMode]
  static let closesWhenDisabled = true
  static let retriesOpening = true

  /// A server's device goes on with the next client.
  static func losesPeerForGood(_ attachment: PortAttachment) -> Bool { attachment.role == .client }

  /// The socket and its connections, memory regions, and an event for each ring.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 8 + 4 * attachment.queues }

  /// Several interfaces may share a socket.
  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.socket, "\(attachment.socket ?? "") (memif-id \(attachment.memifID))")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    socketProblems(attachment)
  }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let attachment = settings.attachment
    let path = host.path(attachment.socket ?? "")
    let isServer = attachment.role == .server
    if !host.ownSockets.contains(path) { try UnixSocketPath.prepare(path, isServer: isServer, subject: subject) }
    // DPDK's driver gives up if nobody listens yet.
    if !isServer, !UnixSocketPath.isServed(path) { return nil }
    let arguments =
      "role=\(attachment.role.rawValue),id=\(attachment.memifID),socket=\(path),socket-abstract=no"
      + ",mac=\(host.stableMAC(port: settings.name))"
    func open() throws(VTEPError) -> EthernetDevice {
      do throws(VTEPError) {
        return try EthernetDevice.open(
          driver: "net_memif", arguments: arguments, queues: attachment.queues, runtime: host.runtime, subject: subject,
          remedy: "see the preceding log lines")
      } catch  where !isServer && error.operation == "\(subject): start" {
        // The driver does not say why it could not connect.
        throw VTEPError(
          .refused, "\(subject): connect to \(path)", "who listens there accepts no connections, or is no memif server",
          remedy: "restart that process, or name another socket")
      }
    }
    var device = isServer ? try MemifListener.opening(path, open) : try open()
    if isServer { device.ownedSocket = path }
    return try serving(path, .ethdev(device), attachment, subject: subject)
  }

  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    device.ethernet?.linkStatus(whenDown: .waiting, mtu: settings.mtu) ?? PortStatus(mtu: settings.mtu)
  }
}

// TapDriver: ports of kind tap: a kernel interface that the daemon creates for guests and containers.

import CDPDK
import Encap
import Glibc
import Netlink

enum TapDriver: PortDriver {
  static let requiredKeys = [PortAttachment.Key.device]
  static let optionalKeys = [PortAttachment.Key.queues]
  static let hostMayUseInterface = true
  static let offersOffloads = true
  static let usesDPDK = false

  /// One for each queue; the interface's claim; sockets for an instant.
  static func descriptorCount(_ attachment: PortAttachment) -> Int { 4 + attachment.queues }

  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String) {
    (.device, attachment.device ?? "")
  }

  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] { interfaceProblems(attachment) }

  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort? {
    let subject = "port \(settings.name)"
    let name = settings.attachment.device ?? ""
    if let resumed = try resume(settings, on: host, subject: subject) { return resumed }
    let exists = try checkTap(name, on: host, subject: subject)
    let mac = host.stableMAC(port: settings.name)
    var tap = try TapQueues.open(
      name, mac: mac, queues: settings.attachment.queues, exists: exists, subject: subject)
    tap.keptAs = host.tapStore.keep(name, tap.descriptors) ? name : nil
    if settings.offloads == .off { tap.setOffloads(isOn: false) }
    do throws(VTEPError) {
      let mtu = mtu(settings, on: host)
      try VTEPError.wrap(subject) { () throws(NetlinkError) in
        try host.netlink.setUpTap(named: name, mac: mac, mtu: mtu, segmentByteCount: TapQueues.segmentByteCount(mtu: mtu))
      }
      guard let link = try host.link(name, subject: subject) else { return OpenedPort(device: .tap(tap)) }
      var opened = OpenedPort(device: .tap(tap), link: link)
      let isUsed = exists ? try isUsedByHost(link, host, subject: subject) : false
      if !isUsed {
        opened.hostSide = host.guardHost(link, claim: try? InterfaceClaim(link))
        // What the host had sent before.
        tap.discardReceived()
      }
      try VTEPError.wrap(subject) { () throws(NetlinkError) in try host.netlink.setLink(index: link.index, up: true) }
      return opened
    } catch {
      host.tapStore.forget(tap)
      tap.close()
      throw error
    }
  }

  /// Goes on with a tap that an earlier run has left, wherever its interface is. Only what differs is set there.
  private static func resume(_ settings: PortSettings, on host: PortHost, subject: String) throws(VTEPError) -> OpenedPort? {
    let name = settings.attachment.device ?? ""
    guard let descriptors = host.tapStore.take(name, queues: settings.attachment.queues) else { return nil }
    let tap = try TapQueues.resume(descriptors, named: name, mac: host.stableMAC(port: settings.name), subject: subject)
    if settings.offloads == .off { tap.setOffloads(isOn: false) }
    do throws(VTEPError) {
      var opened = OpenedPort(device: .tap(tap))
      guard case .here(let link)? = try? host.netlink.place(ofTap: tap.descriptors[0]) else { return opened }
      opened.link = link
      try adjust(link, settings, on: host)
      if try !isUsedByHost(link, host, subject: subject) { opened.hostSide = host.guardHost(link, claim: try? InterfaceClaim(link)) }
      return opened
    } catch {
      host.tapStore.forget(tap)
      tap.close()
      throw error
    }
  }

  private static func isUsedByHost(_ link: Link, _ host: PortHost, subject: String) throws(VTEPError) -> Bool {
    try VTEPError.wrap(subject) { () throws(NetlinkError) in try host.interfaceUsers.read() }.use(of: link) != nil
  }

  /// A guest's frames must fit the underlay with the outer headers on: as the kernel's VXLAN device does, a tap gets
  /// the underlay's MTU less the overhead unless told otherwise.
  private static func mtu(_ settings: PortSettings, on host: PortHost) -> Int { settings.mtu ?? host.guestMTU }

  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError) {
    let mtu = mtu(settings, on: host)
    guard mtu != link.mtu else { return }
    try VTEPError.wrap("port \(settings.name): mtu \(mtu)") { () throws(NetlinkError) in
      try host.netlink.setMTU(index: link.index, mtu: mtu)
    }
  }

  static func setOffloads(_ device: FrameDevice, isOn: Bool) {
    if case .tap(let tap) = device { tap.setOffloads(isOn: isOn) }
  }

  static func setCarrier(_ device: FrameDevice, isOn: Bool) {
    if case .tap(let tap) = device { TapDevice.setCarrier(tap.descriptors[0], isOn: isOn) }
  }

  /// - Parameter link: in whatever namespace; nil: it cannot be seen, and the port's setting is used instead.
  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus {
    guard case .tap(let tap) = device else { return PortStatus() }
    var status = PortStatus(
      state: TapDevice.state(of: tap.descriptors[0]) == .up ? .up : .down, mtu: link?.mtu ?? settings.mtu,
      receiveQueues: device.queueCount, transmitQueues: device.queueCount)
    if settings.offloads == .auto { status.features = tap.featureNames }
    status.takes = tap.takes
    return status
  }
}

/// A second: the service manager closes its copies of a tap's descriptors a moment after it was told to.
private let leaveSteps = 200

extension PortDriver {
  /// - Returns: whether a tap of that name is there.
  /// - Throws: `.refused` when the interface is not a tap, or another process has it open: opening it again would steal half of
  ///   that process's frames, and closing it would remove its configuration.
  @discardableResult
  static func checkTap(_ name: String, on host: PortHost, subject: String) throws(VTEPError) -> Bool {
    guard var link = try host.link(name, subject: subject) else { return false }
    guard link.tun != nil else {
      throw VTEPError(
        .refused, "\(subject): tap \(name)",
        "an interface of this name exists and is not a tap" + (link.kind.map { " but of kind \($0)" } ?? ""),
        remedy: "ip link delete \(name), or name another tap")
    }
    if host.tapStore.has(name) { return true }
    for _ in 0..<leaveSteps where link.tun?.isHeld == true && host.tapStore.isLeaving(name) {
      usleep(5_000)
      guard let now = try host.link(name, subject: subject) else { return false }
      link = now
    }
    guard link.tun?.isHeld != true else { throw TapQueues.inUse(name, subject: subject) }
    return true
  }

  /// Problems with the name of a kernel interface.
  static func interfaceProblems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] {
    guard let device = attachment.device, let reason = reasonAgainstInterfaceName(device) else { return [] }
    return [(.device, "device \(reason)")]
  }
}

// PortDriver: defines a kind of port: its keys, how it is opened, and how its state is read. One type for each kind
// (…Driver.swift); the reconciler knows ports only through this.

import CDPDK
import Encap
import Netlink

protocol PortDriver {
  static var requiredKeys: [PortAttachment.Key] { get }
  static var optionalKeys: [PortAttachment.Key] { get }
  /// The kernel interface may not exist yet: the port waits for it.
  static var awaitsInterface: Bool { get }
  /// A disabled port closes its device, so that its guest or peer loses the connection; other kinds keep it open.
  static var closesWhenDisabled: Bool { get }
  /// A port that found nothing to open is tried again from time to time.
  static var retriesOpening: Bool { get }
  /// The host may use the kernel interface itself: once it has an address or is a member of a bridge, its far end is the host.
  static var hostMayUseInterface: Bool { get }
  /// Guests behind the port may request checksum and segmentation offloads (see OffloadRequest).
  static var offersOffloads: Bool { get }

  /// The device is one of DPDK's, of which a process can have few.
  static var usesDPDK: Bool { get }

  /// What a guest is offered is fixed when its device opens.
  static var fixesOffloads: Bool { get }

  /// Drop reason for frames that the device does not accept.
  static var fullReason: DropReason { get }

  /// A device that has lost its peer does not find another one, and is opened anew.
  static func losesPeerForGood(_ attachment: PortAttachment) -> Bool

  /// The resource that no two ports can share: its key, and its value.
  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String)

  /// Most file descriptors that a port needs while its guest is connected.
  static func descriptorCount(_ attachment: PortAttachment) -> Int

  /// Problems with the values of the kind's keys, beyond their types; without the port's name.
  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)]

  /// Largest MTU of a port in bytes, and what helps who wants more; nil: what the device takes.
  static func largestMTU(_ attachment: PortAttachment) -> (byteCount: Int, remedy: String)?

  /// Size in bytes of buffers that the device has from its opening on; 0: it has none.
  static func bufferByteCount(_ settings: PortSettings) -> Int

  /// Opens the port's device. Nil: what it needs does not exist yet; its arrival will be noticed.
  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort?

  /// The port's current status.
  ///
  /// - Parameter link: the kernel interface, if the kind has a visible one.
  static func status(_ device: FrameDevice, link: Link?, settings: PortSettings) -> PortStatus

  /// Tells the far end of a device that stays open whether the port is enabled.
  static func setCarrier(_ device: FrameDevice, isOn: Bool)

  /// Turns offloads of an open device on or off, where they are not fixed.
  static func setOffloads(_ device: FrameDevice, isOn: Bool)

  /// Applies changed settings to a running device.
  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError)
}

extension PortDriver {
  static var awaitsInterface: Bool { false }
  static var closesWhenDisabled: Bool { false }
  static var retriesOpening: Bool { false }
  static var hostMayUseInterface: Bool { false }
  static var offersOffloads: Bool { false }
  static var usesDPDK: Bool { true }
  static var fixesOffloads: Bool { false }
  static var fullReason: DropReason { .transmitFull }
  static func losesPeerForGood(_ attachment: PortAttachment) -> Bool { false }
  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] { [] }
  static func largestMTU(_ attachment: PortAttachment) -> (byteCount: Int, remedy: String)? { nil }
  static func bufferByteCount(_ settings: PortSettings) -> Int { 0 }
  static func setCarrier(_ device: FrameDevice, isOn: Bool) {}
  static func setOffloads(_ device: FrameDevice, isOn: Bool) {}
  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError) {}
}

/// A device that was just opened.
struct OpenedPort {
  var device: FrameDevice
  /// The kernel interface, if there is one.
  var link: Link?
  var hostSide = HostSide()
}

// PortDriver: what a kind of port is: its keys, how it is opened, and how its state is read. One type for each kind
// (…Driver.swift); the reconciler knows ports only through this.

import CDPDK
import Encap
import Netlink

protocol PortDriver {
  static var requiredKeys: [PortAttachment.Key] { get }
  static var optionalKeys: [PortAttachment.Key] { get }
  /// Opening may find nothing yet: the port waits for a kernel interface to appear.
  static var awaitsInterface: Bool { get }
  /// A disabled port gives its device up, and its guest or peer sees the connection go; others keep it.
  static var closesWhenDisabled: Bool { get }
  /// A port that found nothing to open, or whose device went down, is opened anew from time to time.
  static var retriesOpening: Bool { get }
  /// The kernel interface may be the host's, too: once it has an address or is a member of a bridge, its far end is the host.
  static var hostMayUseInterface: Bool { get }
  /// Senders behind the port leave checksums to hardware that is not there (see UnfinishedChecksum).
  static var finishesChecksums: Bool { get }
  /// Guests behind the port may ask for checksums and segmentation (see OffloadRequest).
  static var offersOffloads: Bool { get }

  /// Received tags have the TPID that they were sent with.
  static var showsTPID: Bool { get }

  /// What frames are dropped for that the device does not take.
  static var fullReason: DropReason { get }

  /// What no two ports can share: the key that names it, and its value.
  static func claim(_ attachment: PortAttachment) -> (key: PortAttachment.Key, value: String)

  /// Descriptors that a port needs, its guest connected, at most.
  static func descriptorCount(_ attachment: PortAttachment) -> Int

  /// What is wrong with the values of the kind's keys, beyond their types; without the port's name.
  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)]

  /// Opens the port's device. Nil: what it needs is not there yet, and will be noticed.
  static func open(_ settings: PortSettings, on host: PortHost) throws(VTEPError) -> OpenedPort?

  /// How the port is now.
  ///
  /// - Parameter link: the kernel interface, where the kind has one that can be seen.
  static func status(_ device: EthernetDevice, link: Link?, settings: PortSettings) -> PortStatus

  /// Shows the far end of a device that stays open whether the port is enabled.
  static func setCarrier(_ device: EthernetDevice, isOn: Bool)

  /// Brings a device that runs in line with changed settings.
  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError)
}

extension PortDriver {
  static var awaitsInterface: Bool { false }
  static var closesWhenDisabled: Bool { false }
  static var retriesOpening: Bool { false }
  static var hostMayUseInterface: Bool { false }
  static var finishesChecksums: Bool { false }
  static var offersOffloads: Bool { false }
  static var showsTPID: Bool { true }
  static var fullReason: DropReason { .transmitFull }
  static func problems(_ attachment: PortAttachment) -> [(key: PortAttachment.Key, message: String)] { [] }
  static func setCarrier(_ device: EthernetDevice, isOn: Bool) {}
  static func adjust(_ link: Link, _ settings: PortSettings, on host: PortHost) throws(VTEPError) {}
}

/// A device that was just opened.
struct OpenedPort {
  var device: EthernetDevice
  /// The kernel interface, where there is one.
  var link: Link?
  var hostSide = HostSide()
}

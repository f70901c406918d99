// PortRecord: an access port as the reconciler keeps it: what is wanted, and what there is of it.

import Encap
import MACTable
import Netlink

struct PortRecord {
  var settings: PortSettings
  /// Index among the ports of a snapshot.
  var index: PortIndex
  /// Nil while there is nothing to attach to.
  var device: FrameDevice?
  /// The interface as our network namespace sees it; nil when it is elsewhere (a tap moved into a guest's), and for
  /// ports that are no kernel interface.
  var link: Link?
  /// The interface of a tap, as far as it can be seen elsewhere. Set by `PortTable.move`.
  var away: AwayLink?
  /// Of the interface of a tap, at the last look.
  var tapState: TapDevice.State?
  var hostSide = HostSide()
  /// As it was read last.
  var status = PortStatus()
  /// What is bound, as the model has it: VLAN (0 = untagged) → domain index. See `ControlState.rebind`.
  var bound: [UInt16: DomainIndex] = [:]
  /// The device has been up since it was opened.
  var wasUp = false
  /// The port was taken down or shut.
  var fault: PortFault?
  /// Receive queues that workers poll.
  var polledQueues = 0

  var driver: any PortDriver.Type { settings.attachment.kind.driver }
  /// The port is up, and its guest has been announced if it is to be.
  var isAnnounced = false
  var isUp: Bool { status.state == .up }
  var isShut: Bool { fault?.isShut == true }

  /// The port's status with a device in this state. A disabled port is down, whatever its device does.
  func status(of device: PortStatus) -> PortStatus {
    var status = device
    if let fault, fault.isShut || self.device == nil {
      if fault.cause != .attachment { status.state = .down }
      status.remark = fault.remark
    }
    if !settings.isEnabled { status.state = .down }
    if let remark = hostSide.remark { status.remark = status.remark.map { "\($0); \(remark)" } ?? remark }
    return status
  }

  /// What is out of the ordinary about the port, for the workers.
  var features: PortFeatures {
    var features = settings.policyFeatures
    if settings.offloads == .auto { features.formUnion(status.takes) }
    if driver.offersOffloads { features.insert(.offersOffloads) }
    if settings.isIsolated { features.insert(.isIsolated) }
    if isShut { features.insert(.isPoliced) }
    if settings.hasBPDUGuard { features.insert(.guardsBPDU) }
    switch settings.linkProtocols {
    case .drop: break
    case .tunnel: features.insert(.tunnelsControl)
    case .punt: features.insert(.puntsControl)
    }
    return features
  }
}

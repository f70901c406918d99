// PortRecord: an access port as the reconciler keeps it: what is wanted, and what there is of it.

import Encap
import Netlink

struct PortRecord {
  var settings: PortSettings
  /// Index among the ports of a snapshot.
  var index: UInt16
  /// Nil while there is nothing to attach to.
  var device: EthernetDevice?
  /// The interface as our network namespace sees it; nil when it is elsewhere (a tap moved into a guest's), and for
  /// ports that are no kernel interface.
  var link: Link?
  var hostSide = HostSide()
  /// As it was read last.
  var status = PortStatus()
  /// What is bound, as the model has it: VLAN (0 = untagged) → domain index. See `Reconciler.rebind`.
  var bound: [UInt16: UInt16] = [:]
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

  /// The port as it is now. A disabled one is down, whatever its device does.
  func readStatus() -> PortStatus {
    var status = device.map { driver.status($0, link: link, settings: settings) } ?? PortStatus()
    if let fault, fault.isShut || device == nil {
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
    if driver.finishesChecksums { features.insert(.finishesChecksums) }
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

/// One bridge domain.
struct DomainRecord {
  var index: UInt16
  /// The table has what the controller's store has for it.
  var hasControllerEntries = false
}

extension PortSettings {
  /// Two settings with the same identity can use one device.
  struct DeviceIdentity: Hashable {
    var attachment: PortAttachment
    var offersOffloads: Bool
  }

  /// What a guest is offered is settled when its device is opened.
  var deviceIdentity: DeviceIdentity {
    DeviceIdentity(attachment: attachment, offersOffloads: kind.driver.offersOffloads && offloads == .auto)
  }

  /// The port shall have a device. A disabled one of some kinds closes it, so that its guest's link goes down.
  var wantsDevice: Bool { isEnabled || !kind.driver.closesWhenDisabled }

  /// What a VLAN is bound to; 0 = untagged.
  public func vni(vlan: UInt16) -> VNI? {
    vlan == 0 ? vni : vlans[vlan]
  }

  /// Static addresses of a binding; VLAN 0 = untagged.
  public func macs(vlan: UInt16) -> [MACAddress] {
    vlan == 0 ? macs : vlanMACs[vlan] ?? []
  }

  /// Static addresses by VLAN; 0 = untagged.
  var macsByVLAN: [(vlan: UInt16, macs: [MACAddress])] {
    [(0, macs)] + vlanMACs.map { (vlan: $0.key, macs: $0.value) }
  }

  /// All (VLAN, VNI) pairs; VLAN 0 = untagged.
  var bindings: [(vlan: UInt16, vni: VNI)] {
    let untagged = vni.map { (vlan: UInt16(0), vni: $0) }
    return [untagged].compactMap(\.self) + vlans.sorted { $0.key < $1.key }.map { (vlan: $0.key, vni: $0.value) }
  }
}

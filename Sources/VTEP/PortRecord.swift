// PortRecord: an access port as the reconciler keeps it: what is wanted, and what there is of it.

import Encap
import Netlink

struct PortRecord {
  var settings: PortSettings
  /// Index among the ports of a snapshot.
  var index: UInt16
  /// Nil while the kernel interface does not exist.
  var device: EthernetDevice?
  /// The interface as our network namespace sees it; nil when it is elsewhere (a tap moved into a guest's).
  var link: Link?
  var isUp = false
  /// What an operator should know about the port.
  var remark: String?

  /// Largest frame to deliver, in bytes without VLAN tag. A tap in another namespace takes what it is given: its MTU
  /// cannot be seen from here.
  var maxFrameByteCount: Int {
    guard let mtu = link?.mtu else { return settings.kind == .tap ? 65_535 : 1514 }
    return mtu + 14
  }
}

/// One bridge domain.
struct DomainRecord {
  var index: UInt16
}

extension PortSettings {
  /// Two settings with the same identity can use one device.
  struct DeviceIdentity: Hashable {
    var kind: Kind
    var device: String
  }

  var deviceIdentity: DeviceIdentity {
    DeviceIdentity(kind: kind, device: device)
  }

  /// Static addresses of a binding; VLAN 0 = untagged.
  func macs(vlan: UInt16) -> [MACAddress] {
    vlan == 0 ? macs : vlanMACs[vlan] ?? []
  }

  /// All (VLAN, VNI) pairs; VLAN 0 = untagged.
  var bindings: [(vlan: UInt16, vni: VNI)] {
    let untagged = vni.map { (vlan: UInt16(0), vni: $0) }
    return [untagged].compactMap(\.self) + vlans.sorted { $0.key < $1.key }.map { (vlan: $0.key, vni: $0.value) }
  }
}

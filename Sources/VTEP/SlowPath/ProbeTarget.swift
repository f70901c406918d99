// ProbeTarget: where loop probes go. The reconciler says where, the slow path sends them.

import Encap

/// Where a port sends loop probes: one for each of its bindings.
struct ProbeTarget: Equatable, Sendable {
  var port: UInt16
  /// 0: untagged.
  var vlan: UInt16
  /// Of the tag.
  var tpid: UInt16
  var vni: VNI
  /// Source address of the probes: no station's.
  var source: MACAddress
}

// ProbeTarget: where loop probes go. The reconciler sets the targets, the slow path sends the probes.

import Encap
import MACTable

/// A port's targets for loop probes, one for each of its bindings.
struct ProbeTarget: Equatable, Sendable {
  var port: PortIndex
  /// 0: untagged.
  var vlan: UInt16
  /// Of the tag.
  var tpid: UInt16
  var vni: VNI
  /// Source address of the probes, which no station uses.
  var source: MACAddress
}

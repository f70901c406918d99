// VNISettings: one VXLAN segment (`vnis`).

import Encap
import MulticastLearn

/// One VXLAN segment.
public struct VNISettings: Equatable, Sendable {
  public enum AcceptFrom: String, Sendable, CaseIterable { case any, peers }
  public enum InnerVLAN: String, Sendable, CaseIterable { case discard, carry }

  public var vni: VNI
  public var flood: FloodMode
  /// Learn remote addresses from the data plane.
  public var learning = true
  public var acceptFrom = AcceptFrom.any
  public var innerVLAN = InnerVLAN.discard
  /// 0 = never.
  public var ageingSeconds: UInt32 = 300
  /// Learned entries in this VNI; 0 = only the table's limit.
  public var macLimit: UInt32 = 0
  /// Limits on flooding in this VNI, from ports and overlay together.
  public var storm = StormLimits()
  /// What to do with addresses that move too often; nil: as in `protection`.
  public var macMoveAction: ProtectionSettings.MACMove.Action?
  /// What becomes of requests for neighbours.
  public var neighborSuppression = NeighborSuppression.off
  /// IP addresses of stations, in `macs` or at ports.
  public var neighbors: [IPAddress: MACAddress] = [:]
  /// Static remote addresses.
  public var macs: [MACAddress: IPAddress] = [:]
  /// The controller's settings, if the VNI belongs to it and not to the operator.
  public internal(set) var logicalSwitch: LogicalSwitchSettings?

  public init(vni: VNI, flood: FloodMode) {
    self.vni = vni
    self.flood = flood
  }
}

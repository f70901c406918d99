// ControllerLayer: what an OVSDB controller wants of the data plane: logical switches and which ports belong to them. A part
// of `DesiredState`, edited by the OVSDB adapter as a whole, since there is little of it. Remote unicast addresses, of which
// there may be 100,000, are no part of it: they go to the reconciler one by one (`ControllerEdit`).

import Encap

/// Where frames go for a controller.
public struct TunnelDestination: Hashable, Sendable {
  public var address: IPAddress
  /// VNI of the tunnel; nil: the logical switch's.
  public var key: VNI?

  public init(_ address: IPAddress, key: VNI? = nil) {
    self.address = address
    self.key = key
  }
}

/// A logical switch that a controller has given a VNI.
public struct LogicalSwitchSettings: Equatable, Sendable {
  /// How one frame reaches several VTEPs.
  public enum Replication: Sendable {
    /// By any one of the destinations, which passes it on to the others.
    case serviceNode
    /// To each of the destinations.
    case sourceNode
  }

  public var name: String
  public var replication = Replication.serviceNode
  /// Of broadcast, unknown unicast, and multicast to no address of `groups`; in a stable order.
  public var flood: [TunnelDestination] = []
  /// Multicast addresses with destinations of their own.
  public var groups: [MACAddress: [TunnelDestination]] = [:]

  public init(name: String) {
    self.name = name
  }
}

public struct ControllerLayer: Equatable, Sendable {
  /// A place where a port's frames are bound.
  public struct Binding: Hashable, Comparable, Sendable {
    public var port: String
    /// VLAN identifier, 0...4095; 0 = untagged.
    public var vlan: UInt16

    public init(port: String, vlan: UInt16) {
      self.port = port
      self.vlan = vlan
    }

    public static func < (left: Binding, right: Binding) -> Bool { (left.port, left.vlan) < (right.port, right.vlan) }
  }

  public var switches: [VNI: LogicalSwitchSettings] = [:]
  public var bindings: [Binding: VNI] = [:]

  public init() {}

  /// This layer without some of its logical switches, and without what is bound to them.
  public func without(_ vnis: Set<VNI>) -> ControllerLayer {
    var layer = self
    for vni in vnis { layer.switches[vni] = nil }
    layer.bindings = bindings.filter { !vnis.contains($0.value) }
    return layer
  }
}

/// What a controller wants and does not get.
public struct ControllerConflict: Hashable, Sendable, CustomStringConvertible {
  public enum Subject: Hashable, Sendable {
    case vni(VNI)
    case binding(ControllerLayer.Binding)
  }

  public var subject: Subject
  /// One sentence without subject and final stop.
  public var reason: String

  public var description: String {
    switch subject {
    case .vni(let vni): "VNI \(vni): \(reason)"
    case .binding(let binding) where binding.vlan == 0: "untagged frames of port \(binding.port): \(reason)"
    case .binding(let binding): "VLAN \(binding.vlan) of port \(binding.port): \(reason)"
    }
  }
}

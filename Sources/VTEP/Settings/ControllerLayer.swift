// ControllerLayer: what an OVSDB controller configures: logical switches, and the ports bound to them. Part of `DesiredState`;
// the OVSDB adapter replaces it as a whole, since it is small. Remote unicast addresses are not in it: there may be 100,000 of
// them, and they go to the reconciler one by one (`ControllerEdit`).

import Encap

/// A destination set by a controller.
public struct TunnelDestination: Hashable, Sendable {
  public var address: IPAddress
  /// VNI of the tunnel; nil: that of the logical switch.
  public var key: VNI?

  public init(_ address: IPAddress, key: VNI? = nil) {
    self.address = address
    self.key = key
  }
}

/// A logical switch to which a controller assigned a VNI.
public struct LogicalSwitchSettings: Equatable, Sendable {
  /// How one frame reaches several VTEPs.
  public enum Replication: Sendable {
    /// Send it to any one of the destinations, a service node that forwards it to the others.
    case serviceNode
    /// Send it to each of the destinations.
    case sourceNode
  }

  public var name: String
  public var replication = Replication.serviceNode
  /// It has no VNI yet, and the one that it stands under is never on the wire: it connects local ports only.
  public var isLocal = false
  /// Destinations of broadcast, unknown unicast, and multicast that is not in `groups`; in a stable order.
  public var flood: [TunnelDestination] = []
  /// Multicast addresses with their own destinations.
  public var groups: [MACAddress: [TunnelDestination]] = [:]

  /// On by default: many controllers write no flood set, and addresses with each MAC address instead.
  public var neighborSuppression = NeighborSuppression.known

  public init(name: String) {
    self.name = name
  }
}

public struct ControllerLayer: Equatable, Sendable {
  /// A port and VLAN that a VNI can be bound to.
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
  /// Tunnels with BFD, by the address of the other end.
  public var bfd: [IPAddress: BFDSettings] = [:]
  /// Keyed by name.
  public var routers: [String: RouterSettings] = [:]
  /// The logical switches that any router joins, also one of other VTEPs alone.
  public var routedVNIs: Set<VNI> = []
  /// The MAC addresses from which other VTEPs ask for neighbours of routers, and their VTEPs.
  public var arpSources: [MACAddress: IPAddress] = [:]
  /// Access control lists, by name, and what they are bound to.
  public var acls: [String: ACLSettings] = [:]
  public var aclBindings: [Binding: String] = [:]

  public init() {}

  /// This layer without some of its logical switches and their bindings.
  public func without(_ vnis: Set<VNI>) -> ControllerLayer {
    var layer = self
    for vni in vnis { layer.switches[vni] = nil }
    layer.bindings = bindings.filter { !vnis.contains($0.value) }
    return layer
  }
}

/// A request of the controller that cannot be met.
public struct ControllerConflict: Hashable, Sendable, CustomStringConvertible {
  public enum Subject: Hashable, Sendable {
    case vni(VNI)
    /// Of a VNI's flood set or groups.
    case destination(VNI)
    case binding(ControllerLayer.Binding)
    case router(String)
    case acl(String)
    case aclBinding(ControllerLayer.Binding)
    /// Of a router's interface.
    case routerACL(String, VNI)
    /// The MAC address from which routers of another VTEP ask for neighbours.
    case arpSource(MACAddress)
  }

  public var subject: Subject
  /// One sentence without subject and final stop.
  public var reason: String
  /// There is no room for it.
  public var isShortage = false

  public var description: String {
    switch subject {
    case .vni(let vni), .destination(let vni): "VNI \(vni): \(reason)"
    case .router(let name): "logical router \(name): \(reason)"
    case .routerACL(let name, let vni): "ACL of logical router \(name) in VNI \(vni): \(reason)"
    case .arpSource(let mac): "ARP source \(mac): \(reason)"
    case .acl(let name): "ACL '\(name)': \(reason)"
    case .aclBinding(let binding) where binding.vlan == 0: "ACL of port \(binding.port): \(reason)"
    case .aclBinding(let binding): "ACL of VLAN \(binding.vlan) of port \(binding.port): \(reason)"
    case .binding(let binding) where binding.vlan == 0: "untagged frames of port \(binding.port): \(reason)"
    case .binding(let binding): "VLAN \(binding.vlan) of port \(binding.port): \(reason)"
    }
  }
}

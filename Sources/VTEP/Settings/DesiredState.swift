// DesiredState: what the operator and the controller want the data plane to be. Every source of change (configuration file, vtepctl,
// OVSDB) edits one value of this type; the reconciler turns the difference from the running state into data-plane changes.
// A value without `problems()` can be applied; nothing else reaches the data plane.

import Encap
import MulticastLearn

/// What the daemon should forward: underlay, VNIs, ports and routers.
public struct DesiredState: Equatable, Sendable {
  public var underlay: UnderlaySettings
  public var vnis: [VNI: VNISettings]
  /// Keyed by port name.
  public var ports: [String: PortSettings]
  /// Keyed by name.
  public var profiles: [String: PortOptions]
  /// Keyed by name.
  public var routers: [String: RouterSettings] = [:]
  /// Access control lists, by name.
  public var acls: [String: ACLSettings] = [:]
  /// Those of the controller among them; see `merged()`.
  public internal(set) var controlledACLs: Set<String> = []
  public var protection: ProtectionSettings
  /// Defaults for options that neither a port nor its profile sets.
  public var portDefaults: PortOptions
  /// The controller's part; `merged()` decides how much of it can run.
  public var controller = ControllerLayer()
  /// A controller binds ports.
  public var hasController = false

  public init(
    underlay: UnderlaySettings, vnis: [VNI: VNISettings] = [:], ports: [String: PortSettings] = [:],
    profiles: [String: PortOptions] = [:], protection: ProtectionSettings = ProtectionSettings(),
    portDefaults: PortOptions = PortOptions()
  ) {
    self.underlay = underlay
    self.vnis = vnis
    self.ports = ports
    self.profiles = profiles
    self.protection = protection
    self.portDefaults = portDefaults
    resolveProfiles()
  }

  /// Gives each port its profile's options and the defaults. Call it after every change of profiles or of a port's profile.
  public mutating func resolveProfiles() {
    for (name, port) in ports {
      let inherited = [port.profile.flatMap { profiles[$0] }, portDefaults].compactMap(\.self)
      if port.inherited != inherited { ports[name]?.inherited = inherited }
    }
  }
}

extension DesiredState {
  /// The VNIs that differ, or depend on something that differs, in another state; includes added and removed ones.
  func changedVNIs(in new: DesiredState) -> Set<VNI> {
    underlay == new.underlay ? differingVNIs(in: new) : Set(vnis.keys).union(new.vnis.keys)
  }

  /// The VNIs whose settings differ in another state; includes added and removed ones.
  public func differingVNIs(in new: DesiredState) -> Set<VNI> {
    // Costs nothing when only ports have changed: both states share one dictionary then.
    if vnis == new.vnis { return [] }
    var differing: Set<VNI> = []
    for (vni, settings) in vnis where new.vnis[vni] != settings { differing.insert(vni) }
    for vni in new.vnis.keys where vnis[vni] == nil { differing.insert(vni) }
    return differing
  }
}

extension DesiredState {
  /// Open files that the daemon needs for all this at most: of the program itself, for each worker, underlay device and port, and for
  /// clients of the control socket.
  public func descriptorCount(workers: Int) -> Int {
    64 + 8 * workers + (underlay.ownsNICs ? 10 + 3 * workers : 2 + workers) * underlay.devices.count + 64
      + ports.values.reduce(0) { $0 + $1.kind.driver.descriptorCount($1.attachment) }
  }
}

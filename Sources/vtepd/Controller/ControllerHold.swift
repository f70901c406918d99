// ControllerHold: networks that are gone from the database but forwarded for a while longer. A restarting controller withdraws its
// tunnel keys and sets them again (ovn-controller-vtep does so in many transactions), and a database may be re-created. I/O-free:
// the input is the running state and the database's contents, the output an edit that removes nothing too early.

import Encap
import OVSDBClient
import VTEP

struct ControllerHold: Sendable {
  enum Reason: String, Sendable {
    /// The controller has withdrawn the logical switch's tunnel key; its row still exists.
    case withdrawn
    /// The database was empty after connecting.
    case databaseEmpty = "database-empty"
  }

  /// A held network.
  struct Network: Sendable {
    var settings: LogicalSwitchSettings
    /// What was running and is not back in the database yet.
    var bindings: Set<ControllerLayer.Binding>
    /// Those that were in it.
    var routers: [String: RouterSettings] = [:]
    var reason: Reason
    /// When the hold ends, on the caller's clock.
    var endSeconds: Double
    /// The logical switch has been in the database since.
    var isKnown: Bool
    /// Its key is back in the database, but its contents may still be incomplete.
    var hasReturned = false
  }

  /// How long a network without its key is forwarded, and how long one with a restored key keeps its previous contents, in seconds.
  static let withdrawalSeconds = 12.0

  private(set) var networks: [VNI: Network] = [:]
  /// Access control lists, and where they were bound, when the database was found empty: held bindings stay filtered.
  private var filters = ControllerLayer()
  /// How long to ignore an empty database, in seconds.
  var emptySeconds: Double

  init(emptySeconds: Double) { self.emptySeconds = emptySeconds }

  var isEmpty: Bool { networks.isEmpty }

  var graceSeconds: Double { min(Self.withdrawalSeconds, emptySeconds) }

  /// Seconds until the last hold ends; nil: nothing is held.
  func secondsLeft(now: Double) -> Double? {
    networks.values.map { max($0.endSeconds - now, 0) }.max()
  }

  /// Follows a change of the database.
  ///
  /// - Parameters:
  ///   - edit: the edit for this change.
  ///   - running: what is forwarded now.
  ///   - isSnapshot: the database has just been connected.
  /// - Returns: the edit without removals from held networks; and the newly held networks.
  mutating func follow(
    _ edit: ControllerEdit, _ mapping: ControllerMapping, running: ControllerLayer, isSnapshot: Bool, now: Double
  ) -> (edit: ControllerEdit, added: [VNI: Network]) {
    guard isSnapshot || edit.layer != nil || !isEmpty else { return (edit, [:]) }
    var edit = edit
    edit.layer = mapping.layer
    let added = update(mapping, running: running, isSnapshot: isSnapshot, now: now)
    return (soften(edit, mapping), added)
  }

  private mutating func update(
    _ mapping: ControllerMapping, running: ControllerLayer, isSnapshot: Bool, now: Double
  ) -> [VNI: Network] {
    let wanted = mapping.layer
    let keyed = Dictionary(wanted.switches.filter { !$0.value.isLocal }.map { ($0.value.name, $0.key) }) { first, _ in first }
    for (vni, network) in networks {
      networks[vni] = updated(network, vni, keyed: keyed[network.settings.name], mapping, now: now)
    }
    var added: [VNI: Network] = [:]
    for (vni, settings) in running.switches
    where !settings.isLocal && networks[vni] == nil && wanted.switches[vni] == nil && keyed[settings.name] == nil && graceSeconds > 0 {
      if mapping.keyless[settings.name] != nil {
        added[vni] = Network(
          settings: settings, bindings: [], routers: running.routers(in: vni), reason: .withdrawn, endSeconds: now + graceSeconds,
          isKnown: true)
      } else if isSnapshot, mapping.isEmpty {
        (filters.acls, filters.aclBindings) = (running.acls, running.aclBindings)
        let bindings = Set(running.bindings.filter { $0.value == vni }.keys)
        added[vni] = Network(
          settings: settings, bindings: bindings, routers: running.routers(in: vni), reason: .databaseEmpty, endSeconds: now + emptySeconds,
          isKnown: false)
      }
    }
    networks.merge(added) { old, _ in old }
    for vni in networks.keys {
      networks[vni]?.bindings.subtract(wanted.bindings.keys)
      networks[vni]?.bindings.subtract(mapping.keylessBindings.keys)
    }
    return added
  }

  /// - Parameter keyed: the VNI of the logical switch of that name in the database.
  /// - Returns: nil if the hold ends.
  private func updated(_ network: Network, _ vni: VNI, keyed: VNI?, _ mapping: ControllerMapping, now: Double) -> Network? {
    var network = network
    if keyed == vni {
      if !network.hasReturned { network.endSeconds = min(network.endSeconds, now + graceSeconds) }
      network.hasReturned = true
      network.isKnown = true
      return network
    }
    // Another switch uses its key, or its key has changed.
    guard keyed == nil, mapping.layer.switches[vni] == nil else { return nil }
    if mapping.keyless[network.settings.name] != nil {
      if network.hasReturned {
        network.reason = .withdrawn
        network.endSeconds = now + graceSeconds
        network.hasReturned = false
      }
      network.isKnown = true
      return network
    }
    // Deleted, or not in the database yet.
    return network.isKnown ? nil : network
  }

  /// The edit without removals from held networks.
  func soften(_ edit: ControllerEdit, _ mapping: ControllerMapping) -> ControllerEdit {
    guard !networks.isEmpty else { return edit }
    var softened = edit
    var layer = mapping.layer
    var names: [String: VNI] = [:]
    for (vni, network) in networks {
      names[network.settings.name] = vni
      layer.switches[vni] = layer.switches[vni].map { $0.adding(network.settings, vni) } ?? network.settings
      for binding in network.bindings where layer.bindings[binding] == nil {
        layer.bindings[binding] = vni
        keepFilters(of: binding, in: &layer)
      }
    }
    for (vni, network) in networks {
      // A router that was deleted meanwhile is gone; the one of an empty database is not.
      for (name, router) in network.routers where layer.routers[name] != nil || network.reason == .databaseEmpty && !network.isKnown {
        layer.routers[name, default: RouterSettings(name: name)].keep(router, in: vni)
        if let list = layer.routers[name]?.acls[vni], layer.acls[list] == nil { layer.acls[list] = filters.acls[list] }
      }
    }
    for (binding, name) in mapping.keylessBindings {
      if let vni = names[name] { layer.bindings[binding] = vni }
    }
    for (vni, settings) in layer.switches where settings.isLocal && names[settings.name] != nil { layer.switches[vni] = nil }
    softened.layer = layer
    softened.complete.subtract(networks.keys)
    return softened
  }

  private func keepFilters(of binding: ControllerLayer.Binding, in layer: inout ControllerLayer) {
    for place in [binding, ControllerLayer.Binding(port: binding.port, vlan: 0)] where layer.aclBindings[place] == nil {
      guard let name = filters.aclBindings[place], let acl = filters.acls[name] else { continue }
      if layer.acls[name] == nil { layer.acls[name] = acl }
      layer.aclBindings[place] = name
    }
  }

  /// Ends the holds that have expired.
  ///
  /// - Parameter isConnected: without a connection nobody knows whether an empty database is still empty.
  /// - Returns: the networks whose hold has ended.
  mutating func expire(isConnected: Bool, now: Double) -> [VNI: Network] {
    let ended = networks.filter { now >= $0.value.endSeconds && (isConnected || $0.value.reason == .withdrawn) }
    for vni in ended.keys { networks[vni] = nil }
    return ended
  }

  /// Ends all holds.
  mutating func release() { networks = [:] }

  /// The state that a restart of vtepd should restore, without networks withdrawn by the controller.
  func lasting(_ layer: ControllerLayer) -> ControllerLayer {
    let gone = networks.filter { $0.value.reason == .withdrawn && !$0.value.hasReturned }
    guard !gone.isEmpty else { return layer }
    return layer.without(Set(gone.keys))
  }

  /// The rows of logical switches without a key that are still forwarded.
  func rows(_ mapping: ControllerMapping) -> [VNI: RowID] {
    networks.compactMapValues { mapping.keyless[$0.settings.name] }
  }
}

extension ControllerLayer {
  fileprivate func routers(in vni: VNI) -> [String: RouterSettings] { routers.filter { $0.value.interfaces[vni] != nil } }
}

extension RouterSettings {
  /// Goes on with what it had in a VNI, unless it has something else there.
  fileprivate mutating func keep(_ old: RouterSettings, in vni: VNI) {
    guard interfaces[vni] == nil, let addresses = old.interfaces[vni] else { return }
    interfaces[vni] = addresses
    acls[vni] = old.acls[vni]
    for (prefix, next) in old.routes where routes[prefix] == nil && addresses.contains(where: { $0.prefix.contains(next) }) {
      routes[prefix] = next
    }
  }
}

extension LogicalSwitchSettings {
  /// With its previous destinations too.
  fileprivate func adding(_ old: LogicalSwitchSettings, _ vni: VNI) -> LogicalSwitchSettings {
    var both = self
    both.flood = flood.merging(old.flood, vni)
    both.groups = groups.merging(old.groups) { $0.merging($1, vni) }
    return both
  }
}

extension [TunnelDestination] {
  /// In the order of flood lists.
  func ordered(_ vni: VNI) -> [TunnelDestination] {
    sorted { ($0.address, $0.key ?? vni) < ($1.address, $1.key ?? vni) }
  }

  fileprivate func merging(_ others: [TunnelDestination], _ vni: VNI) -> [TunnelDestination] {
    Array(Set(self).union(others)).ordered(vni)
  }
}

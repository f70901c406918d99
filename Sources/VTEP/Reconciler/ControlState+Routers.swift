// ControlState+Routers: logical routers: which of their interfaces are there, the indexes of their counters, and what the snapshot has of
// them.

import Encap
import MACTable

/// The interfaces of routers whose VNI is there. A value; see PortTable.
struct RouterTable {
  struct Key: Hashable {
    var router: String
    var vni: VNI
  }

  /// Of their counters.
  private(set) var indexes: [Key: UInt16] = [:]
  private var free: [UInt16] = []
  private var next: UInt16 = 0
  /// No worker may use these any more when they are given back.
  private var gone: [UInt16] = []
  /// What an earlier run has counted of interfaces that have not come yet: those of a controller come when it answers.
  var earlier: [Key: TrafficReport] = [:]

  /// Routers and VNIs of all interfaces.
  var present: [(router: String, vni: VNI)] { indexes.keys.map { ($0.router, $0.vni) } }

  /// Follows other routers.
  ///
  /// - Returns: the indexes of those that came.
  mutating func update(_ keys: Set<Key>) -> [UInt16] {
    for (key, index) in indexes where !keys.contains(key) {
      indexes[key] = nil
      gone.append(index)
    }
    var added: [UInt16] = []
    for key in keys where indexes[key] == nil {
      // The limit was checked before anything changed; twice as many may exist at the same time.
      guard let index = free.popLast() ?? (next < UInt16(Limits.routerInterfaces) ? next : nil) else { continue }
      if index == next { next += 1 }
      indexes[key] = index
      added.append(index)
    }
    return added
  }

  /// All workers are done with what was there before.
  mutating func giveBack() {
    free += gone
    gone = []
  }
}

extension ControlState {
  /// Makes the model's routers from their settings.
  ///
  /// - Returns: whether interfaces came that no worker knows yet.
  mutating func rebuildRouters() -> Bool {
    guard !running.routers.isEmpty || !model.routing.routers.isEmpty else { return false }
    var keys: Set<RouterTable.Key> = []
    for (name, router) in running.routers {
      for vni in router.interfaces.keys where domains[vni] != nil { keys.insert(RouterTable.Key(router: name, vni: vni)) }
    }
    let added = routers.update(keys)
    for index in added { baselines.reset(routerInterface: index, counters: effects.counters) }
    continueRouterCounts()
    model.routing = routerModel()
    return !added.isEmpty
  }

  /// Interfaces that have come go on counting where an earlier run has stopped.
  mutating func continueRouterCounts() {
    for (key, traffic) in routers.earlier {
      guard let index = routers.indexes[key] else { continue }
      baselines.add(routerInterface: index, traffic)
      routers.earlier[key] = nil
    }
  }

  /// The routers as they ought to be, with the interfaces that are there.
  func routerModel() -> RouterModel {
    var routing = RouterModel()
    if let address = running.underlay.addresses.first { routing.requestMAC = RouterSettings.requestMAC(of: address) }
    for (name, settings) in running.routers.sorted(by: { $0.key < $1.key }) {
      var router = RouterModel.Router(name: name, mac: settings.effectiveMAC, interfaces: [], routes: [])
      var positions: [VNI: Int] = [:]
      for (vni, addresses) in settings.interfaces.sorted(by: { $0.key < $1.key }) {
        guard let domain = domains[vni], let index = routers.indexes[RouterTable.Key(router: name, vni: vni)] else { continue }
        positions[vni] = router.interfaces.count
        router.interfaces.append(
          RouterModel.Interface(domain: domain.index, index: index, addresses: addresses, acl: aclIndex(settings.acls[vni])))
      }
      for (prefix, next) in settings.routes {
        guard let neighbor = settings.neighbor(on: next), let position = positions[neighbor.vni] else { continue }
        router.routes.append((prefix, neighbor.address, position))
      }
      routing.routers.append(router)
    }
    return routing
  }
}

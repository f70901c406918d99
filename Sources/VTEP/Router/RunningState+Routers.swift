// RunningState+Routers: what `vtepctl show routers` and `show routes` say.

import Encap
import MACTable

/// One interface of a router.
public struct RouterReport: Sendable {
  /// In place of a port's name: where the MAC addresses of routers are. No port has it.
  static let place = "(router)"

  public var router: String
  public var mac: MACAddress
  public var isControlled: Bool
  public var vni: VNI
  public var addresses: [RouterAddress]
  /// Name of its access control list.
  public var acl: String?
  /// The VNI is there.
  public var isUp: Bool
  /// Received: from the VNI to the router.
  public var traffic: TrafficReport
}

/// One route of a router.
public struct RouteReport: Sendable {
  public var router: String
  public var prefix: IPPrefix
  /// Nil: the network is the interface's own.
  public var nextHop: IPAddress?
  /// Of the interface that leads there; nil: none does.
  public var vni: VNI?
  public var isActive: Bool
}

extension RunningState {
  /// All interfaces of routers, by name and VNI.
  public func routerReports() -> [RouterReport] {
    configuration.routers.values.sorted { $0.name < $1.name }.flatMap { router in
      router.interfaces.sorted { $0.key < $1.key }.map { vni, addresses in
        let index = routers.indexes[RouterTable.Key(router: router.name, vni: vni)]
        return RouterReport(
          router: router.name, mac: router.effectiveMAC, isControlled: router.isControlled, vni: vni, addresses: addresses,
          acl: router.acls[vni], isUp: index != nil,
          traffic: index.map { baselines.traffic(routerInterface: $0, counters) } ?? TrafficReport())
      }
    }
  }

  /// Next hops of routers that packets wait for now, summed over the workers.
  public func awaitedNextHops() -> UInt64 { counters.reduce(0) { $0 &+ $1.activity.pointee.awaitedNextHops.value } }

  /// All routes, by router and prefix.
  ///
  /// - Parameter router: nil: of all.
  public func routeReports(router: String?) -> [RouteReport] {
    configuration.routers.values.filter { router == nil || $0.name == router }.sorted { $0.name < $1.name }.flatMap { router in
      func isUp(_ vni: VNI?) -> Bool { vni.map { routers.indexes[RouterTable.Key(router: router.name, vni: $0)] != nil } ?? false }
      let connected = router.addresses.map { vni, address in
        RouteReport(router: router.name, prefix: address.prefix, vni: vni, isActive: isUp(vni))
      }
      let routes = router.routes.map { prefix, next in
        let vni = router.neighbor(on: next)?.vni
        return RouteReport(router: router.name, prefix: prefix, nextHop: next, vni: vni, isActive: isUp(vni))
      }
      return (connected + routes).sorted { ($0.prefix.address, $0.prefix.length) < ($1.prefix.address, $1.prefix.length) }
    }
  }
}

/// What a controller is told of routers.
public struct PublishedRouters: Sendable {
  /// Logical switches with a router here.
  public var vnis: Set<VNI> = []
  /// The routers' MAC addresses in them, and the one from which we ask for neighbours.
  public var stations: Set<LocalStation> = []
  /// That one; nil: no router is in a logical switch.
  public var requestMAC: MACAddress?
}

extension Reconciler {
  /// The routers in logical switches of the controller, whoever has configured them.
  public func routersOfController() -> PublishedRouters {
    var published = PublishedRouters()
    for (name, vni) in state.routers.present where state.running.vnis[vni]?.logicalSwitch != nil {
      guard let router = state.running.routers[name] else { continue }
      let mac = state.model.routing.requestMAC
      published.requestMAC = mac
      published.vnis.insert(vni)
      published.stations.insert(LocalStation(vni: vni, mac: router.effectiveMAC, address: router.interfaces[vni]?.first?.address))
      published.stations.insert(LocalStation(vni: vni, mac: mac, address: nil))
    }
    return published
  }
}

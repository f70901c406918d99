// RouterCommands: `vtepctl show routers` and `vtepctl show routes`.

import Encap
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addRouterCommands(to commands: inout ControlCommands) {
    commands.add(ShowRouters.self, handle)
    commands.add(ShowRoutes.self, handle)
  }

  func handle(_ request: ShowRouters) async throws(ControlError) -> [RouterRow] {
    try running().running.routerReports().map(RouterRow.init)
  }

  func handle(_ request: ShowRoutes) async throws(ControlError) -> [RouteRow] {
    let current = try running().running
    if let router = request.router, current.configuration.routers[router] == nil {
      throw ControlError(.refused, "router: there is no router '\(router)'; vtepctl show routers lists them")
    }
    return current.routeReports(router: request.router).map(RouteRow.init)
  }
}

extension RouterRow {
  init(_ report: RouterReport) {
    self.init(
      router: report.router, mac: "\(report.mac)", source: report.isControlled ? .ovsdb : .config, vni: report.vni.rawValue,
      addresses: report.addresses.map(\.description), acl: report.acl, state: report.isUp ? "up" : "no-vni",
      rxPackets: report.traffic.rxPackets, rxBytes: report.traffic.rxBytes, txPackets: report.traffic.txPackets,
      txBytes: report.traffic.txBytes)
  }
}

extension RouteRow {
  init(_ report: RouteReport) {
    self.init(
      router: report.router, prefix: "\(report.prefix)", type: report.nextHop == nil ? "connected" : "static",
      nextHop: report.nextHop?.description, vni: report.vni?.rawValue, active: report.isActive)
  }
}

// TraceWriter+Router: what a router does with the frame of a dry run, in words: the route that it takes, what the router drops, and what it
// sends into tunnels. A part of RunningState+Trace; steps E6 and D6.

import Encap
import MACTable

extension TraceWriter {
  mutating func writeRoute(_ verdict: Verdict, _ bound: DryRun.Bound) {
    guard let note = run.router, let from = interface(note.interface), let to = interface(note.egress) else {
      if case .local(let location) = verdict, location.port == Limits.routerPort { writeRefusal(bound) }
      return
    }
    var facts: [String: Fact] = [
      "router": .text(from.router), "from_vni": .number(Int(from.vni.rawValue)), "to_vni": .number(Int(to.vni.rawValue)),
      "next_hop": .none, "mac": .none, "action": .text("answer"),
    ]
    if note.action == .answered { return add(.route, "router \(from.router) answers", facts) }
    if note.action == .gathers {
      facts["action"] = .text("hold")
      return add(.route, "router \(from.router): a fragment of a packet to it, which waits for the others for up to 30 s", facts)
    }
    facts["next_hop"] = .text("\(note.nextHop)")
    let isKnown = note.action == .forwarded
    if isKnown { facts["mac"] = .text("\(note.mac)") }
    facts["action"] = .text(isKnown ? "forward" : "hold")
    let which = isKnown ? "at \(note.mac)" : "which is asked for its MAC address; the packet waits for up to 3 s"
    let route = configuredRoute(from.router, bound)
    facts["prefix"] = route.map { .text("\($0.prefix)") } ?? Fact.none
    let by = route.map { ", by \($0.text)" } ?? ""
    add(.route, "router \(from.router): to VNI \(to.vni)\(by), next hop \(note.nextHop), \(which)", facts)
  }

  /// A packet that its router drops.
  private mutating func writeRefusal(_ bound: DryRun.Bound) {
    guard let vni = names.vnis[bound.domain],
      // The first one by name, as workers have them: the address from which this VTEP asks is that of all of its routers.
      let router = state.configuration.routers.values.sorted(by: { $0.name < $1.name }).first(where: {
        $0.interfaces[vni] != nil && [$0.effectiveMAC, state.model.routing.requestMAC].contains(bound.destination.mac)
      })
    else { return }
    let destination = destination(bound)
    let route = configuredRoute(router.name, bound)
    let by = route.map { ", \($0.text)" } ?? destination.map { ", no route to \($0)" } ?? ""
    add(
      .route, "router \(router.name)\(by): \(dropText ?? "not forwarded")",
      [
        "router": .text(router.name), "from_vni": .number(Int(vni.rawValue)), "to_vni": .none, "next_hop": .none, "mac": .none,
        "action": .text("drop"), "prefix": route.map { .text("\($0.prefix)") } ?? .none,
      ])
  }

  /// Where a packet to a router is to go; nil: it is no packet.
  private func destination(_ bound: DryRun.Bound) -> IPAddress? {
    RoutedHeader(bound.octets.span.bytes, byteCount: bound.octets.count)?.destination
  }

  /// The route of a router's configuration that leads a packet on; nil: there is none.
  private func configuredRoute(_ router: String, _ bound: DryRun.Bound) -> (prefix: IPPrefix, text: String)? {
    guard let destination = destination(bound) else { return nil }
    let routes = state.routeReports(router: router).filter { $0.isActive && $0.prefix.contains(destination) }
    return routes.max { ($0.prefix.length, $0.nextHop == nil ? 1 : 0) < ($1.prefix.length, $1.nextHop == nil ? 1 : 0) }.map { route in
      (route.prefix, "route \(route.prefix) " + (route.nextHop.map { "via \($0)" } ?? "(connected)"))
    }
  }

  /// What a router sends into tunnels: the packet, or its question for the next hop.
  mutating func writeRoutedPackets() {
    for frame in run.sent where isUplink(frame.port) {
      let packet = tunnelPacket(frame)
      if let packet {
        let what = run.router?.action == .waits ? "asks for the next hop" : "sends"
        add(
          .vtep, "router \(what) through VTEP \(packet.destination), \(state.portName(frame.port))",
          ["address": .text("\(packet.destination)"), "next_hops": .none, "obstacle": .none])
      }
      add(.header, frame: frame.octets, isOuter: true)
    }
  }

  private func interface(_ index: UInt16) -> RouterTable.Key? { state.routers.indexes.first { $0.value == index }?.key }
}

// Reconciler+Explain: `vtepctl explain`: gathers what the MAC table, its moves, the events and every source of addresses say of one. What
// becomes of a frame to it is found out by forwarding one, dry (`Tracer`).

import Encap
import MACTable

extension Reconciler {
  /// All that is known of one address.
  ///
  /// - Parameter port: only what becomes of frames from this port; nil: from every bound one, and from VTEPs.
  /// - Throws: `.refused` for an unknown VNI or port, or one that is not bound to the VNI.
  public nonisolated func explain(_ mac: MACAddress, vni: VNI, from port: String? = nil) async throws -> MACExplanation {
    var explanation = try await account(of: mac, vni: vni, from: port)
    (explanation.outcomes, explanation.omittedOutcomes) = try outcomes(of: mac, vni, from: port)
    return explanation
  }

  /// The same without what becomes of frames.
  private func account(of mac: MACAddress, vni: VNI, from port: String?) throws(VTEPError) -> MACExplanation {
    guard let domain = state.domains[vni], let settings = state.running.vnis[vni] else {
      throw VTEPError(.refused, "explain", "no VNI \(vni)")
    }
    if let port {
      guard let record = state.ports[port] else { throw VTEPError(.refused, "explain", "no port \(port)") }
      guard record.bound.values.contains(domain.index) else {
        throw VTEPError(.refused, "explain", "port \(port) is not bound to VNI \(vni)", remedy: "see vtepctl show bindings")
      }
    }
    let key = MACKey(domain: domain.index, mac: mac)
    let (account, learned, table) = learner.write { table in
      (table.account(of: key), table.learnedCount(domain: domain.index), (count: table.count, capacity: table.capacity))
    }
    let running = runningState
    let names = running.indexNames
    let now = MonotonicClock.seconds()
    let entry = account.entry.flatMap { entry in
      running.place(at: entry.location, names).map { place in
        MACExplanation.Entry(
          type: entry.type, place: place, sinceSeconds: entry.sinceSeconds == 0 ? nil : entry.sinceSeconds,
          ageSeconds: entry.type == .learned ? now &- min(entry.lastSeenSeconds, now) : nil, moves: entry.moves)
      }
    }
    var limits: [String] = []
    if entry == nil {
      if table.count >= table.capacity { limits.append("the MAC table is full: \(table.count) of \(table.capacity) entries") }
      limits += self.limits(on: mac, settings, domain.index, learned: learned)
    }
    return MACExplanation(
      vni: vni, mac: mac, entry: entry, frozen: account.frozen.flatMap { running.moveReport($0, names, now: now) },
      claims: claims(on: mac, settings, key, entry, running, names),
      past: account.past.map { MACExplanation.Past(place: learner.events.place($0.place, at: $0.sequence), endSeconds: $0.endSeconds) },
      events: learner.events.page(after: 0, EventFilter(vni: vni, mac: mac), limit: .max).events.suffix(16).reversed(), limits: limits)
  }

  // -- what becomes of a frame -----------------------------------------------------------------------------------------------

  /// Bindings from which frames are traced at most.
  private static let outcomeLimit = 64

  /// - Returns: what becomes of frames from bindings of the VNI, and from VTEPs; and how many bindings were left out.
  private nonisolated func outcomes(
    of mac: MACAddress, _ vni: VNI, from port: String?
  ) throws(VTEPError) -> ([MACExplanation.Outcome], omitted: Int) {
    let state = running
    guard let domain = state.domains[vni]?.index else { return ([], 0) }
    let ports = state.ports.values.filter { port == nil || $0.settings.name == port }.sorted { $0.settings.name < $1.settings.name }
    let bindings = ports.flatMap { port in
      port.bound.filter { $0.value == domain }.keys.sorted().map { (port: port.settings.name, vlan: $0) }
    }
    var outcomes: [MACExplanation.Outcome] = []
    for binding in bindings.prefix(Self.outcomeLimit) {
      let report = try trace(to: mac, fromPort: binding.port, vlan: binding.vlan)
      outcomes.append(MACExplanation.Outcome(report, port: binding.port, vlan: binding.vlan))
    }
    let frame = TestFrame(from: TestFrame.madeUpSource, to: mac).octets
    // Without an uplink, nothing comes from a VTEP.
    if port == nil, let report = try? trace(frame, from: .vtep(state.someVTEP(sendingTo: domain), vni: vni, uplink: nil)) {
      outcomes.append(MACExplanation.Outcome(report, port: nil, vlan: 0))
    }
    return (outcomes, bindings.count - min(bindings.count, Self.outcomeLimit))
  }

  // -- who says so -----------------------------------------------------------------------------------------------------------

  private func claims(
    on mac: MACAddress, _ settings: VNISettings, _ key: MACKey, _ entry: MACExplanation.Entry?, _ running: RunningState, _ names: IndexNames
  ) -> [MACExplanation.Claim] {
    func claim(_ source: MACEntryType, _ place: MACReport.Place, _ remark: String? = nil) -> MACExplanation.Claim {
      let holds = entry.map { $0.type == source && "\($0.place)" == "\(place)" } ?? false
      let winner = entry.flatMap { $0.type == source ? nil : "outranked by the \($0.type.owner)" }
      return MACExplanation.Claim(source: source, place: place, holds: holds, remark: holds ? nil : remark ?? winner)
    }
    var claims: [MACExplanation.Claim] = []
    if let address = settings.macs[mac] { claims.append(claim(.static, .vtep(address))) }
    for (router, vni) in state.routers.present.sorted(by: { $0.router < $1.router }) where vni == settings.vni {
      guard let own = state.running.routers[router], [own.effectiveMAC, state.model.routing.requestMAC].contains(mac) else { continue }
      claims.append(claim(.static, .port(name: RouterReport.place, vlan: 0)))
    }
    for record in state.ports.values.sorted(by: { $0.settings.name < $1.settings.name }) {
      for (vlan, macs) in record.settings.macsByVLAN where macs.contains(mac) && record.bound[vlan] == key.domain {
        let remark = record.isUp ? nil : "not entered while the port is not up"
        claims.append(claim(.static, .port(name: record.settings.name, vlan: vlan), remark))
      }
    }
    if let destination = state.controller.addresses[settings.vni]?[mac] {
      let useless = state.running.underlay.reasonAgainst(destination).map { "not entered: it is \($0)" }
      let waits = state.controller.waiting.contains(ControllerEdit.Address(vni: settings.vni, mac: mac, destination: destination))
      claims.append(claim(.controller, .vtep(destination.address), useless ?? (waits ? "waits for room in the MAC table" : nil)))
    }
    if let destinations = settings.logicalSwitch?.groups[mac] {
      claims.append(claim(.controller, .vteps(Set(destinations.map(\.address)).sorted())))
    }
    if let entry, entry.type == .learned {
      claims.append(claim(.learned, entry.place))
    } else if let seen = learner.stations.withLock({ $0.contested[key] }), let place = running.place(at: seen, names) {
      claims.append(claim(.learned, place))
    }
    return claims
  }

  // -- why it may not be known -------------------------------------------------------------------------------------------------

  private func limits(on mac: MACAddress, _ settings: VNISettings, _ domain: DomainIndex, learned: Int) -> [String] {
    var limits: [String] = []
    if mac.isMulticast { return ["a group address is never learned"] }
    if settings.macLimit > 0, learned >= Int(settings.macLimit) {
      limits.append("VNI \(settings.vni) has \(learned) learned addresses, and its mac-limit is \(settings.macLimit)")
    }
    if !settings.learning { limits.append("VNI \(settings.vni) learns nothing from VTEPs (learning: false)") }
    for record in state.ports.values.sorted(by: { $0.settings.name < $1.settings.name }) where record.bound.values.contains(domain) {
      let (name, policy) = (record.settings.name, record.settings.policy)
      let count = learner.reader.learnedCount(port: record.index)
      if policy.macLimit > 0, count >= policy.macLimit {
        limits.append("port \(name) has \(count) learned addresses, and its mac-limit is \(policy.macLimit)")
      }
      if policy.antiSpoofing, !record.settings.macsByVLAN.contains(where: { $0.macs.contains(mac) }) {
        limits.append("port \(name) accepts no other sources than its macs (anti-spoofing)")
      }
    }
    return limits
  }
}

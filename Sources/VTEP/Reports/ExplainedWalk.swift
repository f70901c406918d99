// ExplainedWalk: what becomes of a frame to one address, told from the records: steps E4 to E6 and D5 to D6 in words, for
// `vtepctl explain`. It looks at no frame: what depends on one (rates, tags inside, sizes) is left out.

import Encap
import MACTable

struct ExplainedWalk {
  typealias Outcome = MACExplanation.Outcome

  let state: ControlState
  let settings: VNISettings
  let domain: DomainIndex
  let mac: MACAddress
  /// Where the table has the address; nil: it has not.
  let location: MACLocation?

  /// - Parameter port: nil: from every binding of the VNI, and from VTEPs.
  func outcomes(from port: String?) -> [Outcome] {
    let ports = state.ports.values.filter { port == nil || $0.settings.name == port }.sorted { $0.settings.name < $1.settings.name }
    let local = ports.flatMap { record in
      record.bound.filter { $0.value == domain }.keys.sorted().map { vlan -> Outcome in
        let (action, text) = verdict(from: record, vlan)
        return Outcome(port: record.settings.name, vlan: vlan, action: action, text: text)
      }
    }
    guard port == nil else { return local }
    let (action, text) = verdictFromOverlay
    return local + [Outcome(port: nil, vlan: 0, action: action, text: text)]
  }

  private func verdict(from record: PortRecord, _ vlan: UInt16) -> (Outcome.Action, String) {
    guard record.isUp else { return (.drop, "the port is \(record.status.state): nothing comes in") }
    if isLinkLocal {
      switch record.settings.linkProtocols {
      case .drop: return (.drop, "a link-local control frame (l2-protocols: drop)")
      case .punt: return (.punt, "a link-local control frame goes to the port's tap (l2-protocols: punt)")
      case .tunnel: break
      }
    }
    guard let location else { return flood(from: .port(record.index, vlan: vlan)) }
    if location.isVTEP { return location.isList ? sendToList(location.vtep) : send(to: location.vtep) }
    if location == .port(record.index, vlan: vlan) { return (.drop, "it is where the frame comes from (\(DropReason.samePort.name))") }
    if record.settings.isIsolated, state.ports[location.port]?.settings.isIsolated == true {
      return (.drop, "both ports are isolated (\(DropReason.portIsolated.name))")
    }
    return deliver(to: location)
  }

  private var verdictFromOverlay: (Outcome.Action, String) {
    guard let location else { return flood(from: nil) }
    if location.isList { return flood(from: nil) }
    if location.isVTEP { return (.drop, "nothing goes from one tunnel into another (\(DropReason.splitHorizon.name))") }
    return deliver(to: location)
  }

  private var isLinkLocal: Bool { mac.bits & ~0xf == 0x0180_c200_0000 }

  private func deliver(to place: MACLocation) -> (Outcome.Action, String) {
    guard let target = state.ports[place.port] else { return (.drop, "the port is gone (\(DropReason.portDown.name))") }
    let name = name(target, place.vlan)
    return target.isUp ? (.deliver, name) : (.drop, "\(name) is \(target.status.state) (\(DropReason.portDown.name))")
  }

  private func name(_ record: PortRecord, _ vlan: UInt16) -> String {
    "\(MACReport.Place.port(name: record.settings.name, vlan: vlan))"
  }

  // -- into tunnels ----------------------------------------------------------------------------------------------------------

  private func send(to index: VTEPIndex) -> (Outcome.Action, String) {
    let entry = state.model.vteps[Int(index)].entry
    let name = "VTEP \(entry.address)" + (state.controller.tunnels.first { $0.value == index }?.key.key.map { " with VNI \($0)" } ?? "")
    guard let record = state.underlay.vteps[entry.address] else { return (.drop, "\(name) is gone") }
    if let obstacle = state.underlay.obstacleText(record, state.running.underlay) {
      return (.drop, "\(name): \(obstacle) (\(entry.obstacle.name))")
    }
    let hops = state.underlay.usableHops(record)
    let resolved = hops.filter { state.underlay.neighbors[$0.neighbor] != nil }
    let names = Set((resolved.isEmpty ? hops : resolved).map { "\($0.neighbor.address)%\($0.device.name)" }).sorted()
    let via = names.count == 1 ? "next hop \(names[0])" : "one of the next hops \(names.joined(separator: ", ")), by flow"
    guard !resolved.isEmpty else { return (.hold, "\(name): held until it answers: \(via)") }
    let mtu = state.model.vteps[Int(index)].adjacencies.map(\.maxInnerByteCount).min() ?? 0
    return (.tunnel, "\(name) by \(via); frames of up to \(mtu) bytes")
  }

  private func sendToList(_ index: VTEPIndex) -> (Outcome.Action, String) {
    let members = state.model.vteps[Int(index)].members.map { "\(state.model.vteps[Int($0)].entry.address)" }
    return (.flood, "the controller's VTEPs \(members.isEmpty ? "(none)" : members.joined(separator: ", ")), and local ports")
  }

  /// To everybody but the place that the frame comes from.
  ///
  /// - Parameter source: nil: a tunnel.
  private func flood(from source: MACLocation?) -> (Outcome.Action, String) {
    let model = state.model.domains[Int(domain)]
    var targets: [String] = []
    if source != nil {
      let addresses = model.flood.map { state.model.vteps[Int($0)].entry }
      let groups = addresses.filter(\.isGroup).map { "group \($0.address)" }
      let peers = addresses.filter { !$0.isGroup }.map { "VTEP \($0.address)" }
      targets = groups + peers
    }
    let isIsolated = source.flatMap { state.ports[$0.port]?.settings.isIsolated } ?? false
    for local in model.locals where source != .port(local.port, vlan: local.vlan) {
      guard let record = state.ports[local.port], record.isUp, !(isIsolated && record.settings.isIsolated) else { continue }
      targets.append(name(record, local.vlan))
    }
    guard !targets.isEmpty else { return (.drop, "unknown, and nobody else is in the VNI") }
    let limit = model.storm == nil ? "" : ", within the VNI's storm control"
    let reason = location == nil ? (mac.isMulticast ? "" : "unknown address: ") : ""
    return (.flood, "\(reason)\(targets.joined(separator: ", "))\(limit)")
  }
}

// RunningState+Trace: puts a dry run into words: a stage for each step that the frame met, with the names that operators know. It decides
// nothing: what is said of a frame is what the dry worker has noted.

import Encap
import MACTable

extension RunningState {
  func report(on run: DryRun) -> TraceReport { TraceWriter(run, self).report }
}

/// Writes one report. Parts: +Router.
struct TraceWriter {
  typealias Stage = TraceReport.Stage
  typealias Fact = TraceReport.Fact

  let run: DryRun
  let state: RunningState
  let names: IndexNames
  private let now = MonotonicClock.seconds()
  private(set) var report = TraceReport()

  /// VTEPs of a flood set whose packets are told in full.
  private static let detailedTargets = 8

  init(_ run: DryRun, _ state: RunningState) {
    self.run = run
    self.state = state
    names = state.indexNames
    report.snapshot = run.generation
    report.drops = run.drops.map { TraceReport.Drop(reason: $0.reason, place: state.portName($0.port), count: $0.count) }
    report.sent = run.sent.map(sent)
    report.sentCount = run.sentCount
    report.outcome = outcome
    writeReceived()
    if run.bound != nil { writeBound() }
    writeResult()
  }

  mutating func add(_ name: Stage.Name, _ text: String, _ facts: [String: Fact] = [:]) {
    report.stages.append(Stage(name, text, facts))
  }

  mutating func add(_ name: Stage.Name, frame: [UInt8], isOuter: Bool = false) {
    report.stages.append(Stage(name, frame: frame, isOuter: isOuter))
  }

  // -- outcome ----------------------------------------------------------------------------------------------------------

  private var outcome: TraceReport.Outcome {
    if run.isFromOverlay, run.bound == nil, run.ignored != nil || run.sentCount > 0 { return .kernel }
    if case .answer = run.neighbor { return .answered }
    if run.router?.action == .waits || run.router?.action == .gathers { return .held }
    // A router may also have asked for its neighbours.
    if run.drops.contains(where: { $0.reason == .routerTooBig }) { return .dropped }
    if run.sent.contains(where: { !isReply($0) }) { return .sent }
    if run.isAwaited || run.remotes.contains(where: \.isHeld) { return .held }
    if run.drops.isEmpty, !run.slowPath.isEmpty { return .slowPath }
    return .dropped
  }

  /// Whether it is our own answer to the sender: an ICMP error, of a router or about a path that a packet is too big for.
  private func isReply(_ sent: DryRun.Sent) -> Bool {
    guard run.router == nil, !run.isFromOverlay, sent.port == run.port, let bound = run.bound else { return false }
    return sent.octets.dropFirst(6).prefix(6) != bound.octets.dropFirst(6).prefix(6)
  }

  func isUplink(_ port: PortIndex) -> Bool { state.underlay.devices.contains { $0.indexes.contains(port) } }

  private func sent(_ frame: DryRun.Sent) -> TraceReport.Sent {
    let outer = isUplink(frame.port) ? tunnelPacket(frame) : nil
    return TraceReport.Sent(
      port: state.portName(frame.port), isUplink: isUplink(frame.port), vtep: outer?.destination, vni: outer?.vni, octets: frame.octets)
  }

  func tunnelPacket(_ frame: DryRun.Sent) -> OuterPacket? {
    var policy = state.model.decapPolicy
    policy.acceptsZeroUDP6Checksum = true
    let outer = OuterPacket(parsing: frame.octets.span.bytes, policy: policy)
    return outer.outcome == .accepted ? outer : nil
  }

  var dropText: String? {
    guard let first = run.drops.first else { return nil }
    return "dropped: \(first.reason.name)"
  }

  // -- steps E2, D2 and D3 ----------------------------------------------------------------------------------------------

  private mutating func writeReceived() {
    let place = state.portName(run.port)
    if !run.isFromOverlay {
      add(.parse, frame: run.octets)
      guard run.bound == nil else { return }
      add(.bind, "port \(place): \(dropText ?? slowPathText)", bindFacts(port: place, vlan: nil, vni: nil))
      return
    }
    add(.outer, frame: run.octets, isOuter: run.outer?.outcome != .notVXLAN)
    if let outer = run.outer, outer.outcome == .accepted {
      add(.parse, frame: Array(run.octets.dropFirst(outer.innerOffset).prefix(outer.innerByteCount)))
    }
    guard run.bound == nil else { return }
    let vni = run.outer.flatMap { $0.outcome == .accepted ? $0.vni : nil }
    add(.bind, "\(place): \(dropText ?? "left to the kernel")", bindFacts(port: place, vlan: nil, vni: vni))
  }

  private var slowPathText: String {
    run.slowPath.isEmpty ? "taken" : isBFD ? "handed to the BFD session with the VTEP" : "handed to the port's tap for control frames"
  }

  private var isBFD: Bool { run.slowPath.contains(.bfd) }

  private func bindFacts(port: String, vlan: UInt16?, vni: VNI?) -> [String: Fact] {
    [
      "port": .text(port), "vlan": vlan.map { .number(Int($0)) } ?? .none, "vni": vni.map { .number(Int($0.rawValue)) } ?? .none,
      "vtep": run.isFromOverlay ? run.outer.map { .text("\($0.source)") } ?? .none : .none, "port_up": .flag(run.isPortUp),
    ]
  }

  private mutating func writeBound() {
    guard let bound = run.bound else { return }
    let port = state.portName(run.port)
    let vni = names.vnis[bound.domain]
    let vniText = "VNI \(vni.map { "\($0)" } ?? "of a domain that is gone")"
    let priority = bound.notedTag.map { $0 >> 13 }.flatMap { $0 == 0 ? nil : ", priority \($0)" } ?? ""
    if run.isFromOverlay {
      let sender = run.outer.map { "VTEP \($0.source)" } ?? "a VTEP"
      add(.bind, "\(vniText), from \(sender) at \(port)\(priority)", bindFacts(port: port, vlan: nil, vni: vni))
    } else {
      let vlan = bound.seenAt.vlan
      let binding = vlan == 0 ? "untagged" : "VLAN \(vlan)"
      let tag = bound.octets.count < run.octets.count ? "; the tag is taken off" : ""
      let down = run.isPortUp ? "" : "; the port is down: no frame comes from it now"
      add(
        .bind, "port \(port), \(binding): \(vniText)\(tag)\(priority)\(down)", bindFacts(port: port, vlan: vlan == 0 ? nil : vlan, vni: vni)
      )
      writeACLs(.ingress)
      // The limits come after the lists.
      if run.end != .checks || !run.drops.contains(where: { $0.reason == .aclDeniedIngress }) { writeChecks(port) }
      if run.end == .checks { return }
    }
    writeSource(bound)
    guard let verdict = run.verdict else { return }
    writeLookUp(bound)
    write(verdict, bound)
  }

  /// A stage for each entry of access control lists that has decided about the frame, or about copies of it.
  private mutating func writeACLs(_ direction: ACLEntry.Direction) {
    for (slot, count) in run.aclEntries {
      guard let found = state.aclEntry(slot: slot), found.direction == direction else { continue }
      let what = found.entry.map { "entry \($0.sequence): \($0.text)" } ?? "no entry matches: permit"
      let copies = count == 1 ? "" : ", for \(count) copies"
      add(
        .acl, "\(direction.rawValue) ACL \(found.acl), \(what)\(copies)",
        [
          "acl": .text(found.acl), "direction": .text(direction.rawValue),
          "sequence": found.entry.map { .number(Int($0.sequence)) } ?? .none,
          "action": .text((found.entry?.action ?? .permit).rawValue), "copies": .number(Int(count)),
        ])
    }
  }

  private mutating func writeChecks(_ port: String) {
    guard let policy = run.policy else { return add(.checks, "port \(port) has no limits", ["limits": .list([]), "passed": .flag(true)]) }
    var limits: [String] = []
    if policy.isDisabled { limits.append("enabled: false") }
    if policy.antiSpoofing { limits.append("anti-spoofing") }
    if policy.macLimit > 0 { limits.append("mac-limit \(policy.macLimit)") }
    if policy.ingress.bytes.isSet || policy.ingress.packets.isSet { limits.append("rate-limit ingress") }
    if FloodClass.allCases.contains(where: policy.storm.isSet) { limits.append("storm-control") }
    let isPassed = run.end != .checks
    let named = limits.isEmpty ? "port \(port) has no limits" : limits.joined(separator: ", ")
    add(
      .checks, named + ": " + (isPassed ? "passed" : dropText ?? ""),
      ["limits": .list(limits), "passed": .flag(isPassed)])
  }

  // -- steps E3 and D4 --------------------------------------------------------------------------------------------------

  private func place(_ location: MACLocation) -> String {
    state.place(at: location, names)?.description ?? "a place that is gone"
  }

  private func text(_ entry: DryRun.Entry) -> String {
    let age = entry.lastSeenSeconds == 0 && entry.type != .learned ? "" : ", seen \(now &- min(entry.lastSeenSeconds, now)) s ago"
    let moves = entry.moves == 0 ? "" : ", \(entry.moves) moves"
    return "\(entry.type)\(entry.isFrozen ? ", frozen" : "") at \(place(entry.location))\(age)\(moves)"
  }

  private func facts(_ entry: DryRun.Entry?, _ mac: MACAddress) -> [String: Fact] {
    guard let entry else { return ["mac": .text("\(mac)"), "found": .flag(false)] }
    return [
      "mac": .text("\(mac)"), "found": .flag(true), "type": .text("\(entry.type)"), "location": .text(place(entry.location)),
      "frozen": .flag(entry.isFrozen), "moves": .number(Int(entry.moves)),
      "age_s": entry.type == .learned ? .number(Int(now &- min(entry.lastSeenSeconds, now))) : .none,
    ]
  }

  private mutating func writeSource(_ bound: DryRun.Bound) {
    let mac = bound.source.mac
    var facts = facts(run.source, mac)
    facts["learned"] = .flag(!run.learned.isEmpty)
    let known = run.source.map(text)
    let what: String
    if run.end == .learn {
      what = "\(dropText ?? ""): the table has it \(known ?? "elsewhere")"
    } else if let event = run.learned.first {
      if let location = event.location {
        let here = place(location)
        if let source = run.source, source.location != location {
          what = "moves to \(here); until now \(known ?? "")"
        } else if run.source != nil {
          what = "\(known ?? ""); its IP address is reported"
        } else {
          what = "new, to be learned at \(here)"
        }
      } else {
        what = "new, to be learned behind VTEP \(event.vtep), which is not known yet"
      }
    } else if let source = run.source {
      what = source.location == bound.seenAt ? "known, \(text(source))" : "not moved here: \(text(source))"
    } else {
      what = bound.seenAt == StagedFrame.noLocation ? "not learned: the VNI does not learn from VTEPs" : "not learned"
    }
    add(.learn, "source \(mac): \(what)", facts)
  }

  // -- steps E4 and D5 --------------------------------------------------------------------------------------------------

  private mutating func writeLookUp(_ bound: DryRun.Bound) {
    let mac = bound.destination.mac
    var facts = facts(run.destination, mac)
    facts["pending"] = .flag(run.isPending)
    let what: String
    if let entry = run.destination {
      what = text(entry)
    } else if run.isPending {
      what = "seen a moment ago, and about to be learned"
    } else {
      what = mac.isMulticast ? "a group address, not in the table" : "not in the table"
    }
    add(.lookUp, "destination \(mac): \(what)", facts)
  }

  private mutating func write(_ verdict: Verdict, _ bound: DryRun.Bound) {
    let vni = names.vnis[bound.domain].map { "VNI \($0)" } ?? "the VNI"
    func facts(_ action: String) -> [String: Fact] { ["action": .text(action)] }
    if case .answer(let owner) = run.neighbor { return writeAnswer(owner.mac) }
    switch verdict {
    case .local(let location) where location.port == Limits.routerPort: add(.verdict, "to the router in \(vni)", facts("route"))
    case .local(let location):
      add(.verdict, "deliver to \(place(location))", facts("deliver"))
    // It asks for the router's address.
    case .flood where run.router != nil: add(.verdict, "to the router in \(vni)", facts("route"))
    case .vtep: add(.verdict, "into the tunnel to \(run.remotes.first.map { "\($0.address)" } ?? "a VTEP")", facts("tunnel"))
    case .flood where bound.destination.mac.isBFD: add(.verdict, "an address that VTEPs send BFD to", facts("bfd"))
    case .flood(.domain): add(.verdict, "flood in \(vni)", facts("flood"))
    case .flood(.list): add(.verdict, "to the VTEPs that the controller names for this address, and to local ports", facts("flood"))
    case .flood(.localOnly): add(.verdict, "flood to the local ports of \(vni); a tunnel never leads into a tunnel", facts("flood"))
    case .awaited: add(.verdict, "hold until the VTEP of its station is known", facts("hold"))
    case .drop(let reason): add(.verdict, "drop: \(reason.name)", facts("drop"))
    }
    if case .pass(let obstacle) = run.neighbor, let target = run.neighborTarget, run.router == nil {
      add(
        .neighbor, "asks for \(target), which is not answered here: \(obstacle.text)",
        ["address": .text("\(target)"), "mac": .none, "obstacle": .text("\(obstacle)")])
    }
    // Those of a router alone.
    if run.isFromOverlay { writeACLs(.ingress) }
    writeRoute(verdict, bound)
    if run.router == nil {
      if case .flood = verdict, !bound.destination.mac.isBFD { writeFloodSet(bound) }
      for target in run.remotes.prefix(Self.detailedTargets) { write(target, bound) }
      if run.remotes.count > Self.detailedTargets {
        add(.vtep, "and \(run.remotes.count - Self.detailedTargets) more VTEPs, as the first ones")
      }
    } else {
      writeRoutedPackets()
    }
    writeACLs(.egress)
    for frame in run.sent where !isUplink(frame.port) {
      let what = isReply(frame) ? "an ICMP error for the sender" : "port \(state.portName(frame.port))"
      report.stages.append(
        Stage(
          .deliver, what, ["port": .text(state.portName(frame.port)), "reply": .flag(isReply(frame))], frame: frame.octets))
    }
  }

  private mutating func writeAnswer(_ mac: MACAddress) {
    let address = run.neighborTarget.map { "\($0)" } ?? "an address"
    add(
      .neighbor, "asks for \(address), which is known: answered here with \(mac), and not flooded",
      ["address": .text(address), "mac": .text("\(mac)"), "obstacle": .none])
    for frame in run.sent {
      report.stages.append(
        Stage(
          .deliver, "the answer for the sender", ["port": .text(state.portName(frame.port)), "reply": .flag(true)], frame: frame.octets))
    }
  }

  // -- steps E5 and E6 --------------------------------------------------------------------------------------------------

  private func isReached(_ local: DryRun.Local) -> Bool {
    run.sent.contains { frame in
      guard frame.port == local.target.port, !isReply(frame) else { return false }
      return local.target.vlan == (vlan(frame.octets, state.model.ports[Int(frame.port)]) ?? 0)
    }
  }

  /// The VLAN of a frame that has left by a port with tagged bindings; nil: it is of the untagged one.
  private func vlan(_ octets: [UInt8], _ port: PortEntry) -> UInt16? {
    guard octets.count >= 16, port.vlanDomains != nil, UInt16(octets[12]) << 8 | UInt16(octets[13]) == port.tpid else { return nil }
    return (UInt16(octets[14]) << 8 | UInt16(octets[15])) & 0xfff
  }

  private mutating func writeFloodSet(_ bound: DryRun.Bound) {
    let remotes = run.remotes.map { $0.address.isMulticast ? "group \($0.address)" : "VTEP \($0.address)" }
    var locals: [String] = []
    for local in run.locals {
      let location = MACLocation.port(local.target.port, vlan: local.target.vlan)
      var name = place(location)
      if !run.isFromOverlay, location == bound.seenAt {
        name += " (came from there)"
      } else if !local.isUp {
        name += " (down)"
      } else if !isReached(local), run.sentCount <= FrameRecorder.capacity {
        name += local.isIsolated ? " (isolated)" : " (not sent)"
      }
      locals.append(name)
    }
    let all = remotes + locals
    let lost = run.isFromOverlay ? [] : lostVTEPs(bound).map { "\($0)" }
    let without = lost.isEmpty ? "" : "; left out, since BFD has lost them: " + lost.joined(separator: ", ")
    add(
      .flood, (all.isEmpty ? "nobody" : all.joined(separator: ", ")) + without,
      ["vteps": .list(run.remotes.map { "\($0.address)" }), "ports": .list(locals), "lost": .list(lost)])
  }

  /// VTEPs of the flood set to which nothing is flooded until BFD hears them again.
  private func lostVTEPs(_ bound: DryRun.Bound) -> [IPAddress] {
    guard let settings = names.vnis[bound.domain].flatMap({ state.configuration.vnis[$0] }) else { return [] }
    let named = Set(settings.flood.destinations).union(settings.logicalSwitch?.flood.map(\.address) ?? [])
    return named.filter { state.underlay.hasFailed($0) }.sorted()
  }

  private mutating func write(_ target: DryRun.Target, _ bound: DryRun.Bound) {
    let record = state.underlay.vteps[target.address]
    let kind = target.address.isMulticast ? "group" : "VTEP"
    var facts: [String: Fact] = ["address": .text("\(target.address)"), "next_hops": .number(target.hopCount), "obstacle": .none]
    guard target.hopCount > 0 else {
      facts["obstacle"] = .text(target.obstacle.name)
      let why = record.flatMap { state.underlay.obstacleText($0, state.configuration.underlay) } ?? target.obstacle.name
      return add(.vtep, "\(kind) \(target.address): nothing can be sent to it: \(why)", facts)
    }
    add(
      .vtep, "\(kind) \(target.address), \(target.hopCount == 1 ? "1 next hop" : "\(target.hopCount) next hops, chosen by the flow")", facts
    )
    writeNextHop(target, record, bound)
    let vni = target.tunnelKey ?? names.vnis[bound.domain]
    for frame in run.sent where isUplink(frame.port) {
      guard let packet = tunnelPacket(frame), packet.destination == target.address, packet.vni == vni else { continue }
      add(.header, frame: frame.octets, isOuter: true)
    }
  }

  private mutating func writeNextHop(_ target: DryRun.Target, _ record: VTEPRecord?, _ bound: DryRun.Bound) {
    let device = state.portName(target.port)
    let packet = run.sent.first { isUplink($0.port) && tunnelPacket($0)?.destination == target.address }
    let mac = packet.map { MACAddress(bits: $0.octets.prefix(6).reduce(0) { $0 << 8 | UInt64($1) }) }
    let hops = record.map(state.nextHops) ?? []
    let hop = hops.first { ($0.mac == mac || hops.count == 1) && $0.device == device } ?? hops.first { $0.mac == mac && mac != nil }
    let needed = bound.octets.count + target.overhead
    let facts: [String: Fact] = [
      "address": hop.map { .text("\($0.address)") } ?? .none, "device": .text(device), "mac": mac.map { .text("\($0)") } ?? .none,
      "resolved": .flag(target.isResolved), "mtu": .number(target.mtu), "needed": .number(needed),
    ]
    let name = (hop.map { "\($0.address)" } ?? "a next hop") + "%\(device)"
    let resolved = target.isResolved ? mac.map { " at \($0)" } ?? "" : ", whose MAC address is being resolved: frames wait for up to 3 s"
    let size = needed > target.mtu ? "the packet has \(needed) octets: too big" : "\(needed) of them used"
    add(.nextHop, "\(name)\(resolved); MTU \(target.mtu), \(size)", facts)
  }

  // -- result -----------------------------------------------------------------------------------------------------------

  private mutating func writeResult() {
    var parts: [String] = []
    let copies = run.sent.filter { !isReply($0) }
    switch report.outcome {
    case .sent:
      let uplinks = run.remotes.filter { $0.sentCount > 0 }
      if !uplinks.isEmpty {
        parts.append("sent to " + uplinks.prefix(Self.detailedTargets).map { "\($0.address)" }.joined(separator: ", "))
      }
      if uplinks.count > Self.detailedTargets { parts[parts.count - 1] += " and \(uplinks.count - Self.detailedTargets) more" }
      let tunnels = run.router == nil ? [] : copies.filter { isUplink($0.port) }.compactMap { tunnelPacket($0)?.destination }
      if !tunnels.isEmpty { parts.append("sent to " + tunnels.map(\.description).joined(separator: ", ")) }
      let ports = copies.filter { !isUplink($0.port) }.map { state.portName($0.port) }
      if !ports.isEmpty { parts.append("delivered to " + ports.joined(separator: ", ")) }
      let held = run.remotes.filter(\.isHeld).map { "\($0.address)" }
      if !held.isEmpty {
        let names = held.prefix(Self.detailedTargets).joined(separator: ", ")
        let more = held.count > Self.detailedTargets ? " and \(held.count - Self.detailedTargets) more" : ""
        parts.append("held for \(names)\(more) until the next hop's MAC address is resolved")
      }
    case .held:
      parts.append(run.isAwaited ? "held until the VTEP of its station is known" : "held until the next hop's MAC address is resolved")
    case .slowPath: parts.append(isBFD ? "handed to the BFD session with the VTEP" : "handed to the slow path")
    case .kernel: parts.append(run.ignored.map { "left to the kernel: \($0.name)" } ?? "left to the kernel")
    case .answered: parts.append("answered here")
    case .dropped: break
    }
    parts += run.drops.map { drop in
      "dropped: \(drop.reason.name), counted at \(state.portName(drop.port))" + (drop.count > 1 ? ", \(drop.count) times" : "")
    }
    if run.sent.count > copies.count, report.outcome != .answered {
      let isTooBig = run.drops.contains { [.tooBigForUnderlay, .routerTooBig].contains($0.reason) }
      parts.append(isTooBig ? "the sender is told what fits" : "the sender is told")
    }
    add(
      .result, parts.isEmpty ? "nothing left of it" : parts.joined(separator: "; "),
      [
        "outcome": .text(report.outcome.rawValue), "sent": .number(run.sentCount), "reasons": .list(run.drops.map(\.reason.name)),
      ])
  }
}

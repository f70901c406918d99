// EventCommands: `vtepctl monitor` and `vtepctl explain`.

import Encap
import MACTable
import VTEP
import VTEPControl

extension Daemon {
  nonisolated func addEventCommands(to commands: inout ControlCommands) {
    commands.add(Monitor.self, handle)
    commands.add(Explain.self, handle)
  }

  /// How often events are looked for, while a reader waits.
  private static let pollTime = Duration.milliseconds(50)
  private static let longestWait = 1000

  func handle(_ request: Monitor) async throws(ControlError) -> EventPage {
    let filter = try EventFilter(request)
    let limit = min(max(request.limit ?? ControlLimits.pageRowCount, 1), ControlLimits.pageRowCount)
    let latest = try running().events.last
    var since = request.since ?? latest
    guard since <= latest else {
      throw ControlError(
        .refused, "the latest event is \(latest): sequence numbers begin anew when vtepd starts; give no --since, or --since 0")
    }
    let wait = Duration.milliseconds(min(max(request.waitMilliseconds ?? 0, 0), Self.longestWait))
    do {
      return try await LongPoll.answer(within: wait, pause: Self.pollTime) {
        // Not while the daemon stops.
        let log = try running().events
        let page = log.page(after: since, filter, limit: limit)
        since = page.last
        return (EventPage(page, began: log.began), isNews: page.gap != nil || !page.events.isEmpty)
      }
    } catch {
      throw Self.refusal(error)
    }
  }

  func handle(_ request: Explain) async throws(ControlError) -> Explanation {
    let mac = try MACAddress(parameter: request.mac)
    let vni = try VNI(parameter: request.vni)
    do {
      return Explanation(try await running().explain(mac, vni: vni, from: request.fromPort))
    } catch let error as VTEPError {
      throw ControlError(.notFound, "\(error)")
    } catch {
      throw Self.refusal(error)
    }
  }
}

extension EventFilter {
  /// - Throws: `invalidParameters` for what is no type, VNI or address.
  init(_ request: Monitor) throws(ControlError) {
    var types: Set<EventType> = []
    for name in request.types ?? [] {
      let meant = EventType.allCases.filter { $0.rawValue == name || $0.group.rawValue == name }
      guard !meant.isEmpty else {
        let groups = EventGroup.allCases.map(\.rawValue).joinedAsChoice
        throw ControlError(.invalidParameters, "type must be \(groups), or one of the types in docs/events.md, not '\(name)'")
      }
      types.formUnion(meant)
    }
    self.init(
      types: types, vni: try request.vni.converted { value throws(ControlError) in try VNI(parameter: value) }, port: request.port,
      mac: try request.mac.converted { text throws(ControlError) in try MACAddress(parameter: text) })
  }
}

extension EventPage {
  init(_ page: EventLog.Page, began: UInt64) {
    self.init(
      gap: page.gap.map { EventGap(from: $0.first, to: $0.last, count: $0.count) }, events: page.events.map(EventRow.init),
      last: page.last, began: began)
  }
}

extension EventRow {
  init(_ event: Event) {
    self.init(
      seq: event.sequence, time: Double(event.milliseconds) / 1000, type: event.type.rawValue, level: event.type.level.rawValue,
      text: event.text)
    vni = event.subject.vni?.rawValue
    mac = event.subject.mac.map { "\($0)" }
    port = event.subject.port
    address = event.subject.address.map { "\($0)" }
    device = event.subject.device
    from = event.from.map { "\($0)" }
    to = event.to.map { "\($0)" }
    source = event.source.map { "\($0)" }
    count = event.count
  }
}

extension Explanation {
  init(_ explained: MACExplanation) {
    self.init(
      vni: explained.vni.rawValue, mac: "\(explained.mac)",
      entry: explained.entry.map { entry in
        Entry(
          type: MACTableRow.Kind(entry.type), place: "\(entry.place)", since: entry.sinceSeconds, ageSeconds: entry.ageSeconds,
          moves: UInt32(entry.moves))
      },
      frozen: explained.frozen.map(MACMoveRow.init),
      sources: explained.claims.map { claim in
        Source(
          source: claim.source == .static ? "configuration" : "\(claim.source)", place: "\(claim.place)", holds: claim.holds,
          remark: claim.remark)
      },
      past: explained.past.map { Past(place: $0.place.map { "\($0)" }, until: $0.endSeconds) },
      events: explained.events.map(EventRow.init), limits: explained.limits,
      outcomes: explained.outcomes.map { outcome in
        Outcome(port: outcome.port, vlan: outcome.vlan == 0 ? nil : outcome.vlan, action: outcome.action.rawValue, text: outcome.text)
      }, omittedOutcomes: explained.omittedOutcomes)
  }
}

extension MACTableRow.Kind {
  init(_ type: MACEntryType) {
    switch type {
    case .learned: self = .learned
    case .static: self = .static
    case .controller: self = .controller
    }
  }
}

// LimitObserver: notices once a second where limits of ports and storm control have begun to drop frames, and where they have stopped, by
// the workers' counters.

import Encap
import MACTable

struct LimitObserver {
  private struct Place: Hashable {
    /// Nil: of a VNI.
    var port: PortIndex?
    var domain: DomainIndex?
    var reason: DropReason
  }

  private struct Count {
    var drops: UInt64
    /// Since frames were dropped last; nil: they have not been.
    var quietSeconds: Int?
  }

  /// A limit that has dropped nothing for this long no longer does.
  private static let quietSeconds = 5

  private var counts: [Place: Count] = [:]

  mutating func look(at state: ControlState, _ counters: [WorkerCounters], _ events: EventLog) {
    var present: [Place: Count] = [:]
    for record in state.ports.values where record.settings.policyFeatures != [] {
      let drops = state.baselines.drops(port: record.index, counters)
      let subject = Event.Subject(port: record.settings.name)
      for reason in DropReason.ofPortPolicy where reason != .portDisabled {
        let place = Place(port: record.index, reason: reason)
        present[place] = follow(place, drops[Int(reason.rawValue)], subject, "port \(record.settings.name)", events)
      }
    }
    for index in state.model.domains.indices where state.model.domains[index].storm != nil {
      let vni = state.model.domains[index].entry.vni
      let drops = state.baselines.stormDrops(domain: DomainIndex(index), counters)
      for (flood, drops) in zip(FloodClass.allCases, drops) {
        let place = Place(domain: DomainIndex(index), reason: flood.vniReason)
        present[place] = follow(place, drops, Event.Subject(vni: vni), "VNI \(vni)", events)
      }
    }
    counts = present
  }

  private func follow(_ place: Place, _ drops: UInt64, _ subject: Event.Subject, _ name: String, _ events: EventLog) -> Count {
    let isStorm = Self.storms.contains(place.reason)
    // What was dropped before the first look is news, too: a limit counts from when it is set.
    var count = counts[place] ?? Count(drops: 0)
    if drops > count.drops {
      if count.quietSeconds == nil {
        events.report(isStorm ? .guardStorm : .limitPort, subject, "\(name): \(place.reason.name) drops frames (show drops)")
      }
      return Count(drops: drops, quietSeconds: 0)
    }
    count.drops = drops
    guard let quiet = count.quietSeconds else { return count }
    count.quietSeconds = quiet + 1
    if quiet + 1 >= Self.quietSeconds {
      events.report(isStorm ? .guardEnded : .limitPortEnded, subject, "\(name): \(place.reason.name) drops nothing any more")
      count.quietSeconds = nil
    }
    return count
  }

  private static let storms: Set<DropReason> = Set(FloodClass.allCases.flatMap { [$0.portReason, $0.vniReason] })
}

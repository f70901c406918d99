// RunningState+Neighbors: `vtepctl show neighbors`: IP addresses of the overlay and the MAC addresses that they have.

import Encap
import MACTable

/// An IP address of a VNI.
public struct NeighborReport: Sendable {
  /// Who says so.
  public enum Source: String, Sendable, CaseIterable { case file, controller, local, overlay }

  public var vni: VNI
  public var address: IPAddress
  public var mac: MACAddress
  public var sources: [Source]
  /// Sources differ, or the address was seen with two MAC addresses lately.
  public var isContested: Bool
  /// Seconds since a station claimed it; nil: none has.
  public var ageSeconds: UInt32?
  /// As its station has told in ND; nil: it has not.
  public var isRouter: Bool?
}

extension RunningState {
  /// Which entries to report; all that is given must match.
  public struct NeighborFilter: Sendable {
    var vni: VNI?
    var address: IPAddress?
    var mac: MACAddress?

    public init(vni: VNI? = nil, address: IPAddress? = nil, mac: MACAddress? = nil) {
      self.vni = vni
      self.address = address
      self.mac = mac
    }
  }

  /// A page of the neighbour table, in no particular order; without the addresses from which routers on other VTEPs ask for neighbours, which
  /// are no station's.
  ///
  /// - Parameter start: 0, or `next` of the page before.
  public func neighborReports(_ filter: NeighborFilter, from start: Int, limit: Int) -> (reports: [NeighborReport], next: Int?) {
    guard let table = learner.neighbors else { return ([], nil) }
    let names = indexNames
    let now = MonotonicClock.seconds()
    let askers = Set(underlay.vteps.keys.map(RouterSettings.requestMAC(of:)))
    var reports: [NeighborReport] = []
    var next: Int? = start
    // A filter may reject page after page: this call's work is bounded all the same.
    for _ in 0..<16 {
      guard let position = next, reports.isEmpty else { break }
      let page = table.page(from: position, limit: max(limit, 1))
      next = page.nextCursor
      for entry in page.entries {
        guard let vni = names.vnis[entry.key.domain], filter.vni == nil || filter.vni == vni,
          filter.address == nil || filter.address == entry.key.address, filter.mac == nil || filter.mac == entry.neighbor.mac,
          !askers.contains(entry.neighbor.mac)
        else { continue }
        reports.append(
          NeighborReport(
            vni: vni, address: entry.key.address, mac: entry.neighbor.mac, sources: entry.neighbor.sources.named,
            isContested: entry.neighbor.isContested, ageSeconds: entry.seenSeconds.map { now &- min($0, now) },
            isRouter: entry.neighbor.role == .unknown ? nil : entry.neighbor.role == .router))
      }
    }
    return (reports, next)
  }
}

extension RunningState {
  /// Entries of the neighbour table, and those about which sources or stations disagree.
  public func neighborTotals() -> (known: Int, contested: Int) { learner.neighbors?.totals ?? (0, 0) }
}

extension NeighborSources {
  /// For reports.
  fileprivate var named: [NeighborReport.Source] {
    let all: [(NeighborSources, NeighborReport.Source)] = [
      (.file, .file), (.controller, .controller), (.local, .local), (.overlay, .overlay),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}

// RunningState+Drops: what `vtepctl show drops` says: how many frames were dropped, by reason and place, and the last ones of a reason.

import Encap
import MACTable

/// A kind of place that drops are counted by.
public enum DropPlaceKind: String, CaseIterable, Sendable {
  /// Ports and uplinks: every drop has one.
  case port
  /// VNIs and VTEPs: drops of frames whose VNI or VTEP was known.
  case vni, vtep
}

public struct DropReport: Sendable {
  public var reason: DropReason
  /// Port or underlay device that the frame came in at (or, when sending failed, was to leave by); or VNI or VTEP.
  public var place: String
  public var count: UInt64
}

/// A frame that was dropped.
public struct DroppedFrameReport: Sendable {
  /// Microseconds since 1970, UTC.
  public var microseconds: Int64
  /// Name of the port or uplink; nil: it is gone.
  public var port: String?
  public var vni: VNI?
  public var vtep: IPAddress?
  /// Of the whole frame.
  public var byteCount: Int
  /// Its beginning.
  public var octets: [UInt8]
}

extension RunningState {
  /// - Parameter all: also reasons that have not occurred.
  public func dropReports(by kind: DropPlaceKind = .port, all: Bool) -> [DropReport] {
    switch kind {
    case .port:
      let places = ports.values.map { ($0.index, $0.settings.name) } + underlay.devices.flatMap(\.places)
      return places.sorted { $0.1 < $1.1 }.flatMap { Self.reports($1, baselines.drops(port: $0, counters), all: all) }
    case .vni:
      return domains.sorted { $0.key < $1.key }.flatMap {
        Self.reports("vni \($0.key)", baselines.drops(domain: $0.value.index, counters), all: all)
      }
    case .vtep:
      var counts: [IPAddress: [UInt64]] = [:]
      for (index, address) in indexNames.vteps {
        let drops = baselines.drops(vtep: index, counters)
        counts[address] = counts[address].map { zip($0, drops).map { $0 &+ $1 } } ?? drops
      }
      return counts.sorted { $0.key < $1.key }.flatMap { Self.reports("vtep \($0.key)", $0.value, all: all) }
    }
  }

  private static func reports(_ place: String, _ counts: [UInt64], all: Bool) -> [DropReport] {
    zip(DropReason.allCases, counts).compactMap { reason, count in
      count > 0 || all ? DropReport(reason: reason, place: place, count: count) : nil
    }
  }

  /// By reason, in all places, those that are gone included.
  public func dropTotals() -> [UInt64] { DropReason.allCases.map(dropTotal) }

  public func dropTotal(_ reason: DropReason) -> UInt64 { baselines.dropTotal(reason, counters) }

  /// The last frames that were dropped for a reason, oldest first.
  ///
  /// - Parameter limit: most frames.
  public func droppedFrames(_ reason: DropReason, limit: Int) -> [DroppedFrameReport] {
    let clock = CycleClock()
    let names = captureNames.ports
    let kept = counters.flatMap { $0.droppedFrames.frames(reason) }
    let frames = kept.sorted { ($0.cycles, $0.number) < ($1.cycles, $1.number) }
    return frames.suffix(limit).map { frame in
      // The index may have had another owner before.
      let isOfPort = frame.cycles >= baselines.portTimes[frame.port] ?? 0
      return DroppedFrameReport(
        microseconds: Int64(clock.nanoseconds(at: frame.cycles) / 1000), port: isOfPort ? names[frame.port] : nil, vni: frame.vni,
        vtep: frame.vtep, byteCount: frame.byteCount, octets: frame.octets)
    }
  }

  /// UDP port of VXLAN.
  public var vxlanPort: UInt16 { model.decapPolicy.udpPort }
}

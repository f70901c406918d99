// ManagementView: objects of MIBs at one moment, in the order in which a manager walks them: IF-MIB (RFC 2863), BRIDGE-MIB (RFC 4188) and
// Q-BRIDGE-MIB (RFC 4363).

import Encap
import VTEP

/// Objects with their values. The forwarding database is kept as a table of its own: with names, a million addresses would take a gigabyte.
struct ManagementView: Sendable {
  /// An entry of the forwarding database.
  struct Station: Sendable {
    var vni: UInt32
    var mac: MACAddress
    /// dot1dBasePort.
    var bridgePort: Int32
    /// dot1qTpFdbStatus: 3 learned, 5 mgmt.
    var status: Int32

    fileprivate var index: [UInt32] { [vni] + mac.octets.map(UInt32.init) }
  }

  /// In ascending order of their names.
  private let objects: [AgentXVariable]
  /// In ascending order of VNI and address.
  private let stations: [Station]

  /// dot1qTpFdbEntry, and its columns: dot1qTpFdbPort, dot1qTpFdbStatus. The address is not accessible.
  static let stationEntry = ObjectIdentifier.mib2 + [17, 7, 1, 2, 2, 1]
  private static let stationColumns: [UInt32] = [2, 3]

  init(objects: [AgentXVariable], stations: [Station]) {
    self.objects = objects.sorted { $0.name < $1.name }
    self.stations = stations.sorted { ($0.vni, $0.mac) < ($1.vni, $1.mac) }
  }

  /// The value of an object; `noSuchObject` or `noSuchInstance` if there is none.
  func value(_ name: ObjectIdentifier) -> AgentXValue {
    let found = next(AgentXRange(start: name, includesStart: true, end: nil))
    if found.value != .endOfMIBView, found.name == name { return found.value }
    // Another instance of the object: of the same column, or of a scalar.
    let isColumn = found.name.ids.count > 10 && found.name.ids.prefix(10) == name.ids.prefix(10)
    return isColumn ? .noSuchInstance : .noSuchObject
  }

  /// The first object of a range; if there is none, the start of the range with `endOfMIBView`.
  func next(_ range: AgentXRange) -> AgentXVariable {
    let candidates = [nextObject(range), nextStation(range)].compactMap(\.self)
    guard let first = candidates.min(by: { $0.name < $1.name }), range.end.map({ first.name < $0 }) ?? true else {
      return AgentXVariable(name: range.start, value: .endOfMIBView)
    }
    return first
  }

  private func nextObject(_ range: AgentXRange) -> AgentXVariable? {
    let position = objects.firstPosition { range.includesStart ? $0.name >= range.start : $0.name > range.start }
    return position < objects.count ? objects[position] : nil
  }

  private func nextStation(_ range: AgentXRange) -> AgentXVariable? {
    for column in Self.stationColumns {
      let prefix = Self.stationEntry + [column]
      var position = 0
      if range.start.hasPrefix(prefix) {
        let index = range.start.ids.dropFirst(prefix.ids.count)
        position = stations.firstPosition { station in
          let own = station.index
          return range.includesStart ? !own.lexicographicallyPrecedes(index) : index.lexicographicallyPrecedes(own)
        }
      } else if range.start > prefix {
        continue
      }
      guard position < stations.count else { continue }
      let station = stations[position]
      return AgentXVariable(name: prefix + station.index, value: .integer(column == 2 ? station.bridgePort : station.status))
    }
    return nil
  }
}

extension Array {
  /// The position of the first element of a sorted array that satisfies a condition, as do all that follow; `count`: none.
  fileprivate func firstPosition(_ holds: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if holds(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

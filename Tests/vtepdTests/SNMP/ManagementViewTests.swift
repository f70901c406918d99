// Walks over a view against the sorted list of all its objects.

import Encap
import Testing

@testable import vtepd

@Suite struct ManagementViewTests {
  private static let columns: [UInt32] = [2, 3]
  private let stations = [
    ManagementView.Station(vni: 5001, mac: MACAddress(bits: 0x0200_0000_00ff), bridgePort: 1, status: 3),
    ManagementView.Station(vni: 5001, mac: MACAddress(bits: 0x0200_0000_0101), bridgePort: 2, status: 3),
    ManagementView.Station(vni: 7, mac: MACAddress(bits: 0xffff_ffff_ffff), bridgePort: 65_535, status: 5),
  ]
  private let objects = [
    AgentXVariable(name: ManagementView.bridgeBase + [2, 0], value: .integer(3)),
    AgentXVariable(name: ManagementView.interfaceEntry + [1, 1_000_001], value: .integer(1_000_001)),
    AgentXVariable(name: ManagementView.interfaceEntry + [2, 1_000_001], value: .octets([1])),
    AgentXVariable(name: ObjectIdentifier.mib2 + [31, 1], value: .integer(9)),
  ]

  private var view: ManagementView { ManagementView(objects: objects, stations: stations) }

  /// All that there is, in order.
  private var everything: [AgentXVariable] {
    let table = stations.flatMap { station in
      let octets = (0..<6).map { UInt32(truncatingIfNeeded: station.mac.bits >> (40 - 8 * UInt64($0)) & 0xff) }
      return Self.columns.map {
        AgentXVariable(
          name: ManagementView.stationEntry + ([$0, station.vni] + octets),
          value: .integer($0 == 2 ? station.bridgePort : station.status))
      }
    }
    return (objects + table).sorted { $0.name < $1.name }
  }

  @Test func walk() {
    var found: [AgentXVariable] = []
    var name = ObjectIdentifier([])
    while true {
      let variable = view.next(AgentXRange(start: name, includesStart: false, end: nil))
      guard variable.value != .endOfMIBView else { break }
      found.append(variable)
      name = variable.name
    }
    #expect(found == everything)
    #expect(view.next(AgentXRange(start: name, includesStart: false, end: nil)).name == name)
  }

  /// Names that are in the view, and their neighbors: shorter, longer, one less, one more.
  @Test func everyNeighborOfEveryName() {
    let all = everything
    var names = all.map(\.name)
    for name in names {
      for count in 0..<name.ids.count { names.append(ObjectIdentifier(Array(name.ids.prefix(count)))) }
      names.append(name + [0])
      for position in name.ids.indices {
        var other = name
        other.ids[position] &+= 1
        names.append(other)
        other.ids[position] &-= 2
        names.append(other)
      }
    }
    for name in names {
      for isIncluded in [true, false] {
        let expected = all.first { isIncluded ? $0.name >= name : $0.name > name }
        let found = view.next(AgentXRange(start: name, includesStart: isIncluded, end: nil))
        #expect(found == expected ?? AgentXVariable(name: name, value: .endOfMIBView))
        if let expected {
          #expect(view.next(AgentXRange(start: name, includesStart: isIncluded, end: expected.name)).value == .endOfMIBView)
        }
      }
      let value = all.first { $0.name == name }?.value
      if let value { #expect(view.value(name) == value) } else { #expect([.noSuchObject, .noSuchInstance].contains(view.value(name))) }
    }
  }

  @Test func getBulk() {
    let start = AgentXRange(start: ManagementView.interfaceEntry, includesStart: false, end: nil)
    let request = AgentXMessage(
      session: 4, transaction: 5, packet: 6, payload: .getBulk(nonRepeaters: 1, maxRepetitions: 2, [start, start]))
    let answer = request.answer(from: view)
    #expect((answer?.session, answer?.transaction, answer?.packet) == (4, 5, 6))
    guard case .response(_, let error, _, let variables)? = answer?.payload else { return #expect(Bool(false)) }
    #expect(error == 0)
    #expect(variables == [objects[1], objects[1], objects[2]])
  }

  @Test func nothingCanBeSet() {
    guard case .response(_, let error, let index, _)? = AgentXMessage(payload: .set).answer(from: view)?.payload else {
      return #expect(Bool(false))
    }
    #expect(error == AgentXMessage.errorNotWritable && index == 1)
    #expect(AgentXMessage(payload: .ignored(type: 11)).answer(from: view) == nil)
  }
}

// Random transactions of a controller: the mapping's incremental edits add up to a simple reading of the database, and to a mapping
// that starts from the current database.

import Encap
import OVSDBClient
import Testing
import VTEP

@testable import vtepd

/// What the reconciler would know after the edits.
private struct Told: Equatable {
  var layer = ControllerLayer()
  var addresses: [VNI: [MACAddress: TunnelDestination]] = [:]

  mutating func apply(_ edit: ControllerEdit) {
    if let layer = edit.layer { self.layer = layer }
    addresses = addresses.filter { layer.switches[$0.key] != nil }
    for vni in edit.complete { addresses[vni] = nil }
    for address in edit.addresses { addresses[address.vni, default: [:]][address.mac] = address.destination }
    addresses = addresses.filter { !$0.value.isEmpty }
  }
}

/// The database read row by row, without any memory.
private struct Model {
  var addresses: [VNI: [MACAddress: TunnelDestination]] = [:]
  var bindings: [ControllerLayer.Binding: VNI] = [:]
  var flood: [VNI: [TunnelDestination]] = [:]

  init(_ database: FakeDatabase) {
    let replica = database.replica
    var vnis: [RowID: VNI] = [:]
    for row in replica.all(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch).values.sorted(by: { $0.id < $1.id }) {
      guard let key = row.tunnelKey, key > 0, let vni = VNI(key), !vnis.values.contains(vni) else { continue }
      vnis[row.id] = vni
      flood[vni] = []
    }
    func destination(_ id: RowID, _ vni: VNI) -> TunnelDestination? {
      guard let row = replica.one(HardwareVTEP.Locator.self, in: .locator, id), let address = IPAddress(row.destinationIP) else {
        return nil
      }
      let key = row.tunnelKey.flatMap { $0 == 0 ? nil : VNI($0) }
      return TunnelDestination(address, key: key == vni ? nil : key)
    }
    // The last one written wins, so the lowest UUID is written last.
    for row in replica.all(HardwareVTEP.UcastMAC.self, in: .ucastMacsRemote).values.sorted(by: { $0.id > $1.id }) {
      guard let vni = vnis[row.logicalSwitch], let mac = MACAddress(row.mac), !mac.isMulticast else { continue }
      addresses[vni, default: [:]][mac] = destination(row.locator, vni)
    }
    addresses = addresses.filter { !$0.value.isEmpty }
    for port in database.ports() {
      for (vlan, id) in port.vlanBindings { bindings[.init(port: port.name, vlan: vlan)] = vnis[id] }
    }
    for row in replica.all(HardwareVTEP.McastMAC.self, in: .mcastMacsRemote).values.sorted(by: { $0.id > $1.id }) {
      guard let vni = vnis[row.logicalSwitch], let set = replica.one(HardwareVTEP.LocatorSet.self, in: .locatorSet, row.locatorSet) else {
        continue
      }
      flood[vni] = Set(set.locators.compactMap { destination($0, vni) }).sorted {
        ($0.address, $0.key ?? vni) < ($1.address, $1.key ?? vni)
      }
    }
  }
}

@Suite("Controller, at random")
struct ControllerPropertyTests {
  @Test("incremental edits, a fresh start, and a simple model agree", arguments: 0..<40)
  func agree(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    var database = try FakeDatabase()
    var mapping = ControllerMapping(switchName: "hv1")
    var told = Told()
    told.apply(mapping.load(database.replica))
    var publisher = Publisher(adoptionEndSeconds: 0)
    var state = SwitchState(name: "hv1", description: "")
    state.ports = ["p1": .init(description: ""), "p2": .init(description: "")]
    var changes = database.transact(publisher.operations(state, mapping, now: 0)).changes
    told.apply(mapping.update(changes, database.replica))

    for step in 0..<120 {
      changes = transaction(&database, using: &random)
      told.apply(mapping.update(changes, database.replica))
      let model = Model(database)
      // The model knows only logical switches with a key of their own.
      let keyed = Set(model.flood.keys)
      #expect(told.addresses.filter { keyed.contains($0.key) } == model.addresses, "seed \(seed), step \(step)")
      #expect(told.layer.bindings.filter { keyed.contains($0.value) } == model.bindings, "seed \(seed), step \(step)")
      let floods = told.layer.switches.filter { keyed.contains($0.key) }.mapValues(\.flood)
      #expect(floods == model.flood, "seed \(seed), step \(step)")
    }
    var fresh = ControllerMapping(switchName: "hv1")
    var toldAgain = Told()
    toldAgain.apply(fresh.load(database.replica))
    #expect(toldAgain == told)
    #expect(fresh.faults.ofSwitch == mapping.faults.ofSwitch)
    #expect(fresh.faults.ofPorts == mapping.faults.ofPorts)
  }

  /// One transaction.
  private func transaction(_ database: inout FakeDatabase, using random: inout SeededGenerator) -> [TableChange] {
    let before = database.replica
    let switches = database.switches().map(\.id)
    let addresses = Array(database.replica.rows("Ucast_Macs_Remote").keys).sorted()
    let groups = Array(database.replica.rows("Mcast_Macs_Remote").keys).sorted()
    let ip = "192.0.2.\(Int.random(in: 2...6, using: &random))"
    let mac = "02:00:00:00:00:0\(Int.random(in: 1...9, using: &random))"
    switch Int.random(in: 0..<12, using: &random) {
    case 0 where switches.count < 4:
      database.addSwitch("ls\(UInt64.random(in: 0 ... .max, using: &random))", key: Int64.random(in: 0...3, using: &random))
    case 1:
      if let id = switches.randomElement(using: &random) {
        let key = ([nil, 0, 1, 2, 3, 0x100_0000] as [Int64?]).randomElement(using: &random) ?? nil
        database.set(.logicalSwitch, id, ["tunnel_key": OVSDBDatum(optional: key)])
      }
    case 2:
      if let id = switches.randomElement(using: &random) { remove(id, from: &database) }
    case 3, 4, 5, 6:
      if let id = switches.randomElement(using: &random) {
        database.add(mac, id, via: ip, key: ([nil, nil, 0, 1, 9] as [Int64?]).randomElement(using: &random) ?? nil)
      }
    case 7:
      if let id = addresses.randomElement(using: &random) { database.delete(.ucastMacsRemote, id) }
    case 8:
      if let id = addresses.randomElement(using: &random), let locator = database.replica.rows("Physical_Locator").keys.sorted().first {
        database.set(.ucastMacsRemote, id, ["locator": OVSDBDatum(locator), "MAC": OVSDBDatum(mac)])
      }
    case 9:
      if let id = groups.randomElement(using: &random), Bool.random(using: &random) {
        database.delete(.mcastMacsRemote, id)
      } else if let id = switches.randomElement(using: &random) {
        database.addGroup("unknown-dst", id, via: [ip, "192.0.2.9"])
      }
    case 10:
      if let id = database.replica.rows("Physical_Locator").keys.sorted().randomElement(using: &random) {
        let key = ([nil, 1, 2, 7] as [Int64?]).randomElement(using: &random) ?? nil
        database.set(.locator, id, ["tunnel_key": OVSDBDatum(optional: key)])
      }
    default:
      let port = Bool.random(using: &random) ? "p1" : "p2"
      if let id = switches.randomElement(using: &random) {
        database.bind(port, [0, 5, 6].shuffled(using: &random).prefix(2).reduce(into: [:]) { $0[$1] = id })
      } else {
        database.bind(port, [:])
      }
    }
    return FakeDatabase.changes(from: before, to: database.replica)
  }

  /// Like a server: a logical switch is deleted with its references.
  private func remove(_ id: RowID, from database: inout FakeDatabase) {
    let reference = OVSDBDatum(id)
    var operations: [OVSDBOperation] = ["Ucast_Macs_Remote", "Mcast_Macs_Remote"].map {
      .delete(table: $0, where: [OVSDBCondition("logical_switch", .equal, reference)])
    }
    for port in database.ports() where port.vlanBindings.values.contains(id) {
      let left = port.vlanBindings.filter { $0.value != id }
      operations.append(.update(table: "Physical_Port", where: [.row(port.id)], row: ["vlan_bindings": OVSDBDatum(left)]))
    }
    database.transact(operations + [.delete(table: "Logical_Switch", where: [.row(id)])])
  }
}

/// The same sequence for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}

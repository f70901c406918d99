// The typed rows against the schema itself, and against older and newer ones.

import Testing

@testable import OVSDBClient

@Suite struct HardwareVTEPTests {
  /// Schema 1.7.0 as ovsdb-server sent it.
  private static func schema() throws -> DatabaseSchema {
    var parser = JSONParser()
    let values = try parser.feed(try RecordedTests.fixture("update3.server"))
    let json = try #require(values.compactMap { $0["result"] }.first { $0["name"] == "hardware_vtep" })
    return try DatabaseSchema(json)
  }

  /// Reads `row` as this type and gives its columns back.
  private static func columns<Row: HardwareVTEPRow>(_ type: Row.Type, _ row: OVSDBRow) -> [String: OVSDBDatum]? {
    Row(TestSchema.id(1), row)?.columns
  }

  private static func columns(_ table: HardwareVTEP.Table, _ row: OVSDBRow) -> [String: OVSDBDatum]? {
    switch table {
    case .global: columns(HardwareVTEP.Global.self, row)
    case .manager: columns(HardwareVTEP.Manager.self, row)
    case .physicalSwitch: columns(HardwareVTEP.PhysicalSwitch.self, row)
    case .physicalPort: columns(HardwareVTEP.PhysicalPort.self, row)
    case .tunnel: columns(HardwareVTEP.Tunnel.self, row)
    case .logicalSwitch: columns(HardwareVTEP.LogicalSwitch.self, row)
    case .logicalBindingStats: columns(HardwareVTEP.LogicalBindingStats.self, row)
    case .ucastMacsLocal, .ucastMacsRemote: columns(HardwareVTEP.UcastMAC.self, row)
    case .mcastMacsLocal, .mcastMacsRemote: columns(HardwareVTEP.McastMAC.self, row)
    case .locatorSet: columns(HardwareVTEP.LocatorSet.self, row)
    case .locator: columns(HardwareVTEP.Locator.self, row)
    case .logicalRouter: columns(HardwareVTEP.LogicalRouter.self, row)
    case .arpSourcesLocal, .arpSourcesRemote: columns(HardwareVTEP.ArpSource.self, row)
    case .acl: columns(HardwareVTEP.ACL.self, row)
    case .aclEntry: columns(HardwareVTEP.ACLEntry.self, row)
    }
  }

  /// A value that is not the default, and is different for each column.
  private static func sample(_ type: ColumnType, _ seed: Int) -> OVSDBDatum {
    func atom(_ type: BaseType, _ seed: Int) -> OVSDBAtom {
      switch type.kind {
      case .integer: .integer(Int64(seed % 4096))
      case .real: .real(Double(seed))
      case .boolean: .boolean(true)
      case .string: .string("s\(seed)")
      case .uuid: .uuid(TestSchema.id(seed))
      }
    }
    guard let value = type.value else {
      return type.maximum == 1
        ? OVSDBDatum(atom(type.key, seed)) : OVSDBDatum(set: [atom(type.key, seed), atom(type.key, seed + 1)])
    }
    return OVSDBDatum(map: (0..<3).map { .init(key: atom(type.key, seed + $0), value: atom(value, seed + 7 * $0)) })
  }

  @Test(arguments: HardwareVTEP.Table.allCases)
  func everyColumnOfTheSchemaIsTyped(_ table: HardwareVTEP.Table) throws {
    let layout = RowLayout(try #require(try Self.schema().tables[table.rawValue]))
    var row = OVSDBRow(layout)
    for (index, column) in layout.columns.enumerated() { row = row.setting(column, to: Self.sample(layout.types[index], 10 * (index + 1))) }
    let columns = try #require(Self.columns(table, row))
    #expect(columns == Dictionary(uniqueKeysWithValues: layout.columns.map { ($0, row[$0] ?? .emptySet) }))
  }

  @Test func theTablesAreThoseOfTheSchema() throws {
    #expect(Set(HardwareVTEP.Table.allCases.map(\.rawValue)) == Set(try Self.schema().tables.keys))
  }

  /// 1.3.0 had no tunnel_key of locators, no replication_mode, no other_config and no ACL; something newer may have more.
  @Test func olderAndNewerSchemasWork() throws {
    var schema = try Self.schema()
    schema.tables["ACL"] = nil
    schema.tables["Physical_Locator"]?.columns["tunnel_key"] = nil
    schema.tables["Logical_Switch"]?.columns["replication_mode"] = nil
    schema.tables["Physical_Switch"]?.columns["other_config"] = nil
    schema.tables["Physical_Switch"]?.columns["colour"] = ColumnSchema(name: "colour", type: ColumnType(key: BaseType(.string)))
    schema.tables["Paint"] = TableSchema(name: "Paint", columns: [:])

    let locator = HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: "192.0.2.1", tunnelKey: 5)
    let layout = RowLayout(try #require(schema.tables["Physical_Locator"]))
    let row = OVSDBRow(layout).setting("dst_ip", to: "192.0.2.1").setting("tunnel_key", to: 5)
    #expect(HardwareVTEP.Locator(TestSchema.id(1), row)?.tunnelKey == nil)
    #expect(
      locator.insertion(into: .locator, name: "l").fitted(to: schema)
        == .insert(table: "Physical_Locator", row: ["encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.1"], name: "l"))
    let network = HardwareVTEP.LogicalSwitch(
      TestSchema.id(1), OVSDBRow(RowLayout(try #require(schema.tables["Logical_Switch"]))).setting("name", to: "ls"))
    #expect(network?.replicationMode == .serviceNode)
    #expect(HardwareVTEP.ACL(name: "a").insertion(into: .acl).fitted(to: schema) == nil)

    let before = HardwareVTEP.PhysicalSwitch(name: "ps", otherConfig: ["a": "1"])
    var after = before
    after.otherConfig = [:]
    let update = try #require(before.update(to: after, in: .physicalSwitch))
    #expect(update == .update(table: "Physical_Switch", where: [.row(.zero)], row: ["other_config": .emptyMap]))
    #expect(update.fitted(to: schema) == nil)
    after.tunnelIPs = ["192.0.2.1"]
    #expect(
      before.update(to: after, in: .physicalSwitch)?.fitted(to: schema)
        == .update(table: "Physical_Switch", where: [.row(.zero)], row: ["tunnel_ips": "192.0.2.1"]))
    #expect(before.update(to: before, in: .physicalSwitch) == nil)
  }

  @Test func referencesWithinATransactionReplaceTheTypedOnes() {
    let mac = HardwareVTEP.UcastMAC(mac: "00:11:22:33:44:55", logicalSwitch: TestSchema.id(1), locator: .zero)
    guard
      case .insert(let table, let row, _) = mac.insertion(into: .ucastMacsLocal, references: ["locator": OVSDBDatum(.named("l"))])
    else { return #expect(Bool(false)) }
    #expect(table == "Ucast_Macs_Local" && row["locator"] == OVSDBDatum(.named("l")) && row["ipaddr"] == "")
  }
}

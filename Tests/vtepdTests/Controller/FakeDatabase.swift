// A miniature database server: applies operations to a replica as in RFC 7047 §5.2, and reports the changes. Unreferenced rows are
// deleted if the schema says so. Tests change the database only through a controller's operations.

import Encap
import Foundation
import Testing

@testable import OVSDBClient
@testable import vtepd

struct FakeDatabase {
  private(set) var replica: Replica
  private var nextID: UInt64 = 1

  /// - Parameters:
  ///   - without: columns missing from the schema, as `Table.column`.
  ///   - with: additional string columns.
  init(without: Set<String> = [], with: [String] = []) throws {
    let text = try String(contentsOfFile: "/usr/share/openvswitch/vtep.ovsschema", encoding: .utf8)
    var parser = JSONParser()
    let json = try #require(try parser.feed(Array(text.utf8)).first)
    var schema = try DatabaseSchema(json)
    for name in without {
      let parts = name.split(separator: ".").map(String.init)
      schema.tables[parts[0]]?.columns[parts[1]] = nil
    }
    for name in with {
      let parts = name.split(separator: ".").map(String.init)
      let column = ColumnSchema(name: parts[1], type: ColumnType(key: BaseType(.string)))
      if schema.tables[parts[0]] == nil { schema.tables[parts[0]] = TableSchema(name: parts[0], columns: [:]) }
      schema.tables[parts[0]]?.columns[parts[1]] = column
    }
    replica = Replica(schema: schema)
  }

  /// Carries out one transaction.
  ///
  /// - Returns: the changes, and the inserted rows.
  @discardableResult
  mutating func transact(_ operations: [OVSDBOperation]) -> (changes: [TableChange], inserted: [RowID]) {
    let before = replica
    var names: [String: RowID] = [:]
    var inserted: [RowID] = []
    for case .insert(_, _, let name) in operations {
      inserted.append(RowID(high: 0x5000, low: nextID))
      if let name { names[name] = inserted[inserted.count - 1] }
      nextID += 1
    }
    var insertions = inserted.makeIterator()
    for operation in operations {
      let table = operation.table ?? ""
      switch operation {
      case .insert(_, let row, _):
        guard let id = insertions.next(), let layout = replica.layouts[table] else { continue }
        var made = OVSDBRow(layout)
        for (column, value) in row {
          #expect(layout.position(of: column) != nil, "\(table) has no \(column)")
          made = made.setting(column, to: Self.resolved(value, names))
        }
        replica.tables[table]?[id] = made
      case .update(_, let conditions, let row):
        for (id, old) in matching(table, conditions) {
          var new = old
          for (column, value) in row { new = new.setting(column, to: Self.resolved(value, names)) }
          replica.tables[table]?[id] = new
        }
      case .mutate(_, let conditions, let mutations):
        for (id, old) in matching(table, conditions) {
          var new = old
          for mutation in mutations {
            let there = Set(new[mutation.column]?.atoms ?? [])
            let named = Set(Self.resolved(mutation.value, names).atoms)
            new = new.setting(
              mutation.column,
              to: OVSDBDatum(set: mutation.mutator == .insert ? there.union(named) : there.subtracting(named)))
          }
          replica.tables[table]?[id] = new
        }
      case .delete(_, let conditions):
        for (id, _) in matching(table, conditions) { replica.tables[table]?[id] = nil }
      default: Issue.record("the fake knows no \(operation.name)")
      }
    }
    collectGarbage()
    return (Self.changes(from: before, to: replica), inserted)
  }

  private func matching(_ table: String, _ conditions: [OVSDBCondition]) -> [(RowID, OVSDBRow)] {
    replica.rows(table).filter { id, row in
      conditions.allSatisfy { condition in
        condition.function == .equal
          && (condition.column == "_uuid" ? OVSDBDatum(.uuid(id)) : row[condition.column]) == condition.value
      }
    }.map { ($0.key, $0.value) }
  }

  private static func resolved(_ value: OVSDBDatum, _ names: [String: RowID]) -> OVSDBDatum {
    func resolved(_ atom: OVSDBAtom) -> OVSDBAtom {
      if case .named(let name) = atom, let id = names[name] { return .uuid(id) }
      return atom
    }
    if value.isMap { return OVSDBDatum(map: value.pairs.map { .init(key: resolved($0.key), value: resolved($0.value)) }) }
    return OVSDBDatum(set: value.atoms.map(resolved))
  }

  private mutating func collectGarbage() {
    var isDone = false
    while !isDone {
      isDone = true
      var referenced: Set<RowID> = []
      for rows in replica.tables.values {
        for (_, row) in rows {
          for column in row.columns {
            guard let value = row[column] else { continue }
            referenced.formUnion(value.rowIDs)
            referenced.formUnion(value.pairs.compactMap(\.value.rowID))
          }
        }
      }
      for (name, table) in replica.schema.tables where !table.isRoot {
        for id in replica.rows(name).keys where !referenced.contains(id) {
          replica.tables[name]?[id] = nil
          isDone = false
        }
      }
    }
  }

  static func changes(from old: Replica, to new: Replica) -> [TableChange] {
    var changes: [TableChange] = []
    for table in new.tables.keys.sorted() {
      for (id, row) in new.rows(table) where old[table, id] != row {
        changes.append(TableChange(table: table, id: id, old: old[table, id], new: row))
      }
      for (id, row) in old.rows(table) where new[table, id] == nil {
        changes.append(TableChange(table: table, id: id, old: row, new: nil))
      }
    }
    return changes
  }

  // -- what controllers do -------------------------------------------------------------------------------------------------

  func count(_ table: HardwareVTEP.Table) -> Int { replica.rows(table.rawValue).count }

  func switches() -> [HardwareVTEP.LogicalSwitch] {
    replica.all(HardwareVTEP.LogicalSwitch.self, in: .logicalSwitch).values.sorted { $0.name < $1.name }
  }

  /// Our Physical_Switch with ports, as written by a publisher.
  func ports(of name: String = "hv1") -> [HardwareVTEP.PhysicalPort] {
    replica.physicalSwitch(named: name).map { replica.ports(of: $0) } ?? []
  }

  @discardableResult
  mutating func addSwitch(_ name: String, key: Int64?, mode: String? = "source_node") -> RowID {
    let row = HardwareVTEP.LogicalSwitch(name: name, tunnelKey: key, replicationModeText: mode)
    return transact([row.insertion(into: .logicalSwitch).fitted(to: replica.schema)!]).inserted[0]
  }

  static func addAddress(_ mac: String, _ logicalSwitch: RowID, via ip: String, key: Int64? = nil, locator: RowID?) -> [OVSDBOperation] {
    var operations: [OVSDBOperation] = []
    if locator == nil {
      let row = HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: ip, tunnelKey: key)
      operations.append(row.insertion(into: .locator, name: "l"))
    }
    let reference = OVSDBDatum(locator.map(OVSDBAtom.uuid) ?? .named("l"))
    let row = HardwareVTEP.UcastMAC(mac: mac, logicalSwitch: logicalSwitch, locator: .zero)
    return operations + [row.insertion(into: .ucastMacsRemote, references: ["locator": reference])]
  }

  func locator(_ ip: String, key: Int64? = nil) -> RowID? {
    replica.all(HardwareVTEP.Locator.self, in: .locator).values.first { $0.destinationIP == ip && $0.tunnelKey == key }?.id
  }

  /// - Returns: the changes; the row is the last one inserted.
  @discardableResult
  mutating func add(_ mac: String, _ logicalSwitch: RowID, via ip: String, key: Int64? = nil) -> (changes: [TableChange], inserted: [RowID])
  {
    let operations = Self.addAddress(mac, logicalSwitch, via: ip, key: key, locator: locator(ip, key: key))
    return transact(operations.compactMap { $0.fitted(to: replica.schema) })
  }

  /// Adds a row of Mcast_Macs_Remote.
  @discardableResult
  mutating func addGroup(_ mac: String, _ logicalSwitch: RowID, via ips: [String]) -> (changes: [TableChange], inserted: [RowID]) {
    var operations: [OVSDBOperation] = []
    var members: [OVSDBAtom] = []
    for (index, ip) in ips.enumerated() {
      if let id = locator(ip) {
        members.append(.uuid(id))
      } else {
        operations.append(
          HardwareVTEP.Locator(encapsulation: HardwareVTEP.Locator.vxlan, destinationIP: ip).insertion(into: .locator, name: "l\(index)"))
        members.append(.named("l\(index)"))
      }
    }
    operations.append(.insert(table: "Physical_Locator_Set", row: ["locators": OVSDBDatum(set: members)], name: "s"))
    let row = HardwareVTEP.McastMAC(mac: mac, logicalSwitch: logicalSwitch, locatorSet: .zero)
    operations.append(row.insertion(into: .mcastMacsRemote, references: ["locator_set": OVSDBDatum(.named("s"))]))
    return transact(operations.compactMap { $0.fitted(to: replica.schema) })
  }

  @discardableResult
  mutating func bind(_ port: String, _ bindings: [UInt16: RowID]) -> [TableChange] {
    guard let row = ports().first(where: { $0.name == port }) else {
      Issue.record("no port \(port)")
      return []
    }
    return transact([.update(table: "Physical_Port", where: [.row(row.id)], row: ["vlan_bindings": OVSDBDatum(bindings)])]).changes
  }

  @discardableResult
  mutating func set(_ table: HardwareVTEP.Table, _ id: RowID, _ row: [String: OVSDBDatum]) -> [TableChange] {
    transact([.update(table: table.rawValue, where: [.row(id)], row: row)]).changes
  }

  @discardableResult
  mutating func delete(_ table: HardwareVTEP.Table, _ id: RowID) -> [TableChange] {
    transact([.delete(table: table.rawValue, where: [.row(id)])]).changes
  }

  /// Inserts a row as it is, whether the schema allows it or not.
  mutating func force(_ table: HardwareVTEP.Table, _ values: [String: OVSDBDatum]) -> RowID {
    let id = RowID(high: 0x6000, low: nextID)
    nextID += 1
    guard let layout = replica.layouts[table.rawValue] else { return id }
    replica.tables[table.rawValue]?[id] = values.reduce(OVSDBRow(layout)) { $0.setting($1.key, to: $1.value) }
    return id
  }
}

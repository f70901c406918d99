// TableUpdates: the body of an update message or of the answer to `monitor`: `<table-updates>` of RFC 7047 §4.1.6, or
// `<table-updates2>` of ovsdb-server(7) §4.1.14. Read directly from the bytes into rows.

/// The changes by table.
struct TableUpdates: Sendable {
  /// The two formats.
  enum Format: Sendable {
    /// Each row with `old` and `new`.
    case oldAndNew
    /// Each row with one of `initial`, `insert`, `modify`, `delete`.
    case differences
  }

  var tables: [(name: String, rows: [(id: RowID, update: RowUpdate)])] = []
}

extension JSONReader {
  /// Consumes updates; tables without a layout are skipped.
  mutating func tableUpdates(_ format: TableUpdates.Format, layouts: [String: RowLayout]) throws(JSONError) -> TableUpdates {
    var updates = TableUpdates()
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let table = try string(name())
      guard let layout = layouts[table] else {
        try skip()
        continue
      }
      do {
        updates.tables.append((table, try rowUpdates(format, layout)))
      } catch {
        throw error.within("table \(table)")
      }
    }
    return updates
  }

  private mutating func rowUpdates(_ format: TableUpdates.Format, _ layout: RowLayout) throws(JSONError) -> [(id: RowID, update: RowUpdate)]
  {
    var rows: [(id: RowID, update: RowUpdate)] = []
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let id = try rowID(name())
      do {
        switch format {
        case .oldAndNew: rows.append((id, try oldAndNew(layout)))
        case .differences: rows.append((id, try difference(layout)))
        }
      } catch {
        throw error.within("row \(id)")
      }
    }
    return rows
  }

  private mutating func oldAndNew(_ layout: RowLayout) throws(JSONError) -> RowUpdate {
    var hasOld = false
    var new: OVSDBRow?
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let member = try name()
      if equals(member, "new") {
        new = try row(layout)
      } else {
        hasOld = hasOld || equals(member, "old")
        try skip()
      }
    }
    guard let new else { return .delete }
    return hasOld ? .replace(new) : .insert(new)
  }

  private mutating func difference(_ layout: RowLayout) throws(JSONError) -> RowUpdate {
    var count = 0
    try enterObject()
    let start = position
    guard try moreMembers(&count) else { throw JSONError(.mismatch(expected: "a change"), offset: start) }
    let kind = try name()
    let update: RowUpdate
    if equals(kind, "initial") || equals(kind, "insert") {
      update = .insert(try row(layout))
    } else if equals(kind, "modify") {
      update = .modify(try columns(layout))
    } else if equals(kind, "delete") {
      try skip()
      update = .delete
    } else {
      throw JSONError(.mismatch(expected: "initial, insert, modify or delete"), offset: kind.range.lowerBound)
    }
    try endObject()
    return update
  }
}

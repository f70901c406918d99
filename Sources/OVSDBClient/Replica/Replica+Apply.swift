// Replica+Apply: advances a replica by one update message, as a whole or not at all.

extension Replica {
  /// Forgets all rows.
  mutating func empty() {
    tables = layouts.mapValues { _ in Rows() }
  }

  /// The first contents, into an empty replica.
  mutating func load(_ updates: TableUpdates) {
    for (name, rows) in updates.tables {
      guard var contents = tables.removeValue(forKey: name) else { continue }
      for case (let id, .insert(let row)) in rows { contents[id] = row }
      tables[name] = contents
    }
  }

  /// Applies an update message.
  ///
  /// - Returns: the rows that changed, in the order of the message.
  /// - Throws: `malformed` if the update changes a row that the replica does not have. The replica is unchanged.
  mutating func apply(_ updates: TableUpdates) throws(OVSDBError) -> [TableChange] {
    var changes: [TableChange] = []
    var next = tables
    for (name, rows) in updates.tables {
      guard var contents = next.removeValue(forKey: name) else { continue }
      for (id, update) in rows {
        let old: OVSDBRow?
        let new: OVSDBRow?
        switch update {
        case .insert(let row), .replace(let row):
          old = contents.updateValue(row, forKey: id)
          new = row
        case .modify(let columns):
          guard var row = contents[id] else { throw .malformed("table \(name): the server changes row \(id), which does not exist") }
          old = row
          row.modify(columns)
          contents[id] = row
          new = row
        case .delete:
          guard let row = contents.removeValue(forKey: id) else {
            throw .malformed("table \(name): the server deletes row \(id), which does not exist")
          }
          old = row
          new = nil
        }
        if old != new { changes.append(TableChange(table: name, id: id, old: old, new: new)) }
      }
      next[name] = contents
    }
    tables = next
    return changes
  }
}

extension OVSDBRow {
  /// Applies the columns of a `modify`.
  fileprivate mutating func modify(_ columns: [RowUpdate.Column]) {
    for column in columns {
      values[column.position] = values[column.position].applying(column.value, type: layout.types[column.position])
    }
  }
}

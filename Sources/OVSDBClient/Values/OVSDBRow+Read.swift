// OVSDBRow+Read: rows in messages, RFC 7047 §5.1 `<row>`: an object with one member per column.

extension JSONReader {
  /// Consumes a row. Columns missing from the layout are skipped; columns missing from the text get their default.
  mutating func row(_ layout: RowLayout) throws(JSONError) -> OVSDBRow {
    var id: RowID?
    return try row(layout, id: &id)
  }

  /// The same, for a row that may include its `_uuid`.
  mutating func row(_ layout: RowLayout, id: inout RowID?) throws(JSONError) -> OVSDBRow {
    var values = layout.defaults
    var expected = 0
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let name = try name()
      if let position = column(name, layout, &expected) {
        values[position] = try column(layout, position)
      } else if equals(name, "_uuid") {
        id = try atom(BaseType(.uuid)).rowID
      } else {
        try skip()
      }
    }
    return OVSDBRow(layout, values: values)
  }

  /// Consumes the columns present in a row.
  mutating func columns(_ layout: RowLayout) throws(JSONError) -> [RowUpdate.Column] {
    var columns: [RowUpdate.Column] = []
    var expected = 0
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let name = try name()
      if let position = column(name, layout, &expected) {
        columns.append(RowUpdate.Column(position: position, value: try column(layout, position)))
      } else {
        try skip()
      }
    }
    return columns
  }

  private mutating func column(_ layout: RowLayout, _ position: Int) throws(JSONError) -> OVSDBDatum {
    do {
      return try datum(layout.types[position])
    } catch {
      throw error.within("column \(layout.columns[position])")
    }
  }

  /// The column's position in the layout. Servers keep a fixed order, so the search begins after the previous column.
  @inline(__always)
  private func column(_ name: Text, _ layout: RowLayout, _ expected: inout Int) -> Int? {
    for step in 0..<layout.names.count {
      var position = expected + step
      if position >= layout.names.count { position -= layout.names.count }
      if equals(name, layout.names[position]) {
        expected = position + 1 == layout.names.count ? 0 : position + 1
        return position
      }
    }
    return nil
  }
}

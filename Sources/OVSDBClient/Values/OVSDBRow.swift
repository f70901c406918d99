// OVSDBRow: a row of a replicated table, or of the answer to `select`. Compact: one array of values; the column names are in the
// layout, which all rows of the table share.

/// The values of a row, by column name.
public struct OVSDBRow: Sendable {
  /// The row's columns.
  public let layout: RowLayout
  /// In the order of the layout.
  var values: [OVSDBDatum]

  /// A row with every column at its default (RFC 7047 §5.2.1).
  public init(_ layout: RowLayout) {
    self.layout = layout
    values = layout.defaults
  }

  init(_ layout: RowLayout, values: [OVSDBDatum]) {
    self.layout = layout
    self.values = values
  }

  /// The value of a column; nil if the schema lacks it or it is not replicated.
  public subscript(_ column: String) -> OVSDBDatum? {
    layout.position(of: column).map { values[$0] }
  }

  /// The names of the columns, ascending.
  public var columns: [String] { layout.columns }

  /// The same row with one column changed; unknown columns are ignored.
  public func setting(_ column: String, to value: OVSDBDatum) -> OVSDBRow {
    guard let position = layout.position(of: column) else { return self }
    var row = self
    row.values[position] = value
    return row
  }
}

extension OVSDBRow: Equatable {
  public static func == (a: OVSDBRow, b: OVSDBRow) -> Bool {
    a.values == b.values && (a.layout === b.layout || a.columns == b.columns)
  }
}

extension OVSDBRow: CustomStringConvertible {
  public var description: String {
    zip(columns, values).map { "\($0)=\($1)" }.joined(separator: " ")
  }
}

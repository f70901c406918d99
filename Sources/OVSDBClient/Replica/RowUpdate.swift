// RowUpdate: the part of an update message that concerns one row.

/// The change of one row, as received.
enum RowUpdate: Sendable {
  /// The row is new, or belongs to the first contents.
  case insert(OVSDBRow)
  /// `update`, RFC 7047 §4.1.6: the complete new row.
  case replace(OVSDBRow)
  /// `update2`, `update3`: the columns that differ, in the form that `OVSDBDatum.applying` takes.
  case modify([Column])
  case delete

  /// A column that differs.
  struct Column: Sendable {
    /// Its position in the layout.
    var position: Int
    var value: OVSDBDatum
  }
}

// RowUpdate: the part of an update message about one row.

/// The change of one row, as received.
enum RowUpdate: Sendable {
  /// The row is new, or part of the first contents.
  case insert(OVSDBRow)
  /// `update`, RFC 7047 §4.1.6: the row is now this.
  case replace(OVSDBRow)
  /// `update2`, `update3`: these columns differ, each told as `OVSDBDatum.applying` takes it.
  case modify([Column])
  case delete

  /// A column that differs.
  struct Column: Sendable {
    /// Its position in the layout.
    var position: Int
    var value: OVSDBDatum
  }
}

// ColumnSchema: RFC 7047 §3.2 `<column-schema>`.

/// A column of a table.
public struct ColumnSchema: Sendable, Hashable {
  public var name: String
  public var type: ColumnType
  /// Lost when the server restarts, except in a cluster.
  public var isEphemeral: Bool
  /// Whether it may change after the row is inserted.
  public var isMutable: Bool

  public init(name: String, type: ColumnType, isEphemeral: Bool = false, isMutable: Bool = true) {
    self.name = name
    self.type = type
    self.isEphemeral = isEphemeral
    self.isMutable = isMutable
  }
}

// OVSDBOperation+Fit: adapts an operation to a server with an older schema. A server rejects the whole transaction because of one
// unknown column.

extension OVSDBOperation {
  /// The operation without columns that the schema lacks; nil if nothing is left to do.
  public func fitted(to schema: DatabaseSchema) -> OVSDBOperation? {
    guard let table else { return self }
    guard let known = schema.tables[table]?.columns else { return nil }
    func isKnown(_ column: String) -> Bool { known[column] != nil || column == "_uuid" || column == "_version" }
    switch self {
    case .insert(_, let row, let name):
      return .insert(table: table, row: row.filter { isKnown($0.key) }, name: name)
    case .update(_, let conditions, let row):
      let fitting = row.filter { isKnown($0.key) }
      guard !fitting.isEmpty, conditions.allSatisfy({ isKnown($0.column) }) else { return nil }
      return .update(table: table, where: conditions, row: fitting)
    case .mutate(_, let conditions, let mutations):
      let fitting = mutations.filter { isKnown($0.column) }
      guard !fitting.isEmpty, conditions.allSatisfy({ isKnown($0.column) }) else { return nil }
      return .mutate(table: table, where: conditions, mutations: fitting)
    case .select(_, let conditions, let columns):
      guard conditions.allSatisfy({ isKnown($0.column) }) else { return nil }
      return .select(table: table, where: conditions, columns: columns?.filter(isKnown))
    case .delete(_, let conditions), .wait(_, let conditions, _, _, _, _):
      return conditions.allSatisfy { isKnown($0.column) } ? self : nil
    case .commit, .abort, .comment, .assert: return self
    }
  }
}

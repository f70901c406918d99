// OperationResult+Read: reads the answer to `transact`, RFC 7047 §4.1.3: one element per operation, and one more if all were valid
// but could not be committed together. Rows are read by the schema, directly from the bytes.

extension JSONReader {
  /// Consumes the answer to `operations`.
  ///
  /// - Returns: the results, or the operation that failed.
  mutating func results(
    of operations: [OVSDBOperation], schema: DatabaseSchema
  ) throws(JSONError) -> Result<[OperationResult], OVSDBError.TransactionFailure> {
    var results: [OperationResult] = []
    var failure: OVSDBError.TransactionFailure?
    var count = 0
    let start = position
    try enterArray()
    while try moreElements(&count) {
      // Operations after the failed one are null.
      if try peek() == UInt8(ascii: "n") {
        try literal("null")
        continue
      }
      let operation = count <= operations.count ? operations[count - 1] : nil
      switch try result(of: operation, schema: schema) {
      case .success(let result): results.append(result)
      case .failure(let error):
        failure =
          failure
          ?? .init(
            index: operation.map { _ in count - 1 }, operation: operation.map(Self.title) ?? "commit", error: error.error,
            details: error.details)
      }
    }
    if let failure { return .failure(failure) }
    guard results.count == operations.count else {
      throw JSONError(.mismatch(expected: "an array of \(operations.count) results"), offset: start)
    }
    return .success(results)
  }

  /// An error object of RFC 7047 §3.1.
  private struct Refusal: Error {
    var error: String
    var details: String?
  }

  /// Consumes the result of one operation; nil: the commit.
  private mutating func result(of operation: OVSDBOperation?, schema: DatabaseSchema) throws(JSONError) -> Result<OperationResult, Refusal>
  {
    var result = OperationResult.done
    var error: String?
    var details: String?
    var count = 0
    try enterObject()
    while try moreMembers(&count) {
      let member = try name()
      if equals(member, "uuid") {
        guard let id = try atom(BaseType(.uuid)).rowID else { continue }
        result = .inserted(id)
      } else if equals(member, "count") {
        result = .count(Int(try atom(BaseType(.integer)).integer ?? 0))
      } else if equals(member, "rows"), case .select(let table, _, let columns)? = operation, let tableSchema = schema.tables[table] {
        result = .rows(try rows(RowLayout(tableSchema, selection: columns)))
      } else if equals(member, "error") {
        error = try value().text ?? ""
      } else if equals(member, "details") {
        details = try value().text
      } else {
        try skip()
      }
    }
    if let error { return .failure(Refusal(error: error, details: details)) }
    return .success(result)
  }

  private mutating func rows(_ layout: RowLayout) throws(JSONError) -> [OperationResult.SelectedRow] {
    var rows: [OperationResult.SelectedRow] = []
    var count = 0
    try enterArray()
    while try moreElements(&count) {
      var id: RowID?
      let row = try row(layout, id: &id)
      rows.append(.init(id: id, row: row))
    }
    return rows
  }

  private static func title(_ operation: OVSDBOperation) -> String {
    operation.table.map { "\(operation.name) \($0)" } ?? operation.name
  }
}

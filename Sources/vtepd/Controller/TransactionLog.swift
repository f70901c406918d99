// TransactionLog: our latest transactions, for `vtepctl ovsdb transactions`.

import OVSDBClient

struct TransactionLog: Sendable {
  struct Entry: Sendable {
    /// On the agent's clock.
    var atSeconds: Double
    var milliseconds: Double
    var operationCount: Int
    /// For example "insert Ucast_Macs_Local ×3, update Physical_Port".
    var summary: String
    /// Nil: committed.
    var error: String?
  }

  static let capacity = 100

  private(set) var entries: [Entry] = []

  mutating func add(_ entry: Entry) {
    if entries.count == Self.capacity { entries.removeFirst() }
    entries.append(entry)
  }

  /// Operations by kind and table, in order of first appearance.
  static func summary(_ operations: [OVSDBOperation]) -> String {
    var kinds: [(name: String, count: Int)] = []
    for operation in operations {
      let name = [operation.name, operation.table ?? ""].filter { !$0.isEmpty }.joined(separator: " ")
      if let index = kinds.firstIndex(where: { $0.name == name }) { kinds[index].count += 1 } else { kinds.append((name, 1)) }
    }
    return kinds.map { $0.count == 1 ? $0.name : "\($0.name) ×\($0.count)" }.joined(separator: ", ")
  }
}

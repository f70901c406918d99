// ClusterPolicy: whether a member of a Raft cluster will do, from its row in the `_Server` database (ovsdb-server(7)): it must be in
// touch with the cluster, lead it where there are others to choose from, and not lag behind what was seen before.

struct ClusterPolicy {
  /// The cluster whose log was followed, and how far.
  private var clusterID: RowID?
  private var lowestIndex: Int64 = 0

  let requiresLeader: Bool

  init(requiresLeader: Bool) { self.requiresLeader = requiresLeader }

  /// Why another member has to be found; nil: this one will do.
  mutating func objection(to database: ServerDatabase?, _ name: String) -> String? {
    guard let database else { return "the server does not have the database \(name)" }
    guard database.model != .standalone else { return nil }
    guard database.isConnected else { return "the member has lost its cluster" }
    guard database.model == .clustered else { return nil }
    if requiresLeader, !database.isLeader { return "the member is not the cluster's leader" }
    guard let index = database.index else { return nil }
    if database.clusterID != clusterID {
      // Another cluster counts from its own beginning.
      clusterID = database.clusterID
      lowestIndex = 0
    }
    guard index >= lowestIndex else {
      return "the member lags behind the cluster: it is at index \(index), but \(lowestIndex) was seen before"
    }
    lowestIndex = index
    return nil
  }
}

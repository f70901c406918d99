// ClusterPolicy: whether a member of a Raft cluster is suitable, from its row in the `_Server` database (ovsdb-server(7)): it must
// be in touch with the cluster, lead it if there are other members to choose from, and not lag behind the highest index seen.

struct ClusterPolicy {
  /// The cluster, and the highest log index seen in it.
  private var clusterID: RowID?
  private var lowestIndex: Int64 = 0

  let requiresLeader: Bool

  init(requiresLeader: Bool) { self.requiresLeader = requiresLeader }

  /// Why this member is unsuitable; nil: it is suitable.
  mutating func objection(to database: ServerDatabase?, _ name: String) -> String? {
    guard let database else { return "the server does not have the database \(name)" }
    guard database.model != .standalone else { return nil }
    guard database.isConnected else { return "the member has lost contact with its cluster" }
    guard database.model == .clustered else { return nil }
    if requiresLeader, !database.isLeader { return "the member is not the cluster's leader" }
    guard let index = database.index else { return nil }
    if database.clusterID != clusterID {
      // Another cluster starts its own index.
      clusterID = database.clusterID
      lowestIndex = 0
    }
    guard index >= lowestIndex else {
      return "the member lags behind the cluster: it is at index \(index), but the cluster has already reached \(lowestIndex)"
    }
    lowestIndex = index
    return nil
  }
}

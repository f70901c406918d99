// ServerDatabase: a server's own view of a database, from its database `_Server` (ovsdb-server(5)): whether it is clustered,
// whether this server leads the cluster, and how much of the log it has. ClusterPolicy uses it to choose a member.

/// A row of the table Database in `_Server`.
public struct ServerDatabase: Sendable, Equatable {
  /// The service model.
  public enum Model: String, Sendable {
    case standalone, clustered, relay
  }

  public var name: String
  /// Unknown models count as standalone.
  public var model: Model
  /// Whether the server is in touch with the cluster (or with the database it relays); always true for a standalone database.
  public var isConnected: Bool
  /// Whether the server leads the cluster; always true for a standalone database.
  public var isLeader: Bool
  /// The cluster; nil if there is none, or the server has not joined it.
  public var clusterID: RowID?
  /// The server's ID within the cluster.
  public var serverID: RowID?
  /// The latest log entry that the server has. In a cluster it never decreases: a server below the highest index seen lags behind.
  public var index: Int64?

  public init(
    name: String, model: Model = .standalone, isConnected: Bool = true, isLeader: Bool = true, clusterID: RowID? = nil,
    serverID: RowID? = nil, index: Int64? = nil
  ) {
    self.name = name
    self.model = model
    self.isConnected = isConnected
    self.isLeader = isLeader
    self.clusterID = clusterID
    self.serverID = serverID
    self.index = index
  }

  /// The row of `database` in a replica of `_Server`; nil if the server does not have the database.
  init?(named database: String, in replica: Replica) {
    guard let row = replica.rows(Self.table).first(where: { $0.value["name"]?.text == database })?.value else { return nil }
    self.init(
      name: database, model: row["model"]?.text.flatMap(Model.init) ?? .standalone, isConnected: row["connected"]?.scalar?.boolean ?? true,
      isLeader: row["leader"]?.scalar?.boolean ?? true, clusterID: row["cid"]?.scalar?.rowID, serverID: row["sid"]?.scalar?.rowID,
      index: row["index"]?.scalar?.integer)
  }

  /// The database and table of this row.
  static let database = "_Server"
  static let table = "Database"
  static let columns = ["name", "model", "connected", "leader", "cid", "sid", "index"]
}

// ServerDatabase: what a server says about a database in its own database `_Server` (ovsdb-server(5)): whether it is part of
// a cluster, whether it leads it, and how far it has come. Who follows a cluster decides by it where to connect to.

/// A row of the table Database of `_Server`.
public struct ServerDatabase: Sendable, Equatable {
  /// How a database is kept.
  public enum Model: String, Sendable {
    case standalone, clustered, relay
  }

  public var name: String
  /// A model that we do not know counts as standalone.
  public var model: Model
  /// Whether the server is in touch with the cluster (or with what it relays); always of a standalone database.
  public var isConnected: Bool
  /// Whether the server leads the cluster; always of a standalone database.
  public var isLeader: Bool
  /// The cluster; nil when there is none, or the server has not joined it.
  public var clusterID: RowID?
  /// The server within the cluster.
  public var serverID: RowID?
  /// The log entry that the server has come to. It never goes back in a cluster: a server with a smaller one than was seen
  /// elsewhere is behind.
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

  /// The row of `database` in a replica of `_Server`; nil when the server does not have the database.
  init?(named database: String, in replica: Replica) {
    guard let row = replica.rows(Self.table).first(where: { $0.value["name"]?.text == database })?.value else { return nil }
    self.init(
      name: database, model: row["model"]?.text.flatMap(Model.init) ?? .standalone, isConnected: row["connected"]?.scalar?.boolean ?? true,
      isLeader: row["leader"]?.scalar?.boolean ?? true, clusterID: row["cid"]?.scalar?.rowID, serverID: row["sid"]?.scalar?.rowID,
      index: row["index"]?.scalar?.integer)
  }

  /// The database and table that it is in.
  static let database = "_Server"
  static let table = "Database"
  static let columns = ["name", "model", "connected", "leader", "cid", "sid", "index"]
}

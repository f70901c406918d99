// ShowPlacement: `vtepctl show placement`, which worker runs on which CPU, which receive queues it has, where packet buffers are, and why.

/// Asks for the placement. A socket is a NUMA node.
public struct ShowPlacement: ControlRequest {
  public typealias Answer = PlacementAnswer
  public static let method = "show.placement"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

public struct PlacementAnswer: Codable, Equatable, Sendable {
  public var sockets: [MachineSocket]
  public var pools: [PlacedPool]
  public var workers: [PlacedWorker]
  /// Threads that carry frames between NICs of DPDK and workers; `worker` is their number.
  public var ioCores: [PlacedWorker]
  /// What crosses sockets, one sentence each.
  public var warnings: [String]

  public init(sockets: [MachineSocket], pools: [PlacedPool], workers: [PlacedWorker], ioCores: [PlacedWorker] = [], warnings: [String] = [])
  {
    self.sockets = sockets
    self.pools = pools
    self.workers = workers
    self.ioCores = ioCores
    self.warnings = warnings
  }

  enum CodingKeys: String, CodingKey {
    case sockets, pools, workers, warnings
    case ioCores = "io_cores"
  }
}

/// A socket of the machine.
public struct MachineSocket: Codable, Equatable, Sendable {
  public var socket: Int
  /// CPUs that the daemon may use, as `0-3,8`.
  public var cpus: String
  /// Those of them that the scheduler leaves alone.
  public var isolated: String

  public init(socket: Int, cpus: String, isolated: String = "") {
    self.socket = socket
    self.cpus = cpus
    self.isolated = isolated
  }

  enum CodingKeys: CodingKey { case socket, cpus, isolated }
}

/// Packet buffers.
public struct PlacedPool: Codable, Equatable, Sendable {
  /// Nil: wherever DPDK has memory.
  @Nullable public var socket: Int?
  public var reason: String

  public init(socket: Int? = nil, reason: String) {
    self.socket = socket
    self.reason = reason
  }

  enum CodingKeys: CodingKey { case socket, reason }
}

/// A forwarding thread.
public struct PlacedWorker: Codable, Equatable, Sendable {
  public var worker: Int
  /// CPUs that it may run on, as `0-3,8`; one: it is pinned.
  public var cpus: String
  /// Nil: its CPUs are on several.
  @Nullable public var socket: Int?
  public var reason: String
  public var queues: [PlacedQueue]

  public init(worker: Int, cpus: String, socket: Int? = nil, reason: String, queues: [PlacedQueue] = []) {
    self.worker = worker
    self.cpus = cpus
    self.socket = socket
    self.reason = reason
    self.queues = queues
  }

  enum CodingKeys: CodingKey { case worker, cpus, socket, reason, queues }
}

/// A receive queue of a worker.
public struct PlacedQueue: Codable, Equatable, Sendable {
  /// A port, an uplink, or a NIC of DPDK.
  public var device: String
  public var queue: Int
  /// `dpdk`, `packet-socket`, `af_xdp`, `tap`, `vhost-user`, or `ring`: from io-cores.
  public var kind: String
  /// Of the device; nil: it is on none, or the machine does not say.
  @Nullable public var socket: Int?
  public var reason: String
  /// Its packets cross sockets on the way to the worker.
  public var crossesSockets: Bool

  public init(device: String, queue: Int, kind: String, socket: Int? = nil, reason: String, crossesSockets: Bool = false) {
    self.device = device
    self.queue = queue
    self.kind = kind
    self.socket = socket
    self.reason = reason
    self.crossesSockets = crossesSockets
  }

  enum CodingKeys: String, CodingKey {
    case device, queue, kind, socket, reason
    case crossesSockets = "crosses_sockets"
  }
}

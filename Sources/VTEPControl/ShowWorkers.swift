// ShowWorkers: `vtepctl show workers`, the forwarding threads and how busy they are.

/// Asks for all workers.
public struct ShowWorkers: ControlRequest {
  public typealias Answer = [WorkerRow]
  public static let method = "show.workers"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One forwarding thread.
public struct WorkerRow: Codable, Equatable, Sendable {
  /// Its number among those of its role.
  public var worker: Int
  /// `worker`, or `io`: it carries frames between NICs of DPDK and workers.
  public var role: String
  /// CPU it is pinned to; nil: not pinned.
  @Nullable public var core: Int?
  /// Receive queues it serves, as `port:queue`.
  public var queues: [String]
  /// Packets taken from those queues; of an io-core also those sent.
  public var packets: UInt64
  /// Over the last interval; nil without packets.
  @Nullable public var cyclesPerPacket: Double?
  /// Share of the last interval spent on packets, 0...100.
  @Nullable public var busyPercent: Double?
  /// Addresses not learned since the start because the learner's queue was full; the next frame tries again.
  public var learnEventsLost: UInt64

  public init(
    worker: Int, role: String = "worker", core: Int? = nil, queues: [String] = [], packets: UInt64 = 0, cyclesPerPacket: Double? = nil,
    busyPercent: Double? = nil, learnEventsLost: UInt64 = 0
  ) {
    self.worker = worker
    self.role = role
    self.core = core
    self.queues = queues
    self.packets = packets
    self.cyclesPerPacket = cyclesPerPacket
    self.busyPercent = busyPercent
    self.learnEventsLost = learnEventsLost
  }

  enum CodingKeys: String, CodingKey {
    case worker, role, core, queues, packets
    case cyclesPerPacket = "cycles_per_packet"
    case busyPercent = "busy_percent"
    case learnEventsLost = "learn_events_lost"
  }
}

// ShowWorkers: `vtepctl show workers`, the forwarding threads and how busy they are.

/// Asks for all workers.
public struct ShowWorkers: ControlRequest {
  public typealias Answer = [WorkerRow]
  public static let method = "show.workers"
  public static let parameterNames = names(of: CodingKeys.self)

  public init() {}

  enum CodingKeys: CodingKey, CaseIterable {}
}

/// One forwarding thread.
public struct WorkerRow: Codable, Equatable, Sendable {
  public var worker: Int
  /// CPU it is pinned to; nil: not pinned.
  @Nullable public var core: Int?
  /// Receive queues it serves, as `port:queue`.
  public var queues: [String]
  /// Packets taken from those queues.
  public var packets: UInt64
  /// Over the last interval; nil without packets.
  @Nullable public var cyclesPerPacket: Double?
  /// Share of the last interval spent on packets, 0...100.
  @Nullable public var busyPercent: Double?

  public init(
    worker: Int, core: Int? = nil, queues: [String] = [], packets: UInt64 = 0, cyclesPerPacket: Double? = nil,
    busyPercent: Double? = nil
  ) {
    self.worker = worker
    self.core = core
    self.queues = queues
    self.packets = packets
    self.cyclesPerPacket = cyclesPerPacket
    self.busyPercent = busyPercent
  }

  enum CodingKeys: String, CodingKey {
    case worker, core, queues, packets
    case cyclesPerPacket = "cycles_per_packet"
    case busyPercent = "busy_percent"
  }
}

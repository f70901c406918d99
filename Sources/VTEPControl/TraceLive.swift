// TraceLive: `vtepctl trace --live`: the next frames that match a filter, and what becomes of them.

/// Starts a live trace. One runs at a time. For clients with full access: it shows what guests send.
public struct StartLiveTrace: ControlRequest {
  public typealias Answer = LiveTraceStarted
  public static let method = "trace.live.start"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  /// Port or uplink that the frames come in at.
  public var port: String?
  public var vni: UInt32?
  /// In libpcap's language, as in `StartCapture`; nil or empty: every frame.
  public var filter: String?
  /// Frames to take, from 1 to 256.
  public var count: Int

  public init(port: String? = nil, vni: UInt32? = nil, filter: String? = nil, count: Int = 1) {
    self.port = port
    self.vni = vni
    self.filter = filter
    self.count = count
  }

  enum CodingKeys: CodingKey, CaseIterable { case port, vni, filter, count }
}

public struct LiveTraceStarted: Codable, Equatable, Sendable {
  /// For `trace.live.next`.
  public var trace: Int

  public init(trace: Int) {
    self.trace = trace
  }
}

/// Asks for the frames that have come since the last time. Waits for half a second for the first. A trace for which nobody asks ends after
/// five seconds.
public struct NextLiveTraces: ControlRequest {
  public typealias Answer = LiveTraces
  public static let method = "trace.live.next"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var trace: Int
  /// No more frames are to be taken: this is the last answer, which comes at once.
  public var stop: Bool?

  public init(trace: Int, stop: Bool? = nil) {
    self.trace = trace
    self.stop = stop
  }

  enum CodingKeys: CodingKey, CaseIterable { case trace, stop }
}

/// Frames that have come.
public struct LiveTraces: Codable, Equatable, Sendable {
  public var frames: [LiveTraceRow]
  /// All that were wanted have come, or no more are wanted: the trace has ended.
  public var isDone: Bool

  public init(frames: [LiveTraceRow], isDone: Bool) {
    self.frames = frames
    self.isDone = isDone
  }

  enum CodingKeys: String, CodingKey {
    case frames
    case isDone = "done"
  }
}

/// A frame.
public struct LiveTraceRow: Codable, Equatable, Sendable {
  /// Worker that forwarded it.
  public var worker: Int
  /// What it did with the frame.
  public var happened: String
  /// The way of a copy through the same code; nil: there was no buffer for a copy.
  @Nullable public var trace: TraceAnswer?
  /// Whether both came to the same.
  @Nullable public var agrees: Bool?

  public init(worker: Int, happened: String, trace: TraceAnswer?, agrees: Bool?) {
    self.worker = worker
    self.happened = happened
    self.trace = trace
    self.agrees = agrees
  }
}

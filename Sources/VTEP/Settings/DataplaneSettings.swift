// DataplaneSettings: workers and memory (`dataplane`).

/// Workers and memory. Fixed for the life of the process.
public struct DataplaneSettings: Equatable, Sendable {
  public enum Polling: String, Sendable, CaseIterable { case adaptive, busy }
  public enum Hugepages: String, Sendable, CaseIterable { case auto, required, off }

  /// Forwarding threads, 1...64.
  public var workers = 1
  /// CPU of each worker; empty: the scheduler chooses.
  public var cores: [Int] = []
  public var polling = Polling.adaptive
  public var hugepages = Hugepages.auto
  /// Memory for packet buffers, in MiB.
  public var memoryMiB = 256
  /// MAC table capacity, in entries.
  public var macTableSize = 65536

  public init() {}
}

// DataplaneSettings: workers and memory (`dataplane`).

/// Workers and memory. Fixed for the life of the process.
public struct DataplaneSettings: Equatable, Sendable {
  public enum Polling: String, Sendable, CaseIterable { case adaptive, busy }
  public enum Hugepages: String, Sendable, CaseIterable { case auto, required, off }

  /// Forwarding threads, 1...64.
  public var workers = 1
  /// CPU of each worker; empty: the scheduler chooses.
  public var cores: [Int] = []
  /// CPUs of threads that receive and send for the workers on NICs of `underlay.dpdk`, one thread each; empty: workers do it themselves.
  public var ioCores: [Int] = []
  public var polling = Polling.adaptive
  public var hugepages = Hugepages.auto
  /// Memory for packet buffers, in MiB.
  public var memoryMiB = 256
  /// MAC table capacity, in entries.
  public var macTableSize = 65536

  /// Each is a thread of DPDK's besides workers, of which there are 127 at most.
  public static let maximumIOCores = 32

  public init() {}
}

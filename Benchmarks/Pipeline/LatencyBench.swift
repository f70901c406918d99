// `vtepd-bench latency`: how long a frame takes through a pipeline at a given load.
//
//     this thread ── ring ── worker on its own processor ── ring ── this thread
//
// A frame is stamped with the time at which it was due, not with that at which it was sent: when the sender is late, because the
// machine held it up or because the ring was full, that is a part of the frame's time too. Frames come one by one, evenly spaced.
//
// The machine's other work is left out: slices of time in which one of the two threads was ready and another had its processor.

import ArgumentParser
import CDPDK
import Glibc
import Histogram
import Synchronization

@testable import VTEP

struct LatencyBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "latency", abstract: "Measures the time of frames through the pipelines and through the bare loop, by load.")

  /// Of what the pipeline can do.
  private static let loads = [0.1, 0.5, 0.9]

  @Option(help: "Processor of the forwarding worker.")
  var core = 1

  /// Bare loop and pipeline take turns.
  private static let secondsPerSlice = 0.001

  @Option(help: "Seconds for each load and loop.")
  var seconds = 2.0

  func run() throws {
    var settings = DataplaneSettings()
    settings.memoryMiB = 200
    settings.cores = [core]
    let runtime = try DPDKRuntime(settings: settings, maxFrameByteCount: 2048, log: { print("#", $0) })
    print("64-byte frames of 1,000 addresses; microseconds from the time when a frame is due to its end")
    print("| direction | load | Mpps | loop | p50 | p99 | p99.9 | longest |")
    print("|---|---|---|---|---|---|---|---|")
    var slice = LatencyRun.histogram()
    for direction in [Direction.encapsulation, .decapsulation] {
      let run = try LatencyRun(direction, Line(name: "1k"), runtime: runtime)
      try run.start()
      let capacity = run.capacity()
      print("# \(direction): \(rounded(capacity / 1e6, 10)) Mpps are the most it keeps up with")
      for load in Self.loads {
        var times = [LatencyRun.Loop.bare: LatencyRun.histogram(), .pipeline: LatencyRun.histogram()]
        let slices = Int(seconds / Self.secondsPerSlice)
        var kept = [LatencyRun.Loop.bare: 0, .pipeline: 0]
        var tried = 0
        while kept.values.contains(where: { $0 < slices }) && tried < 20 * slices {
          tried += 1
          for loop in [LatencyRun.Loop.bare, .pipeline] {
            let waited = run.nanosecondsWaited()
            run.measure(loop, rate: load * capacity, seconds: Self.secondsPerSlice, &slice)
            if run.nanosecondsWaited() &- waited < 1000 {
              times[loop]?.add(slice)
              kept[loop, default: 0] += 1
            }
            slice.reset()
          }
        }
        print("# \(Int(load * 100)) %: \(kept[.bare] ?? 0) and \(kept[.pipeline] ?? 0) of \(tried) slices count")
        for loop in [LatencyRun.Loop.bare, .pipeline] {
          guard let found = times[loop] else { continue }
          let values = [found.valueAtPercentile(50), found.valueAtPercentile(99), found.valueAtPercentile(99.9), found.maxRecorded]
          let columns =
            [direction.rawValue, "\(Int(load * 100)) %", rounded(load * capacity / 1e6, 10), "\(loop)"]
            + values.map { rounded(microseconds($0), 10) }
          print("| " + columns.joined(separator: " | ") + " |")
        }
      }
      run.stop()
    }
  }

  private func microseconds(_ cycles: UInt64) -> Double { Double(cycles) / Double(cdpdk_cycles_per_second()) * 1e6 }

  private func rounded(_ value: Double, _ scale: Double) -> String { String((value * scale).rounded() / scale) }
}

/// A worker between two rings, and the frames that circulate through them.
private final class LatencyRun {
  enum Loop: Int {
    case none, bare, pipeline, stop
  }

  /// No more than the rings hold, so that nothing is ever dropped.
  private static let frames = 2048
  /// Longer times count as this, in seconds.
  private static let longest = 10

  private let scenario: Scenario
  /// The other ends of the worker's rings.
  private let outside: EthernetDevice
  private let loop = Atomic<Int>(Loop.none.rawValue)
  /// Open files with the kernel's statistics of the worker's thread and of ours.
  private let workerStatistics = Atomic<Int32>(-1)
  private let ownStatistics = open("/proc/thread-self/schedstat", O_RDONLY)
  /// Where a frame lies in its buffer and how long it is, when a worker receives it.
  private let offset: UInt16
  private let byteCount: UInt32
  /// From the end of a frame; the pipelines leave the payload alone.
  private static let stampByteCount = 8
  private let free: UnsafeMutablePointer<OpaquePointer?>
  private var freeCount = 0
  private let taken = UnsafeMutablePointer<OpaquePointer?>.allocate(capacity: Limits.burst)
  nonisolated(unsafe) private static var runs = 0

  static func histogram() -> Histogram<UInt64> {
    Histogram(highestTrackableValue: UInt64(longest) * cdpdk_cycles_per_second(), numberOfSignificantValueDigits: .three)
  }

  init(_ direction: Direction, _ line: Line, runtime: DPDKRuntime) throws {
    Self.runs += 1
    let rings = try ["in", "out"].map { name in
      guard let ring = cdpdk_ring_create("latency\(Self.runs)-\(name)", UInt32(MemoryLayout<OpaquePointer>.size), UInt32(2 * Self.frames))
      else {
        throw VTEPError(.environment, "ring", VTEPError.errnoText(cdpdk_errno()))
      }
      return ring
    }
    let inside = try Self.device("latency\(Self.runs)-inside", from: rings[0], to: rings[1], runtime)
    outside = try Self.device("latency\(Self.runs)-outside", from: rings[1], to: rings[0], runtime)
    scenario = try Scenario(direction, line, runtime: runtime, from: inside, to: inside)
    free = .allocate(capacity: Self.frames)
    var shape: (offset: UInt16, byteCount: UInt32) = (0, 0)
    for index in 0..<Self.frames {
      let frame = TrafficFile.received(index % line.remotes, line, direction)
      guard let buffer = cdpdk_mbuf_alloc(runtime.pool), let room = cdpdk_mbuf_append(buffer, UInt16(frame.count)) else {
        throw VTEPError(.environment, "packet buffers", "too few")
      }
      frame.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { room.copyMemory(from: base, byteCount: bytes.count) }
      }
      shape = (cdpdk_mbuf_headroom(buffer), UInt32(frame.count))
      free[index] = buffer
    }
    freeCount = Self.frames
    (offset, byteCount) = shape
  }

  private static func device(_ name: String, from: OpaquePointer, to: OpaquePointer, _ runtime: DPDKRuntime) throws -> EthernetDevice {
    var receive: OpaquePointer? = from
    var transmit: OpaquePointer? = to
    let portID = rte_eth_from_rings(name, &receive, 1, &transmit, 1, 0)
    try VTEPError.check(portID, "device \(name)")
    return try EthernetDevice.start(UInt16(portID), queues: 1, purpose: .plain, runtime: runtime, subject: name)
  }

  func start() throws {
    let code = rte_eal_remote_launch(
      { argument in
        if let argument { Unmanaged<LatencyRun>.fromOpaque(argument).takeUnretainedValue().work() }
        return 0
      }, Unmanaged.passUnretained(self).toOpaque(), 1)
    try VTEPError.check(code, "start the worker")
    // Memory is touched, sources are known.
    var ignored = Self.histogram()
    measure(.pipeline, rate: 1e6, seconds: 0.3, &ignored)
    measure(.bare, rate: 1e6, seconds: 0.1, &ignored)
  }

  func stop() {
    loop.store(Loop.stop.rawValue, ordering: .releasing)
    rte_eal_wait_lcore(1)
    scenario.close()
    try? outside.remove(subject: "outside")
    close(ownStatistics)
    for index in 0..<freeCount { cdpdk_mbuf_free(free[index]) }
    free.deallocate()
    taken.deallocate()
  }

  /// The worker's thread.
  private func work() {
    var worker = scenario.worker()
    let statistics = open("/proc/thread-self/schedstat", O_RDONLY)
    defer { close(statistics) }
    workerStatistics.store(statistics, ordering: .releasing)
    while true {
      switch loop.load(ordering: .relaxed) {
      case Loop.bare.rawValue: _ = scenario.bareRound()
      case Loop.pipeline.rawValue: _ = worker.runOnce()
      case Loop.stop.rawValue: return
      default: break
      }
    }
  }

  /// How long either thread has been ready to run while its processor was busy with another.
  func nanosecondsWaited() -> UInt64 {
    Interruptions.nanosecondsWaited(ownStatistics) &+ Interruptions.nanosecondsWaited(workerStatistics.load(ordering: .acquiring))
  }

  /// The most evenly spaced frames per second that the pipeline keeps up with, as in RFC 2544 section 26.1, to a hundredth.
  func capacity() -> Double {
    var rates = 0.0...100e6
    while rates.lowerBound < 0.99 * rates.upperBound {
      let middle = (rates.lowerBound + rates.upperBound) / 2
      rates = keepsUp(middle) ? middle...rates.upperBound : rates.lowerBound...middle
    }
    return rates.lowerBound
  }

  /// Whether frames are sent when they are due: one that comes back late is not there to be sent again. In most of some undisturbed slices of time
  /// that are long enough for a backlog to take all frames.
  private func keepsUp(_ rate: Double) -> Bool {
    let seconds = 0.005
    var ignored = Self.histogram()
    var inTime = 0
    var late = 0
    for _ in 0..<1000 where max(inTime, late) < 4 {
      let waited = nanosecondsWaited()
      let sent = measure(.pipeline, rate: rate, seconds: seconds, &ignored)
      guard nanosecondsWaited() &- waited < 1000 else { continue }
      if Double(sent) > 0.99 * rate * seconds { inTime += 1 } else { late += 1 }
    }
    precondition(max(inTime, late) == 4, "the machine has other work")
    return inTime > late
  }

  /// - Parameters:
  ///   - rate: frames per second.
  ///   - times: what is found, in cycles.
  /// - Returns: how many frames were sent in that time.
  @discardableResult
  func measure(_ kind: Loop, rate: Double, seconds: Double, _ times: inout Histogram<UInt64>) -> Int {
    let perSecond = Double(cdpdk_cycles_per_second())
    let interval = perSecond / rate
    let length = UInt64(seconds * perSecond)
    loop.store(kind.rawValue, ordering: .releasing)
    let start = cdpdk_cycles()
    var sent = 0
    var now = start
    repeat {
      let due = Int(Double(now &- start) / interval)
      let count = min(due - sent, freeCount, Limits.burst)
      if count > 0 { sent += send(count, due: start &+ UInt64(Double(sent) * interval), every: interval) }
      receive { times.record($0) }
      now = cdpdk_cycles()
    } while now &- start < length
    while freeCount < Self.frames { receive { times.record($0) } }
    loop.store(Loop.none.rawValue, ordering: .releasing)
    return sent
  }

  /// Stamps and sends frames. Returns how many the ring has taken.
  @discardableResult
  private func send(_ count: Int, due: UInt64, every interval: Double) -> Int {
    let first = free + (freeCount - count)
    for index in 0..<count {
      guard let buffer = first[index] else { preconditionFailure("no buffer") }
      (cdpdk_mbuf_data(buffer) + Int(byteCount) - Self.stampByteCount)
        .storeBytes(of: due &+ UInt64(Double(index) * interval), as: UInt64.self)
    }
    let taken = Int(cdpdk_tx_burst(outside.portID, 0, first, UInt16(count)))
    precondition(taken == count, "the ring holds all frames")
    freeCount -= count
    return count
  }

  /// Takes frames that the worker is done with, and reports how long each took, in cycles.
  private func receive(_ report: (UInt64) -> Void) {
    let count = Int(cdpdk_rx_burst(outside.portID, 0, taken, UInt16(Limits.burst)))
    guard count > 0 else { return }
    let now = cdpdk_cycles()
    for index in 0..<count {
      guard let buffer = taken[index] else { preconditionFailure("no buffer") }
      let end = cdpdk_mbuf_data(buffer) + Int(cdpdk_mbuf_length(buffer)) - Self.stampByteCount
      let stamp = end.loadUnaligned(as: UInt64.self)
      report(now > stamp ? now &- stamp : 0)
      // As it was: the pipelines move only its beginning.
      cdpdk_mbuf_place(buffer, offset, byteCount)
      free[freeCount + index] = buffer
    }
    freeCount += count
  }
}

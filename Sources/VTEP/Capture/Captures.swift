// Captures: the captures that are running, for workers and for those who read them. A capture never stops a worker: what its reader
// leaves in the rings for too long is missed, and counted (docs/decisions/0040-dropped-frames-and-captures.md).

import CDPDK
import Encap
import MACTable
import Synchronization

/// What to capture.
public struct CaptureSettings: Sendable {
  public var filter: PacketFilter
  /// Name of a port or an uplink; nil: all.
  public var port: String?
  public var vni: VNI?
  public var onlyDrops: Bool
  /// Most octets of a frame.
  public var snapLength: Int

  public init(filter: PacketFilter, port: String? = nil, vni: VNI? = nil, onlyDrops: Bool = false, snapLength: Int = 262_144) {
    self.filter = filter
    self.port = port
    self.vni = vni
    self.onlyDrops = onlyDrops
    self.snapLength = snapLength
  }
}

/// A frame that was captured.
public struct CapturedFrame: Sendable {
  /// Nanoseconds since 1970, UTC.
  public var nanoseconds: UInt64
  /// Name of the port or uplink; nil: it is gone.
  public var port: String?
  public var direction: CaptureDirection
  /// Of a dropped frame.
  public var reason: DropReason?
  public var vni: VNI?
  public var vtep: IPAddress?
  /// Of the whole frame.
  public var byteCount: Int
  public var octets: [UInt8]

  /// Nanoseconds since 1970, UTC.
  public static var now: UInt64 { CycleClock().nanoseconds(at: .max) }
}

/// The captures of one data plane.
final class Captures: Sendable {
  private nonisolated(unsafe) let shared: UnsafeMutablePointer<SharedState>
  let threads: Int
  private let running = Mutex<[(id: UInt64, tap: CaptureTap)]>([])

  /// - Parameter threads: that have frames: workers, io-cores, the slow path and BFD's thread, whose rings are in this order.
  init(shared: UnsafeMutablePointer<SharedState>, threads: Int) {
    self.shared = shared
    self.threads = threads
    CycleClock.start()
  }

  /// Shows a tap to the threads.
  ///
  /// - Returns: false: there are too many.
  func add(_ tap: CaptureTap, id: UInt64) -> Bool {
    running.withLock { running in
      guard running.count < CaptureTaps.capacity else { return false }
      running.append((id, tap))
      publish(running.map(\.tap))
      return true
    }
  }

  /// Afterwards no thread uses the tap any more.
  func remove(id: UInt64) {
    running.withLock { running in
      running.removeAll { $0.id == id }
      publish(running.map(\.tap))
    }
  }

  private func publish(_ taps: [CaptureTap]) {
    var address: UInt = 0
    if !taps.isEmpty {
      let copy = UnsafeMutablePointer<CaptureTap>.allocate(capacity: taps.count)
      copy.initialize(from: taps, count: taps.count)
      let block = UnsafeMutablePointer<CaptureTaps>.allocate(capacity: 1)
      block.initialize(to: CaptureTaps(count: taps.count, taps: copy))
      address = UInt(bitPattern: block)
    }
    let old = shared.pointee.captures.exchange(address, ordering: .acquiringAndReleasing)
    guard let block = UnsafeMutablePointer<CaptureTaps>(bitPattern: old) else { return }
    cdpdk_rcu_wait(shared.pointee.rcu)
    block.pointee.taps.deallocate()
    block.deallocate()
  }
}

/// A running capture. It ends with `stop`, or with its last reference.
public final class Capture: Sendable {
  private let captures: Captures
  private let settings: CaptureSettings
  private nonisolated(unsafe) let rings: UnsafeMutablePointer<CaptureRing>
  private let ringCount: Int
  private let id = UInt64.random(in: .min ... .max)
  private let isRunning = Mutex(false)

  /// - Throws: when there are too many, or no memory for one more.
  init(_ settings: CaptureSettings, port: PortIndex, _ captures: Captures) throws(VTEPError) {
    self.captures = captures
    self.settings = settings
    rings = .allocate(capacity: captures.threads)
    var count = 0
    while count < captures.threads, let ring = CaptureRing() {
      (rings + count).initialize(to: ring)
      count += 1
    }
    ringCount = count
    guard count == captures.threads else {
      throw VTEPError(
        .environment, "capture", "no memory for its buffers", remedy: "free \(captures.threads * CaptureRing.byteCount >> 20) MiB")
    }
    let tap = CaptureTap(
      filter: settings.filter.program, port: port, vni: settings.vni?.rawValue ?? DropContext.noVNI, onlyDrops: settings.onlyDrops,
      snapLength: UInt32(clamping: settings.snapLength), rings: rings)
    guard captures.add(tap, id: id) else {
      throw VTEPError(.environment, "capture", "\(CaptureTaps.capacity) captures are running", remedy: "end one of them")
    }
    isRunning.withLock { $0 = true }
  }

  deinit {
    stop()
    rings.deinitialize(count: ringCount)
    rings.deallocate()
  }

  /// No more frames come; those that are waiting may still be taken.
  public func stop() {
    isRunning.withLock { isRunning in
      if isRunning { captures.remove(id: id) }
      isRunning = false
    }
  }

  /// Frames that threads had to leave out.
  public var missedCount: UInt64 { (0..<ringCount).reduce(0) { $0 &+ rings[$1].missed.value } }

  /// Takes waiting frames, in the order of their times as far as all threads' have come. For one caller at a time.
  ///
  /// - Parameters:
  ///   - limit: most frames.
  ///   - byteLimit: so many octets, and one more frame.
  public func take(limit: Int, byteLimit: Int, names: CaptureNames) -> [CapturedFrame] {
    var frames: [CapturedFrame] = []
    var byteCount = 0
    let clock = CycleClock()
    while frames.count < limit, byteCount < byteLimit {
      let waiting = (0..<ringCount).compactMap { index in rings[index].oldest.map { (cycles: $0, index: index) } }
      guard let next = waiting.min(by: { $0.cycles < $1.cycles }), let taken = rings[next.index].take() else { break }
      byteCount += taken.octets.count
      let record = taken.record
      frames.append(
        CapturedFrame(
          nanoseconds: clock.nanoseconds(at: record.cycles), port: names.ports[record.port], direction: record.direction,
          reason: record.direction == .dropped ? DropReason(rawValue: record.reason) : nil, vni: VNI(record.vni),
          vtep: record.vtep.isUnspecified ? nil : record.vtep, byteCount: Int(record.byteCount), octets: taken.octets))
    }
    return frames
  }
}

/// The names of ports and uplinks at a moment.
public struct CaptureNames: Sendable {
  let ports: [PortIndex: String]
}

extension RunningState {
  public var captureNames: CaptureNames {
    var names = portNames
    for (index, name) in underlay.devices.flatMap(\.places) { names[index] = name }
    return CaptureNames(ports: names)
  }
}

extension Reconciler {
  /// Starts a capture.
  ///
  /// - Throws: when nothing has the name of its port, or there are too many.
  public nonisolated func startCapture(_ settings: CaptureSettings) throws(VTEPError) -> Capture {
    var port = PortIndex.absent
    if let name = settings.port {
      guard let found = running.captureNames.ports.first(where: { $0.value == name }) else {
        throw VTEPError(
          .refused, "capture", "there is no port or uplink '\(name)'", remedy: "vtepctl show ports and show underlay list them")
      }
      port = found.key
    }
    return try Capture(settings, port: port, captures)
  }
}

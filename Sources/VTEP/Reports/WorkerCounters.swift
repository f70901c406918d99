// WorkerCounters: what one worker counts, in memory that only it writes. Readers sum over the workers and may see a
// value a moment old, never a torn one.

import CDPDK
import Encap
import Glibc
import MACTable
import Synchronization

/// A counter with one writer and any readers.
struct Counter: ~Copyable {
  private let storage = Atomic<UInt64>(0)

  var value: UInt64 {
    storage.load(ordering: .relaxed)
  }

  /// For the one writer.
  @inline(always)
  func set(_ value: UInt64) { storage.store(value, ordering: .relaxed) }

  /// For the one writer: a plain load, add and store.
  @inline(always)
  func add(_ amount: UInt64) {
    storage.store(storage.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}

/// Packets and bytes in one direction each way.
struct TrafficCounters: ~Copyable {
  let rxPackets = Counter()
  let rxBytes = Counter()
  let txPackets = Counter()
  let txBytes = Counter()

  @inline(always)
  func addReceived(packets: UInt64, bytes: UInt64) {
    rxPackets.add(packets)
    rxBytes.add(bytes)
  }

  @inline(always)
  func addSent(packets: UInt64 = 1, bytes: UInt64) {
    txPackets.add(packets)
    txBytes.add(bytes)
  }
}

/// Frames that an entry of an access control list has matched.
struct ACLEntryCounters: ~Copyable {
  let packets = Counter()
  let bytes = Counter()
}

/// What a worker did as a whole.
struct ActivityCounters: ~Copyable {
  /// Packets received.
  let packets = Counter()
  /// Rounds that found some.
  let bursts = Counter()
  /// Time-stamp counter cycles in loops that found packets, and in all.
  let busyCycles = Counter()
  let totalCycles = Counter()
  /// Learn events that found the ring to the learner full.
  let learnEventsLost = Counter()
  /// Next hops of routers that packets wait for now.
  let awaitedNextHops = Counter()
  /// The kernel's number of the thread; 0: it does not run yet.
  let thread = Counter()
}

/// All counters of one worker. A trivial value: pointers to memory that lives as long as the process, unless its owner calls `deallocate`.
struct WorkerCounters: @unchecked Sendable {
  let activity: UnsafeMutablePointer<ActivityCounters>
  /// `Limits.ports` entries. Received: from the device, sent: to the device.
  let ports: UnsafeMutablePointer<TrafficCounters>
  /// `Limits.vteps` entries; bytes are those of the outer packet without its Ethernet header.
  let vteps: UnsafeMutablePointer<TrafficCounters>
  /// `Limits.domains` entries. Received: from the overlay, sent: to the overlay; bytes of inner frames.
  let domains: UnsafeMutablePointer<TrafficCounters>
  /// Of routers' interfaces, by `RouterInterface.index`: frames to the router, and from it.
  let routed: UnsafeMutablePointer<TrafficCounters>
  /// `Limits.aclEntries` entries, by `ACLVerdict.slot`.
  let aclEntries: UnsafeMutablePointer<ACLEntryCounters>
  /// Of each (port, VLAN), see `binding(port:vlan:)`.
  private let bindings: UnsafeMutablePointer<TrafficCounters>
  /// Frames of a domain that were flooded.
  let flooded: UnsafeMutablePointer<Counter>
  /// Requests of a domain for a neighbour that were answered here.
  let neighborAnswers: UnsafeMutablePointer<Counter>
  /// Those that were flooded, although the VNI answers requests.
  let neighborPasses: UnsafeMutablePointer<Counter>
  /// `Limits.domains` rows of `FloodClass.count`.
  private let storms: UnsafeMutablePointer<Counter>
  /// `Limits.ports` rows of `IgnoredCause.count`: packets on a shared underlay device that are the kernel's business.
  private let ignored: UnsafeMutablePointer<Counter>
  /// `Limits.ports` rows of `DropReason.count`.
  private let drops: UnsafeMutablePointer<Counter>
  /// The same drops, where they are known: rows of `DropReason.count` for domains and VTEPs.
  private let domainDrops: UnsafeMutablePointer<Counter>
  private let vtepDrops: UnsafeMutablePointer<Counter>
  /// The last frames that were dropped.
  let droppedFrames = DroppedFrames()
  /// `Limits.ports` rows of `HostFrameClass.count`: frames from the NIC of an owned uplink to its tap, or from the tap; and those of them
  /// that exceeded the limit of their class.
  private let hostFrames: UnsafeMutablePointer<Counter>
  private let hostDrops: UnsafeMutablePointer<Counter>
  /// `Limits.ports` entries: when the kernel last refused a frame, and why; 0: it never has.
  private let refusals: UnsafeMutablePointer<Counter>

  init() throws(VTEPError) {
    activity = .allocate(capacity: 1)
    activity.initialize(to: ActivityCounters())
    ports = try Self.traffic(Limits.ports)
    vteps = try Self.traffic(Limits.vteps)
    domains = try Self.traffic(Limits.domains)
    routed = try Self.traffic(Limits.routerInterfaces)
    bindings = try Self.traffic(Limits.ports << 12)
    aclEntries = try Self.untouched(Limits.aclEntries, MemoryLayout<ACLEntryCounters>.stride)
      .bindMemory(to: ACLEntryCounters.self, capacity: Limits.aclEntries)
    ignored = try Self.counters(Limits.ports * IgnoredCause.count)
    flooded = try Self.counters(Limits.domains)
    neighborAnswers = try Self.counters(Limits.domains)
    neighborPasses = try Self.counters(Limits.domains)
    storms = try Self.counters(Limits.domains * FloodClass.count)
    drops = try Self.counters(Limits.ports * DropReason.count)
    domainDrops = try Self.counters(Limits.domains * DropReason.count)
    vtepDrops = try Self.counters(Limits.vteps * DropReason.count)
    hostFrames = try Self.counters(Limits.ports * HostFrameClass.count)
    hostDrops = try Self.counters(Limits.ports * HostFrameClass.count)
    refusals = try Self.counters(Limits.ports)
  }

  /// Nobody may read them any more. The last dropped frames remain.
  func deallocate() {
    for counters in [ports, vteps, domains, routed, bindings] { free(counters) }
    for counters in [flooded, neighborAnswers, neighborPasses, storms, ignored, hostFrames, hostDrops, refusals] { free(counters) }
    for counters in [drops, domainDrops, vtepDrops] { free(counters) }
    free(aclEntries)
    activity.deinitialize(count: 1)
    activity.deallocate()
  }

  @inline(always)
  func drop(port: PortIndex, _ reason: DropReason) -> UnsafeMutablePointer<Counter> {
    drops + (Int(port) * DropReason.count + Int(reason.rawValue))
  }

  @inline(always)
  func drop(domain: DomainIndex, _ reason: DropReason) -> UnsafeMutablePointer<Counter> {
    domainDrops + (Int(domain) * DropReason.count + Int(reason.rawValue))
  }

  @inline(always)
  func drop(vtep: VTEPIndex, _ reason: DropReason) -> UnsafeMutablePointer<Counter> {
    vtepDrops + (Int(vtep) * DropReason.count + Int(reason.rawValue))
  }

  /// Frames that have come in at a NIC or tap and went on to the other.
  func hostFrames(port: PortIndex, _ kind: HostFrameClass) -> UnsafeMutablePointer<Counter> {
    hostFrames + (Int(port) * HostFrameClass.count + Int(kind.rawValue))
  }

  /// Those that exceeded the limit of their class.
  func hostDrops(port: PortIndex, _ kind: HostFrameClass) -> UnsafeMutablePointer<Counter> {
    hostDrops + (Int(port) * HostFrameClass.count + Int(kind.rawValue))
  }

  /// - Parameter second: of `MonotonicClock`.
  func noteRefusal(port: PortIndex, errorNumber: Int32, second: UInt32) {
    refusals[Int(port)].set(UInt64(second) << 32 | UInt64(UInt32(bitPattern: errorNumber)))
  }

  /// The last frame that the kernel refused.
  func refusal(port: PortIndex) -> (errorNumber: Int32, second: UInt32)? {
    let value = refusals[Int(port)].value
    return value == 0 ? nil : (Int32(truncatingIfNeeded: value & 0xffff_ffff), UInt32(value >> 32))
  }

  func ignored(port: PortIndex, _ cause: IgnoredCause) -> UnsafeMutablePointer<Counter> {
    ignored + (Int(port) * IgnoredCause.count + Int(cause.rawValue))
  }

  /// Received: from the port, sent: to the port; bytes as they are on the port. VLAN 0 = untagged.
  @inline(always)
  func binding(port: PortIndex, vlan: UInt16) -> UnsafeMutablePointer<TrafficCounters> {
    bindings + (Int(port) &<< 12 | Int(vlan & 0xfff))
  }

  /// Frames that a domain's storm control dropped.
  @inline(always)
  func stormDrops(domain: DomainIndex, _ flood: FloodClass) -> UnsafeMutablePointer<Counter> {
    storms + (Int(domain) * FloodClass.count + flood.rawValue)
  }

  private static func counters(_ count: Int) throws(VTEPError) -> UnsafeMutablePointer<Counter> {
    try untouched(count, MemoryLayout<Counter>.stride).bindMemory(to: Counter.self, capacity: count)
  }

  private static func traffic(_ count: Int) throws(VTEPError) -> UnsafeMutablePointer<TrafficCounters> {
    try untouched(count, MemoryLayout<TrafficCounters>.stride).bindMemory(to: TrafficCounters.self, capacity: count)
  }

  /// Memory that the kernel provides, zeroed, with the first use: most counters are never used.
  private static func untouched(_ count: Int, _ size: Int) throws(VTEPError) -> UnsafeMutableRawPointer {
    guard let memory = calloc(count, size) else {
      throw VTEPError(
        .environment, "counters of a worker", VTEPError.errnoText(ENOMEM),
        remedy: "lower dataplane.workers, or leave vtepd more address space (ulimit -v, vm.overcommit_memory)")
    }
    return memory
  }
}

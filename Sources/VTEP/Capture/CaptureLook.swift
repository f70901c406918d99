// CaptureLook: how a thread looks at a frame for captures, live traces and the frames that it drops: which VNI and VTEP it belongs to, whether
// a filter matches, and a copy for each capture that wants it. Out of line, and only for what somebody has asked for or has dropped.

import CDPDK
import CPCAP
import Encap
import MACTable

/// Made for one call: nothing in it outlives the thread's current use of the snapshot.
struct CaptureLook {
  let snapshot: UnsafePointer<ForwardingSnapshot>
  /// Nil: nothing is captured.
  let captures: UnsafePointer<CaptureTaps>?
  /// Room for `filterByteCount` octets, the thread's own.
  let beginning: UnsafeMutableRawPointer
  /// The thread's, in each capture (`Captures`).
  let ring: Int

  /// Octets that a filter may look at in a frame of several buffers; all of those in the first in any other.
  static var filterByteCount: Int { 512 }

  /// Gives a frame to the captures that want it.
  func capture(
    _ mbuf: Mbuf, port: PortIndex, _ direction: CaptureDirection, _ reason: DropReason = .runtFrame, _ context: DropContext = DropContext()
  ) {
    guard let captures else { return }
    var record = CaptureRecord()
    record.byteCount = UInt32(truncatingIfNeeded: mbuf.byteCount)
    record.cycles = cdpdk_cycles()
    record.port = port
    record.direction = direction
    record.reason = reason.rawValue
    let inner = describe(mbuf, &record, context)
    for index in 0..<captures.pointee.count {
      let tap = captures.pointee.taps + index
      if tap.pointee.onlyDrops && direction != .dropped { continue }
      if tap.pointee.port != .absent && tap.pointee.port != port { continue }
      if tap.pointee.vni != DropContext.noVNI && tap.pointee.vni != record.vni { continue }
      guard matches(mbuf, inner: inner, tap.pointee.filter) else { continue }
      record.capturedCount = min(record.byteCount, tap.pointee.snapLength)
      tap.pointee.rings[ring].put(record, mbuf)
    }
  }

  /// Finds out the VNI and the VTEP of a frame at the record's port.
  ///
  /// - Returns: offset of the frame inside VXLAN; 0: it is none.
  func describe(_ mbuf: Mbuf, _ record: inout CaptureRecord, _ context: DropContext = DropContext()) -> Int {
    let entry = snapshot.pointee.ports + Int(record.port)
    record.vni = context.vni
    var domain = context.domain
    var inner = 0
    if !entry.pointee.isUnderlay {
      if domain == .absent { domain = snapshot.domain(ofFrame: mbuf, at: entry) }
    } else if context.isOfWhole {
      let outer = OuterPacket(trusting: mbuf.bytes, byteCount: mbuf.byteCount, policy: snapshot.pointee.decapPolicy)
      if outer.outcome != .notVXLAN {
        record.vtep = snapshot.pointee.vtep(at: outer.source) == .own ? outer.destination : outer.source
      }
      if outer.outcome == .accepted {
        record.vni = outer.vni.rawValue
        inner = outer.innerOffset
      }
    }
    if domain != .absent { record.vni = snapshot.pointee.domains[Int(domain)].vni.rawValue }
    if Int(context.vtep) < Limits.vteps { record.vtep = snapshot.pointee.vteps[Int(context.vtep)].address }
    return inner
  }

  /// Whether a filter matches the frame, or the one inside it.
  func matches(_ mbuf: Mbuf, inner: Int, _ filter: OpaquePointer) -> Bool {
    var octets = UnsafeRawPointer(mbuf.start)
    var count = Int(cdpdk_mbuf_segment_length(mbuf.raw))
    let byteCount = mbuf.byteCount
    if count < byteCount && count < Self.filterByteCount {
      count = mbuf.copyBeginning(to: beginning, byteCount: Self.filterByteCount)
      octets = UnsafeRawPointer(beginning)
    }
    if cpcap_matches(filter, octets, UInt32(truncatingIfNeeded: byteCount), UInt32(truncatingIfNeeded: count)) != 0 { return true }
    guard inner != 0, inner < count else { return false }
    return cpcap_matches(
      filter, octets + inner, UInt32(truncatingIfNeeded: byteCount &- inner), UInt32(truncatingIfNeeded: count &- inner)) != 0
  }
}

extension SharedState {
  /// What is captured at the moment; nil: nothing. For readers of snapshots.
  var currentCaptures: UnsafePointer<CaptureTaps>? { UnsafePointer(bitPattern: captures.load(ordering: .acquiring)) }
}

extension WorkerCounters {
  /// Counts, captures and keeps a frame that a thread other than a worker drops, and then frees.
  func countDrop(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ look: CaptureLook, _ context: DropContext = DropContext()) {
    drop(port: port, reason).pointee.add(1)
    if look.captures != nil { look.capture(mbuf, port: port, .dropped, reason, context) }
    let now = cdpdk_cycles()
    guard droppedFrames.admits(reason, now: now) else { return }
    var record = CaptureRecord()
    record.port = port
    _ = look.describe(mbuf, &record, context)
    droppedFrames.keep(mbuf, reason, port: port, vni: record.vni, vtep: record.vtep, now: now)
  }
}

// Worker+Capture: copies of frames for `vtepctl capture`: as they come in (steps E1 and D1), as they leave (E7 and D7), and when they are
// dropped. Out of line: without a capture, a burst pays for one test.

import CDPDK
import CPCAP
import Encap
import MACTable

extension Worker {
  /// Octets that a filter may look at in a frame of several buffers; all of those in the first in any other.
  static var filterByteCount: Int { 512 }

  /// A burst has come in.
  @inline(never)
  mutating func captureReceived(_ count: Int, port: PortIndex) {
    let isUnderlay = snapshot.pointee.ports[Int(port)].isUnderlay
    for index in 0..<count {
      capture(Mbuf(frames[index].unsafelyUnwrapped), port: port, isUnderlay ? .fromUnderlay : .fromPort)
    }
  }

  /// A batch is about to leave; what the device does not take is dropped afterwards.
  @inline(never)
  mutating func captureSent(_ batch: UnsafeMutablePointer<OpaquePointer?>, _ count: Int, port: PortIndex) {
    let isUnderlay = snapshot.pointee.ports[Int(port)].isUnderlay
    for index in 0..<count { capture(Mbuf(batch[index].unsafelyUnwrapped), port: port, isUnderlay ? .toUnderlay : .toPort) }
  }

  @inline(never)
  mutating func captureDrop(_ mbuf: Mbuf, port: PortIndex, _ reason: DropReason, _ context: DropContext) {
    capture(mbuf, port: port, .dropped, reason, context)
  }

  private mutating func capture(
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
      tap.pointee.rings[self.index].put(record, mbuf)
    }
  }

  /// Finds out the VNI and the VTEP of a frame.
  ///
  /// - Returns: offset of the frame inside VXLAN; 0: it is none.
  private mutating func describe(_ mbuf: Mbuf, _ record: inout CaptureRecord, _ context: DropContext) -> Int {
    let entry = snapshot.pointee.ports + Int(record.port)
    record.vni = context.vni
    var domain = context.domain
    var inner = 0
    if !entry.pointee.isUnderlay {
      if domain == .absent { domain = self.domain(ofFrame: mbuf, at: entry) }
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
  private mutating func matches(_ mbuf: Mbuf, inner: Int, _ filter: OpaquePointer) -> Bool {
    var octets = UnsafeRawPointer(mbuf.start)
    var count = Int(cdpdk_mbuf_segment_length(mbuf.raw))
    let byteCount = mbuf.byteCount
    if count < byteCount && count < Self.filterByteCount {
      count = mbuf.copyBeginning(to: captureBeginning, byteCount: Self.filterByteCount)
      octets = UnsafeRawPointer(captureBeginning)
    }
    if cpcap_matches(filter, octets, UInt32(truncatingIfNeeded: byteCount), UInt32(truncatingIfNeeded: count)) != 0 { return true }
    guard inner != 0, inner < count else { return false }
    return cpcap_matches(
      filter, octets + inner, UInt32(truncatingIfNeeded: byteCount &- inner), UInt32(truncatingIfNeeded: count &- inner)) != 0
  }
}

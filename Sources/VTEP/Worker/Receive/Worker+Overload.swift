// Worker+Overload: a NIC that receives more than a worker can process. Its queue is full then, and whatever comes next is lost in the NIC:
// control frames like all others. So what waits is looked at faster than it can be processed: control frames and BFD are kept, other VXLAN
// packets are dropped and counted. Step D1; docs/decisions/0033-owned-uplinks.md.

import CDPDK
import Encap
import MACTable

/// How a worker keeps up with its queue of a NIC.
struct UplinkLoad {
  /// Full bursts in a row, up to now.
  var fullBursts: UInt32 = 0
  /// Time-stamp counter at the first of them.
  var since: UInt64 = 0
  /// The same when VXLAN packets were last dropped; 0: never.
  var lastRelief: UInt64 = 0

  /// A tenth of a second: a queue that has not been empty for so long does not hold a burst that will pass (RFC 8289 section 4.3 on the
  /// interval).
  static var patience: UInt64 { cdpdk_cycles_per_second() / 10 }

  func isOverloaded(at now: UInt64) -> Bool { lastRelief != 0 && now &- lastRelief < Self.patience }
}

extension Worker {
  /// In overload, so many full bursts in a row are processed before the rest of the queue is looked through: a quarter of the usual queue.
  /// The NIC has room meanwhile for four times what the worker takes, and a shorter burst loses nothing.
  static var burstsBeforeRelief: UInt32 { 4 }

  /// The most bursts that are looked through at a time: the whole of the usual queue.
  static var burstsOfRelief: Int { 16 }

  /// A burst from a NIC was full.
  @inline(never)
  mutating func noteFullBurst(_ port: UnsafePointer<PortEntry>, _ queue: UnsafePointer<ReceiveQueue>) {
    let load = uplinkLoads + Int(queue.pointee.port)
    if load.pointee.fullBursts == 0 { load.pointee.since = nowCycles }
    load.pointee.fullBursts &+= 1
    if load.pointee.isOverloaded(at: nowCycles) {
      guard load.pointee.fullBursts >= Self.burstsBeforeRelief else { return }
    } else {
      guard nowCycles &- load.pointee.since >= UplinkLoad.patience && hasControlFrames(queue.pointee.port) else { return }
    }
    for _ in 0..<Self.burstsOfRelief {
      let count =
        port.pointee.kind == .ring
        ? receiveFromRing(queue, port) : Int(cdpdk_rx_burst(port.pointee.device, queue.pointee.queue, frames, UInt16(Limits.burst)))
      if count != 0 && captures != nil { captureReceived(count, port: queue.pointee.port) }
      if count != 0 { sortOut(count, portIndex: queue.pointee.port, load) }
      if count < Limits.burst {
        load.pointee.fullBursts = 0
        return
      }
    }
    // There are still more: the next full burst is enough.
  }

  /// Whether control frames have ever come from this worker's queue of a NIC: there are none to lose where none come.
  private mutating func hasControlFrames(_ port: PortIndex) -> Bool {
    counters.hostFrames(port: port, .neighbor).pointee.value | counters.hostFrames(port: port, .link).pointee.value
      | counters.hostFrames(port: port, .routing).pointee.value | counters.hostFrames(port: port, .membership).pointee.value != 0
  }

  /// Passes what is the kernel's, and drops VXLAN packets.
  private mutating func sortOut(_ count: Int, portIndex: PortIndex, _ load: UnsafeMutablePointer<UplinkLoad>) {
    var byteCount: UInt64 = 0
    for index in 0..<count {
      let mbuf = Mbuf(frames[index].unsafelyUnwrapped)
      byteCount &+= UInt64(truncatingIfNeeded: mbuf.byteCount)
      let kind = HostFrameClass(mbuf.bytes)
      if kind == .host && OuterPacket.claimsPort(snapshot.pointee.decapPolicy.udpPort, mbuf.bytes) {
        if takeBFDFirst(mbuf, portIndex: portIndex, at: index) { continue }
        load.pointee.lastRelief = nowCycles
        drop(mbuf, port: portIndex, .receiveFull)
      } else {
        handToKernel(mbuf, kind, portIndex: portIndex)
      }
    }
    counters.ports[Int(portIndex)].addReceived(packets: UInt64(truncatingIfNeeded: count), bytes: byteCount)
  }
}

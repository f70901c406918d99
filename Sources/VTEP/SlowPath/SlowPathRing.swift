// SlowPathRing: bounded queues between workers and the slow path (SlowPath), one way each: frames that a worker punts and
// reports that it makes, and frames that the control side wants sent. BFD has rings of its own (BFDService).

import CDPDK
import Encap
import MACTable

/// A frame in transit between a worker and the slow path, or a report about one.
struct SlowPathItem {
  enum Kind: UInt8 {
    /// `mbuf` goes to the port's punt tap, or from the tap out of the port.
    case frame
    /// A BPDU was received on a guarded port.
    case bpdu
    /// One of our probes came back on a port or, if `port` is absent, over the overlay.
    case returnedProbe
    /// `mbuf` is a BFD frame from the VTEP `vtep` in `vni`, or for it.
    case bfd
  }

  var kind = Kind.frame
  /// Index of the frame's ingress or egress port.
  var port = PortIndex.absent
  /// VLAN that a probe came back in at the port; 0: untagged.
  var vlan: UInt16 = 0
  /// VNI that a probe came back in over the overlay, and the VTEP that sent it.
  var vni = VNI(truncating: 0)
  var vtep = IPAddress(high: 0, low: 0)
  var probe = LoopProbe(daemon: 0, token: 0, port: 0, vlan: 0, vni: VNI(truncating: 0))
  /// Whoever takes the item out owns it.
  var mbuf: OpaquePointer?
}

/// One producer, one consumer.
struct SlowPathRing: @unchecked Sendable {
  private let ring: OpaquePointer
  private static let elementSize = UInt32((MemoryLayout<SlowPathItem>.stride + 3) & ~3)

  /// Capacity: a power of two, less one.
  static let capacity = 512

  /// - Parameter name: unique in the process.
  init(name: String) throws(VTEPError) {
    guard let ring = cdpdk_ring_create("vtepd-\(name)", Self.elementSize, UInt32(Self.capacity)) else {
      throw VTEPError(.environment, "ring \(name)", VTEPError.errnoText(cdpdk_errno()), remedy: "raise dataplane.memory-mb")
    }
    self.ring = ring
  }

  func deallocate() { rte_ring_free(ring) }

  /// False when the ring is full: the caller keeps the item.
  func send(_ item: SlowPathItem) -> Bool {
    var item = item
    return cdpdk_ring_enqueue(ring, &item, Self.elementSize) == 0
  }

  /// Takes one item; false when there is none.
  func receive(_ item: inout SlowPathItem) -> Bool {
    cdpdk_ring_dequeue(ring, &item, Self.elementSize, 1) == 1
  }

  var freeCount: Int { Self.capacity - 1 - Int(cdpdk_ring_count(ring)) }
}

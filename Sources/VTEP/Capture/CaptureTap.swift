// CaptureTap: one capture as threads see it: what to take, and where to. They find all taps through `SharedState.captures`, as they
// find the snapshot: replaced as a whole, and freed when no thread can hold the old ones any more.

import Encap
import MACTable

/// One capture. Plain data; `Captures` owns what it points to.
struct CaptureTap: @unchecked Sendable {
  /// A `PacketFilter.program`.
  var filter: OpaquePointer
  /// Only frames at this port or uplink; absent: at all.
  var port = PortIndex.absent
  /// Only frames of this VNI; `DropContext.noVNI`: of all.
  var vni = DropContext.noVNI
  var onlyDrops = false
  /// Most octets of a frame.
  var snapLength: UInt32 = 262_144
  /// One for each thread: workers, io-cores, the slow path.
  var rings: UnsafeMutablePointer<CaptureRing>
}

/// All captures that are running: at least one.
struct CaptureTaps {
  static let capacity = 8

  var count = 0
  var taps: UnsafeMutablePointer<CaptureTap>
}

// HeldFrames: frames that wait for their next hop's MAC address.

import Encap

/// A frame that waits for its next hop.
struct HeldFrame {
  var mbuf: Mbuf
  var vtep: UInt16
  /// Address and tunnel key of the VTEP.
  var address: IPAddress
  var tunnelKey: VNI?
  var domain: UInt16
  /// Serial of the domain.
  var serial: UInt32
  var ingress: UInt16
  /// Time-stamp counter at which the frame is dropped.
  var expiry: UInt64
}

/// One worker's held frames, in order of arrival. Off the fast path: frames come here only while a next hop is unresolved.
struct HeldFrames {
  private(set) var frames: [HeldFrame] = []

  var count: Int { frames.count }
  var isEmpty: Bool { frames.isEmpty }

  func count(vtep: UInt16) -> Int {
    frames.reduce(0) { $0 + ($1.vtep == vtep ? 1 : 0) }
  }

  mutating func append(_ frame: HeldFrame) {
    frames.append(frame)
  }

  /// Sets the expiry of the last appended frame.
  mutating func keepExpiry(_ expiry: UInt64) {
    frames[frames.count - 1].expiry = expiry
  }

  mutating func takeAll() -> [HeldFrame] {
    defer { frames.removeAll(keepingCapacity: true) }
    return frames
  }
}

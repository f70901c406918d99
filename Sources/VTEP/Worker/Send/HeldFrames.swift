// HeldFrames: frames that wait until their next hop has a MAC address.

import Encap

/// A frame that waits for its next hop.
struct HeldFrame {
  var mbuf: Mbuf
  var vtep: UInt16
  /// Of the VTEP, as `tunnelKey`.
  var address: IPAddress
  var tunnelKey: VNI?
  var domain: UInt16
  /// Of the domain.
  var serial: UInt32
  var ingress: UInt16
  /// Time-stamp counter at which it is given up.
  var expiry: UInt64
}

/// The frames of one worker that wait, in order of arrival. Off the fast path: a frame comes here only while a next hop
/// is unknown.
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

  /// Sets the expiry of the frame appended last.
  mutating func keepExpiry(_ expiry: UInt64) {
    frames[frames.count - 1].expiry = expiry
  }

  mutating func takeAll() -> [HeldFrame] {
    defer { frames.removeAll(keepingCapacity: true) }
    return frames
  }
}

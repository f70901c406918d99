// HeldFrames: frames that wait for their next hop's MAC address, or for an index of their station's VTEP.

import Encap
import MACTable

/// A frame that waits.
struct HeldFrame {
  /// Of a frame to a station whose VTEP has no index yet.
  struct Station {
    var key: MACKey
    /// Where the frame came in.
    var seenAt: MACLocation
  }

  var mbuf: Mbuf
  /// Absent: of a frame to a station.
  var vtep: VTEPIndex
  /// Address and tunnel key of the VTEP.
  var address: IPAddress
  var tunnelKey: VNI?
  var domain: DomainIndex
  /// Serial of the domain.
  var serial: UInt32
  var ingress: PortIndex
  /// Time-stamp counter at which the frame is dropped; one to a station is flooded then.
  var expiry: UInt64
  var station: Station?
}

/// One worker's held frames, in order of arrival. Off the fast path: frames come here only while a next hop is unresolved.
struct HeldFrames {
  private(set) var frames: [HeldFrame] = []

  var count: Int { frames.count }
  var isEmpty: Bool { frames.isEmpty }

  func count(vtep: VTEPIndex) -> Int {
    frames.reduce(0) { $0 + ($1.vtep == vtep ? 1 : 0) }
  }

  /// Buffers of all frames.
  private(set) var bufferCount = 0

  /// Whether there is room for a frame. A guest chooses how many buffers its frames have.
  func hasRoom(for mbuf: Mbuf, vtep: VTEPIndex, ingress: PortIndex) -> Bool {
    guard count < Limits.heldFrames, bufferCount + mbuf.bufferCount <= Limits.heldBuffers, count(vtep: vtep) < Limits.heldFramesPerVTEP
    else { return false }
    return frames.reduce(mbuf.bufferCount) { $0 + ($1.ingress == ingress ? $1.mbuf.bufferCount : 0) } <= Limits.heldBuffersPerPort
  }

  mutating func append(_ frame: HeldFrame) {
    frames.append(frame)
    bufferCount += frame.mbuf.bufferCount
  }

  /// Sets the expiry of the last appended frame.
  mutating func keepExpiry(_ expiry: UInt64) {
    frames[frames.count - 1].expiry = expiry
  }

  mutating func takeAll() -> [HeldFrame] {
    defer {
      frames.removeAll(keepingCapacity: true)
      bufferCount = 0
    }
    return frames
  }
}

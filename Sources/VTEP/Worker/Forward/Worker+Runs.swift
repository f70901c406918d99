// Worker+Runs: the batches that the short cuts for everyday frames add to (Worker+Plain, Worker+AtOnce). What is the same for frames that
// follow each other to one port or uplink is asked once: its batch, its limits. Steps E6 and D6.

import CDPDK
import Encap
import MACTable

/// The batch that consecutive frames of a burst go to. `Worker.flushBatches` ends all runs.
struct BatchRun {
  /// What the frames have in common: the local binding they go to (`MACLocation.raw`), or their uplink; `none`: this is no run.
  var key = BatchRun.none
  /// Largest frame in bytes; less than 0: frames take another way.
  var maxByteCount = -1
  /// The same for a port that joins segments.
  var maxJoinedByteCount = -1
  var size: UnsafeMutablePointer<BatchSize>
  var frames: UnsafeMutablePointer<OpaquePointer?>

  /// Neither a location, of 29 bits, nor `StagedFrame.noLocation`, nor a port.
  static let none = UInt32.max - 1
}

extension Worker {
  /// Before each burst: a run to a port holds for frames from one ingress port.
  @inline(always)
  mutating func endLocalRuns() {
    localRun.key = BatchRun.none
    taggedRun.key = BatchRun.none
  }

  @inline(never)
  mutating func startUplinkRun(_ port: PortIndex) {
    let batch = batch(of: port)
    uplinkRun = BatchRun(key: UInt32(port.rawValue), size: batchSizes + batch, frames: batches + batch &* Limits.transmitBatch)
  }

  /// The frames for the untagged binding of a port. They take the general way if it is not up, needs further checks, or must not have
  /// frames from the ingress port.
  ///
  /// - Parameter ingress: nil: from the overlay.
  @inline(never)
  mutating func startLocalRun(_ place: MACLocation, from ingress: PortIndex?) {
    localRun.key = place.raw
    localRun.maxByteCount = -1
    localRun.maxJoinedByteCount = -1
    let port = snapshot.pointee.ports + Int(place.port)
    let features = port.pointee.features
    guard port.pointee.isUp, features.isDisjoint(with: .inspectsEach) else { return }
    if let ingress {
      guard place.port != ingress else { return }
      if features.contains(.isIsolated), snapshot.pointee.ports[Int(ingress)].features.contains(.isIsolated) { return }
    }
    // May flush all batches and end the run.
    let batch = batch(of: place.port)
    let mayJoin = !features.isDisjoint(with: .takesSegments)
    let maxByteCount = Int(port.pointee.maxFrameByteCount)
    localRun = BatchRun(
      key: place.raw, maxByteCount: mayJoin ? -1 : maxByteCount, maxJoinedByteCount: mayJoin ? maxByteCount : -1,
      size: batchSizes + batch, frames: batches + batch &* Limits.transmitBatch)
  }

  /// Adds a frame that fits to the batch of the local run, or joins it to the last one there.
  @inline(never)
  mutating func deliverJoined(_ mbuf: Mbuf, byteCount: Int, to place: MACLocation) {
    if coalesce(mbuf, port: place.port, features: snapshot.pointee.ports[Int(place.port)].features) { return }
    append(mbuf, byteCount: byteCount, to: localRun)
  }

  /// Delivers a frame, whose buffer is its own, to the tagged binding of a port.
  ///
  /// - Parameter ingress: nil: from the overlay.
  /// - Returns: false: it takes the general way.
  @inline(always)
  mutating func deliverTagged(_ mbuf: Mbuf, byteCount: Int, to place: MACLocation, from ingress: PortIndex?) -> Bool {
    if UInt32(place.port.rawValue) != taggedRun.key { startTaggedRun(place.port, from: ingress) }
    guard place.vlan != 0, byteCount <= taggedRun.maxByteCount, cdpdk_mbuf_headroom(mbuf.raw) >= UInt16(EthernetView.tagByteCount)
    else { return false }
    // The frame's priority, if it came with one.
    let tag = place.vlan | mbuf.notedTag & Self.priorityMask
    mbuf.insertTagInPlace(tpidOfTaggedRun | UInt32(tag))
    // For the binding's counters, once the frame is sent.
    mbuf.notedTag = tag
    taggedBatches |= 1 &<< UInt64(truncatingIfNeeded: batchOfTaggedRun)
    append(mbuf, byteCount: byteCount &+ EthernetView.tagByteCount, to: taggedRun)
    return true
  }

  /// The frames for all tagged bindings of a port. They take the general way if it is not up, or must not have frames from the ingress port.
  @inline(never)
  mutating func startTaggedRun(_ portIndex: PortIndex, from ingress: PortIndex?) {
    taggedRun.key = UInt32(portIndex.rawValue)
    taggedRun.maxByteCount = -1
    let port = snapshot.pointee.ports + Int(portIndex)
    guard port.pointee.isUp, !port.pointee.features.contains(.filtersEgress) else { return }
    if let ingress, port.pointee.features.contains(.isIsolated), snapshot.pointee.ports[Int(ingress)].features.contains(.isIsolated) {
      return
    }
    // May flush all batches and end the run.
    let batch = batch(of: portIndex)
    batchOfTaggedRun = batch
    tpidOfTaggedRun = UInt32(port.pointee.tpid) &<< 16
    taggedRun = BatchRun(
      key: UInt32(portIndex.rawValue), maxByteCount: Int(port.pointee.maxFrameByteCount), size: batchSizes + batch,
      frames: batches + batch &* Limits.transmitBatch)
  }

  /// Whether a frame to a place belongs to the local run, or to another one, which is started.
  ///
  /// - Parameter ingress: nil: from the overlay.
  @inline(always)
  mutating func isInLocalRun(_ place: MACLocation, from ingress: PortIndex?) -> Bool {
    // A run has the place of an untagged binding.
    if _fastPath(place.raw == localRun.key) { return true }
    guard place.isUntaggedPort else { return false }
    startLocalRun(place, from: ingress)
    return true
  }

  /// - Parameter place: the local run's.
  /// - Returns: false: the frame takes another way.
  @inline(always)
  mutating func append(_ mbuf: Mbuf, byteCount: Int, toRunOf place: MACLocation) -> Bool {
    if byteCount <= localRun.maxByteCount {
      append(mbuf, byteCount: byteCount, to: localRun)
      return true
    }
    guard byteCount <= localRun.maxJoinedByteCount else { return false }
    deliverJoined(mbuf, byteCount: byteCount, to: place)
    return true
  }

  @inline(always)
  mutating func append(_ mbuf: Mbuf, byteCount: Int, to run: BatchRun) {
    let size = run.size
    let count = size.pointee.frames
    run.frames[count] = mbuf.raw
    size.pointee.frames = count &+ 1
    size.pointee.bytes &+= UInt64(truncatingIfNeeded: byteCount)
    if count &+ 1 == Limits.transmitBatch { flushBatch(size - batchSizes) }
  }
}

// Worker+Receive: bursts from receive queues of any kind. Step E1 and D1.

import CDPDK
import MACTable

extension Worker {
  /// Takes a burst from a queue and forwards it.
  ///
  /// - Returns: the number of frames; below 0: none wait.
  @inline(always)
  mutating func receive(from queue: UnsafePointer<ReceiveQueue>) -> Int {
    let port = snapshot.pointee.ports + Int(queue.pointee.port)
    let count: Int
    switch queue.pointee.kind {
    case .ethdev: count = Int(cdpdk_rx_burst(port.pointee.device, queue.pointee.queue, frames, UInt16(Limits.burst)))
    case .ring: count = receiveFromRing(queue, port)
    case .packetSocket: count = receiveFromPacketSocket(queue, port)
    case .tap: count = receiveFromTap(queue, port)
    case .vhost: count = receiveFromGuest(queue, device: port.pointee.device)
    case .xdp: count = receiveFromXDP(queue, port)
    case .none, .recorder: return -1
    }
    if count <= 0 {
      if port.pointee.partner != .absent { uplinkLoads[Int(queue.pointee.port)].fullBursts = 0 }
      return count
    }
    if port.pointee.isHardware { prefetch(count) }
    if captures != nil { captureReceived(count, port: queue.pointee.port) }
    if shared.pointee.liveTap.wanted.load(ordering: .acquiring) != 0, forwardTapped(count, queue, port) { return count }
    forwardReceived(count, queue, port)
    return count
  }

  /// The way of a burst in `frames`: steps E2 to E6, D2 to D6, or between a NIC and its tap.
  @inline(always)
  mutating func forwardReceived(_ count: Int, _ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) {
    if port.pointee.partner != .absent {
      receiveFromOwnedUplink(count, port, queue)
    } else if port.pointee.isUnderlay {
      if receiver.hasNotes {
        receiveNoted(count, portIndex: queue.pointee.port)
      } else {
        receiveFromUnderlay(count, portIndex: queue.pointee.port)
      }
    } else {
      receiveFromAccess(count, portIndex: queue.pointee.port)
    }
  }

  /// Takes what an io-core has left for us.
  @inline(always)
  mutating func receiveFromRing(_ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) -> Int {
    let ring = port.pointee.rings.unsafelyUnwrapped[Int(queue.pointee.queue)].toWorker
    return Int(cdpdk_packets_take(ring, frames, UInt32(Limits.burst)))
  }

  @inline(never)
  private mutating func prefetch(_ count: Int) {
    for index in 0..<count { cdpdk_prefetch(cdpdk_mbuf_data(frames[index])) }
  }

  /// Takes a burst from each queue in which frames wait, and sends in between, so that what is collected stays bounded however many
  /// queues there are.
  ///
  /// - Parameter isBusy: polled queues had frames in this round.
  /// - Returns: the number of frames.
  @inline(never)
  mutating func receiveFromReady(isBusy: Bool) -> Int {
    readiness.takeEvents(isBusy: isBusy)
    var total = 0
    var unsent = 0
    var position = 0
    while position < readiness.count {
      guard let queue = readiness.queue(at: position, snapshot, worker: index) else {
        readiness.remove(at: position)
        continue
      }
      let count = receive(from: queue)
      guard count >= 0 else {
        readiness.remove(at: position)
        continue
      }
      if queue.pointee.kind == .tap && receiver.isDrained { readiness.remove(at: position) } else { position &+= 1 }
      total &+= count
      unsent &+= count
      if unsent >= Limits.flushPackets {
        flushBatches()
        unsent = 0
      }
    }
    return total
  }
}

// Worker+HostFrames: what passes between the NIC of an owned uplink and its tap, by class. Each class of control frames has a limit that
// ordinary hosts never reach, so that a flood of them leaves time for VXLAN; within it they leave before everything else, and wait for room
// in the NIC when the rest is dropped. Step D1; docs/decisions/0033-owned-uplinks.md.

import CDPDK
import Encap
import MACTable

extension HostFrameClass {
  /// Frames per second and worker, in each direction; of `host`, from a NIC that receives more than the worker takes.
  var limit: UInt32 {
    switch self {
    case .link: 2_000
    case .neighbor: 20_000
    case .membership: 10_000
    case .routing: 100_000
    case .host: 100_000
    }
  }

  /// Why a frame beyond the limit is dropped.
  var reason: DropReason { self == .host ? .hostRateLimit : .controlRateLimit }

  /// Gives a port's row of budgets what is due in a twentieth of a second.
  static func refill(_ budgets: UnsafeMutablePointer<UInt32>) {
    budgets[Int(link.rawValue)] = link.limit / 20
    budgets[Int(neighbor.rawValue)] = neighbor.limit / 20
    budgets[Int(membership.rawValue)] = membership.limit / 20
    budgets[Int(routing.rawValue)] = routing.limit / 20
    budgets[Int(host.rawValue)] = host.limit / 20
  }
}

extension Worker {
  /// Sends a frame from the NIC to the tap.
  @inline(never)
  mutating func handToKernel(_ mbuf: Mbuf, portIndex: PortIndex) {
    handToKernel(mbuf, HostFrameClass(mbuf.bytes), portIndex: portIndex)
  }

  mutating func handToKernel(_ mbuf: Mbuf, _ kind: HostFrameClass, portIndex: PortIndex) {
    if let reason = refusal(of: kind, portIndex: portIndex) {
      drop(mbuf, port: portIndex, reason)
    } else {
      transmit(mbuf, kind, port: snapshot.pointee.ports[Int(portIndex)].partner)
    }
  }

  /// Counts a frame that has come in at a NIC or tap.
  ///
  /// - Returns: why it must be dropped; nil: it is within the limit of its class.
  mutating func refusal(of kind: HostFrameClass, portIndex: PortIndex) -> DropReason? {
    if kind != .host || uplinkLoads[Int(portIndex)].isOverloaded(at: nowCycles) {
      let budget = hostBudgets + (Int(portIndex) * HostFrameClass.count + Int(kind.rawValue))
      guard budget.pointee > 0 else {
        counters.hostDrops(port: portIndex, kind).pointee.add(1)
        return kind.reason
      }
      budget.pointee &-= 1
    }
    counters.hostFrames(port: portIndex, kind).pointee.add(1)
    return nil
  }

  /// Called from time to time.
  mutating func refillHostBudgets() {
    for port in 0..<Limits.ports { HostFrameClass.refill(hostBudgets + port * HostFrameClass.count) }
  }

  // -- sending ------------------------------------------------------------------------------------------------------------

  /// Adds a frame to the batch of a NIC or tap, or to what leaves before it.
  mutating func transmit(_ mbuf: Mbuf, _ kind: HostFrameClass, port: PortIndex) {
    if kind == .host {
      transmit(mbuf, byteCount: mbuf.byteCount, port: port)
    } else {
      transmitControl(mbuf, port: port)
    }
  }

  /// Sends a frame before everything else.
  @inline(never)
  mutating func transmitControl(_ mbuf: Mbuf, port: PortIndex) {
    if controlCount == Limits.controlFrames { flushControlFrames() }
    if controlCount == Limits.controlFrames {
      // All of them wait for NICs without room: the oldest is worth least.
      drop(Mbuf(controlFrames[0].unsafelyUnwrapped), port: controlPorts[0], .transmitFull)
      controlCount &-= 1
      for position in 0..<controlCount { keepControlFrame(position &+ 1, at: position) }
    }
    controlFrames[controlCount] = mbuf.raw
    controlPorts[controlCount] = port
    // Once: it may have to be sent several times.
    if captures != nil { captureSent(controlFrames + controlCount, 1, port: port) }
    controlCount &+= 1
  }

  private mutating func keepControlFrame(_ position: Int, at place: Int) {
    controlFrames[place] = controlFrames[position]
    controlPorts[place] = controlPorts[position]
  }

  /// Sends control frames, in order. Those for which a NIC has no room stay, and are first in the next round.
  @inline(never)
  mutating func flushControlFrames() {
    var kept = 0
    var position = 0
    while position < controlCount {
      let port = controlPorts[position]
      var end = position &+ 1
      while end < controlCount && controlPorts[end] == port { end &+= 1 }
      position &+= sendControlFrames(from: position, end &- position, port: port)
      while position < end {
        keepControlFrame(position, at: kept)
        kept &+= 1
        position &+= 1
      }
    }
    controlCount = kept
  }

  /// - Returns: how many of the frames are gone.
  private mutating func sendControlFrames(from position: Int, _ count: Int, port portIndex: PortIndex) -> Int {
    let port = snapshot.pointee.ports + Int(portIndex)
    let batch = controlFrames + position
    guard port.pointee.isAttached else {
      countDrops(batch, 0..<count, port: portIndex, .portDown)
      cdpdk_mbuf_free_bulk(batch, UInt32(truncatingIfNeeded: count))
      return count
    }
    var size = BatchSize(frames: count, bytes: 0)
    for index in 0..<count { size.bytes &+= UInt64(cdpdk_mbuf_length(batch[index].unsafelyUnwrapped)) }
    let queue = index % Int(port.pointee.transmitQueues)
    switch port.pointee.kind {
    case .recorder:
      countSent(record(batch, size, portIndex: portIndex), portIndex: portIndex)
      return count
    case .packetSocket, .tap:
      countSent(giveToKernel(batch, size, portIndex: portIndex, queue: queue, isNoted: false), portIndex: portIndex)
      return count
    case .xdp:
      countSent(giveToXDP(batch, size, portIndex: portIndex, queue: queue), portIndex: portIndex)
      return count
    case .ethdev, .ring, .vhost, .none: break
    }
    // The driver may free what it takes at once.
    let all = size.bytes
    let sent = Int(transmitLocked(port, queue, batch, count, lock: Int(portIndex) * Limits.workers + queue))
    size = BatchSize(frames: sent, bytes: all)
    for index in sent..<count { size.bytes &-= UInt64(cdpdk_mbuf_length(batch[index].unsafelyUnwrapped)) }
    countSent(size, portIndex: portIndex)
    return sent
  }

  private mutating func countSent(_ size: BatchSize, portIndex: PortIndex) {
    counters.ports[Int(portIndex)].addSent(packets: UInt64(truncatingIfNeeded: size.frames), bytes: size.bytes)
    counters.binding(port: portIndex, vlan: 0).pointee.addSent(packets: UInt64(truncatingIfNeeded: size.frames), bytes: size.bytes)
  }
}

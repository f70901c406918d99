// Worker+Kernel: bursts from packet sockets and taps of the kernel, and batches to them, with a reason for every frame that gets lost on the way.
// Steps E1, E7, D1 and D7.

import CDPDK
import Encap
import Glibc
import MACTable

extension Worker {
  // -- reception ----------------------------------------------------------------------------------------------------------

  /// - Returns: the number of frames; below 0: none wait.
  @inline(never)
  mutating func receiveFromPacketSocket(_ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) -> Int {
    let count = receiver.receive(
      packetSocket: queue.pointee.descriptor, headByteCount: Int(port.pointee.headByteCount), keepsTags: !port.pointee.isUnderlay,
      into: frames)
    if receiver.losses.count != 0 { countLosses(queue.pointee.port) }
    return count
  }

  /// - Returns: the number of frames; below 0: none wait, or the interface is gone.
  @inline(never)
  mutating func receiveFromTap(_ queue: UnsafePointer<ReceiveQueue>, _ port: UnsafePointer<PortEntry>) -> Int {
    let count = receiver.receive(tap: queue.pointee.descriptor, headByteCount: Int(port.pointee.headByteCount), into: frames)
    if receiver.losses.count != 0 { countLosses(queue.pointee.port) }
    return count
  }

  /// Counts frames that the kernel had for us and that did not fit.
  @inline(never)
  mutating func countLosses(_ portIndex: PortIndex) {
    let losses = receiver.losses
    counters.ports[Int(portIndex)].addReceived(
      packets: UInt64(truncatingIfNeeded: losses.count), bytes: UInt64(truncatingIfNeeded: losses.byteCount))
    counters.drop(port: portIndex, .frameTooLong).pointee.add(UInt64(truncatingIfNeeded: losses.tooLong))
    counters.drop(port: portIndex, .noBuffers).pointee.add(UInt64(truncatingIfNeeded: losses.unbuffered))
    counters.drop(port: portIndex, .offloadHeaders).pointee.add(UInt64(truncatingIfNeeded: losses.undescribed))
  }

  /// Counts frames that found the sockets of ports full. The kernel counts since the last question. Once a second.
  @inline(never)
  mutating func countMissed() {
    for position in Int(snapshot.pointee.receiveQueueStarts[index])..<Int(snapshot.pointee.receiveQueueStarts[index + 1]) {
      let queue = snapshot.pointee.receiveQueues[position]
      guard queue.kind == .packetSocket, !snapshot.pointee.ports[Int(queue.port)].isUnderlay else { continue }
      let count = cdpdk_packet_losses(queue.descriptor)
      guard count > 0 else { continue }
      counters.ports[Int(queue.port)].addReceived(packets: UInt64(count), bytes: 0)
      counters.drop(port: queue.port, .receiveFull).pointee.add(UInt64(count))
    }
  }

  // -- sending ------------------------------------------------------------------------------------------------------------

  /// Sends a batch on a packet socket or a tap. The kernel copies what it takes: all frames are freed.
  ///
  /// - Parameter isNoted: the bindings of the frames have been noted in `sentFrames`; those of refused frames are taken out.
  /// - Returns: what the kernel took.
  @inline(never)
  mutating func giveToKernel(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex, queue: Int, isNoted: Bool
  ) -> BatchSize {
    let port = snapshot.pointee.ports + Int(portIndex)
    // Both kinds have them (`ControlState.enter`).
    let descriptor = port.pointee.descriptors.unsafelyUnwrapped[queue]
    if port.pointee.kind == .tap {
      sender.send(tap: descriptor, batch, size.frames)
    } else {
      sender.send(packetSocket: descriptor, batch, size.frames, joins: port.pointee.joinsDatagrams)
    }
    let sent = sender.refusalCount == 0 ? size : countRefusals(batch, size, portIndex: portIndex, isNoted: isNoted)
    cdpdk_mbuf_free_bulk(batch, UInt32(size.frames))
    return sent
  }

  /// Counts what the kernel refused of a batch.
  ///
  /// - Returns: what it took.
  @inline(never)
  mutating func countRefusals(
    _ batch: UnsafeMutablePointer<OpaquePointer?>, _ size: BatchSize, portIndex: PortIndex, isNoted: Bool
  ) -> BatchSize {
    let isUnderlay = snapshot.pointee.ports[Int(portIndex)].isUnderlay
    var sent = size
    sent.frames &-= sender.refusalCount
    for index in 0..<sender.refusalCount {
      let refusal = sender.refusals[index]
      let position = Int(refusal.position)
      sent.bytes &-= UInt64(cdpdk_mbuf_length(batch[position].unsafelyUnwrapped))
      if isNoted { sentFrames[position].vlan = SentFrame.refused }
      countDrop(
        Mbuf(batch[position].unsafelyUnwrapped), port: portIndex, .ofRefusal(refusal.errorNumber, isUnderlay: isUnderlay))
      counters.noteRefusal(port: portIndex, errorNumber: refusal.errorNumber, second: nowSeconds)
    }
    guard isNoted else { return sent }
    var live = 0
    for position in 0..<size.frames where sentFrames[position].vlan != SentFrame.refused {
      sentFrames[live] = sentFrames[position]
      live &+= 1
    }
    return sent
  }
}

extension DropReason {
  /// Why the kernel did not take a frame, by the errno of the send.
  static func ofRefusal(_ errorNumber: Int32, isUnderlay: Bool) -> DropReason {
    switch errorNumber {
    case EMSGSIZE: isUnderlay ? .tooBigForUnderlay : .tooBigForPort
    // The send buffer is full of frames that the interface's queue holds.
    case EAGAIN: .transmitFull
    case ENETDOWN, ENXIO, ENODEV, EIO, EBADFD: .portDown
    default: .refusedByKernel
    }
  }
}

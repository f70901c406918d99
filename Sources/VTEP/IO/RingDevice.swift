// RingDevice: an owned uplink's NIC behind io-cores (`dataplane.io-cores`). Workers see one ring to take frames from and one to put frames
// into, each their own; io-cores carry frames between these and the NIC (IOThread, docs/decisions/0037).

import CDPDK
import Encap
import MACTable

/// The rings between a NIC and one worker.
struct RingPair {
  let toWorker: OpaquePointer
  let fromWorker: OpaquePointer
  /// The threads at the two ends; nil: nobody is to be woken.
  let worker: UnsafeMutablePointer<Sleeper>?
  var ioThread: UnsafeMutablePointer<Sleeper>?
}

/// A queue pair of a NIC, for the io-core that has it.
struct IOQueue {
  /// DPDK's number of the NIC.
  let nic: UInt16
  let number: UInt16
  /// Index of the NIC among the ports of a snapshot, for counters.
  var port = PortIndex.absent
  /// Frames come by DMA.
  let isHardware: Bool
  /// Of all workers. Frames to send are taken from every `step`th, from `number` on: each worker's leave by one queue.
  let rings: UnsafeMutablePointer<RingPair>
  let ringCount: Int
  let step: Int
  /// The ring from which frames are taken next.
  var nextRing: Int
  /// Frames taken from a ring for which the NIC had no room: `unsentCount` from `unsentStart` on.
  let unsent: UnsafeMutablePointer<OpaquePointer?>
  var unsentStart = 0
  var unsentCount = 0

  /// The ring of a flow. A NIC has chosen the queue by the hash's low bits, so the high ones decide here.
  @inline(always)
  static func ring(of hash: UInt32, count: Int) -> Int {
    Int(truncatingIfNeeded: ((hash &>> 16) &* UInt32(truncatingIfNeeded: count)) &>> 16)
  }
}

/// For the reconciler's thread, but for what the pointers lead to.
final class RingDevice: @unchecked Sendable {
  let nic: EthernetDevice
  let pairs: UnsafeMutablePointer<RingPair>
  /// As many as workers.
  let ringCount: Int
  let queues: UnsafeMutablePointer<IOQueue>

  /// Places in a ring, one of which stays free: to a worker twice what a NIC's queue has, since several NIC queues may lead there.
  private static let toWorkerCount = 1024
  private static let fromWorkerCount = 512
  /// Places in a ring to a worker that only control frames take.
  static let reserve = 128

  /// - Parameters:
  ///   - nic: started; it stays the caller's when this fails.
  ///   - workers: what wakes each.
  init(_ nic: EthernetDevice, workers: [UnsafeMutablePointer<Sleeper>?], subject: String) throws(VTEPError) {
    self.nic = nic
    ringCount = workers.count
    pairs = .allocate(capacity: workers.count)
    queues = .allocate(capacity: nic.queueCount)
    let socket = rte_eth_dev_socket_id(nic.portID)
    for (number, worker) in workers.enumerated() {
      let name = "vtepd-io-\(nic.portID)-\(number)"
      let toWorker = cdpdk_packets_create(name + "-rx", UInt32(Self.toWorkerCount), socket, nic.queueCount > 1 ? 1 : 0)
      let fromWorker = toWorker == nil ? nil : cdpdk_packets_create(name + "-tx", UInt32(Self.fromWorkerCount), socket, 0)
      guard let toWorker, let fromWorker else {
        let code = cdpdk_errno()
        rte_ring_free(toWorker)
        for made in 0..<number { Self.free(pairs[made]) }
        pairs.deallocate()
        queues.deallocate()
        throw VTEPError(
          .environment, "\(subject): rings for io-cores", VTEPError.errnoText(code), remedy: "raise dataplane.memory-mb")
      }
      (pairs + number).initialize(to: RingPair(toWorker: toWorker, fromWorker: fromWorker, worker: worker, ioThread: nil))
    }
    for number in 0..<nic.queueCount {
      (queues + number).initialize(
        to: IOQueue(
          nic: nic.portID, number: UInt16(number), isHardware: nic.isHardware, rings: pairs, ringCount: ringCount, step: nic.queueCount,
          nextRing: number, unsent: .allocate(capacity: Limits.burst)))
    }
  }

  /// Removes the NIC, too.
  func remove(subject: String) throws(VTEPError) {
    close()
    try nic.remove(subject: subject)
  }

  /// Frees the rings with what is in them. Neither workers nor io-cores refer to them any more.
  func close() {
    for number in 0..<nic.queueCount {
      let queue = queues[number]
      cdpdk_mbuf_free_bulk(queue.unsent + queue.unsentStart, UInt32(queue.unsentCount))
      queue.unsent.deallocate()
    }
    for number in 0..<ringCount { Self.free(pairs[number]) }
    queues.deallocate()
    pairs.deallocate()
  }

  private static func free(_ pair: RingPair) {
    var frame: OpaquePointer?
    for ring in [pair.toWorker, pair.fromWorker] {
      while cdpdk_packets_take(ring, &frame, 1) == 1 { cdpdk_mbuf_free(frame) }
      rte_ring_free(ring)
    }
  }
}

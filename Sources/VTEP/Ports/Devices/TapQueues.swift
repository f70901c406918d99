// TapQueues: a tap through its own descriptors, with a virtio-net header before each frame: the far end leaves checksums and the cutting
// of large segments to us, and takes both from us. One descriptor per queue. The interface may be in any network namespace; when it is
// deleted, with its namespace for example, the descriptors are dead and a new device is opened (ControlState+Taps).

import CDPDK
import Encap
import Glibc
import Netlink

/// A tap that is open.
struct TapQueues: Sendable {
  /// One per queue, to read from and write to.
  let descriptors: [Int32]
  let mac: MACAddress
  /// Persistent and there before us: it stays, and its next user may know nothing of offloads.
  let isTakenOver: Bool
  /// What the kernel can leave to us: TUN_F_* bits of <linux/if_tun.h>.
  let offloads: UInt32
  /// The name by which the service manager has copies of the descriptors: the tap lives on when this process ends. Nil: it has none.
  var keptAs: String?
  /// An earlier run has left it.
  var isResumed = false

  /// Goes with its last descriptor, which is not ours.
  var outlivesProcess: Bool { keptAs != nil && !isTakenOver }

  /// Opens all queues of a tap, which the first one creates if there is none.
  ///
  /// - Parameters:
  ///   - exists: an interface of that name is there, persistent and, as far as it shows, open nowhere.
  ///   - queuesKey: what decides on the number of queues, for messages.
  static func open(
    _ name: String, mac: MACAddress, queues: Int, exists: Bool, queuesKey: String = "queues", subject: String
  ) throws(VTEPError) -> TapQueues {
    var opened: [Int32] = []
    do throws(VTEPError) {
      // A kernel's tap with several queues has 256 of them, with memory for what waits in each: 6 MB when it is up. One that was
      // created with several has to be opened as such.
      var flags = queues > 1 ? IFF_VNET_HDR | IFF_MULTI_QUEUE : IFF_VNET_HDR
      for _ in 0..<queues {
        var descriptor = TapDevice.open(name, flags: flags)
        if descriptor == -EINVAL && exists && opened.isEmpty && queues == 1 {
          flags |= IFF_MULTI_QUEUE
          descriptor = TapDevice.open(name, flags: flags)
        }
        guard descriptor >= 0 else {
          throw error(-descriptor, name, queues: queues, exists: exists, queuesKey: queuesKey, subject: subject)
        }
        opened.append(descriptor)
      }
      // An earlier user may have left another size.
      try VTEPError.check(
        cdpdk_tap_set_header_size(opened[0], Int32(MemoryLayout<cdpdk_virtio_header>.size)), "\(subject): virtio-net header of \(name)")
      return TapQueues(descriptors: opened, mac: mac, isTakenOver: exists, offloads: findOffloads(opened[0]))
    } catch {
      for descriptor in opened { Glibc.close(descriptor) }
      throw error
    }
  }

  /// Goes on with the queues of a tap that an earlier run has left. What waits in them was sent in the meantime, and is good.
  ///
  /// - Throws: when the interface is gone by now; the descriptors are closed then.
  static func resume(_ descriptors: [Int32], named name: String, mac: MACAddress, subject: String) throws(VTEPError) -> TapQueues {
    do throws(VTEPError) {
      try VTEPError.check(
        cdpdk_tap_set_header_size(descriptors[0], Int32(MemoryLayout<cdpdk_virtio_header>.size)), "\(subject): virtio-net header")
    } catch {
      for descriptor in descriptors { Glibc.close(descriptor) }
      throw error
    }
    return TapQueues(
      descriptors: descriptors, mac: mac, isTakenOver: TapDevice.isPersistent(descriptors[0]), offloads: findOffloads(descriptors[0]),
      keptAs: name, isResumed: true)
  }

  private static func error(
    _ code: Int32, _ name: String, queues: Int, exists: Bool, queuesKey: String, subject: String
  ) -> VTEPError {
    let operation = "\(subject): tap \(name)"
    switch code {
    case EBUSY:
      return inUse(name, subject: subject)
    case EINVAL where exists && queues > 1:
      return VTEPError(
        .refused, operation, "it was created for one queue, not \(queues)",
        remedy: "ip link delete \(name), create it with multi_queue, or set \(queuesKey): 1")
    case E2BIG, ENOSPC, EINVAL:
      return VTEPError(.refused, operation, VTEPError.errnoText(code), remedy: "lower \(queuesKey), or name another tap")
    case ENOENT, ENODEV, ENXIO:
      return VTEPError(.environment, operation, "/dev/net/tun: \(VTEPError.errnoText(code))", remedy: "modprobe tun")
    default:
      return VTEPError(.environment, operation, VTEPError.errnoText(code), remedy: "run as root or with CAP_NET_ADMIN")
    }
  }

  static func inUse(_ name: String, subject: String) -> VTEPError {
    VTEPError(
      .refused, "\(subject): tap \(name)", "tap \(name) is in use by another process", remedy: "stop that process, or name another tap")
  }

  /// Closes the device. No worker refers to it any more. A tap that we created goes with its last descriptor.
  func close() {
    if isTakenOver { setOffloads(isOn: false) }
    for descriptor in descriptors { Glibc.close(descriptor) }
  }

  /// Frames that the host has already sent on an interface that was there before us.
  func discardReceived() {
    withUnsafeTemporaryAllocation(byteCount: 65_536 + 64, alignment: 16) { memory in
      for descriptor in descriptors { while read(descriptor, memory.baseAddress, memory.count) > 0 {} }
    }
  }

  // -- offloads ---------------------------------------------------------------------------------------------------------

  /// Sets of what a kernel may have, the richest first. UDP segments are of Linux 6.2.
  private static let offloadSets: [UInt32] = [
    checksum | tcpIPv4 | tcpIPv6 | congestion | udp, checksum | tcpIPv4 | tcpIPv6 | congestion, checksum,
  ]
  private static let checksum: UInt32 = 0x01
  private static let tcpIPv4: UInt32 = 0x02
  private static let tcpIPv6: UInt32 = 0x04
  private static let congestion: UInt32 = 0x08
  /// Over both versions of IP, or not at all.
  private static let udp: UInt32 = 0x60

  /// Turns all on that the kernel has.
  private static func findOffloads(_ descriptor: Int32) -> UInt32 {
    let sets = KernelFeatures.hasTapOffloads ? offloadSets : []
    return sets.first { cdpdk_tap_set_offloads(descriptor, UInt($0)) == 0 } ?? 0
  }

  /// Turned off, the far end sends only complete frames of ordinary size.
  func setOffloads(isOn: Bool) { _ = cdpdk_tap_set_offloads(descriptors[0], isOn ? UInt(offloads) : 0) }

  /// What may be written. A kernel with the one direction has the other.
  var takes: PortFeatures {
    var takes: PortFeatures = []
    if offloads & Self.checksum != 0 { takes.insert(.takesUnfinished) }
    if offloads & Self.tcpIPv4 != 0 { takes.insert(.takesSegments) }
    if offloads & Self.udp != 0 { takes.insert(.takesSegmentsUDP) }
    return takes
  }

  /// As virtio-net calls them: `host-` is what we do for the far end, `guest-` what it does for us.
  var featureNames: [String] {
    let names: [(bit: UInt32, names: [String])] = [
      (Self.checksum, ["csum", "guest-csum"]), (Self.tcpIPv4, ["host-tso4", "guest-tso4"]), (Self.tcpIPv6, ["host-tso6", "guest-tso6"]),
      (Self.congestion, ["host-ecn", "guest-ecn"]), (Self.udp, ["host-uso", "guest-uso4", "guest-uso6"]),
    ]
    return names.filter { offloads & $0.bit == $0.bit }.flatMap(\.names)
  }

  /// Largest TCP segment, with its headers, that the far end should send uncut: the datagrams that it becomes leave as one train of at
  /// most 65,535 octets, and a few octets more would make a second one.
  ///
  /// - Parameter mtu: of the tap, in bytes.
  static func segmentByteCount(mtu: Int) -> Int {
    // Ethernet, VXLAN and UDP header around each piece; one IP header around all of them.
    let pieces = max((65_535 - 20) / (mtu + 14 + 8), 1)
    // IPv4, TCP and time stamps in each piece. The kernel keeps 321 octets (MAX_TCP_HEADER + 1) for headers of its own.
    return min(max(pieces * (mtu - 52) + 321, 16_384), 65_500)
  }
}

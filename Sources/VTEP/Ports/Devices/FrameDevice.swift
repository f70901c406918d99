// FrameDevice: what a port's or the underlay's frames come from and go to, from opening to removal. Workers tell the kinds apart with
// one switch per burst and per batch.

import Encap
import Netlink

/// How a device's frames move.
enum FrameDeviceKind: UInt8 {
  /// There is no device.
  case none
  /// A driver of DPDK.
  case ethdev
  /// Packet sockets on an interface of the kernel.
  case packetSocket
  /// A tap of the kernel, through its descriptors.
  case tap
  /// A guest's rings.
  case vhost
  /// AF_XDP sockets on an interface of the kernel.
  case xdp
  /// A NIC behind io-cores, through rings.
  case ring
  /// None: what a dry worker would send is recorded (`DryWorker`). Only in that worker's view of a snapshot.
  case recorder
}

extension FrameDeviceKind {
  /// Of `show placement`.
  var name: String {
    switch self {
    case .none: "none"
    case .ethdev: "dpdk"
    case .packetSocket: "packet-socket"
    case .tap: "tap"
    case .vhost: "vhost-user"
    case .xdp: "af_xdp"
    case .ring: "ring"
    case .recorder: "recorder"
    }
  }
}

/// An open device of any kind.
enum FrameDevice: Sendable {
  case ethdev(EthernetDevice)
  case packetSocket(PacketSocketDevice)
  case tap(TapQueues)
  case vhost(GuestDevice)
  case xdp(XDPDevice)
  case ring(RingDevice)
  /// There is no device yet: the back end of a virtio-user port has to connect, or to answer.
  case awaited(BackEnd)

  var kind: FrameDeviceKind {
    switch self {
    case .ethdev: .ethdev
    case .packetSocket: .packetSocket
    case .tap: .tap
    case .vhost: .vhost
    case .xdp: .xdp
    case .ring: .ring
    case .awaited: .none
    }
  }

  /// Receive queues.
  var queueCount: Int {
    switch self {
    case .ethdev(let device): device.queueCount
    case .packetSocket(let device): device.descriptors.count
    case .tap(let tap): tap.descriptors.count
    case .vhost(let device): device.queueCount
    case .xdp(let device): device.descriptors.count
    case .ring(let device): device.ringCount
    case .awaited: 0
    }
  }

  /// One per receive queue, readable when frames wait; -1, or empty: the queue is polled in every round.
  var descriptors: [Int32] {
    switch self {
    case .ethdev, .ring, .awaited: []
    case .packetSocket(let device): device.descriptors
    case .tap(let tap): tap.descriptors
    case .vhost(let device): device.descriptors
    case .xdp(let device): device.descriptors
    }
  }

  /// What workers send through, one per transmit queue, for kinds that send through descriptors.
  var transmitDescriptors: [Int32] { kind == .vhost || kind == .xdp ? [] : descriptors }

  /// Of an interface of the kernel: what receives what nothing else does.
  var packetSockets: PacketSocketDevice? {
    switch self {
    case .packetSocket(let sockets): sockets
    case .xdp(let device): device.packetSockets
    case .ethdev, .tap, .vhost, .ring, .awaited: nil
    }
  }

  var xdp: XDPDevice? {
    if case .xdp(let device) = self { device } else { nil }
  }

  /// The device's own address; nil: it has none.
  var mac: MACAddress? {
    switch self {
    case .ethdev(let device): device.mac
    case .packetSocket(let device): device.mac
    case .tap(let tap): tap.mac
    case .xdp(let device): device.packetSockets.mac
    case .ring(let device): device.nic.mac
    case .vhost, .awaited: nil
    }
  }

  /// Path of a socket that the device leaves behind.
  var ownedSocket: String? {
    switch self {
    case .ethdev(let device): device.ownedSocket
    case .packetSocket, .tap, .vhost, .xdp, .ring, .awaited: nil
    }
  }

  var ethernet: EthernetDevice? {
    switch self {
    case .ethdev(let device): device
    case .packetSocket, .tap, .vhost, .xdp, .ring, .awaited: nil
    }
  }

  /// The interface behind the device is gone for good, also if it has come back in the meantime.
  var isDead: Bool {
    switch self {
    case .ethdev, .vhost, .ring, .awaited: false
    case .packetSocket(let device): device.isDead
    case .xdp(let device): device.packetSockets.isDead
    case .tap(let tap): TapDevice.state(of: tap.descriptors[0]) == .gone
    }
  }

  var guest: GuestDevice? {
    if case .vhost(let device) = self { device } else { nil }
  }

  /// Enters what workers have to know of it.
  func fill(_ entry: inout PortEntry) {
    entry.kind = kind
    switch self {
    case .ethdev(let device):
      entry.device = device.portID
      entry.sendsSegments = device.sendsSegments
      entry.isHardware = device.isHardware
    case .packetSocket(let device):
      entry.sendsSegments = true
      entry.joinsDatagrams = device.joins
    case .tap:
      entry.sendsSegments = true
    case .vhost(let device):
      entry.device = device.index
      entry.sendsSegments = true
    case .xdp(let device):
      entry.xdpQueues = device.queues
      entry.sendsSegments = true
      entry.hasUnfinishedChecksums = device.hasUnfinishedChecksums
    case .ring(let device):
      entry.rings = UnsafePointer(device.pairs)
      entry.sendsSegments = device.nic.sendsSegments
      // An io-core has had them in its cache, and not the worker.
      entry.isHardware = true
    case .awaited: break
    }
  }

  /// Closes the device. No worker refers to it any more.
  func remove(subject: String) throws(VTEPError) {
    switch self {
    case .ethdev(let device): try device.remove(subject: subject)
    case .packetSocket(let device): device.close()
    case .tap(let tap): tap.close()
    case .vhost(let device): device.close()
    case .xdp(let device): device.close()
    case .ring(let device): try device.remove(subject: subject)
    case .awaited(let backEnd): backEnd.close()
    }
  }
}

// FrameDevice: what a port's or the underlay's frames come from and go to, from opening to removal. Workers tell the kinds apart with
// one switch per burst and per batch.

import Encap

/// How a device's frames move.
enum FrameDeviceKind: UInt8 {
  /// There is no device.
  case none
  /// A driver of DPDK.
  case ethdev
  /// Packet sockets on an interface of the kernel.
  case packetSocket
}

/// An open device of any kind.
enum FrameDevice: Sendable {
  case ethdev(EthernetDevice)
  case packetSocket(PacketSocketDevice)

  var kind: FrameDeviceKind {
    switch self {
    case .ethdev: .ethdev
    case .packetSocket: .packetSocket
    }
  }

  /// Receive queues.
  var queueCount: Int {
    switch self {
    case .ethdev(let device): device.queueCount
    case .packetSocket(let device): device.descriptors.count
    }
  }

  /// One per receive queue, readable when frames wait; empty when there are none.
  var descriptors: [Int32] {
    switch self {
    case .ethdev(let device): device.descriptors
    case .packetSocket(let device): device.descriptors
    }
  }

  /// What workers send through, one per transmit queue, for kinds that send through descriptors.
  var transmitDescriptors: [Int32] {
    switch self {
    case .ethdev: []
    case .packetSocket(let device): device.descriptors
    }
  }

  /// Queues are read only after an event of their descriptor; otherwise they are polled in every round.
  var isRead: Bool { kind != .ethdev }

  /// The device's own address; nil: it has none.
  var mac: MACAddress? {
    switch self {
    case .ethdev(let device): device.mac
    case .packetSocket(let device): device.mac
    }
  }

  /// Path of a socket that the device leaves behind.
  var ownedSocket: String? {
    switch self {
    case .ethdev(let device): device.ownedSocket
    case .packetSocket: nil
    }
  }

  var ethernet: EthernetDevice? {
    switch self {
    case .ethdev(let device): device
    case .packetSocket: nil
    }
  }

  /// The interface behind the device is gone for good, also if it has come back in the meantime.
  var isDead: Bool {
    switch self {
    case .ethdev: false
    case .packetSocket(let device): device.isDead
    }
  }

  /// Enters what workers have to know of it.
  func fill(_ entry: inout PortEntry) {
    entry.kind = kind
    switch self {
    case .ethdev(let device):
      entry.device = device.portID
      entry.sendsSegments = device.sendsSegments
      entry.isHardware = device.isHardware
      entry.wakesOnRequest = device.wakesOnRequest
    case .packetSocket(let device):
      entry.sendsSegments = true
      entry.joinsDatagrams = device.joins
    }
  }

  /// Closes the device. No worker refers to it any more.
  func remove(subject: String) throws(VTEPError) {
    switch self {
    case .ethdev(let device): try device.remove(subject: subject)
    case .packetSocket(let device): device.close()
    }
  }
}

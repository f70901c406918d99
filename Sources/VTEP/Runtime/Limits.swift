// Limits: sizes of the index spaces of the workers' arrays.

import CDPDK
import MACTable

enum Limits {
  /// Access ports and underlay devices together: twice as many as a configuration may have. And the one of all routers.
  static let ports = 2 * (DesiredState.maximumPorts + DesiredState.maximumUplinks) + 1
  /// In place of a port, the place of routers' MAC addresses: it is never up, so that frames to it take no short cut (Worker+Router).
  static let routerPort = PortIndex(ports - 1)
  /// Interfaces of all routers, twice as many as a configuration may have.
  static let routerInterfaces = 2 * RouterSettings.maximumInterfaces
  /// Receive queues that are waited for, of all ports.
  static let receiveQueues = 8192
  /// VTEPs and multicast groups together.
  static let vteps = 8192
  /// VNIs: enough, for example, for four ports with a different VNI in each VLAN.
  static let domains = 16384
  /// Counters of entries of access control lists.
  static let aclEntries = 1 << 16
  /// Packets taken from a queue at once.
  static let burst = 32
  /// Most packets to collect for a device before sending them.
  static let transmitBatch = 64
  /// Devices that a worker collects packets for at the same time.
  static let batches = 64
  /// Control frames between NICs and taps that one worker keeps while a NIC has no room.
  static let controlFrames = 64
  /// Packets to take from queues before what was collected is sent.
  static let flushPackets = 256
  /// Frames that one worker holds while next hops resolve, in all and for one VTEP.
  static let heldFrames = 1024
  static let heldFramesPerVTEP = 128
  /// Buffers of these frames, in all and from one port: large segments are in dozens.
  static let heldBuffers = 1024
  static let heldBuffersPerPort = 256
  /// A held frame is dropped after this time.
  static let holdMilliseconds = 3000
  /// Learn events between one worker and the learner.
  static let learnEvents = 8192

  /// Forwarding threads.
  static let workers = 64
}

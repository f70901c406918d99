// PortAlarm: events that may require shutting a port.

import Encap

/// A report from the slow path to the reconciler.
enum PortAlarm: Sendable {
  /// A port that guards against bridges has received a BPDU.
  case bpdu(port: UInt16)
  /// One of our probes has come back.
  case loop(LoopProbe, ReturnPlace)

  enum ReturnPlace: Sendable {
    /// At a port, with the VLAN tag; 0: untagged.
    case port(UInt16, vlan: UInt16)
    /// From a VTEP, in a VNI.
    case overlay(VNI, sender: IPAddress)
  }
}

// PortAlarm: events that may require shutting a port.

import Encap
import MACTable

/// A report from the slow path to the reconciler.
enum PortAlarm: Sendable {
  /// A port that guards against bridges has received a BPDU.
  case bpdu(port: PortIndex)
  /// One of our probes has come back.
  case loop(LoopProbe, ReturnPlace)

  enum ReturnPlace: Sendable {
    /// At a port, with the VLAN tag; 0: untagged.
    case port(PortIndex, vlan: UInt16)
    /// From a VTEP, in a VNI.
    case overlay(VNI, sender: IPAddress)
  }
}

// SwitchState: what this switch has to say in the database.

import Encap
import OVSDBClient
import VTEP

struct SwitchState: Equatable, Sendable {
  struct Port: Equatable, Sendable {
    var description: String
  }

  /// What was counted at a binding; from the port, and to it.
  struct Traffic: Equatable, Sendable {
    var packetsFromLocal: Int64 = 0
    var bytesFromLocal: Int64 = 0
    var packetsToLocal: Int64 = 0
    var bytesToLocal: Int64 = 0
  }

  var name: String
  var description: String
  var managementIPs: Set<String> = []
  /// In `tunnel_ips` and in our locators: where others are to send to. The schema's only encapsulation is vxlan_over_ipv4, which
  /// controllers use for IPv6 addresses, too.
  var tunnelAddress: IPAddress?
  /// By name.
  var ports: [String: Port] = [:]
  /// In logical switches of the controller.
  var stations: Set<LocalStation> = []
  /// Logical switches with a binding here.
  var boundVNIs: Set<VNI> = []
  /// Logical switches without a key that are forwarded a little longer: what is ours in them stays published.
  var heldSwitches: [VNI: RowID] = [:]
  var faults = DatabaseFaults()

  var tunnelIPs: Set<String> { Set([tunnelAddress?.description].compactMap(\.self)) }
}

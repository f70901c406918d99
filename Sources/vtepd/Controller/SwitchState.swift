// SwitchState: this switch's state as published in the database.

import Encap
import OVSDBClient
import VTEP

struct SwitchState: Equatable, Sendable {
  struct Port: Equatable, Sendable {
    var description: String
  }

  /// A binding's counters, from and to the port.
  struct Traffic: Equatable, Sendable {
    var packetsFromLocal: Int64 = 0
    var bytesFromLocal: Int64 = 0
    var packetsToLocal: Int64 = 0
    var bytesToLocal: Int64 = 0
  }

  var name: String
  /// The row of Physical_Switch that was ours last, maybe by another name.
  var formerRow: RowID?
  var description: String
  var managementIPs: Set<String> = []
  /// The address that others send to, in `tunnel_ips` and in our locators. The schema's only encapsulation is vxlan_over_ipv4, which
  /// controllers also use for IPv6 addresses.
  var tunnelAddress: IPAddress?
  /// By name.
  var ports: [String: Port] = [:]
  /// In logical switches of the controller.
  var stations: Set<LocalStation> = []
  /// The MAC addresses of our routers in them; among `stations`, too.
  var routers: Set<LocalStation> = []
  /// From which we ask for neighbours of routers; nil: we have none.
  var arpSource: MACAddress?
  /// Logical switches with a binding or a router here.
  var boundVNIs: Set<VNI> = []
  /// Held logical switches without a key: our rows in them stay published.
  var heldSwitches: [VNI: RowID] = [:]
  var tunnels = Tunnels()
  var faults = DatabaseFaults()

  var tunnelIPs: Set<String> { Set([tunnelAddress?.description].compactMap(\.self)) }
}

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
  var tunnelIPs: [IPAddress] = []
  /// By name.
  var ports: [String: Port] = [:]
  /// In logical switches of the controller.
  var stations: Set<LocalStation> = []
  /// Logical switches with a binding here.
  var boundVNIs: Set<VNI> = []
  var faults = DatabaseFaults()

  /// The address that others are to send to: the schema has only IPv4 tunnels.
  var locatorIP: String? { tunnelIPs.first(where: \.isIPv4)?.description }
}

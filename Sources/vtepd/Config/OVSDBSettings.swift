// OVSDBSettings: what the `ovsdb:` section says: where the database of the controller is, or that we serve it ourselves.

import Encap
import OVSDBClient

/// The connection to a controller's `hardware_vtep` database.
struct OVSDBSettings: Equatable, Sendable {
  /// Where the database is; several are the members of one cluster. Empty: our own server.
  var remotes: [Remote] = []
  /// Needed for `ssl:` and `pssl:`. Our own server uses it for such targets in Manager rows.
  var tls: TLSSettings?
  /// Silence after which the server is asked whether it is there, and again after which the connection is given up; 0: never.
  var inactivityProbeSeconds = 5
  /// How long what a wiped database said before is still honoured.
  var staleHoldSeconds = 300

  /// Of `underlay.addresses`, the one that others are to send to; nil: see `tunnelAddress(among:)`.
  var tunnelAddress: IPAddress?

  /// The address that is published: in `tunnel_ips` there is one, for controllers take any of several.
  func tunnelAddress(among addresses: [IPAddress]) -> IPAddress? {
    tunnelAddress ?? addresses.first(where: \.isIPv4) ?? addresses.first
  }

  /// We run the database server ourselves.
  var isEmbedded: Bool { remotes.isEmpty }
}

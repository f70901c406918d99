// OVSDBSettings: the `ovsdb:` section: where the controller's database is, or that vtepd serves it.

import Encap
import OVSDBClient

/// The connection to a controller's `hardware_vtep` database.
struct OVSDBSettings: Equatable, Sendable {
  /// Where the database is; several are the members of one cluster. Empty: our own server.
  var remotes: [Remote] = []
  /// Needed for `ssl:` and `pssl:`. Our own server uses it for such targets in Manager rows.
  var tls: TLSSettings?
  /// Silence after which vtepd sends an echo request, and silence after that which closes the connection; 0: never.
  var inactivityProbeSeconds = 5
  /// Longest pause between attempts to connect.
  var maxBackoffSeconds = 8
  /// Of packets to the database: 48, network control, like Open vSwitch's.
  var dscp = 48
  /// How long vtepd keeps forwarding on the previous contents of a database that turns out to be empty.
  var staleHoldSeconds = 300

  /// The one of `underlay.addresses` that is published; nil: see `tunnelAddress(among:)`.
  var tunnelAddress: IPAddress?

  /// The published address. `tunnel_ips` has only one: of several, controllers pick an arbitrary one.
  func tunnelAddress(among addresses: [IPAddress]) -> IPAddress? {
    tunnelAddress ?? addresses.first(where: \.isIPv4) ?? addresses.first
  }

  /// We run the database server ourselves.
  var isEmbedded: Bool { remotes.isEmpty }
}

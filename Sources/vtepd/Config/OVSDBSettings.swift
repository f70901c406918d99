// OVSDBSettings: what the `ovsdb:` section says: where the database of the controller is, or that we serve it ourselves.

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

  /// We run the database server ourselves.
  var isEmbedded: Bool { remotes.isEmpty }
}

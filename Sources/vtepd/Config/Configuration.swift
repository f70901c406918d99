// Configuration: what the configuration file says, as values. ConfigurationLoader makes it from YAML,
// Configuration+YAML writes it back; the data plane sees `dataplane` once and `desired` after every change.

import VTEP

/// The daemon's configuration.
struct Configuration: Equatable, Sendable {
  var name: String
  var mode = Mode.hypervisor
  /// Sockets; absolute.
  var runDirectory = "/run/vtepd"
  /// What must survive a restart; absolute.
  var stateDirectory = "/var/lib/vtepd"
  var dataplane = DataplaneSettings()
  var desired: DesiredState
  /// The controller's database; nil: there is no controller.
  var ovsdb: OVSDBSettings?

  init(name: String, desired: DesiredState) {
    self.name = name
    self.desired = desired
  }
}

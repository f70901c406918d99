// Configuration: the content of the configuration file. ConfigurationLoader reads it from YAML, Configuration+YAML writes it back. The data
// plane gets `dataplane` once, and `desired` after every change.

import VTEP

/// The daemon's configuration.
struct Configuration: Equatable, Sendable {
  var name: String
  var mode = Mode.hypervisor
  /// Folder of the sockets; absolute.
  var runDirectory = "/run/vtepd"
  /// Folder of what must survive a restart; absolute.
  var stateDirectory = "/var/lib/vtepd"
  var dataplane = DataplaneSettings()
  var desired: DesiredState
  /// The controller's database; nil: there is no controller.
  var ovsdb: OVSDBSettings?
  var metrics = MetricsSettings()

  init(name: String, desired: DesiredState) {
    self.name = name
    self.desired = desired
  }
}

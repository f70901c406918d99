// Configuration+Mode: the defaults that follow from `mode`. Nothing else depends on the mode. docs/configuration.md lists these defaults.

import VTEP

extension Configuration {
  /// What kind of host this is.
  enum Mode: String, Sendable, CaseIterable {
    /// Ports lead to virtual machines and containers.
    case hypervisor
    /// Ports lead to servers, appliances and other switches.
    case gateway

    /// Defaults for options that neither a port nor its profile sets.
    var portDefaults: PortOptions {
      var options = PortOptions()
      switch self {
      case .hypervisor: break
      case .gateway:
        options.probesLoops.own = true
        // A trunk to a rack of servers sends far fewer; a loop sends a million.
        options.stormBroadcast.own = 10_000
        options.stormUnknownUnicast.own = 10_000
        options.stormUnknownMulticast.own = 10_000
      }
      return options
    }
  }
}

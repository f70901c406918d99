// Configuration+Mode: what kind of host this is, turned into defaults. The one place that asks for the mode: all else sees
// settings. docs/configuration.md lists them key by key.

import VTEP

extension Configuration {
  /// What kind of host this is.
  enum Mode: String, Sendable, CaseIterable {
    /// Ports lead to virtual machines and containers.
    case hypervisor
    /// Ports lead to servers, appliances and other switches.
    case gateway

    /// What holds for ports where neither they nor their profiles say anything.
    var portDefaults: PortOptions {
      var options = PortOptions()
      switch self {
      case .hypervisor: break
      case .gateway:
        options.probesLoops.own = true
        // A trunk to a rack of servers stays far below; a loop reaches a million.
        options.stormBroadcast.own = 10_000
        options.stormUnknownUnicast.own = 10_000
        options.stormUnknownMulticast.own = 10_000
      }
      return options
    }
  }
}

// Port options in layers: a port over its profile over the defaults of the mode.

import Encap
import Testing

@testable import VTEP

@Suite("Port options")
struct PortOptionsTests {
  private func state(profile: PortOptions, defaults: PortOptions) -> DesiredState {
    var port = PortSettings(name: "p", kind: .tap, device: "t")
    port.profile = "q"
    return DesiredState(
      underlay: UnderlaySettings(addresses: [], devices: []), ports: ["p": port], profiles: ["q": profile], portDefaults: defaults)
  }

  @Test("an option is the port's own, or else the profile's, the mode's, or its fallback")
  func layers() throws {
    var profile = PortOptions()
    var defaults = PortOptions()
    var port = try #require(state(profile: profile, defaults: defaults).ports["p"])
    #expect(port.isEnabled && port.macLimit == 0 && port.mtu == nil && port.vni == nil && port.vlans.isEmpty)

    (defaults.macLimit.own, defaults.mtu, defaults.vni) = (1, 1001, VNI(truncating: 1))
    port = try #require(state(profile: profile, defaults: defaults).ports["p"])
    #expect(port.macLimit == 1 && port.mtu == 1001 && port.vni == VNI(truncating: 1))

    (profile.macLimit.own, profile.mtu, profile.vni) = (2, 1002, VNI(truncating: 2))
    port = try #require(state(profile: profile, defaults: defaults).ports["p"])
    #expect(port.macLimit == 2 && port.mtu == 1002 && port.vni == VNI(truncating: 2))

    (port.macLimit, port.mtu, port.vni) = (0, 1003, VNI(truncating: 3))
    #expect(port.macLimit == 0 && port.mtu == 1003 && port.vni == VNI(truncating: 3))
    #expect(port.options.macLimit.own == 0)

    port.options.macLimit.own = nil
    (port.mtu, port.vni) = (nil, nil)
    #expect(port.macLimit == 2 && port.mtu == 1002 && port.vni == VNI(truncating: 2))
  }
}

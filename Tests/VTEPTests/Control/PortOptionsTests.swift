// Port options in layers: a port over its profile over the defaults of the mode.

import Encap
import Testing

@testable import VTEP

@Suite("Port options")
struct PortOptionsTests {
  /// Says everything.
  private var full: PortOptions {
    var options = PortOptions()
    options.vni = VNI(truncating: 7)
    options.vlans = [5: VNI(truncating: 7)]
    options.mtu = 1400
    options.isEnabled = false
    options.offloads = .off
    options.antiSpoofing = true
    options.isAnnounced = true
    options.isIsolated = true
    options.tpid = .service
    options.macLimit = 9
    options.linkProtocols = .punt
    options.hasBPDUGuard = true
    options.probesLoops = true
    options.ingress = .init(bits: 1, packets: 2)
    options.egress = .init(bits: 3, packets: 4)
    options.storm = .init(broadcast: 5, unknownUnicast: 6, unknownMulticast: 7)
    return options
  }

  @Test("every setting comes from below when it is not said above, and not otherwise")
  func layers() {
    // A setting that is new must be set above, or this test would not see it.
    for child in Mirror(reflecting: full).children {
      #expect("\(child.value)" != "nil", "\(child.label ?? "?") is not set")
    }
    #expect(PortOptions().over(full) == full)
    #expect(full.over(PortOptions()) == full)
    var other = full
    other.mtu = 1500
    other.storm.broadcast = 0
    #expect(other.over(full) == other)
    #expect(full.over(other) == full)
  }
}

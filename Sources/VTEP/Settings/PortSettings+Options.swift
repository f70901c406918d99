// PortSettings+Options: the effective value of each setting: the port's own, else its profile's, else the default.

import Encap

extension PortSettings {
  /// Binding of untagged frames.
  public var vni: VNI? {
    get { options.vni ?? inherited.vni }
    set { options.vni = newValue }
  }

  /// Bindings of tagged frames: VLAN identifier (1...4094) to VNI.
  public var vlans: [UInt16: VNI] {
    get { options.vlans ?? inherited.vlans ?? [:] }
    set { options.vlans = newValue }
  }

  /// Changes one binding in place, since there may be thousands of bindings and many changes in a row.
  ///
  /// - Parameters:
  ///   - vlan: 1...4094, or 0 for untagged frames.
  ///   - vni: nil: no binding, except for the profile's untagged one.
  public mutating func bind(vlan: UInt16, to vni: VNI?) {
    if vlan == 0 {
      options.vni = vni
    } else {
      if options.vlans == nil { options.vlans = inherited.vlans ?? [:] }
      options.vlans?[vlan] = vni
    }
  }

  /// Interface MTU in bytes; nil: tap gets the underlay's MTU less the overhead, netdev keeps its own.
  public var mtu: Int? {
    get { options.mtu ?? inherited.mtu }
    set { options.mtu = newValue }
  }

  /// Administrative state: a disabled port is down and carries nothing.
  public var isEnabled: Bool {
    get { options.isEnabled ?? inherited.isEnabled ?? true }
    set { options.isEnabled = newValue }
  }

  /// Checksum and segmentation offloads of the guest.
  public var offloads: PortOffloads {
    get { options.offloads ?? inherited.offloads ?? .auto }
    set { options.offloads = newValue }
  }

  /// The port's static addresses are announced to the other VTEPs when it comes up.
  public var isAnnounced: Bool {
    get { options.isAnnounced ?? inherited.isAnnounced ?? false }
    set { options.isAnnounced = newValue }
  }

  /// The port reaches only the overlay and ports that are not isolated.
  public var isIsolated: Bool {
    get { options.isIsolated ?? inherited.isIsolated ?? false }
    set { options.isIsolated = newValue }
  }

  /// TPID of the tags that are added to frames to the port.
  public var tpid: PortTPID {
    get { options.tpid ?? inherited.tpid ?? .any }
    set { options.tpid = newValue }
  }

  /// What to do with link-local control frames.
  public var linkProtocols: LinkProtocols {
    get { options.linkProtocols ?? inherited.linkProtocols ?? .drop }
    set { options.linkProtocols = newValue }
  }

  /// A BPDU shuts the port.
  public var hasBPDUGuard: Bool {
    get { options.hasBPDUGuard ?? inherited.hasBPDUGuard ?? false }
    set { options.hasBPDUGuard = newValue }
  }

  /// The port sends loop probes, and may be shut when one returns.
  public var probesLoops: Bool {
    get { options.probesLoops ?? inherited.probesLoops ?? false }
    set { options.probesLoops = newValue }
  }

  public var policy: PortPolicy { PortPolicy(options.over(inherited)) }
}

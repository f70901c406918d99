// PortSettings+Bindings: bindings and addresses of a port by VLAN, and the identity of its device.

import Encap

extension PortSettings {
  /// Two settings with the same identity can use one device.
  struct DeviceIdentity: Hashable {
    var attachment: PortAttachment
    var offersOffloads: Bool
    var bufferByteCount: Int
  }

  /// The offer to some guests is fixed when their device opens, and so are the buffers of some.
  var deviceIdentity: DeviceIdentity {
    DeviceIdentity(
      attachment: attachment, offersOffloads: kind.driver.fixesOffloads && self.offloads == .auto,
      bufferByteCount: kind.driver.bufferByteCount(self))
  }

  /// The port should have a device. Some kinds close the device of a disabled port, so that the guest's link goes down.
  var wantsDevice: Bool { self.isEnabled || !kind.driver.closesWhenDisabled }

  /// The VNI that untagged frames are bound to. (The method of the same name hides the option.)
  public var vni: VNI? {
    get { self[dynamicMember: \.vni] }
    set { options.vni = newValue }
  }

  /// The VNI that a VLAN is bound to; 0 = untagged.
  public func vni(vlan: UInt16) -> VNI? {
    vlan == 0 ? vni : self.vlans[vlan]
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
      if options.vlans.own == nil { options.vlans.own = self.vlans }
      options.vlans.own?[vlan] = vni
    }
  }

  /// Static addresses of a binding; VLAN 0 = untagged.
  public func macs(vlan: UInt16) -> [MACAddress] {
    vlan == 0 ? macs : vlanMACs[vlan] ?? []
  }

  /// Static addresses by VLAN; 0 = untagged.
  var macsByVLAN: [(vlan: UInt16, macs: [MACAddress])] {
    [(0, macs)] + vlanMACs.map { (vlan: $0.key, macs: $0.value) }
  }

  /// All (VLAN, VNI) pairs; VLAN 0 = untagged.
  var bindings: [(vlan: UInt16, vni: VNI)] {
    let untagged = vni.map { (vlan: UInt16(0), vni: $0) }
    return [untagged].compactMap(\.self) + self.vlans.sorted { $0.key < $1.key }.map { (vlan: $0.key, vni: $0.value) }
  }
}

extension PortSettings {
  /// Name of the port's punt tap; nil: it does not punt.
  ///
  /// `punt-` and the port's name; if that is longer than ten bytes, its first five, a dash and a hash of four digits.
  public var puntTapName: String? {
    guard self.linkProtocols == .punt else { return nil }
    guard name.utf8.count > 10 else { return "punt-\(name)" }
    let digits = String(PortHost.hash(name) & 0xffff, radix: 16)
    return "punt-\(name.prefix(5))-\(String(repeating: "0", count: 4 - digits.count))\(digits)"
  }
}

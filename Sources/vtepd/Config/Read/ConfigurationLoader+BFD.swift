// ConfigurationLoader+BFD: `underlay.bfd`, BFD without a controller: `true`, or a mapping.

import Encap
import VTEP

extension ConfigurationLoader {
  /// - Returns: nil: BFD is off.
  func readBFD(_ section: inout ConfigurationSection) -> UnderlayBFD? {
    let reader = section.reader
    guard let entry = section.entry("bfd") else { return nil }
    if entry.value.mapping == nil { return reader.boolean(entry.value, "bfd") == true ? UnderlayBFD() : nil }
    guard var keys = ConfigurationSection(entry.value, title: "underlay: bfd", reader: reader) else { return nil }
    var bfd = UnderlayBFD()
    if let node = keys.node("vteps"), node.text != "all" {
      bfd.vteps = []
      for element in reader.list(node, "vteps") ?? [] {
        guard let address = reader.address(element, "a VTEP address") else { continue }
        reader.remember(element.position, .underlay, ["bfd", "\(address)"])
        if !(bfd.vteps?.insert(address).inserted ?? true) { reader.report(element.position, "vteps: \(address) is given twice") }
      }
    }
    let range = Int(BFDSettings.intervalRange.lowerBound)...Int(BFDSettings.intervalRange.upperBound)
    bfd.settings.minTx = keys.integer("min-tx-ms", in: range).map { UInt32($0) } ?? bfd.settings.minTx
    bfd.settings.minRx = keys.integer("min-rx-ms", in: range).map { UInt32($0) } ?? bfd.settings.minRx
    let multipliers = Int(BFDSettings.multiplierRange.lowerBound)...Int(BFDSettings.multiplierRange.upperBound)
    bfd.settings.multiplier = keys.integer("multiplier", in: multipliers).map { UInt8($0) } ?? bfd.settings.multiplier
    bfd.settings.form = keys.choice("form", as: BFDForm.self) ?? bfd.settings.form
    bfd.settings.vni = keys.integer("vni", in: 0...0xff_ffff).map { VNI(truncating: UInt32($0)) }
    bfd.settings.checksTunnelKey = keys.boolean("check-tunnel-key") ?? false
    bfd.settings.forwardingIfRx = keys.boolean("forwarding-if-rx") ?? false
    bfd.settings.decayMinRx = keys.integer("decay-min-rx-ms", in: 0...range.upperBound).map { UInt32($0) } ?? 0
    if bfd.settings.decayMinRx != 0, bfd.settings.decayMinRx < bfd.settings.minRx {
      reader.report(entry.position, "underlay: bfd: decay-min-rx-ms must be 0 or at least min-rx-ms, which is \(bfd.settings.minRx)")
    }
    keys.finish()
    return bfd
  }
}

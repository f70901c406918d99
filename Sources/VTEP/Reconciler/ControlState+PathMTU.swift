// ControlState+PathMTU: what routers on the way say about the MTU (RFC 1191, RFC 8201): it holds for the one VTEP and for a time, then the
// interface and the route decide again.

import Encap

/// A path MTU that ICMP has reported for a VTEP.
struct PathMTU: Equatable {
  /// In bytes, of the outer IP packet.
  var mtu: Int
  /// Who reported it.
  var reporter: IPAddress
  /// When it is forgotten, on the monotonic clock.
  var endSeconds: UInt32
}

extension UnderlayState {
  /// The MTU of the IP packets to a VTEP over one of our devices, in bytes.
  func mtu(of device: UnderlayDevice, to record: VTEPRecord) -> Int {
    let device = device.link?.mtu ?? 0
    return min(device, record.route?.mtu ?? device, pathMTUs[record.address]?.mtu ?? device)
  }
}

extension ControlState {
  /// A router says that a packet was too big. Whoever can forge its source address can send such errors, too: only one that quotes a
  /// packet that we may have sent, to a VTEP that we know, lowers that VTEP's MTU. None raises it.
  mutating func heed(_ report: PathMTUReport) {
    guard report.quotesVXLAN(from: running.underlay.addresses, udpPort: running.underlay.udpPort),
      let record = underlay.vteps[report.destination], !record.isGroup
    else { return }
    let known = underlay.pathMTUs[record.address]
    let largest = underlay.usableHops(record).map { underlay.mtu(of: $0.device, to: record) }.max() ?? 0
    guard report.mtu < largest || report.mtu == known?.mtu else { return }
    let seconds = effects.pathMTUSeconds(isIPv4: record.address.isIPv4)
    underlay.pathMTUs[record.address] = PathMTU(
      mtu: report.mtu, reporter: report.reporter, endSeconds: effects.nowSeconds &+ seconds)
    guard report.mtu != known?.mtu else { return }
    stale.adjacencies = true
    effects.log.notice("VTEP \(record.address): path MTU \(report.mtu), reported by \(report.reporter); for \(seconds) s")
  }

  /// Forgets path MTUs whose time is over.
  mutating func expirePathMTUs() {
    let now = effects.nowSeconds
    let ended = underlay.pathMTUs.filter { Int32(bitPattern: $0.value.endSeconds &- now) <= 0 }
    guard !ended.isEmpty else { return }
    for address in ended.keys { underlay.pathMTUs[address] = nil }
    stale.adjacencies = true
  }
}

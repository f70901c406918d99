// LiveEffects+Kernel: routes, neighbours, groups and interfaces of ports, as the reconciler asks the kernel for them.

import Encap
import MulticastLearn
import Netlink

extension LiveEffects {
  func owned(_ addresses: [IPAddress]) throws(NetlinkError) -> Set<IPAddress> { try netlink.owned(addresses) }

  func route(to address: IPAddress, from source: IPAddress?, udpPort: UInt16) throws(NetlinkError) -> Route? {
    try netlink.route(to: address, from: source, udpPort: udpPort)
  }

  func pathMTUSeconds(isIPv4: Bool) -> UInt32 { PathMTUSockets.expirySeconds(isIPv4: isIPv4) }

  func neighbors() throws(NetlinkError) -> [Neighbor] { try netlink.neighbors() }

  func request(_ neighbor: NeighborKey) throws(NetlinkError) {
    try netlink.requestNeighbor(neighbor.address, interfaceIndex: neighbor.interfaceIndex, managed: true)
  }

  func release(_ neighbor: NeighborKey) {
    try? netlink.releaseNeighbor(neighbor.address, interfaceIndex: neighbor.interfaceIndex)
  }

  func policies(isFirst: Bool) throws(NetlinkError) -> [IPsecPolicy]? {
    guard let ipsec, ipsec.haveChanged() || isFirst else { return nil }
    return try ipsec.all()
  }

  func join(_ group: IPAddress, vni: VNI) throws {
    groupVersion += 1
    try memberships.add(vni: vni, group: group)
  }

  func leave(_ group: IPAddress, vni: VNI) {
    groupVersion += 1
    memberships.remove(vni: vni, group: group)
  }

  func setMembershipInterfaces(_ indexes: [Int32]) {
    memberships.setInterfaces(indexes)
    verifyMemberships()
  }

  /// Rejoins groups that the kernel has dropped.
  func verifyMemberships() {
    let missing = memberships.verify()
    if !missing.isEmpty { log.notice("rejoined \(missing.count) multicast groups that the kernel had dropped") }
  }

  /// Restores a port's interface.
  func release(_ hostSide: HostSide, subject: String) {
    hostSide.claim?.release()
    do {
      try hostSide.guardian?.remove(netlink)
    } catch {
      log.warning("\(subject): cannot restore the host's IP stack on the interface: \(error)")
    }
  }

  /// The socket that keeps the kernel from answering packets to `udpPort`.
  func reserve(udpPort: UInt16) throws(VTEPError) -> UDPPortReservation {
    try VTEPError.wrap("underlay.udp-port") { () throws(NetlinkError) in try UDPPortReservation(port: udpPort) }
  }

  /// Has underlay devices receive packets to another UDP port.
  ///
  /// - Parameter old: the present one, to which all return when one cannot change.
  func filter(_ devices: [UnderlayDevice], udpPort: UInt16, insteadOf old: UInt16) throws(VTEPError) {
    for device in devices {
      do throws(VTEPError) {
        try attachFilter(device, udpPort: udpPort)
      } catch {
        for device in devices { try? attachFilter(device, udpPort: old) }
        throw error
      }
    }
  }

  private func attachFilter(_ device: UnderlayDevice, udpPort: UInt16) throws(VTEPError) {
    let filter = UnderlayFilter(udpPort: udpPort)
    try VTEPError.wrap(device.uplink.subject) { () throws(NetlinkError) in
      for descriptor in device.device?.packetSockets?.descriptors ?? [] { try filter.attach(toSocket: descriptor) }
    }
  }
}

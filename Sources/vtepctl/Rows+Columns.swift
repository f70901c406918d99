// Rows+Columns: the tables of `vtepctl show`. JSON has more keys than a line has room.

import VTEPControl

extension MACTableRow {
  static var columns: [Column<MACTableRow>] {
    [
      Column(number: "VNI") { "\($0.vni)" },
      Column("MAC") { $0.mac },
      Column("TYPE") { $0.type.rawValue },
      Column("LOCATION") { row in
        switch row.location {
        case .port: "port " + row.port.orDash + (row.vlan.map { " vlan \($0)" } ?? "")
        case .vtep: "vtep " + row.vtep.orDash
        }
      },
      Column(number: "AGE") { $0.ageSeconds.orDash },
      Column(number: "MOVES") { "\($0.moves)" },
    ]
  }
}

extension MACMoveRow {
  static var columns: [Column<MACMoveRow>] {
    [
      Column(number: "VNI") { "\($0.vni)" },
      Column("MAC") { $0.mac },
      Column("STATE") { $0.state.rawValue },
      Column("FIRST") { $0.first },
      Column("SECOND") { $0.second },
      Column(number: "MOVES") { "\($0.moves)" },
      Column(number: "FROZEN S") { $0.frozenSeconds.orDash },
      Column(number: "RELEASE S") { $0.releaseSeconds.orDash },
    ]
  }
}

extension VNIRow {
  static var columns: [Column<VNIRow>] {
    [
      Column(number: "VNI") { "\($0.vni)" },
      Column("SOURCE") { $0.source.rawValue },
      Column("FLOOD") { $0.flood },
      Column("TO") { $0.group ?? $0.peers.listed },
      Column("PORTS") { row in row.preparedSeconds.map { "\(row.ports.listed) (prepared, \($0) s)" } ?? row.ports.listed },
      Column(number: "MACS") { "\($0.macs)" },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" },
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" },
      Column(number: "FLOODED") { "\($0.flooded)" },
      Column("STORM CONTROL") { $0.storm.text },
    ]
  }
}

extension VNIStorm {
  /// `broadcast 1000 packets/s (12 dropped)`: what is limited, and what each limit has dropped.
  fileprivate var text: String {
    let limits = [("broadcast", broadcast), ("unknown-unicast", unknownUnicast), ("unknown-multicast", unknownMulticast)]
    return limits.filter { $0.1 > 0 }.map { name, packets in
      "\(name) \(packets) packets/s" + (drops["vni-storm-\(name)"].map { " (\($0) dropped)" } ?? "")
    }.listed
  }
}

extension VTEPRow {
  static var columns: [Column<VTEPRow>] {
    [
      Column("ADDRESS") { $0.address },
      Column("STATE") { $0.state.rawValue },
      Column("VNIS") { $0.vnis.listed },
      Column(number: "MACS") { "\($0.macs)" },
      Column("NEXT HOPS") { $0.nextHops.map(\.text).listed },
      Column(number: "MTU") { $0.mtu.orDash },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" },
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" },
      Column("REASON") { $0.reason ?? "" },
    ]
  }
}

extension NextHopRow {
  /// `192.0.2.254%eth0 (stale)`.
  fileprivate var text: String {
    "\(address)%\(device)" + (state.map { " (\($0))" } ?? "")
  }
}

extension PortRow {
  static var columns: [Column<PortRow>] {
    [
      Column("NAME") { $0.name },
      Column("KIND") { $0.kind },
      Column("DEVICE") { $0.device },
      Column("STATE") { row in
        let seconds = row.shutSeconds.map { " (shut, \($0) s)" } ?? ""
        return row.state.rawValue + (row.enabled ? seconds : " (disabled)")
      },
      Column("MAC") { $0.mac.orDash },
      Column(number: "MTU") { $0.mtu.orDash },
      Column(number: "VNI") { $0.vni.orDash },
      Column("VLANS") { row in row.vlans.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.listed },
      Column("TPID") { $0.tpid },
      Column("ISOLATED") { $0.isolated ? "yes" : "no" },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" },
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" },
      Column(number: "DROPS") { "\($0.drops)" },
      Column(number: "QUEUES") { "\($0.queues)" },
      Column(number: "GUEST MTU") { $0.guestMTU.orDash },
      Column("OFFLOADS") { $0.offloads },
      Column("FEATURES") { $0.features.listed },
      Column("LIMITS") { $0.limits.text },
      Column("L2 PROTOCOLS") { $0.puntTap.map { "punt to \($0)" } ?? $0.linkProtocols },
      Column("GUARDS") { [$0.bpduGuard ? "bpdu-guard" : nil, $0.loopProbe ? "loop-probe" : nil].compactMap(\.self).listed },
      Column("NOTES") { $0.notes.isEmpty ? "" : $0.notes.joined(separator: "; ") },
    ]
  }
}

extension BindingRow {
  static var columns: [Column<BindingRow>] {
    [
      Column("PORT") { $0.port },
      Column(number: "VLAN") { $0.vlan.orDash },
      Column(number: "VNI") { "\($0.vni)" },
      Column("SOURCE") { $0.source.rawValue },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" },
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" },
    ]
  }
}

extension PortLimits {
  /// `anti-spoofing, macs 3/10, in 100000000 bit/s (12 dropped)`: what is limited, and what each limit has dropped.
  fileprivate var text: String {
    func limit(_ text: String, _ reason: String) -> String {
      text + (drops[reason].map { " (\($0) dropped)" } ?? "")
    }
    func rate(_ name: String, _ bits: UInt64, _ packets: UInt64, _ reason: String) -> String {
      let units = [bits > 0 ? "\(bits) bit/s" : nil, packets > 0 ? "\(packets) packets/s" : nil].compactMap(\.self)
      return limit("\(name) " + units.joined(separator: " "), reason)
    }
    var parts: [String] = []
    if antiSpoofing { parts.append(limit("anti-spoofing", "source-spoofed")) }
    if macLimit > 0 { parts.append(limit("macs \(macs)/\(macLimit)", "port-mac-limit")) }
    if ingressBits + ingressPackets > 0 { parts.append(rate("ingress", ingressBits, ingressPackets, "ingress-rate-limit")) }
    if egressBits + egressPackets > 0 { parts.append(rate("egress", egressBits, egressPackets, "egress-rate-limit")) }
    for (name, packets) in [
      ("broadcast", stormBroadcast), ("unknown-unicast", stormUnknownUnicast), ("unknown-multicast", stormUnknownMulticast),
    ] where packets > 0 {
      parts.append(rate(name, 0, packets, "storm-\(name)"))
    }
    return parts.listed
  }
}

extension DropRow {
  static var columns: [Column<DropRow>] {
    [
      Column("REASON") { $0.reason },
      Column("WHERE") { $0.place },
      Column(number: "COUNT") { "\($0.count)" },
      Column("DESCRIPTION") { $0.description },
    ]
  }
}

extension MulticastRow {
  static var columns: [Column<MulticastRow>] {
    [
      Column("GROUP") { $0.group },
      Column("INTERFACE") { $0.interface },
      Column("JOINED") { $0.joined ? "yes" : "no" },
      Column("VNIS") { $0.vnis.listed },
      Column("ERROR") { $0.error ?? "" },
    ]
  }
}

extension UnderlayRow {
  static var columns: [Column<UnderlayRow>] {
    [
      Column("ADDRESS") { $0.address },
      Column("PRESENT") { $0.present ? "yes" : "no" },
      Column("DEVICE") { $0.device },
      Column("DRIVER") { $0.driver },
      Column(number: "MTU") { $0.mtu.orDash },
      Column("STATE") { $0.up ? "up" : "down" },
      Column(number: "MISSED") { "\($0.missed)" },
      Column("IGNORED") { row in row.ignored.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.listed },
    ]
  }
}

extension DestinationRow {
  static var columns: [Column<DestinationRow>] {
    [
      Column("  DESTINATION") { "  " + $0.address },
      Column("STATE") { $0.state.rawValue },
      Column("NEXT HOPS") { row in row.nextHops.map { $0.text + ($0.mac.map { " \($0)" } ?? "") }.listed },
    ]
  }
}

extension WorkerRow {
  static var columns: [Column<WorkerRow>] {
    [
      Column(number: "WORKER") { "\($0.worker)" },
      Column(number: "CORE") { $0.core.orDash },
      Column(number: "PACKETS") { "\($0.packets)" },
      Column(number: "CYCLES/PACKET") { ($0.cyclesPerPacket.map { Int($0.rounded()) }).orDash },
      Column(number: "BUSY %") { ($0.busyPercent.map { Int($0.rounded()) }).orDash },
      Column(number: "NOT LEARNED") { "\($0.learnEventsLost)" },
      Column("QUEUES") { $0.queues.listed },
    ]
  }
}

extension OVSDBRemoteRow {
  static var columns: [Column<OVSDBRemoteRow>] {
    [
      Column("REMOTE") { $0.remote },
      Column("STATE") { $0.state },
      Column(number: "SINCE") { "\($0.sinceSeconds)" },
      Column(number: "SWITCHES") { $0.logicalSwitches.orDash },
      Column(number: "REMOTE MACS") { $0.ucastRemote.orDash },
      Column(number: "LOCAL MACS") { $0.ucastLocal.orDash },
      Column("TUNNEL ADDRESS") { $0.tunnelAddress.orDash },
      Column(number: "HOLD") { $0.holdSeconds.orDash },
      Column("LAST ERROR") { $0.lastError ?? "" },
    ]
  }
}

extension HeldNetworkRow {
  static var columns: [Column<HeldNetworkRow>] {
    [
      Column("LOGICAL SWITCH") { $0.logicalSwitch },
      Column(number: "VNI") { "\($0.vni)" },
      Column("REASON") { $0.reason },
      Column(number: "HOLD") { "\($0.secondsLeft)" },
    ]
  }
}

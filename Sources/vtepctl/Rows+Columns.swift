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
        case .port where row.port == "(router)": "router"
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
      Column(list: "TO") { row in row.group.map { [$0] } ?? row.peers },
      Column(list: "PORTS") { row in row.preparedSeconds.map { ["\(row.ports.listed) (prepared, \($0) s)"] } ?? row.ports },
      Column(number: "MACS") { "\($0.macs)" },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" }.extra,
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" }.extra,
      Column(number: "FLOODED") { "\($0.flooded)" },
      Column(number: "ANSWERED") { $0.neighborSuppression == "off" ? "-" : "\($0.neighborAnswers)" },
      Column("STORM CONTROL") { $0.storm.text }.extra,
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
      Column(list: "VNIS") { $0.vnis.map { "\($0)" } },
      Column(number: "MACS") { "\($0.macs)" },
      // What takes no packets stands first: a list is cut.
      Column(list: "NEXT HOPS") { row in
        (row.nextHops.filter { $0.mac == nil } + row.nextHops.filter { $0.mac != nil }).map(\.text)
      },
      Column(number: "MTU") { $0.mtu.orDash + ($0.pathMTU.map { " (\($0.text))" } ?? "") },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" }.extra,
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" }.extra,
      Column("BFD") { row in row.bfd ?? (row.bfdIgnored > 0 ? "off, \(row.bfdIgnored) frames came" : "-") },
      Column("REASON") { $0.reason ?? "" },
    ]
  }
}

extension PathMTURow {
  /// `icmp, 587 s` or `route`.
  fileprivate var text: String { origin.rawValue + (expiresSeconds.map { ", \($0) s" } ?? "") }
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
        return row.state.rawValue + (row.isOn("enabled") ? seconds : " (disabled)")
      },
      Column("MAC") { $0.mac.orDash },
      Column(number: "MTU") { $0.mtu.orDash },
    ] + settingColumns + [
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" }.extra,
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" }.extra,
      Column(number: "DROPS") { "\($0.drops)" },
      Column(number: "QUEUES") { "\($0.queues)" }.extra,
      Column(number: "GUEST MTU") { $0.guestMTU.orDash }.extra,
      Column("FEATURES") { $0.features.listed }.extra,
      Column("LIMITS") { $0.limits.text }.extra,
      Column("L2 PROTOCOLS") { row in row.puntTap.map { "punt to \($0)" } ?? row.settings["l2-protocols"].cell }.extra,
      Column("GUARDS") { row in ["bpdu-guard", "loop-probe"].filter(row.isOn).listed }.extra,
      Column("NOTES") { $0.notes.isEmpty ? "" : $0.notes.joined(separator: "; ") },
    ]
  }
}

extension PortRow {
  /// The keys that have a column of their own.
  private static var settingColumns: [Column<PortRow>] {
    PortKey.all.compactMap { key in
      guard case .column(let title) = key.display else { return nil }
      switch key.form {
      case .number: return Column(number: title) { $0.settings[key.name].cell }
      case .vlans: return Column(list: title) { $0.settings[key.name].cells }
      default: return Column(title) { $0.settings[key.name].cell }.extra
      }
    }
  }

  private func isOn(_ key: String) -> Bool { settings[key] == .flag(true) }
}

extension SettingValue? {
  /// For tables.
  fileprivate var cell: String {
    switch self {
    case nil, .null: "-"
    case .flag(let flag): flag ? "yes" : "no"
    case .number(let number): "\(number)"
    case .text(let text): text
    case .list, .map: cells.listed
    }
  }

  /// The elements of a list or map; of anything else, itself.
  fileprivate var cells: [String] {
    switch self {
    case nil, .null: []
    case .list(let list): list.map { Optional($0).cell }
    case .map(let map): map.sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }.map { "\($0.key):\(Optional($0.value).cell)" }
    default: [cell]
    }
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
    func number(_ key: String) -> Int64 { if case .number(let number)? = settings[key] { number } else { 0 } }
    func rate(_ name: String, bits: Int64 = 0, packets: Int64, _ reason: String) -> String? {
      let units = [bits > 0 ? "\(bits) bit/s" : nil, packets > 0 ? "\(packets) packets/s" : nil].compactMap(\.self)
      return units.isEmpty ? nil : limit("\(name) " + units.joined(separator: " "), reason)
    }
    var parts: [String?] = []
    if settings["anti-spoofing"] == .flag(true) { parts.append(limit("anti-spoofing", "source-spoofed")) }
    let macLimit = number("mac-limit")
    if macLimit > 0 { parts.append(limit("macs \(macs)/\(macLimit)", "port-mac-limit")) }
    for direction in ["ingress", "egress"] {
      let (bits, packets) = (number("rate-limit.\(direction).bits"), number("rate-limit.\(direction).packets"))
      parts.append(rate(direction, bits: bits, packets: packets, "\(direction)-rate-limit"))
    }
    for name in ["broadcast", "unknown-unicast", "unknown-multicast"] {
      parts.append(rate(name, packets: number("storm-control.\(name)"), "storm-\(name)"))
    }
    return parts.compactMap(\.self).listed
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
      Column(list: "VNIS") { $0.vnis.map { "\($0)" } },
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
      Column("DRIVER") { row in row.dpdk.map { "\(row.driver) (\($0.prefix { $0 != "," }))" } ?? row.driver },
      Column(number: "MTU") { $0.mtu.orDash },
      Column("STATE") { $0.up ? "up" : "down" },
      Column(number: "MISSED") { "\($0.missed)" },
      Column("IGNORED") { row in row.ignored.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.listed },
      Column("FEATURES") { $0.features.listed }.extra,
      Column("NOTES") { $0.notes.joined(separator: "; ") },
    ]
  }
}

extension HostClassRow {
  static var columns: [Column<HostClassRow>] {
    [
      Column("  CLASS") { "  " + $0.name },
      Column(number: "LIMIT/S") { "\($0.limit)" },
      Column(number: "TO HOST") { "\($0.toHost)" },
      Column(number: "FROM HOST") { "\($0.fromHost)" },
      Column(number: "DROPPED") { "\($0.dropped)" },
    ]
  }
}

/// What a NIC does for vtepd, or why not.
struct OffloadRow {
  var name: String
  var state: String

  static var columns: [Column<OffloadRow>] { [Column("  OFFLOAD") { "  " + $0.name }, Column("STATE") { $0.state }] }
}

extension DestinationRow {
  static var columns: [Column<DestinationRow>] {
    [
      Column("  DESTINATION") { "  " + $0.address },
      Column("STATE") { $0.state.rawValue },
      Column(list: "NEXT HOPS") { row in row.nextHops.map { $0.text + ($0.mac.map { " \($0)" } ?? "") } },
    ]
  }
}

extension WorkerRow {
  static var columns: [Column<WorkerRow>] {
    [
      Column(number: "WORKER") { $0.role == "worker" ? "\($0.worker)" : "\($0.role) \($0.worker)" },
      Column(number: "CORE") { $0.core.orDash },
      Column(number: "PACKETS") { "\($0.packets)" },
      Column(number: "CYCLES/PACKET") { ($0.cyclesPerPacket.map { Int($0.rounded()) }).orDash },
      Column(number: "BUSY %") { ($0.busyPercent.map { Int($0.rounded()) }).orDash },
      Column(number: "NOT LEARNED") { "\($0.learnEventsLost)" },
      Column(list: "QUEUES") { $0.queues },
    ]
  }
}

/// A line of the first table of `show placement`.
struct PlacedThread {
  /// The number of a worker, or `io` and that of an io-core.
  var name: String
  var thread: PlacedWorker

  static var columns: [Column<PlacedThread>] {
    [
      Column(number: "WORKER") { $0.name },
      Column("CPUS") { $0.thread.cpus },
      Column(number: "SOCKET") { $0.thread.socket.orDash },
      Column("REASON") { $0.thread.reason },
    ]
  }
}

/// A line of the second table of `show placement`.
struct QueueOfWorker {
  var worker: String
  var queue: PlacedQueue

  static var columns: [Column<QueueOfWorker>] {
    [
      Column(number: "WORKER") { $0.worker },
      Column("QUEUE") { "\($0.queue.device)/\($0.queue.queue)" },
      Column("KIND") { $0.queue.kind },
      Column(number: "SOCKET") { $0.queue.socket.orDash },
      Column("REASON") { $0.queue.reason + ($0.queue.crossesSockets ? " (crosses sockets)" : "") },
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

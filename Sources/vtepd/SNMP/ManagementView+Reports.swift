// ManagementView+Reports: vtepd's ports and addresses as objects.

import Encap
import VTEP

extension ManagementView {
  /// A row of ifTable and ifXTable.
  struct Interface: Sendable {
    /// dot1dBasePort.
    var bridgePort: Int32
    var name: String
    var description: String
    /// IANAifType: 6 ethernetCsmacd, 131 tunnel.
    var type: Int32
    var mtu: Int32
    var mac: [UInt8]
    /// 1 up, 2 down.
    var adminStatus: Int32
    /// 1 up, 2 down, 6 notPresent.
    var operStatus: Int32
    var traffic: TrafficReport
    var inDiscards: UInt64
    var outDiscards: UInt64

    /// Far above the kernel's, which snmpd has in the same table.
    var index: UInt32 { Self.index(bridgePort) }
    static func index(_ bridgePort: Int32) -> UInt32 { 1_000_000 + UInt32(bridgePort) }
  }

  /// What stands for all tunnels.
  static let overlayBridgePort: Int32 = 65_535
  /// ifEntry with its columns, and ifXEntry.
  static let interfaceEntry = ObjectIdentifier.mib2 + [2, 2, 1]
  static let interfaceColumns: ClosedRange<UInt32> = 1...22
  static let extendedEntry = ObjectIdentifier.mib2 + [31, 1, 1, 1]
  static let extendedColumns: ClosedRange<UInt32> = 1...19
  /// dot1dBase, and dot1qTp.
  static let bridgeBase = ObjectIdentifier.mib2 + [17, 1]
  static let bridgeForwarding = ObjectIdentifier.mib2 + [17, 7, 1, 2]

  /// Where frames are dropped on their way out of a port.
  private static let outReasons: Set<DropReason> = [.egressRateLimit, .transmitFull, .guestRingFull, .portDown]

  /// The state at this moment. Walks the whole MAC table.
  init(_ current: RunningState) {
    let vnis = current.vniReports(0..<Int.max).reports
    let interfaces = Self.interfaces(current, vnis)
    let bridgePorts = Dictionary(uniqueKeysWithValues: interfaces.map { ($0.name, $0.bridgePort) })
    var objects = interfaces.flatMap(Self.objects)
    objects += Self.bridgeObjects(interfaces)
    // dot1qFdbDynamicCount.
    objects += vnis.map {
      AgentXVariable(name: Self.bridgeForwarding + [1, 1, 2, $0.settings.vni.rawValue], value: .gauge32(UInt32(clamping: $0.macs)))
    }
    self.init(objects: objects, stations: Self.stations(current, bridgePorts))
  }

  /// Ports by their numbers, and the overlay.
  private static func interfaces(_ current: RunningState, _ vnis: [VNIReport]) -> [Interface] {
    var drops: [String: (into: UInt64, out: UInt64)] = [:]
    for drop in current.dropReports(all: false) {
      if outReasons.contains(drop.reason) {
        drops[drop.place, default: (0, 0)].out &+= drop.count
      } else {
        drops[drop.place, default: (0, 0)].into &+= drop.count
      }
    }
    let ports = current.portReports().map { report in
      let name = report.settings.name
      return Interface(
        bridgePort: bridgePort(report), name: name, description: "vtepd \(report.settings.kind.rawValue) port \(name)", type: 6,
        mtu: Int32(clamping: report.mtu ?? 0), mac: report.mac?.octets ?? [], adminStatus: report.shutReason == nil ? 1 : 2,
        operStatus: report.status.state == .up ? 1 : report.status.state == .down ? 2 : 6, traffic: report.traffic,
        inDiscards: drops[name]?.into ?? 0, outDiscards: drops[name]?.out ?? 0)
    }
    let underlay = current.underlayReport().devices
    var traffic = TrafficReport()
    for report in vnis { traffic = traffic + report.traffic }
    let overlay = Interface(
      bridgePort: overlayBridgePort, name: "overlay", description: "vtepd VXLAN overlay", type: 131,
      mtu: Int32(clamping: underlay.compactMap(\.mtu).min() ?? 0), mac: [], adminStatus: 1,
      operStatus: underlay.contains(where: \.isUp) ? 1 : 2, traffic: traffic,
      inDiscards: underlay.reduce(0) { $0 &+ (drops[$1.name]?.into ?? 0) },
      outDiscards: underlay.reduce(0) { $0 &+ (drops[$1.name]?.out ?? 0) })
    return ports + [overlay]
  }

  private static func bridgePort(_ report: PortReport) -> Int32 { Int32(report.number) + 1 }

  /// ifIndex of all rows, for their registration.
  static func interfaceIndexes(_ current: RunningState) -> [UInt32] {
    (current.portReports().map(bridgePort) + [overlayBridgePort]).map(Interface.index)
  }

  /// Rows of ifTable and ifXTable (RFC 2863, section 6). Frames to groups are not counted apart: ifInUcastPkts has all.
  static func objects(_ row: Interface) -> [AgentXVariable] {
    func low(_ value: UInt64) -> AgentXValue { .counter32(UInt32(truncatingIfNeeded: value)) }
    let table: [(UInt32, AgentXValue)] = [
      (1, .integer(Int32(row.index))), (2, .octets(Array(row.description.utf8))), (3, .integer(row.type)), (4, .integer(row.mtu)),
      (5, .gauge32(0)), (6, .octets(row.mac)), (7, .integer(row.adminStatus)), (8, .integer(row.operStatus)), (9, .timeTicks(0)),
      (10, low(row.traffic.rxBytes)), (11, low(row.traffic.rxPackets)), (13, low(row.inDiscards)), (14, low(0)), (15, low(0)),
      (16, low(row.traffic.txBytes)), (17, low(row.traffic.txPackets)), (19, low(row.outDiscards)), (20, low(0)),
    ]
    let extended: [(UInt32, AgentXValue)] = [
      (1, .octets(Array(row.name.utf8))), (6, .counter64(row.traffic.rxBytes)), (7, .counter64(row.traffic.rxPackets)),
      (10, .counter64(row.traffic.txBytes)), (11, .counter64(row.traffic.txPackets)), (15, .gauge32(0)), (16, .integer(1)),
      (17, .integer(2)), (18, .octets([])), (19, .timeTicks(0)),
    ]
    return table.map { AgentXVariable(name: interfaceEntry + [$0, row.index], value: $1) }
      + extended.map { AgentXVariable(name: extendedEntry + [$0, row.index], value: $1) }
  }

  /// dot1dBase (RFC 4188, section 4): number of ports, type (2, transparent), and the interface of each port.
  private static func bridgeObjects(_ interfaces: [Interface]) -> [AgentXVariable] {
    let scalars = [
      AgentXVariable(name: bridgeBase + [2, 0], value: .integer(Int32(interfaces.count))),
      AgentXVariable(name: bridgeBase + [3, 0], value: .integer(2)),
    ]
    return scalars
      + interfaces.flatMap { row in
        [(UInt32(1), row.bridgePort), (2, Int32(row.index))].map { column, value in
          AgentXVariable(name: bridgeBase + [4, 1, column, UInt32(row.bridgePort)], value: .integer(value))
        }
      }
  }

  private static func stations(_ current: RunningState, _ bridgePorts: [String: Int32]) -> [Station] {
    var stations: [Station] = []
    var position: Int? = 0
    while let start = position {
      let page = current.macReports(RunningState.MACFilter(), from: start, limit: 4096)
      for report in page.reports {
        let port: Int32? = if case .port(let name, _) = report.place { bridgePorts[name] } else { overlayBridgePort }
        stations.append(
          Station(vni: report.vni.rawValue, mac: report.mac, bridgePort: port ?? 0, status: report.type == .learned ? 3 : 5))
      }
      position = page.next
    }
    return stations
  }
}

// RouterCommand: `vtepctl show routers` and `vtepctl show routes`.

import ArgumentParser
import VTEPControl

extension ShowCommand {
  struct Routers: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "routers", abstract: "Shows the interfaces of logical routers, with counters.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowRouters(), RouterRow.columns) }
  }

  struct Routes: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "routes", abstract: "Shows the routes of logical routers.")

    @Option(help: "Only this router.") var router: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowRoutes(router: router), RouteRow.columns) }
  }
}

extension RouterRow {
  static var columns: [Column<RouterRow>] {
    [
      Column("ROUTER") { $0.router },
      Column("MAC") { $0.mac },
      Column(number: "VNI") { "\($0.vni)" },
      Column("ADDRESSES") { $0.addresses.joined(separator: " ") },
      Column("ACL") { $0.acl.orDash },
      Column("STATE") { $0.state },
      Column("SOURCE") { $0.source.rawValue },
      Column(number: "RX PACKETS") { "\($0.rxPackets)" },
      Column(number: "RX BYTES") { "\($0.rxBytes)" }.extra,
      Column(number: "TX PACKETS") { "\($0.txPackets)" },
      Column(number: "TX BYTES") { "\($0.txBytes)" }.extra,
    ]
  }
}

extension RouteRow {
  static var columns: [Column<RouteRow>] {
    [
      Column("ROUTER") { $0.router },
      Column("PREFIX") { $0.prefix },
      Column("TYPE") { $0.type },
      Column("NEXT HOP") { $0.nextHop.orDash },
      Column(number: "VNI") { $0.vni.orDash },
      Column("ACTIVE") { $0.active ? "yes" : "no" },
    ]
  }
}

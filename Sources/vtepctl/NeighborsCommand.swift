// NeighborsCommand: `vtepctl show neighbors`.

import ArgumentParser
import VTEPControl

extension ShowCommand {
  struct Neighbors: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "neighbors",
      abstract: "Shows the IP addresses that are known in VNIs with neighbour suppression. Entries must match all given filters.")

    @Option(help: "Only this VNI.") var vni: UInt32?
    @Option(help: "Only this IP address.") var address: String?
    @Option(help: "Only addresses of this MAC address.") var mac: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.list(ShowNeighbors(vni: vni, address: address, mac: mac), NeighborRow.columns)
    }
  }
}

extension NeighborRow {
  static var columns: [Column<NeighborRow>] {
    [
      Column(number: "VNI") { "\($0.vni)" },
      Column("ADDRESS") { $0.address },
      Column("MAC") { $0.mac },
      Column("STATE") { $0.state.rawValue },
      Column("SOURCES") { $0.sources.listed },
      Column("ROUTER") { $0.router.map { $0 ? "yes" : "no" } ?? "-" },
      Column(number: "AGE") { $0.ageSeconds.orDash },
    ]
  }
}

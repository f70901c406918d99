// VNICommand: `vtepctl vni add|set|delete`.

import ArgumentParser
import VTEPControl

struct VNICommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "vni", abstract: "Adds, changes and deletes VXLAN segments.", subcommands: [Add.self, Set.self, Delete.self])

  enum Flood: String, ExpressibleByArgument, CaseIterable { case multicast, replicate, none }
  enum AcceptFrom: String, ExpressibleByArgument, CaseIterable { case any, peers }
  enum InnerVLAN: String, ExpressibleByArgument, CaseIterable { case discard, carry }

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds a VNI.", discussion: "Repeating the command changes nothing. Use 'vni set' to change an existing VNI.")

    @Option(help: "VXLAN network identifier, 0 to 16777215.") var vni: UInt32
    @OptionGroup var settings: VNIArguments
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(settings.request(vni))
    }
  }

  struct Set: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Changes settings of a VNI.",
      discussion: "Its ports keep forwarding. --peer replaces the whole list; 'peer add' and 'peer delete' change one entry.")

    @Argument(help: "VXLAN network identifier.") var vni: UInt32
    @OptionGroup var settings: VNIArguments
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let request = settings.request(vni)
      guard request != AddVNI(vni: vni) else { throw CommandFailure(message: "no setting given", isUsage: true) }
      try session.change(SetVNI(request))
    }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Deletes a VNI that no port is bound to.")

    @Argument(help: "VXLAN network identifier.") var vni: UInt32
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeleteVNI(vni: vni))
    }
  }
}

/// The options of `vtepctl vni add` and `vni set`.
struct VNIArguments: ParsableArguments {
  @Option(help: "How frames to unknown destinations are flooded (default: multicast).") var flood: VNICommand.Flood?
  @Option(help: "Multicast group, for --flood multicast.") var group: String?
  @Option(help: "Remote VTEP, for --flood replicate; repeatable.") var peer: [String] = []
  @Flag(inversion: .prefixedNo, help: "Learn the addresses behind other VTEPs from the data plane.") var learning: Bool?
  @Option(help: "Which VTEPs may send to this VNI.") var acceptFrom: VNICommand.AcceptFrom?
  @Option(help: "What to do with VLAN tags inside VXLAN.") var innerVlan: VNICommand.InnerVLAN?
  @Option(help: "Seconds until a silent address ages out; 0: never.") var ageingSeconds: UInt32?
  @Option(help: "Most addresses to learn in this VNI; 0: only the table's limit.") var macLimit: UInt32?
  @Option(help: "Storm control: broadcasts per second flooded in this VNI; 0: no limit.") var stormBroadcast: UInt64?
  @Option(help: "Storm control: unknown unicast frames per second flooded in this VNI; 0: no limit.") var stormUnknownUnicast: UInt64?
  @Option(help: "Storm control: multicast frames per second flooded in this VNI; 0: no limit.") var stormUnknownMulticast: UInt64?
  @Option(help: "What to do with addresses that move too often (freeze or report).") var macMoveAction: String?
  @Option(help: "Answer ARP and ND requests for known addresses here (known), or flood all (off, the default).")
  var neighborSuppression: String?

  func request(_ vni: UInt32) -> AddVNI {
    AddVNI(
      vni: vni, flood: flood?.rawValue, group: group, peers: peer.isEmpty ? nil : peer, learning: learning,
      acceptFrom: acceptFrom?.rawValue, innerVLAN: innerVlan?.rawValue, ageingSeconds: ageingSeconds,
      macLimit: macLimit, stormBroadcast: stormBroadcast, stormUnknownUnicast: stormUnknownUnicast,
      stormUnknownMulticast: stormUnknownMulticast, macMoveAction: macMoveAction,
      neighborSuppression: neighborSuppression)
  }
}

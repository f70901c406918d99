// PeerCommand: `vtepctl peer add|delete`, the flood list of a VNI with `flood: replicate`.

import ArgumentParser
import VTEPControl

struct PeerCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "peer", abstract: "Changes the flood list of a VNI.", subcommands: [Add.self, Delete.self])

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Adds a VTEP to the flood list.")

    @Option(help: "VNI of the flood list.") var vni: UInt32
    @Argument(help: "Address of the remote VTEP.") var address: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(AddPeer(vni: vni, address: address))
    }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Removes a VTEP from the flood list.")

    @Option(help: "VNI of the flood list.") var vni: UInt32
    @Argument(help: "Address of the remote VTEP.") var address: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeletePeer(vni: vni, address: address))
    }
  }
}

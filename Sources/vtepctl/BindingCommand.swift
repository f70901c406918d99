// BindingCommand: `vtepctl binding add|delete`.

import ArgumentParser
import VTEPControl

struct BindingCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "binding", abstract: "Binds the VLANs of a port to VNIs, one at a time.", subcommands: [Add.self, Delete.self])

  struct PortVLAN: ParsableArguments {
    @Option(help: "Name of the port.") var port: String
    @Option(help: "VLAN identifier, 1 to 4094; untagged frames if omitted.") var vlan: UInt16?

    func validate() throws {
      guard let vlan, !(1...4094).contains(vlan) else { return }
      throw ValidationError("The VLAN must be from 1 to 4094; omit it for untagged frames.")
    }
  }

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Binds a VLAN of a port, or its untagged frames, to a VNI.",
      discussion: "Refused if the VLAN is already bound to another VNI. Other bindings are not disturbed.")

    @OptionGroup var frames: PortVLAN
    @Option(help: "VNI that the frames belong to.") var vni: UInt32
    @Option(help: "Static MAC address behind the binding; repeatable.") var mac: [String] = []
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(AddBinding(port: frames.port, vlan: frames.vlan, vni: vni, macs: mac.isEmpty ? nil : mac))
    }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Deletes a binding and its static addresses.")

    @OptionGroup var frames: PortVLAN
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeleteBinding(port: frames.port, vlan: frames.vlan))
    }
  }
}

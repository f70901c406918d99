// PortCommand: `vtepctl port add|delete`.

import ArgumentParser
import VTEPControl

struct PortCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "port", abstract: "Adds and deletes access ports.", subcommands: [Add.self, Delete.self])

  enum Kind: String, ExpressibleByArgument, CaseIterable { case tap, netdev }

  /// `100:5001`: a VLAN tag and the VNI it stands for.
  struct VLANBinding: ExpressibleByArgument {
    var vlan: UInt16
    var vni: UInt32

    init?(argument: String) {
      let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, let vlan = UInt16(parts[0]), (1...4094).contains(vlan), let vni = UInt32(parts[1]) else { return nil }
      self.vlan = vlan
      self.vni = vni
    }
  }

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds a port, or changes the given bindings of an existing one.")

    @Option(help: "Name of the port.") var name: String
    @Option(help: "tap: the device is created; netdev: it exists.") var kind: Kind
    @Option(help: "Kernel interface.") var device: String
    @Option(help: "VNI of untagged frames.") var vni: UInt32?
    @Option(help: ArgumentHelp("VNI of frames with this VLAN tag; repeatable.", valueName: "vid:vni")) var vlan: [VLANBinding] = []
    @Option(help: "MAC address known to live behind the port; repeatable.") var mac: [String] = []
    @Option(help: "MTU of the interface in bytes.") var mtu: Int?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard Set(vlan.map(\.vlan)).count == vlan.count else { throw ValidationError("A VLAN is given twice.") }
    }

    func run(_ session: Session) throws {
      let vlans = Dictionary(vlan.map { (Int($0.vlan), $0.vni) }) { first, _ in first }
      try session.change(
        AddPort(
          name: name, kind: kind.rawValue, device: device, vni: vni, vlans: vlans.isEmpty ? nil : vlans,
          macs: mac.isEmpty ? nil : mac, mtu: mtu))
    }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Deletes a port.")

    @Argument(help: "Name of the port.") var name: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeletePort(name: name))
    }
  }
}

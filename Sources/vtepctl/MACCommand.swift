// MACCommand: `vtepctl mac add|delete|flush`.

import ArgumentParser
import VTEPControl

struct MACCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "mac", abstract: "Changes the forwarding database.", subcommands: [Add.self, Delete.self, Flush.self])

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds a static entry for an address behind a VTEP or on a local port.")

    @Option(help: "VNI of the address.") var vni: UInt32
    @Option(help: "MAC address.") var mac: String
    @Option(help: "Address of the remote VTEP.") var vtep: String?
    @Option(help: "Name of the local port.") var port: String?
    @Option(help: "VLAN of the address on the port.") var vlan: UInt16?
    @Option(help: "IP address of the station, for neighbor-suppression; may be given several times.") var ip: [String] = []
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard (vtep == nil) != (port == nil) else { throw ValidationError("Give either --vtep or --port.") }
      guard vlan == nil || port != nil else { throw ValidationError("--vlan needs --port.") }
    }

    func run(_ session: Session) throws {
      try session.change(AddMAC(vni: vni, mac: mac, vtep: vtep, port: port, vlan: vlan, ip: ip.isEmpty ? nil : ip))
    }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Deletes an entry, static or learned.")

    @Option(help: "VNI of the address.") var vni: UInt32
    @Option(help: "MAC address.") var mac: String
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeleteMAC(vni: vni, mac: mac))
    }
  }

  struct Flush: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Flushes learned addresses: all, or those that match every filter.")

    @Option(help: "Only this VNI.") var vni: UInt32?
    @Option(help: "Only addresses on this port.") var port: String?
    @Option(help: "Only addresses behind this VTEP.") var vtep: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(FlushMACs(vni: vni, port: port, vtep: vtep))
    }
  }
}

// PortCommand: `vtepctl port add|delete`.

import ArgumentParser
import VTEPControl

struct PortCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "port", abstract: "Adds and deletes access ports.", subcommands: [Add.self, Delete.self])

  enum Kind: String, ExpressibleByArgument, CaseIterable {
    case tap, netdev
    case vhostUser = "vhost-user"
    case memif
    case virtioUser = "virtio-user"
    case dpdk
  }
  enum Offloads: String, ExpressibleByArgument, CaseIterable { case auto, off }
  enum Role: String, ExpressibleByArgument, CaseIterable { case client, server }

  static let portSocketOption = "port-socket"

  /// Gives `--socket` behind `port add` to the port: the argument parser gives it to the root command, which has an
  /// option of this name, too.
  static func renamingSocket(_ arguments: [String]) -> [String] {
    guard let position = arguments.indices.dropLast().first(where: { arguments[$0...].starts(with: ["port", "add"]) })
    else { return arguments }
    return arguments[..<position]
      + arguments[position...].map { word in
        guard word == "--socket" || word.hasPrefix("--socket=") else { return word }
        return "--\(portSocketOption)" + word.dropFirst("--socket".count)
      }
  }

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
    @Option(help: "What the port is attached through.") var kind: Kind
    @Option(help: "Kernel interface: created (tap) or existing (netdev).") var device: String?
    @Option(
      name: .customLong(portSocketOption),
      help: ArgumentHelp("Unix socket of a vhost-user or memif peer; --socket behind 'port add' means the same.", valueName: "socket"))
    var portSocket: String?
    @Option(help: "client: connect to the socket, and again when it is gone; server: the socket is ours.") var role: Role?
    @Option(help: "Queue pairs to offer.") var queues: Int?
    @Option(help: "Number of a memif interface on its socket.") var memifID: UInt32?
    @Option(help: "DPDK device with its arguments.") var devargs: String?
    @Option(help: "VNI of untagged frames.") var vni: UInt32?
    @Option(help: ArgumentHelp("VNI of frames with this VLAN tag; repeatable.", valueName: "vid:vni")) var vlan: [VLANBinding] = []
    @Option(help: "MAC address known to live behind the port; repeatable.") var mac: [String] = []
    @Option(help: "MTU of the interface in bytes.") var mtu: Int?
    @Option(help: "off: the guest neither leaves us large TCP segments nor gets any.") var offloads: Offloads?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard Set(vlan.map(\.vlan)).count == vlan.count else { throw ValidationError("A VLAN is given twice.") }
    }

    func run(_ session: Session) throws {
      let vlans = Dictionary(vlan.map { (Int($0.vlan), $0.vni) }) { first, _ in first }
      try session.change(
        AddPort(
          name: name, kind: kind.rawValue, device: device, socket: portSocket, role: role?.rawValue, queues: queues,
          memifID: memifID, devargs: devargs, vni: vni, vlans: vlans.isEmpty ? nil : vlans,
          macs: mac.isEmpty ? nil : mac, mtu: mtu, offloads: offloads?.rawValue))
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

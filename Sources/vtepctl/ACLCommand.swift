// ACLCommand: `vtepctl acl add|delete|bind|unbind`, and the tables of `vtepctl show acls`.

import ArgumentParser
import VTEPControl

struct ACLCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "acl", abstract: "Changes access control lists, and binds them to ports.",
    subcommands: [Add.self, Delete.self, Bind.self, Unbind.self])

  enum Direction: String, ExpressibleByArgument, CaseIterable { case ingress, egress }
  enum Action: String, ExpressibleByArgument, CaseIterable { case permit, deny }

  struct Add: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Adds an entry to an access control list.",
      discussion: """
        The list is made if there is none of this name; without --action, only the list is. The entry with the lowest sequence that \
        matches a frame decides; frames that no entry matches pass.
        """)

    @Argument(help: "Name of the list.") var name: String
    @Option(help: "Place in the list: lower ones are asked first; the last one's plus 10 if omitted.") var sequence: Int64?
    @Option(help: "ingress: frames from the port; egress: frames to it.") var direction: Direction?
    @Option(help: "What becomes of frames that match.") var action: Action?
    @Option(help: "Source MAC address, with a mask if need be: 02:00:00:00:00:00/ff:00:00:00:00:00.") var sourceMac: String?
    @Option(help: "Destination MAC address, likewise.") var destinationMac: String?
    @Option(help: "EtherType behind VLAN tags, in hexadecimal: 0x0806.") var ethertype: String?
    @Option(help: "Source IPv4 or IPv6 address, with a prefix length or a mask if need be: 192.0.2.0/24.") var sourceIp: String?
    @Option(help: "Destination address, likewise.") var destinationIp: String?
    @Option(help: "IP protocol: a number, or a name such as tcp.") var `protocol`: String?
    @Option(help: "Source port, or a range: 1024-65535.") var sourcePorts: String?
    @Option(help: "Destination port, likewise.") var destinationPorts: String?
    @Option(help: "TCP flags that are set or not, +syn-ack, or their bits with a mask, 0x02/0x12.") var tcpFlags: String?
    @Option(help: "ICMP or ICMPv6 type.") var icmpType: String?
    @Option(help: "ICMP or ICMPv6 code.") var icmpCode: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    private var entry: [String: SettingValue] {
      let texts: [(String, String?)] = [
        ("direction", direction?.rawValue), ("action", action?.rawValue), ("source-mac", sourceMac), ("destination-mac", destinationMac),
        ("ethertype", ethertype), ("source-ip", sourceIp), ("destination-ip", destinationIp), ("protocol", self.protocol),
        ("source-ports", sourcePorts), ("destination-ports", destinationPorts), ("tcp-flags", tcpFlags), ("icmp-type", icmpType),
        ("icmp-code", icmpCode),
      ]
      var entry: [String: SettingValue] = [:]
      for (key, text) in texts { entry[key] = text.map { .text($0) } }
      entry["sequence"] = sequence.map { .number($0) }
      return entry
    }

    func validate() throws {
      guard !entry.isEmpty else { return }
      if action == nil { throw ValidationError("Missing expected argument '--action <action>'") }
      if direction == nil { throw ValidationError("Missing expected argument '--direction <direction>'") }
    }

    func run(_ session: Session) throws { try session.change(AddACL(name: name, entry: entry.isEmpty ? nil : entry)) }
  }

  struct Delete: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Deletes an entry of an access control list, or the list.",
      discussion: "With --sequence or --direction, the entries that have both; without them, the list, which must not be bound to a port.")

    @Argument(help: "Name of the list.") var name: String
    @Option(help: "Sequence of the entry.") var sequence: Int64?
    @Option(help: "Direction of the entry.") var direction: Direction?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(DeleteACL(name: name, sequence: sequence, direction: direction?.rawValue))
    }
  }

  struct Place: ParsableArguments {
    @Option(help: "Name of the port.") var port: String
    @Option(help: "VLAN identifier, 1 to 4094; the whole port if omitted.") var vlan: UInt16?

    func validate() throws {
      guard let vlan, !(1...4094).contains(vlan) else { return }
      throw ValidationError("The VLAN must be from 1 to 4094; omit it for the whole port.")
    }
  }

  struct Bind: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Binds an access control list to a port, or to one of its VLANs.",
      discussion: "A VLAN's own list takes the place of the port's. A list that is bound there already is replaced.")

    @Argument(help: "Name of the list.") var name: String
    @OptionGroup var place: Place
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.change(BindACL(name: name, port: place.port, vlan: place.vlan)) }
  }

  struct Unbind: ClientCommand {
    static let configuration = CommandConfiguration(abstract: "Removes the access control list of a port, or of one of its VLANs.")

    @OptionGroup var place: Place
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.change(BindACL(name: nil, port: place.port, vlan: place.vlan)) }
  }
}

extension ShowCommand {
  struct ACLs: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "acls", abstract: "Shows the access control lists: what they are bound to, and what each entry has matched.")

    @Option(help: "Only this list.") var name: String?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      guard session.format == .table else { return try session.list(ShowACLs(name: name), [Column<ACLRow>]()) }
      for (index, row) in try session.ask(ShowACLs(name: name)).enumerated() {
        let bindings =
          row.bindings.map { binding in binding.port + (binding.vlan.map { " vlan \($0)" } ?? "") }
          + row.routers.map { "router \($0.router) vni \($0.vni)" }
        Output.standard.write((index == 0 ? "" : "\n") + "\(row.name) (\(row.source.rawValue)), bound to: \(bindings.listed)\n")
        var table = Table(ACLRow.Entry.columns, isWide: session.isWide)
        if !row.entries.isEmpty { Output.standard.write(table.lines(for: row.entries)) }
      }
    }
  }
}

extension ACLRow.Entry {
  static var columns: [Column<ACLRow.Entry>] {
    [
      Column("DIRECTION") { $0.direction },
      Column(number: "SEQUENCE") { $0.sequence.orDash },
      Column("ACTION") { $0.action },
      Column(number: "PACKETS") { "\($0.packets)" },
      Column(number: "BYTES") { "\($0.bytes)" },
      Column("MATCHES") { $0.text },
    ]
  }
}

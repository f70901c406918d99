// PortCommand: `vtepctl port add|set|prepare|delete`.

import ArgumentParser
import VTEPControl

struct PortCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "port", abstract: "Adds, changes and deletes access ports.", subcommands: [Add.self, Set.self, Prepare.self, Delete.self])

  static let portSocketOption = "port-socket"

  /// Assigns `--socket` after `port add` and `port set` to the port: the argument parser would give it to the root command, which
  /// also has an option of this name.
  static func renamingSocket(_ arguments: [String]) -> [String] {
    guard
      let position = arguments.indices.dropLast().first(where: {
        arguments[$0...].starts(with: ["port", "add"]) || arguments[$0...].starts(with: ["port", "set"])
      })
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
      abstract: "Adds a port.", discussion: "Repeating the command changes nothing. Use 'port set' to change an existing port.")

    @Option(help: "Name of the port.") var name: String
    @OptionGroup var settings: PortArguments
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard settings.values["kind"] != nil else { throw ValidationError("Missing expected argument '--kind <kind>'") }
    }

    func run(_ session: Session) throws {
      try session.change(AddPort(name: name, settings: settings.values))
    }
  }

  struct Set: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Changes settings of a running port.",
      discussion: "The port keeps forwarding. Its attachment cannot change: delete the port and add it again.")

    @Argument(help: "Name of the port.") var name: String
    @OptionGroup var settings: PortArguments
    @Option(help: ArgumentHelp("Remove a setting, so that the profile's value or the default applies; repeatable.", valueName: "key"))
    var unset: [String] = []
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      var values = settings.values
      for name in unset {
        // A key, or a group of keys such as `rate-limit`.
        guard PortKey.all.contains(where: { $0.name == name || $0.name.hasPrefix(name + ".") }) else {
          throw CommandFailure(message: "--unset: a port has no key '\(name)'", isUsage: true)
        }
        values.set(.null, at: name.split(separator: ".").map(String.init)[...])
      }
      guard !values.isEmpty else { throw CommandFailure(message: "no setting given", isUsage: true) }
      try session.change(SetPort(name: name, settings: values))
    }
  }

  struct Prepare: ClientCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prepares a VNI for a guest that is about to migrate here.",
      discussion: "Joins the VNI's group and resolves its next hops before the port exists. Expires by itself.")

    @Option(help: "VNI of the guest.") var vni: UInt32
    @Option(help: "VTEP to resolve in addition to the VNI's flood list; repeatable.") var vtep: [String] = []
    @Option(help: "Seconds that the VNI stays prepared without a port.") var seconds: UInt32 = 60
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.change(PreparePort(vni: vni, vteps: vtep, seconds: seconds))
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

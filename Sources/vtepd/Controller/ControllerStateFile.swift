// ControllerStateFile: saves the controller's state across restarts, so that forwarding resumes before the controller answers. One
// record of words per line, and a checksum behind them; a file that cannot be used is set aside.

import Encap
import FoundationEssentials
import VTEP

struct ControllerStateFile: Sendable {
  /// Why a file cannot be used.
  struct Unusable: Error, CustomStringConvertible {
    var description: String
  }

  let path: String

  init(stateDirectory: String) {
    path = stateDirectory + "/controller-state"
  }

  private static let title = "vtepd controller state 1"

  // -- writing -----------------------------------------------------------------------------------------------------------

  /// Replaces the file atomically.
  func save(_ layer: ControllerLayer, _ addresses: [ControllerEdit.Address]) throws {
    let directory = URL(filePath: path).deletingLastPathComponent()
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try Data(Self.text(layer, addresses).utf8).write(to: URL(filePath: path), options: .atomic)
  }

  static func text(_ layer: ControllerLayer, _ addresses: [ControllerEdit.Address]) -> String {
    var text = title + "\n"
    var count = 0
    func add(_ words: String...) {
      text += words.joined(separator: " ") + "\n"
      count += 1
    }
    func words(_ destination: TunnelDestination) -> String {
      "\(destination.address)" + (destination.key.map { " \($0)" } ?? "")
    }
    for (vni, settings) in layer.switches.sorted(by: { $0.key < $1.key }) {
      let name = String(settings.name.map { $0.isNewline ? " " : $0 })
      add("switch", "\(vni)", settings.replication == .sourceNode ? "source_node" : "service_node", name)
      if settings.neighborSuppression != .known { add("neighbors", "\(vni)", settings.neighborSuppression.rawValue) }
      if settings.isLocal { add("local", "\(vni)", "-") }
      for destination in settings.flood { add("flood", "\(vni)", words(destination)) }
      for (mac, destinations) in settings.groups.sorted(by: { $0.key < $1.key }) {
        add("group", "\(vni)", "\(mac)")
        for destination in destinations { add("member", "\(vni)", "\(mac)", words(destination)) }
      }
    }
    for (binding, vni) in layer.bindings.sorted(by: { $0.key < $1.key }) { add("bind", "\(binding.vlan)", "\(vni)", binding.port) }
    for line in aclLines(layer) { add(line) }
    for (address, settings) in layer.bfd.sorted(by: { $0.key < $1.key }) { add("bfd", "\(address)", Self.parameters(settings)) }
    for record in routerRecords(layer) {
      text += record + "\n"
      count += 1
    }
    for address in addresses {
      guard let destination = address.destination else { continue }
      add("mac", "\(address.vni)", "\(address.mac)", words(destination))
      for ip in address.addresses { add("ip", "\(address.vni)", "\(address.mac)", "\(ip)") }
    }
    return text + "end \(count) \(checksum(text))\n"
  }

  // -- reading -----------------------------------------------------------------------------------------------------------

  /// The file's contents; nil: there is no file.
  ///
  /// - Throws: why it cannot be used. One that can be read was set aside.
  func load() throws -> ControllerEdit? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try Data(contentsOf: URL(filePath: path))
    do throws(Unusable) {
      guard let text = String(validating: bytes, as: UTF8.self) else { throw Unusable(description: "it is not text") }
      return try Self.edit(text)
    } catch {
      throw Unusable(description: "\(path) cannot be used: \(error); \(UnusableFile.setAside(path))")
    }
  }

  /// FNV-1a with 64 bits: it is to notice accidents, not forgeries.
  private static func checksum(_ text: some StringProtocol) -> String {
    String(text.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16)
  }

  static func edit(_ text: String) throws(Unusable) -> ControllerEdit {
    // Split by Unicode scalars: a name may begin with one that combines with the preceding space into one character.
    let lines = text.unicodeScalars.split(separator: "\n").map { Substring($0) }
    guard lines.first ?? "" == title else { throw Unusable(description: "it was written by another version") }
    let end = lines[lines.count - 1].split(separator: " ", omittingEmptySubsequences: false)
    guard lines.count >= 2, (2...3).contains(end.count), end[0] == "end", end[1] == "\(lines.count - 2)", text.unicodeScalars.last == "\n"
    else {
      throw Unusable(description: "it is cut off")
    }
    // Earlier versions wrote none.
    if end.count == 3, end[2] != checksum(text[..<lines[lines.count - 1].startIndex]) {
      throw Unusable(description: "its contents were changed (the checksum differs)")
    }
    var layer = ControllerLayer()
    var addresses: [ControllerEdit.Address] = []
    var acls: [String] = []
    for line in lines[1..<(lines.count - 1)] {
      guard read(line, &layer, &acls, &addresses) else { throw Unusable(description: "'\(line)' cannot be parsed") }
    }
    return ControllerEdit(layer: layer, addresses: addresses, complete: Set(layer.switches.keys))
  }

  private static func read(
    _ line: Substring, _ layer: inout ControllerLayer, _ acls: inout [String], _ addresses: inout [ControllerEdit.Address]
  ) -> Bool {
    let words = line.unicodeScalars.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map { String($0) }
    guard words.count >= 3 else { return false }
    if words[0] == "bfd" {
      guard let address = IPAddress(words[1]), let settings = settings(words[2...].joined(separator: " ")) else { return false }
      layer.bfd[address] = settings
      return true
    }
    if let isRead = readACL(words, &layer, &acls) { return isRead }
    if words[0] == "bind" {
      guard words.count == 4, let vlan = UInt16(words[1]), let vni = vni(words[2]) else { return false }
      layer.bindings[ControllerLayer.Binding(port: words[3], vlan: vlan)] = vni
      return true
    }
    if let isRead = readRouter(words, &layer) { return isRead }
    guard let vni = vni(words[1]) else { return false }
    switch words[0] {
    case "switch":
      guard words.count == 4 else { return false }
      var settings = LogicalSwitchSettings(name: words[3])
      settings.replication = words[2] == "source_node" ? .sourceNode : .serviceNode
      layer.switches[vni] = settings
    case "local": layer.switches[vni]?.isLocal = true
    case "neighbors":
      guard let mode = NeighborSuppression(rawValue: words[2]) else { return false }
      layer.switches[vni]?.neighborSuppression = mode
    case "flood":
      guard let destination = destination(words[2...]) else { return false }
      layer.switches[vni]?.flood.append(destination)
    case "group":
      guard let mac = MACAddress(words[2]) else { return false }
      layer.switches[vni]?.groups[mac] = []
    case "member", "mac":
      let rest = words.count == 4 ? words[3].split(separator: " ").map(String.init) : []
      guard let mac = MACAddress(words[2]), let destination = destination(rest[...]) else { return false }
      if words[0] == "member" {
        layer.switches[vni]?.groups[mac]?.append(destination)
      } else {
        addresses.append(ControllerEdit.Address(vni: vni, mac: mac, destination: destination))
      }
    case "ip":
      // After the line of its station.
      guard words.count == 4, let address = IPAddress(words[3]), let last = addresses.indices.last,
        MACAddress(words[2]) == addresses[last].mac, vni == addresses[last].vni
      else { return false }
      addresses[last].addresses.append(address)
    default: return false
    }
    return true
  }

  /// What Tunnel rows can set.
  private static func parameters(_ settings: BFDSettings) -> String {
    let flags = [settings.forwardingIfRx, settings.pathIsDown, settings.checksTunnelKey].map { $0 ? "1" : "0" }.joined()
    let mac = settings.destinationMAC.map { "\($0)" } ?? "-"
    let ip = settings.destinationIP.map { "\($0)" } ?? "-"
    return "\(settings.minRx) \(settings.minTx) \(settings.decayMinRx) \(flags) \(mac) \(ip)"
  }

  private static func settings(_ text: String) -> BFDSettings? {
    let words = text.split(separator: " ").map(String.init)
    guard words.count == 6, let minRx = UInt32(words[0]), let minTx = UInt32(words[1]), let decay = UInt32(words[2]), words[3].count == 3
    else {
      return nil
    }
    var settings = BFDSettings()
    (settings.minRx, settings.minTx, settings.decayMinRx) = (minRx, minTx, decay)
    let flags = words[3].map { $0 == "1" }
    (settings.forwardingIfRx, settings.pathIsDown, settings.checksTunnelKey) = (flags[0], flags[1], flags[2])
    settings.destinationMAC = MACAddress(words[4])
    settings.destinationIP = IPAddress(words[5])
    return settings
  }

  static func vni(_ word: String) -> VNI? { UInt32(word).flatMap(VNI.init) }

  /// An address, with its tunnel key if any.
  private static func destination(_ words: ArraySlice<String>) -> TunnelDestination? {
    guard let first = words.first, let address = IPAddress(first), words.count <= 2 else { return nil }
    guard words.count == 2 else { return TunnelDestination(address) }
    return vni(words[words.startIndex + 1]).map { TunnelDestination(address, key: $0) }
  }
}

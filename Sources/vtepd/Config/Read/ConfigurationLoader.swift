// ConfigurationLoader: turns the text of a configuration file into a Configuration, or reports all problems in it at once. The only reader of
// the file format: at start, for --check, on SIGHUP, and for `vtepctl config check` and `apply`.

import Encap
import FoundationEssentials
import Glibc
import VTEP

/// Reads configuration files.
struct ConfigurationLoader {
  /// The host's name: the default of `name`.
  var hostName: String

  init(hostName: String = ConfigurationLoader.kernelHostName) {
    self.hostName = hostName
  }

  /// Reads a file.
  ///
  /// - Throws: all problems of the file, or why it cannot be read.
  func load(path: String) throws(ConfigurationError) -> Configuration {
    try load(bytes: bytes(path: path), file: path)
  }

  /// The bytes of a file.
  ///
  /// - Throws: why it cannot be read.
  func bytes(path: String) throws(ConfigurationError) -> Data {
    do {
      return try Data(contentsOf: URL(filePath: path))
    } catch {
      throw Self.unreadable(path, error)
    }
  }

  /// The text of a file.
  ///
  /// - Throws: why it cannot be read, or that it is not UTF-8 text.
  func text(path: String) throws(ConfigurationError) -> String { try text(of: bytes(path: path), file: path) }

  /// Reads a file's bytes.
  ///
  /// - Throws: as `load(text:file:)`, or because they are not UTF-8 text.
  func load(bytes: Data, file: String) throws(ConfigurationError) -> Configuration {
    try load(text: text(of: bytes, file: file), file: file)
  }

  private func text(of bytes: Data, file: String) throws(ConfigurationError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      // Byte order marks of UTF-16, and of UTF-32 (which in little endian begins with that of UTF-16).
      let isWide = bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) || bytes.starts(with: [0, 0, 0xfe, 0xff])
      let reason = isWide ? "the file is UTF-16 or UTF-32 text; save it as UTF-8" : "the file is not UTF-8 text"
      throw ConfigurationError(file: file, problems: [ConfigurationProblem(message: reason)])
    }
    return text
  }

  /// Reads a file's text.
  ///
  /// - Parameter file: the name for messages.
  /// - Throws: every problem of the text, sorted by position.
  func load(text: String, file: String) throws(ConfigurationError) -> Configuration {
    // UTF-8 needs no byte order mark, but some editors write one.
    let text = text.unicodeScalars.first == "\u{feff}" ? String(text.unicodeScalars.dropFirst()) : text
    let root: YAMLNode
    do throws(YAMLError) {
      root = try YAMLNode.parse(text) ?? YAMLNode(content: .scalar("", isPlain: true))
    } catch {
      throw ConfigurationError(file: file, problems: [ConfigurationProblem(position: error.position, message: "not YAML: \(error)")])
    }
    let (configuration, problems) = examine(root, isRecording: false)
    if problems.isEmpty { return configuration }
    // Again, this time recording positions for the messages.
    throw ConfigurationError(file: file, problems: examine(root, isRecording: true).problems.inFileOrder)
  }

  private func examine(_ root: YAMLNode, isRecording: Bool) -> (configuration: Configuration, problems: [ConfigurationProblem]) {
    let reader = ConfigurationReader(isRecording: isRecording)
    let configuration = read(root, with: reader)
    for problem in configuration.desired.problems() where !reader.isSettled(problem) { reader.report(problem) }
    return (configuration, reader.problems)
  }

  /// Reads the top level. Defaults replace invalid values, so that the rest is checked as well.
  func read(_ root: YAMLNode, with reader: ConfigurationReader) -> Configuration {
    var configuration = Configuration(name: hostName, desired: DesiredState(underlay: UnderlaySettings(addresses: [], devices: [])))
    guard var file = ConfigurationSection(root, title: "the file", reader: reader) else {
      settleUnderlay(reader)
      return configuration
    }
    if let name = file.text("name") { configuration.name = name }
    if let mode = file.choice("mode", as: Configuration.Mode.self) { configuration.mode = mode }
    configuration.desired.portDefaults = configuration.mode.portDefaults
    if let path = readDirectory("run-dir", in: &file) { configuration.runDirectory = path }
    if let path = readDirectory("state-dir", in: &file) { configuration.stateDirectory = path }
    let dataplane = file.node("dataplane")
    let underlay = file.required("underlay")
    if let underlay {
      configuration.desired.underlay = readUnderlay(underlay, reader)
    } else {
      settleUnderlay(reader)
    }
    if let dataplane {
      let hasNICs = underlay == nil || configuration.desired.underlay.ownsNICs
      configuration.dataplane = readDataplane(dataplane, hasNICs: hasNICs, reader)
    }
    if let node = file.node("protection") {
      configuration.desired.protection = readProtection(node, defaults: configuration.desired.protection, reader)
    }
    for node in file.list("vnis") ?? [] {
      guard let settings = readVNI(node, reader) else { continue }
      if configuration.desired.vnis.updateValue(settings, forKey: settings.vni) != nil {
        reader.report(DesiredState.Problem(.vni(settings.vni), ["vni"], "VNI \(settings.vni) is given twice"))
      }
    }
    for node in file.list("acls") ?? [] {
      guard let settings = readACL(node, reader) else { continue }
      if configuration.desired.acls.updateValue(settings, forKey: settings.name) != nil {
        reader.report(DesiredState.Problem(.acl(settings.name), ["name"], "ACL '\(settings.name)' is given twice"))
      }
    }
    if let node = file.node("profiles") { configuration.desired.profiles = readProfiles(node, reader) }
    for node in file.list("ports") ?? [] {
      guard let settings = readPort(node, reader) else { continue }
      if configuration.desired.ports.updateValue(settings, forKey: settings.name) != nil {
        reader.report(DesiredState.Problem(.port(settings.name), ["name"], "port name '\(settings.name)' is given twice"))
      }
    }
    configuration.desired.routers = readRouters(file.list("routers") ?? [], reader)
    configuration.desired.resolveProfiles()
    if let node = file.node("ovsdb") { configuration.ovsdb = readOVSDB(node, addresses: configuration.desired.underlay.addresses, reader) }
    configuration.desired.hasController = configuration.ovsdb != nil
    if let node = file.node("metrics") { configuration.metrics = readMetrics(node, reader) }
    file.finish()
    return configuration
  }

  /// Do not report the keys of a missing underlay.
  func settleUnderlay(_ reader: ConfigurationReader) {
    reader.settle(.underlay, ["addresses"])
    reader.settle(.underlay, ["device"])
  }

  private func readDirectory(_ key: String, in file: inout ConfigurationSection) -> String? {
    guard let node = file.node(key), let path = file.reader.text(node, key) else { return nil }
    guard path.hasPrefix("/") else {
      file.reader.report(node.position, "\(key) must be an absolute path, not '\(path)'")
      return nil
    }
    return path
  }

  private static func unreadable(_ path: String, _ error: any Error) -> ConfigurationError {
    let reason: String
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile: reason = "there is no such file"
    case .fileReadNoPermission: reason = "reading it is not permitted"
    default: reason = "it cannot be read"
    }
    return ConfigurationError(file: path, problems: [ConfigurationProblem(message: reason)])
  }

  /// The kernel's host name, or `localhost` where it has none.
  static var kernelHostName: String {
    var buffer = [CChar](repeating: 0, count: 256)
    let result = gethostname(&buffer, buffer.count - 1)
    let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return result == 0 && !name.isEmpty ? name : "localhost"
  }
}

extension [ConfigurationProblem] {
  /// Sorted by position, then by the order of discovery; without duplicates.
  fileprivate var inFileOrder: [ConfigurationProblem] {
    let start = FilePosition(line: 0, column: 0)
    let sorted = enumerated().sorted {
      ($0.element.position ?? start, $0.offset) < ($1.element.position ?? start, $1.offset)
    }
    return sorted.map(\.element).reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }
}

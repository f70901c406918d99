// ConfigurationKeys: the keys that the loader knows, found by having it read: an empty mapping is put wherever one may stand,
// and the sections say which keys they asked it for. So the manual page, which is made from this list, cannot miss one.

enum ConfigurationKeys {
  /// Each key with the way to it, e.g. `underlay.ttl`, `vnis[].macs[].vtep`, `profiles.NAME.mtu`; parents first.
  static var all: [String] { keys(within: "", "", path: "") }

  /// - Parameters:
  ///   - before: the file's text up to the mapping, in one line; `after`: what follows the mapping.
  ///   - path: of the mapping, with its separator.
  private static func keys(within before: String, _ after: String, path: String) -> [String] {
    guard let section = section(within: before, after) else { return [] }
    var found: [String] = []
    for key in section.keys {
      found.append(path + key)
      found += keys(within: before + "{\(key): ", "}" + after, path: path + key + ".")
      found += keys(within: before + "{\(key): [", "]}" + after, path: path + key + "[].")
    }
    // Names of the operator's own.
    if section.hasFreeKeys { found += keys(within: before + "{x: ", "}" + after, path: path + "NAME.") }
    return found
  }

  /// What the loader asks a mapping in this place for; nil when it takes none there.
  private static func section(within before: String, _ after: String) -> ConfigurationReader.SectionKeys? {
    guard let root = try? YAMLNode.parse(before + "{}" + after) else { return nil }
    let reader = ConfigurationReader(isRecording: true)
    _ = ConfigurationLoader().read(root, with: reader)
    return reader.sections[FilePosition(line: 1, column: before.count + 1)]
  }
}

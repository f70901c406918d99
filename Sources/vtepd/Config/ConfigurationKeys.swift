// ConfigurationKeys: lists the keys that the loader knows. It runs the loader on files that have an empty mapping in every possible place,
// and collects the keys that the loader looks up there. So the manual page, which is made from this list, cannot miss one.

enum ConfigurationKeys {
  /// Each key with its path, e.g. `underlay.ttl`, `vnis[].macs[].vtep`, `profiles.NAME.mtu`; parents first.
  static var all: [String] { keys(within: "", "", path: "") }

  /// - Parameters:
  ///   - before: the file's text up to the mapping, on one line; `after`: the text behind the mapping.
  ///   - path: the mapping's path, including the separator.
  private static func keys(within before: String, _ after: String, path: String) -> [String] {
    guard let section = section(within: before, after) else { return [] }
    var found: [String] = []
    for key in section.keys {
      found.append(path + key)
      found += keys(within: before + "{\(key): ", "}" + after, path: path + key + ".")
      found += keys(within: before + "{\(key): [", "]}" + after, path: path + key + "[].")
    }
    // Keys that the operator chooses.
    if section.hasFreeKeys { found += keys(within: before + "{x: ", "}" + after, path: path + "NAME.") }
    return found
  }

  /// The keys that the loader looks up in a mapping at this place; nil if it accepts no mapping there.
  private static func section(within before: String, _ after: String) -> ConfigurationReader.SectionKeys? {
    guard let root = try? YAMLNode.parse(before + "{}" + after) else { return nil }
    let reader = ConfigurationReader(isRecording: true)
    _ = ConfigurationLoader().read(root, with: reader)
    return reader.sections[FilePosition(line: 1, column: before.count + 1)]
  }
}

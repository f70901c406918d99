// ConfigurationDifference: two configurations compared key by key, as trees of the file's own format: `vtepctl config diff`.

import VTEPControl

extension YAMLNode {
  /// The keys whose values differ, in the order of the file. Lists of VNIs and ports are compared by their elements.
  ///
  /// - Parameters:
  ///   - running: nil: there is no such key.
  ///   - file: likewise.
  static func differences(_ running: YAMLNode?, _ file: YAMLNode?, path: String = "") -> [ConfigurationDifference] {
    guard running != file else { return [] }
    if let keys = commonKeys(running, file) {
      return keys.flatMap { key in
        differences(running?.mapping?[key], file?.mapping?[key], path: path.isEmpty ? key : "\(path).\(key)")
      }
    }
    if let names = commonNames(running, file) {
      let (old, new) = (running?.named ?? [:], file?.named ?? [:])
      return names.flatMap { differences(old[$0], new[$0], path: "\(path)[\($0)]") }
    }
    return [ConfigurationDifference(key: path, running: running?.oneLine, file: file?.oneLine)]
  }

  /// The keys of two mappings that are written as blocks; nil: they are something else.
  private static func commonKeys(_ left: YAMLNode?, _ right: YAMLNode?) -> [String]? {
    let nodes = [left, right].compactMap(\.self)
    guard nodes.allSatisfy({ $0.mapping != nil && !$0.isFlow }) else { return nil }
    return nodes.flatMap { $0.mapping?.pairs.compactMap(\.key.text) ?? [] }.withoutDuplicates
  }

  private static func commonNames(_ left: YAMLNode?, _ right: YAMLNode?) -> [String]? {
    let nodes = [left, right].compactMap(\.self)
    guard nodes.allSatisfy({ $0.sequence?.allSatisfy { $0.listName != nil } == true && !$0.isFlow }) else { return nil }
    return nodes.flatMap { $0.sequence?.compactMap(\.listName) ?? [] }.withoutDuplicates
  }

  /// What an element of a list is known by: of `vnis`, `ports`, `routers` and their `interfaces` and `routes`, of `acls` and their `entries`.
  var listName: String? {
    mapping.flatMap { keys in
      if let direction = keys["direction"]?.text, let sequence = keys["sequence"]?.text { return "\(direction) \(sequence)" }
      return keys["name"]?.text ?? keys["vni"]?.text ?? keys["prefix"]?.text
    }
  }

  /// `mapping` of a list by its elements' names.
  var named: [String: YAMLNode] {
    Dictionary((sequence ?? []).compactMap { element in element.listName.map { ($0, element) } }, uniquingKeysWith: { $1 })
  }

  /// As a file has it on one line.
  var oneLine: String {
    // A scalar alone would be a document with an end of its own.
    guard let text = try? YAMLNode.flow([asFlow]).document(), text.hasPrefix("["), text.hasSuffix("]\n") else { return shortDescription }
    return String(text.dropFirst().dropLast(2))
  }

  private var asFlow: YAMLNode {
    switch content {
    case .scalar: return self
    case .sequence(let elements): return .flow(elements.map(\.asFlow))
    case .mapping(let mapping):
      let pairs = mapping.pairs.map { YAMLMapping.Pair(key: $0.key, value: $0.value.asFlow) }
      return YAMLNode(content: .mapping(YAMLMapping(pairs)), isFlow: true)
    }
  }
}

extension [String] {
  var withoutDuplicates: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}

// ConfigurationSection: one mapping of the configuration file. It records which keys were looked up; any other key is unknown.

import Encap
import VTEP

/// A mapping that is being read. Call `finish()` once all known keys have been looked up.
struct ConfigurationSection {
  /// One key with its value.
  struct Entry {
    var key: String
    var position: FilePosition
    var value: YAMLNode
  }

  let reader: ConfigurationReader
  /// Where the mapping begins.
  let position: FilePosition
  /// For messages, e.g. `underlay`.
  let title: String
  private let mapping: YAMLMapping
  private var knownKeys: [String] = []

  /// Opens a mapping; an empty value is an empty mapping.
  ///
  /// Reports a node that is not a mapping, keys that are not text, and duplicate keys, of which the last one counts.
  init?(_ node: YAMLNode, title: String, reader: ConfigurationReader) {
    self.reader = reader
    self.title = title
    position = node.position
    reader.record(position) { _ in }
    guard let mapping = node.mapping ?? (node.isNull ? YAMLMapping() : nil) else {
      reader.report(node.position, "\(title) must be a mapping of keys to values, not \(node.shortDescription)")
      return nil
    }
    self.mapping = mapping
    for (index, pair) in mapping.pairs.enumerated() {
      guard let key = pair.key.text else {
        reader.report(pair.key.position, "a key of \(title) must be text, not \(pair.key.shortDescription)")
        continue
      }
      if let last = mapping.lastIndex(of: key), last != index {
        let line = pair.key.position.line
        reader.report(mapping.pairs[last].key.position, "key '\(key)' is given twice, first in line \(line)")
      }
    }
  }

  /// All keys with their values, for mappings whose keys are data.
  var all: [Entry] {
    reader.record(position) { $0.hasFreeKeys = true }
    return entries
  }

  private var entries: [Entry] {
    mapping.pairs.enumerated().compactMap { index, pair in
      guard let key = pair.key.text, mapping.lastIndex(of: key) == index else { return nil }
      return Entry(key: key, position: pair.key.position, value: pair.value)
    }
  }

  /// The entry of a key; nil when the key is absent.
  mutating func entry(_ key: String) -> Entry? {
    knownKeys.append(key)
    reader.record(position) { if !$0.keys.contains(key) { $0.keys.append(key) } }
    return mapping.lastIndex(of: key).map { Entry(key: key, position: mapping.pairs[$0].key.position, value: mapping.pairs[$0].value) }
  }

  /// Records the positions of the keys' values; for absent keys, that of the mapping.
  mutating func remember(_ keys: [String], of subject: DesiredState.Problem.Subject) {
    guard reader.isRecording else { return }
    for key in keys { reader.remember(entry(key)?.value.position ?? position, subject, [key]) }
  }

  mutating func node(_ key: String) -> YAMLNode? {
    entry(key)?.value
  }

  /// A key that must be there; reports its absence.
  mutating func required(_ key: String) -> YAMLNode? {
    if let node = node(key) { return node }
    reader.report(position, "\(title): key '\(key)' is missing")
    return nil
  }

  /// Reports the keys that were not looked up.
  func finish() {
    for entry in entries where !knownKeys.contains(entry.key) {
      let suggestion = knownKeys.closest(to: entry.key).map { ", did you mean '\($0)'?" } ?? ""
      reader.report(entry.position, "\(title): unknown key '\(entry.key)'\(suggestion)")
    }
  }

  // MARK: Values by key; nil when absent or wrong, and then reported.

  mutating func integer(_ key: String, in range: ClosedRange<Int>) -> Int? {
    node(key).flatMap { reader.integer($0, key, in: range) }
  }

  mutating func boolean(_ key: String) -> Bool? {
    node(key).flatMap { reader.boolean($0, key) }
  }

  mutating func text(_ key: String) -> String? {
    node(key).flatMap { reader.text($0, key) }
  }

  mutating func choice<Choice: CaseIterable & RawRepresentable<String>>(_ key: String, as type: Choice.Type) -> Choice? {
    node(key).flatMap { reader.choice($0, key, as: type) }
  }

  /// A mapping inside this one.
  mutating func section(_ key: String) -> ConfigurationSection? {
    node(key).flatMap { ConfigurationSection($0, title: "\(title): \(key)", reader: reader) }
  }

  mutating func list(_ key: String) -> [YAMLNode]? {
    node(key).flatMap { reader.list($0, key) }
  }
}

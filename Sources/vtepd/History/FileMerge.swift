// FileMerge: the text that a configuration file needs so that it says what runs (`vtepctl config save`). Values that differ are replaced where they
// stand; everything else, comments and layout included, stays as it is. The result is read again: if it does not say what runs, e.g. because
// an anchor went with its value, the file is written anew.

import Encap
import VTEP

/// The new text of a configuration file.
struct FileMerge: Equatable, Sendable {
  var text: String
  /// Why the file had to be written anew; nil: it was not.
  var lostComments: String?

  /// - Parameters:
  ///   - old: what the file says; `text` is its text.
  ///   - new: what it is to say.
  ///   - loader: as it has read `old`.
  /// - Throws: as `Configuration.yaml()`.
  init(
    _ text: String, saying old: Configuration, toSay new: Configuration, loader: ConfigurationLoader = ConfigurationLoader()
  ) throws(YAMLError) {
    guard old != new else {
      self.text = text
      return
    }
    do throws(Unmergeable) {
      let merged = try Self.merged(text, old, new)
      guard (try? loader.load(text: merged, file: "")) == new else { throw Unmergeable(reason: "the layout of the file is too unusual") }
      self.text = merged
    } catch {
      self.text = try new.yaml()
      lostComments = error.reason
    }
  }

  private struct Unmergeable: Error {
    var reason: String
  }

  private static func merged(_ text: String, _ old: Configuration, _ new: Configuration) throws(Unmergeable) -> String {
    let mark = "\u{feff}"
    let hasMark = text.unicodeScalars.first == mark.unicodeScalars.first
    let body = hasMark ? String(text.unicodeScalars.dropFirst()) : text
    guard let root = (try? YAMLNode.parse(body)) ?? nil, root.mapping != nil, !root.isFlow else {
      throw Unmergeable(reason: "the file is not a mapping of lines")
    }
    var editor = FileEditor(body)
    editor.merge(root, old.node, new.node, end: editor.end)
    return (hasMark ? mark : "") + editor.result
  }
}

/// Replaces parts of a text. Places are counted in Unicode scalars of the text as it was.
private struct FileEditor {
  private let text: [Unicode.Scalar]
  private var edits: [(range: Range<Int>, text: String)] = []

  init(_ text: String) {
    self.text = Array(text.unicodeScalars)
  }

  var end: Int { text.count }

  var result: String {
    var result = String.UnicodeScalarView()
    var place = 0
    // Of two at one place, the first that was made comes first.
    for edit in edits.enumerated().sorted(by: { ($0.element.range.lowerBound, $0.offset) < ($1.element.range.lowerBound, $1.offset) }) {
      let range = edit.element.range
      guard range.lowerBound >= place else { continue }
      result.append(contentsOf: text[place..<range.lowerBound])
      result.append(contentsOf: edit.element.text.unicodeScalars)
      place = range.upperBound
    }
    result.append(contentsOf: text[place...])
    return String(result)
  }

  // -- mappings ------------------------------------------------------------------------------------------------------------

  /// Makes a mapping that stands in lines of its own say what `new` says.
  ///
  /// - Parameters:
  ///   - old: what it says, with all defaults.
  ///   - end: where what follows it begins.
  mutating func merge(_ node: YAMLNode, _ old: YAMLNode, _ new: YAMLNode, end: Int) {
    guard let mapping = node.mapping, let first = mapping.pairs.first?.key.extent, let old = old.mapping, let new = new.mapping else {
      return
    }
    let indent = column(of: first.lowerBound)
    var added: [(String, YAMLNode)] = []
    for key in (new.pairs + old.pairs).compactMap(\.key.text).withoutDuplicates where old[key] != new[key] {
      guard let index = mapping.lastIndex(of: key) else {
        if let value = new[key] { added.append((key, value)) }
        continue
      }
      let next = index + 1 < mapping.pairs.count ? mapping.pairs[index + 1].key.extent?.lowerBound : nil
      let limit = bodyEnd(before: next.map(lineStart) ?? end)
      change(mapping.pairs[index], old[key], to: new[key], isFirst: index == 0, next: next, end: limit, indent: indent)
    }
    guard !added.isEmpty else { return }
    insert(added.map { lines(of: $0.0, $0.1, indent: indent) }.joined(), at: bodyEnd(before: end))
  }

  private mutating func change(
    _ pair: YAMLMapping.Pair, _ old: YAMLNode?, to new: YAMLNode?, isFirst: Bool, next: Int?, end: Int, indent: Int
  ) {
    guard let key = pair.key.extent, let place = pair.value.extent else { return }
    guard let new else {
      // The first key of a list's element stands behind the dash.
      if isFirst, let next { edits.append((key.lowerBound..<next, "")) } else { edits.append((lineStart(key.lowerBound)..<end, "")) }
      return
    }
    if let old, !pair.value.isFlow, !pair.value.isAlias, !new.isFlow {
      if pair.value.mapping?.pairs.isEmpty == false, old.mapping != nil, new.mapping != nil {
        return merge(pair.value, old, new, end: end)
      }
      if let elements = pair.value.sequence, !elements.isEmpty, elements.allSatisfy({ $0.listName != nil }), old.sequence != nil,
        new.sequence != nil
      {
        return merge(list: pair.value, old, new, end: end)
      }
    }
    if let old, old.mapping != nil, new.mapping != nil, pair.value.mapping != nil, pair.value.isFlow, !pair.value.isAlias {
      return edits.append((place, pair.value.laid(over: old, new).oneLine))
    }
    let isOnOneLine = pair.value.isFlow || pair.value.isAlias || pair.value.plainText != nil || pair.value.isQuoted
    let isBlock = !new.isFlow && (new.mapping != nil || new.sequence != nil)
    if isOnOneLine, !isBlock {
      // A value that is not there has its place behind the colon.
      edits.append((place, (place.isEmpty ? " " : "") + new.oneLine))
    } else {
      edits.append((key.lowerBound..<end, String(lines(of: pair.key.text ?? "", new, indent: indent).dropFirst(indent))))
    }
  }

  // -- lists ---------------------------------------------------------------------------------------------------------------

  /// The same for a list whose elements have names.
  private mutating func merge(list: YAMLNode, _ old: YAMLNode, _ new: YAMLNode, end: Int) {
    guard let elements = list.sequence, let first = elements.first?.extent else { return }
    let (old, wanted) = (old.named, new.named)
    let indent = column(of: lineStart(first.lowerBound) + blanks(at: lineStart(first.lowerBound)))
    for (index, element) in elements.enumerated() {
      guard let name = element.listName, let place = element.extent else { continue }
      let next = index + 1 < elements.count ? elements[index + 1].extent.map { lineStart($0.lowerBound) } : nil
      let limit = bodyEnd(before: next ?? end)
      guard let new = wanted[name] else {
        edits.append((commentStart(above: lineStart(place.lowerBound), indent: indent)..<limit, ""))
        continue
      }
      guard let old = old[name], old != new else { continue }
      guard element.isFlow else {
        merge(element, old, new, end: limit)
        continue
      }
      edits.append((place, element.laid(over: old, new).oneLine))
    }
    let known = Set(elements.compactMap(\.listName))
    let added = (new.sequence ?? []).filter { $0.listName.map { !known.contains($0) } ?? false }
    insert(added.map { item($0.withoutDefaults, indent: indent) }.joined(), at: bodyEnd(before: end))
  }

  // -- text ----------------------------------------------------------------------------------------------------------------

  private mutating func insert(_ lines: String, at place: Int) {
    guard !lines.isEmpty else { return }
    // Behind the last line, if that has no end, and only once.
    let needsBreak = place > 0 && !isBreak(text[place - 1]) && !edits.contains { $0.range.upperBound == place && $0.text.hasSuffix("\n") }
    edits.append((place..<place, (needsBreak ? "\n" : "") + lines))
  }

  /// A key with its value, in lines of their own.
  private func lines(of key: String, _ value: YAMLNode, indent: Int) -> String {
    let margin = String(repeating: " ", count: indent)
    let name = YAMLNode(text: key).oneLine
    guard !value.isFlow else { return "\(margin)\(name): \(value.oneLine)\n" }
    switch value.content {
    case .sequence(let elements) where !elements.isEmpty:
      return "\(margin)\(name):\n" + elements.map { item($0.withoutDefaults, indent: indent + 2) }.joined()
    case .mapping(let mapping) where !mapping.pairs.isEmpty:
      let inner = mapping.pairs.map { lines(of: $0.key.text ?? "", $0.value, indent: indent + 2) }
      return "\(margin)\(name):\n" + inner.joined()
    default: return "\(margin)\(name): \(value.oneLine)\n"
    }
  }

  /// An element of a list.
  private func item(_ value: YAMLNode, indent: Int) -> String {
    let margin = String(repeating: " ", count: indent)
    guard let pairs = value.mapping?.pairs, !value.isFlow else { return "\(margin)- \(value.oneLine)\n" }
    let inner = pairs.map { lines(of: $0.key.text ?? "", $0.value, indent: indent + 2) }.joined()
    return "\(margin)- " + inner.dropFirst(indent + 2)
  }

  private func isBreak(_ scalar: Unicode.Scalar) -> Bool { scalar == "\n" || scalar == "\r" }

  private func lineStart(_ place: Int) -> Int {
    var start = place
    while start > 0, !isBreak(text[start - 1]) { start -= 1 }
    return start
  }

  private func column(of place: Int) -> Int { place - lineStart(place) }

  /// Spaces from here on.
  private func blanks(at place: Int) -> Int { text[place...].prefix { $0 == " " }.count }

  /// Where the lines end that belong to what is before `place`, the start of a line: comments and empty lines belong to what follows.
  private func bodyEnd(before place: Int) -> Int {
    var end = place
    while end > 0 {
      // With a line that has no end, the text ends.
      let start = lineStart(isBreak(text[end - 1]) ? end - (end > 1 && text[end - 1] == "\n" && text[end - 2] == "\r" ? 2 : 1) : end)
      let rest = text[start..<end].drop { $0 == " " || $0 == "\t" }
      guard rest.first.map({ isBreak($0) || $0 == "#" }) ?? true, start < end else { return end }
      end = start
    }
    return end
  }

  /// Where the comment begins that stands directly above a line, as far to the right.
  private func commentStart(above place: Int, indent: Int) -> Int {
    var start = place
    while start > 0 {
      let previous = lineStart(start - (start > 1 && text[start - 1] == "\n" && text[start - 2] == "\r" ? 2 : 1))
      let blanks = blanks(at: previous)
      guard blanks == indent, previous + blanks < start, text[previous + blanks] == "#" else { return start }
      start = previous
    }
    return start
  }
}

extension YAMLNode {
  fileprivate var isQuoted: Bool {
    if case .scalar(_, isPlain: false) = content { isFlow } else { false }
  }

  /// Of a VNI or a port: without the keys that say what would hold anyway.
  fileprivate var withoutDefaults: YAMLNode {
    let defaults: YAMLNode
    let kept: Set<String>
    if let kind = mapping?["kind"]?.text.flatMap({ PortKind(rawValue: $0) }) {
      defaults = PortSettings(name: "", attachment: PortAttachment(kind)).node
      kept = ["name", "kind"]
    } else if let vni = mapping?["vni"]?.text.flatMap({ UInt32($0) }).flatMap({ VNI($0) }) {
      defaults = VNISettings(vni: vni, flood: .none).node
      kept = ["vni", "flood"]
    } else {
      return self
    }
    let pairs = (mapping?.pairs ?? []).filter { pair in
      pair.key.text.map { kept.contains($0) || defaults.mapping?[$0] != pair.value } ?? true
    }
    return YAMLNode(content: .mapping(YAMLMapping(pairs)), isFlow: isFlow)
  }

  /// A mapping with the keys that differ between two others changed.
  fileprivate func laid(over old: YAMLNode, _ new: YAMLNode) -> YAMLNode {
    guard var mapping, let old = old.mapping, let new = new.mapping else { return new }
    for key in (new.pairs + old.pairs).compactMap(\.key.text).withoutDuplicates where old[key] != new[key] { mapping[key] = new[key] }
    return YAMLNode(content: .mapping(mapping), isFlow: true)
  }
}

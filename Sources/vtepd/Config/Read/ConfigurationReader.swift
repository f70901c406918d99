// ConfigurationReader: collects problems while the loader walks through the YAML tree, and records the position of each value, so that
// problems that DesiredState finds later can be reported with a line number. It also converts single values.

import Encap
import VTEP

/// The state of one pass over a file. A class, because all sections share it.
final class ConfigurationReader {
  /// Record positions of values and look-ups of keys. This takes time, and only messages and the list of all keys need it.
  let isRecording: Bool
  private(set) var problems: [ConfigurationProblem] = []
  private var positions: [ValuePath: FilePosition] = [:]

  /// Values that are already reported as wrong; the desired state has a placeholder for each.
  private var settled: Set<ValuePath> = []

  /// A value of the desired state: the subject, and the keys that lead to the value.
  private struct ValuePath: Hashable {
    var subject: DesiredState.Problem.Subject
    var path: [String]
  }

  /// The keys looked up in each mapping, by the mapping's position.
  private(set) var sections: [FilePosition: SectionKeys] = [:]

  /// The keys of one mapping.
  struct SectionKeys {
    /// In the order of their first look-up.
    var keys: [String] = []
    /// The operator chooses the keys.
    var hasFreeKeys = false
  }

  /// A value to be read, and its name in messages.
  struct Value {
    let node: YAMLNode
    let name: String
    let subject: DesiredState.Problem.Subject
    let reader: ConfigurationReader
  }

  init(isRecording: Bool = false) {
    self.isRecording = isRecording
  }

  /// Records a look-up in a mapping.
  func record(_ position: FilePosition, _ edit: (inout SectionKeys) -> Void) {
    guard isRecording else { return }
    edit(&sections[position, default: SectionKeys()])
  }

  func report(_ position: FilePosition, _ message: String) {
    problems.append(ConfigurationProblem(position: position, message: message))
  }

  /// Records the position of a value. Of two equal elements, the later one counts: it is the one at fault.
  func remember(_ position: FilePosition, _ subject: DesiredState.Problem.Subject, _ path: @autoclosure () -> [String] = []) {
    guard isRecording else { return }
    positions[ValuePath(subject: subject, path: path())] = position
  }

  /// Marks a value as already reported, so that its placeholder is not reported as well.
  func settle(_ subject: DesiredState.Problem.Subject, _ path: [String]) {
    settled.insert(ValuePath(subject: subject, path: path))
  }

  func isSettled(_ problem: DesiredState.Problem) -> Bool {
    settled.contains(ValuePath(subject: problem.subject, path: problem.path))
  }

  /// Reports a problem of the desired state at the position of its value or, failing that, of the nearest key above it.
  func report(_ problem: DesiredState.Problem) {
    var path = problem.path
    while !path.isEmpty, positions[ValuePath(subject: problem.subject, path: path)] == nil { path.removeLast() }
    let position = positions[ValuePath(subject: problem.subject, path: path)] ?? FilePosition(line: 1, column: 1)
    report(position, problem.message)
  }

  // MARK: Single values. Each reports what is wrong and returns nil.

  /// A whole number in decimal digits, unquoted.
  func integer(_ node: YAMLNode, _ key: String, in range: ClosedRange<Int>) -> Int? {
    if let text = node.plainText, text.isDecimal, let value = Int(text), range.contains(value) { return value }
    report(node.position, "\(key) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \(node.shortDescription)")
    return nil
  }

  func boolean(_ node: YAMLNode, _ key: String) -> Bool? {
    switch node.plainText {
    case "true": return true
    case "false": return false
    default:
      report(node.position, "\(key) must be true or false, not \(node.shortDescription)")
      return nil
    }
  }

  /// Any text, quoted or not; not empty.
  func text(_ node: YAMLNode, _ key: String) -> String? {
    if let text = node.text, !node.isNull, !text.isEmpty { return text }
    report(node.position, "\(key) must be text, not \(node.shortDescription)")
    return nil
  }

  /// One of the raw values of an enumeration.
  func choice<Choice: CaseIterable & RawRepresentable<String>>(_ node: YAMLNode, _ key: String, as type: Choice.Type) -> Choice? {
    if let text = node.text, let value = Choice(rawValue: text) { return value }
    let names = Choice.allCases.map(\.rawValue)
    report(node.position, "\(key) must be \(names.joinedAsChoice), not \(node.shortDescription)")
    return nil
  }

  /// An IPv4 or IPv6 address.
  func address(_ node: YAMLNode, _ key: String) -> IPAddress? {
    if let text = node.text, let value = IPAddress(text) { return value }
    report(node.position, "\(key) must be an IPv4 or IPv6 address, not \(node.shortDescription)")
    return nil
  }

  func macAddress(_ node: YAMLNode, _ key: String) -> MACAddress? {
    if let text = node.text, let value = MACAddress(text) { return value }
    report(node.position, "\(key) must be a MAC address like 02:00:00:00:00:21, not \(node.shortDescription)")
    return nil
  }

  func vni(_ node: YAMLNode, _ key: String) -> VNI? {
    integer(node, key, in: 0...Int(VNI.maximum)).flatMap { VNI($0) }
  }

  /// Permissions in octal digits, as chmod(1) takes them.
  func mode(_ node: YAMLNode, _ key: String) -> UInt16? {
    if let text = node.text, (3...4).contains(text.utf8.count), let mode = UInt16(text, radix: 8), mode <= 0o777 { return mode }
    report(node.position, "\(key) must be octal permissions such as 0660, not \(node.shortDescription)")
    return nil
  }

  /// The VLAN identifier that is the key of an entry.
  func vlan(_ entry: ConfigurationSection.Entry) -> UInt16? {
    if let vlan = UInt16(entry.key), (1...4094).contains(vlan), String(vlan) == entry.key { return vlan }
    report(entry.position, "a VLAN identifier must be a whole number from 1 to 4094, not '\(entry.key)'")
    return nil
  }

  /// The elements of a list; an empty value is an empty list.
  func list(_ node: YAMLNode, _ key: String) -> [YAMLNode]? {
    if let sequence = node.sequence { return sequence }
    if node.isNull { return [] }
    report(node.position, "\(key) must be a list, not \(node.shortDescription)")
    return nil
  }
}

extension Array where Element == String {
  /// `a, b or c`.
  var joinedAsChoice: String {
    count < 2 ? joined() : dropLast().joined(separator: ", ") + " or " + (last ?? "")
  }
}

extension String {
  /// Digits only, without a leading zero: every YAML reader reads the same number.
  fileprivate var isDecimal: Bool {
    !isEmpty && utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      && (utf8.count == 1 || utf8.first != UInt8(ascii: "0"))
  }
}

// PortKey: what a key of a port in the configuration file is to everyone who handles it. PortKeys.swift has the table of all of them.

/// A key of an element of `ports`, or of a profile.
public struct PortKey: Sendable {
  /// Where a key may stand, and when its value may change.
  public enum Scope: Sendable {
    /// In a port.
    case port
    /// In a port; part of what it is attached to, and so fixed while the port exists. Which of these keys a port has depends on its kind.
    case attachment
    /// In a port or a profile.
    case option
  }

  /// The values that vtepctl accepts; the daemon checks them further.
  public enum Form: Sendable {
    case flag, number, text
    case choice([String])
    /// A list, given one element at a time.
    case texts
    /// VLAN identifiers and VNIs, given one pair at a time.
    case vlans
  }

  /// Where `show ports` shows the value in force.
  public enum Display: Equatable, Sendable {
    case none
    /// In JSON only.
    case row
    /// In JSON, and in a column of its own.
    case column(String)
    /// In JSON's `limits`.
    case limits
  }

  /// An option of `vtepctl port add` and `port set`.
  public struct Option: Sendable {
    public let name: String
    public let valueName: String?
    public let help: String
  }

  /// Name in the configuration file; for a key inside another, the way to it: `rate-limit.ingress.bits`.
  public let name: String
  public let scope: Scope
  public let form: Form
  /// For the reference, in Markdown.
  public let fallback: String
  public let summary: String
  public let display: Display
  /// Name in `show ports`.
  public let jsonName: String
  /// Nil: only the file has the key.
  public let option: Option?

  /// - Parameters:
  ///   - short: name where no other keys are around it; nil: `name`.
  ///   - option: the option's name; nil: `short`.
  ///   - help: the option's help; nil: there is no option.
  init(
    _ name: String, _ scope: Scope, _ form: Form, default fallback: String, display: Display = .none, short: String? = nil,
    option: String? = nil, valueName: String? = nil, help: String?, _ summary: String
  ) {
    self.name = name
    self.scope = scope
    self.form = form
    self.fallback = fallback
    self.summary = summary
    self.display = display
    let short = short ?? name
    jsonName = String(short.map { $0 == "-" ? "_" : $0 })
    self.option = help.map { Option(name: option ?? short, valueName: valueName, help: $0) }
  }

  /// The keys that lead to it, itself last.
  public var path: [String] { name.split(separator: ".").map(String.init) }

  /// Its row in docs/configuration.md.
  public var referenceRow: String { "| `ports[].\(name)` | \(fallback) | \(summary) |" }
}

extension PortKey {
  /// Names of the keys whose values are mappings of further keys.
  public static let groups = Set(all.flatMap { $0.path.dropLast() })

  private struct JSONKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Those that are shown in a row, or in its `limits`.
  private static func shown(inLimits: Bool) -> [PortKey] {
    all.filter { $0.display != .none && ($0.display == .limits) == inLimits }
  }

  /// Adds the values of keys, by name, to the object that is being encoded. Absent ones are null.
  static func encode(_ values: [String: SettingValue], inLimits: Bool, to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: JSONKey.self)
    for key in shown(inLimits: inLimits) {
      try container.encode(values[key.name] ?? .null, forKey: JSONKey(stringValue: key.jsonName))
    }
  }

  static func decode(inLimits: Bool, from decoder: any Decoder) throws -> [String: SettingValue] {
    let container = try decoder.container(keyedBy: JSONKey.self)
    var values: [String: SettingValue] = [:]
    for key in shown(inLimits: inLimits) {
      values[key.name] = try container.decodeIfPresent(SettingValue.self, forKey: JSONKey(stringValue: key.jsonName))
    }
    return values
  }
}

// SettingValue: a value of the configuration file, as the control socket carries it. Commands that change an element of
// the file's lists send its keys: the daemon reads them with the reader of the file.

/// What JSON and YAML have in common, with whole numbers only.
public enum SettingValue: Codable, Equatable, Sendable {
  /// Removes the key.
  case null
  case flag(Bool)
  case number(Int64)
  case text(String)
  case list([SettingValue])
  case map([String: SettingValue])

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .flag(value)
    } else if let value = try? container.decode(Int64.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([SettingValue].self) {
      self = .list(value)
    } else {
      self = .map(try container.decode([String: SettingValue].self))
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .flag(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    case .list(let value): try container.encode(value)
    case .map(let value): try container.encode(value)
    }
  }
}

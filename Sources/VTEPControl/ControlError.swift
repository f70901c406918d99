// ControlError: why the daemon refused a command; the JSON-RPC error object (JSON-RPC 2.0 §5.1) as a value.

/// A command's refusal.
public struct ControlError: Error, Equatable, Sendable, CustomStringConvertible {
  /// JSON-RPC error codes: the protocol's own, and ours from -32000 downwards.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public var rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The line is not JSON.
    public static let parseError = Code(rawValue: -32700)
    /// JSON, but not a request.
    public static let invalidRequest = Code(rawValue: -32600)
    public static let methodNotFound = Code(rawValue: -32601)
    /// Unknown parameter, wrong type, or a value that cannot be one (an address that does not parse).
    public static let invalidParameters = Code(rawValue: -32602)
    public static let internalError = Code(rawValue: -32603)
    /// Well-formed, but conflicts with the running state, or impossible.
    public static let refused = Code(rawValue: -32000)
    /// What the command names does not exist.
    public static let notFound = Code(rawValue: -32001)
    /// The daemon is starting or stopping, or serves too many clients.
    public static let unavailable = Code(rawValue: -32002)
    /// The client's user is in none of the groups that may give the command.
    public static let permissionDenied = Code(rawValue: -32003)
  }

  public var code: Code
  /// One line, without the command's name.
  public var message: String
  /// Further lines, e.g. each problem of a configuration as `file:line:column: message`.
  public var details: [String]

  public init(_ code: Code, _ message: String, details: [String] = []) {
    self.code = code
    self.message = message.onOneLine
    self.details = details.map(\.onOneLine)
  }

  /// Message and details, one per line.
  public var description: String {
    ([message] + details).joined(separator: "\n")
  }
}

extension ControlError: Codable {
  private enum CodingKeys: String, CodingKey { case code, message, data }
  private struct ExtraData: Codable { var details: [String] }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    code = Code(rawValue: try container.decode(Int.self, forKey: .code))
    message = try container.decode(String.self, forKey: .message)
    details = try container.decodeIfPresent(ExtraData.self, forKey: .data)?.details ?? []
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(code.rawValue, forKey: .code)
    try container.encode(message, forKey: .message)
    if !details.isEmpty { try container.encode(ExtraData(details: details), forKey: .data) }
  }
}

// Remote: the address of an OVSDB server in Open vSwitch's notation (ovsdb(7), "Connection Methods"): `ssl:192.0.2.1:6640`,
// `tcp:[2001:db8::1]:6640`, `unix:/run/db.sock`; or the address where we listen for it: `pssl:6640:192.0.2.2`.

/// One endpoint of OVSDB connections.
public struct Remote: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// A socket in the file system.
    case unix(path: String)
    /// The server listens. The host is a name, or an address without brackets.
    case dial(host: String, port: Int)
    /// We listen, and the server connects. A nil address means all addresses.
    case listen(port: Int, address: String?)
  }

  public var kind: Kind
  public var usesTLS: Bool

  /// Assigned by IANA, RFC 7047 §6.
  public static let defaultPort = 6640

  public init(_ kind: Kind, usesTLS: Bool = false) {
    self.kind = kind
    self.usesTLS = usesTLS
  }

  /// - Throws: what is wrong with the text.
  public init(parsing text: String) throws(RemoteSyntaxError) {
    guard let colon = text.firstIndex(of: ":") else {
      throw RemoteSyntaxError("'\(text)' is not a remote: it must begin with unix:, tcp:, ssl:, ptcp: or pssl:")
    }
    let scheme = text[..<colon]
    let rest = text[text.index(after: colon)...]
    switch scheme {
    case "unix":
      guard rest.utf8.count <= Self.longestPath else {
        throw RemoteSyntaxError("'\(text)': the path is longer than \(Self.longestPath) bytes")
      }
      guard rest.hasPrefix("/") else { throw RemoteSyntaxError("'\(text)': the path must be absolute") }
      self.init(.unix(path: String(rest)))
    case "tcp", "ssl":
      let (host, rest) = try Self.host(rest, in: text)
      guard let host else { throw RemoteSyntaxError("'\(text)': there is no host") }
      self.init(.dial(host: host, port: try Self.port(rest, in: text)), usesTLS: scheme == "ssl")
    case "ptcp", "pssl":
      let parts = rest.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let (address, tail) = parts.count < 2 ? (nil, "") : try Self.host(parts[1], in: text)
      guard tail.isEmpty else { throw RemoteSyntaxError("'\(text)': put an IPv6 address in brackets, with nothing after it") }
      self.init(.listen(port: try Self.port(parts[0], in: text), address: address), usesTLS: scheme == "pssl")
    default:
      throw RemoteSyntaxError("'\(text)': unknown scheme '\(scheme)': use unix:, tcp:, ssl:, ptcp: or pssl:")
    }
  }

  /// The longest path that fits sockaddr_un with its terminator, in bytes.
  private static let longestPath = 107

  /// Splits off `HOST` or `[ADDRESS]`; returns what follows its colon.
  private static func host(_ text: Substring, in whole: String) throws(RemoteSyntaxError) -> (host: String?, rest: Substring) {
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { throw RemoteSyntaxError("'\(whole)': the bracket is not closed") }
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw RemoteSyntaxError("'\(whole)': a colon and the port must follow the bracket") }
      let address = String(text[text.index(after: text.startIndex)..<end])
      guard address.contains(":") else { throw RemoteSyntaxError("'\(whole)': only IPv6 addresses go in brackets") }
      return (address, rest.dropFirst())
    }
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let rest = parts.count < 2 ? "" : parts[1]
    guard !rest.contains(":") else { throw RemoteSyntaxError("'\(whole)': put an IPv6 address in brackets") }
    return (parts[0].isEmpty ? nil : String(parts[0]), rest)
  }

  private static func port(_ text: Substring, in whole: String) throws(RemoteSyntaxError) -> Int {
    if text.isEmpty { return defaultPort }
    guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let port = Int(text), (1...65535).contains(port)
    else {
      throw RemoteSyntaxError("'\(whole)': the port must be a number from 1 to 65535, not '\(text)'")
    }
    return port
  }

  /// Whether we listen and the server connects.
  public var isPassive: Bool {
    if case .listen = kind { true } else { false }
  }
}

extension Remote: CustomStringConvertible {
  public var description: String {
    switch kind {
    case .unix(let path): "unix:\(path)"
    case .dial(let host, let port): "\(usesTLS ? "ssl" : "tcp"):\(Self.bracketed(host)):\(port)"
    case .listen(let port, let address): "\(usesTLS ? "pssl" : "ptcp"):\(port)" + (address.map { ":\(Self.bracketed($0))" } ?? "")
    }
  }

  private static func bracketed(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }
}

/// A text that is not a valid remote.
public struct RemoteSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

// MetricsSettings: the `metrics:` section.

import Encap

/// Where metrics are served, and how many series.
struct MetricsSettings: Equatable, Sendable {
  /// Addresses and TCP ports of the HTTP server; empty: there is none.
  var listen: [Endpoint] = []
  /// The socket of snmpd for sub-agents (AgentX, RFC 2741); nil: there is none.
  var agentX: String?
  /// VNIs, and VTEPs, with series of their own.
  var vnis = 200
  var vteps = 200

  var isEmpty: Bool { listen.isEmpty && agentX == nil }

  /// An address and a port, written as `192.0.2.1:9478` or `[2001:db8::1]:9478`.
  struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    var address: IPAddress
    var port: UInt16

    init(address: IPAddress, port: UInt16) {
      self.address = address
      self.port = port
    }

    /// Nil: the text is not of that form.
    init?(_ text: String) {
      guard let colon = text.lastIndex(of: ":") else { return nil }
      let (host, number) = (text[..<colon], text[text.index(after: colon)...])
      let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
      guard let address = IPAddress(String(isBracketed ? host.dropFirst().dropLast() : host)), address.isIPv4 != isBracketed,
        let port = UInt16(number), port > 0, String(port) == number
      else { return nil }
      self.init(address: address, port: port)
    }

    var description: String { address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
  }
}

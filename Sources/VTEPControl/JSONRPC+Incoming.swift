// JSONRPC+Incoming: how the daemon reads a request line, in two steps. First the envelope, with the command and whether it expects
// an answer; then the parameters, by the command's type.

import FoundationEssentials

extension JSONRPC {
  /// A request line whose parameters are still undecoded.
  public struct Incoming: Sendable {
    /// nil: a notification, which is never answered (JSON-RPC 2.0 §4.1).
    public let id: Identifier?
    public let method: String
    private let line: Data

    /// Reads the envelope.
    ///
    /// - Throws: `parseError` or `invalidRequest`, with the identifier as far as it could be read.
    public init(line: Data) throws(Failure) {
      let envelope: Envelope
      do {
        envelope = try JSONDecoder().decode(Envelope.self, from: line)
      } catch DecodingError.dataCorrupted {
        throw Failure(id: .null, error: ControlError(.parseError, "the line is not JSON"))
      } catch {
        throw Failure(id: .null, error: ControlError(.invalidRequest, "the line is not one JSON-RPC request object"))
      }
      let id = envelope.id
      guard envelope.jsonrpc == JSONRPC.version else {
        throw Failure(id: id ?? .null, error: ControlError(.invalidRequest, "'jsonrpc' must be '2.0'"))
      }
      guard let method = envelope.method else {
        throw Failure(id: id ?? .null, error: ControlError(.invalidRequest, "'method' is missing"))
      }
      self.id = id
      self.method = method
      self.line = line
    }

    /// The parameters as the command's type; absent ones count as an empty object.
    ///
    /// - Throws: `invalidParameters`, naming the parameter.
    public func parameters<Request: ControlRequest>(as type: Request.Type) throws(ControlError) -> Request {
      do {
        return try JSONDecoder().decode(Body<Request>.self, from: line).params
      } catch let error as DecodingError {
        throw ControlError(.invalidParameters, Self.describe(error))
      } catch {
        throw ControlError(.invalidParameters, "\(error)")
      }
    }

    private static func describe(_ error: DecodingError) -> String {
      func path(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
        let keys = (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue)
        return keys.dropFirst().isEmpty ? "params" : keys.dropFirst().joined(separator: ".")
      }
      switch error {
      case .keyNotFound(let key, let context): return "parameter '\(path(context, key))' is missing"
      case .typeMismatch(_, let context): return "parameter '\(path(context))' has the wrong type"
      case .valueNotFound(_, let context): return "parameter '\(path(context))' is null"
      // The line is JSON, as the envelope showed; without a path the decoder speaks of a number it cannot represent.
      case .dataCorrupted(let context) where context.codingPath.isEmpty:
        return "a number in the parameters is out of range or not whole"
      case .dataCorrupted(let context): return "parameter '\(path(context))': \(context.debugDescription)"
      @unknown default: return "parameters cannot be read"
      }
    }
  }

  private struct Envelope: Decodable {
    var jsonrpc: String?
    var id: Identifier?
    var method: String?

    private enum CodingKeys: String, CodingKey { case jsonrpc, id, method }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      jsonrpc = try container.decodeIfPresent(String.self, forKey: .jsonrpc)
      // A null identifier expects an answer; only a missing one makes a notification.
      id = container.contains(.id) ? try container.decode(Identifier.self, forKey: .id) : nil
      method = try container.decodeIfPresent(String.self, forKey: .method)
    }
  }

  private struct Body<Request: ControlRequest>: Decodable {
    var params: Request

    private enum CodingKeys: String, CodingKey { case params }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      guard container.contains(.params) else {
        params = try JSONDecoder().decode(Request.self, from: Data("{}".utf8))
        return
      }
      let given = try container.nestedContainer(keyedBy: AnyKey.self, forKey: .params)
      if let unknown = given.allKeys.first(where: { !Request.parameterNames.contains($0.stringValue) }) {
        throw DecodingError.dataCorruptedError(forKey: unknown, in: given, debugDescription: "there is no such parameter")
      }
      params = try container.decode(Request.self, forKey: .params)
    }
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}

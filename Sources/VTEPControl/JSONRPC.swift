// JSONRPC: the envelopes around requests and answers (JSON-RPC 2.0 §4 and §5), and their encoding as one line each.

import FoundationEssentials

/// JSON-RPC 2.0 messages and their line encoding.
public enum JSONRPC {
  /// The value of the `jsonrpc` key.
  public static let version = "2.0"

  /// A request's identifier, echoed in its answer.
  public enum Identifier: Codable, Equatable, Sendable {
    case number(Int64)
    case string(String)
    case null

    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let number = try? container.decode(Int64.self) {
        self = .number(number)
      } else {
        self = .string(try container.decode(String.self))
      }
    }

    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .number(let number): try container.encode(number)
      case .string(let string): try container.encode(string)
      case .null: try container.encodeNil()
      }
    }
  }

  /// A request with its parameters.
  public struct Request<Parameters: Encodable>: Encodable {
    public var jsonrpc = JSONRPC.version
    public var id: Identifier
    public var method: String
    public var params: Parameters

    public init(id: Identifier, method: String, params: Parameters) {
      self.id = id
      self.method = method
      self.params = params
    }
  }

  /// A successful answer.
  public struct Success<Answer: Encodable>: Encodable {
    public var jsonrpc = JSONRPC.version
    public var id: Identifier
    public var result: Answer

    public init(id: Identifier, result: Answer) {
      self.id = id
      self.result = result
    }
  }

  /// A refusal.
  public struct Failure: Error, Codable, Equatable, Sendable {
    public var jsonrpc = JSONRPC.version
    public var id: Identifier
    public var error: ControlError

    public init(id: Identifier, error: ControlError) {
      self.id = id
      self.error = error
    }
  }

  /// Either kind of answer, as the client reads it.
  public struct Response<Answer: Decodable>: Decodable {
    public var jsonrpc: String
    public var id: Identifier
    public var result: Answer?
    public var error: ControlError?
  }

  /// One message as one line: JSON without line breaks, keys in alphabetical order, and a newline.
  public static func line(_ message: some Encodable) throws -> Data {
    var data = try JSONLine.encode(message)
    data.append(UInt8(ascii: "\n"))
    return data
  }
}

// ControlCommands: the commands that the control server answers, each with the function that carries it out. The server knows nothing else
// about them; Control/Commands adds the daemon's.

import FoundationEssentials
import VTEPControl

/// Commands by their methods.
struct ControlCommands: Sendable {
  struct Command: Sendable {
    let access: ControlAccess
    /// The line with the result.
    ///
    /// - Throws: `invalidParameters` when the request has other parameters than the command, and whatever refuses it.
    let answer: @Sendable (JSONRPC.Incoming, JSONRPC.Identifier) async throws(ControlError) -> Data
  }

  private var commands: [String: Command] = [:]

  var methods: [String] { commands.keys.sorted() }

  subscript(method: String) -> Command? { commands[method] }

  /// Adds a command.
  ///
  /// - Parameter body: carries it out; called from many connections at once. Its parameters have the right types, but their values are not
  ///   checked yet; `ControlRequest+Values` converts them.
  mutating func add<Request: ControlRequest>(
    _ type: Request.Type, _ body: @escaping @Sendable (Request) async throws(ControlError) -> Request.Answer
  ) {
    commands[Request.method] = Command(access: Request.access) { incoming, id throws(ControlError) in
      try Self.line(id, try await body(incoming.parameters(as: type)))
    }
  }

  /// Adds a command whose answer has pages: `limit` is always set, from 1 to `ControlLimits.pageRowCount`.
  mutating func add<Request: PagedRequest>(
    _ type: Request.Type, _ body: @escaping @Sendable (Request) async throws(ControlError) -> Request.Answer
  ) {
    commands[Request.method] = Command(access: Request.access) { incoming, id throws(ControlError) in
      var request: Request = try incoming.parameters(as: type)
      request.limit = min(max(request.limit ?? ControlLimits.pageRowCount, 1), ControlLimits.pageRowCount)
      return try Self.line(id, try await body(request))
    }
  }

  private static func line(_ id: JSONRPC.Identifier, _ result: some Encodable) throws(ControlError) -> Data {
    do {
      return try JSONRPC.line(JSONRPC.Success(id: id, result: result))
    } catch {
      throw ControlError(.internalError, "cannot encode the answer: \(error)")
    }
  }
}

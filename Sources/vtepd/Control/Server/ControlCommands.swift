// ControlCommands: the commands that the control server answers, each with the function that carries it out. The server knows nothing else
// about them; Control/Commands adds the daemon's.

import FoundationEssentials
import VTEPControl

/// Commands by their methods.
struct ControlCommands: Sendable {
  struct Command: Sendable {
    let access: ControlAccess
    /// Carries it out.
    ///
    /// - Throws: `invalidParameters` when the request has other parameters than the command, and whatever refuses it.
    let answer: @Sendable (JSONRPC.Incoming, JSONRPC.Identifier) async throws(ControlError) -> Answered
    /// The request, for the log.
    let request: @Sendable (JSONRPC.Incoming) -> String
  }

  /// A command that was carried out.
  struct Answered: Sendable {
    /// With the result.
    var line: Data
    /// For the log; empty for commands that only read.
    var request = ""
    var result = ""
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
    commands[Request.method] = Command(
      access: Request.access,
      answer: { incoming, id throws(ControlError) in
        let request = try incoming.parameters(as: type)
        let answer = try await body(request)
        let line = try Self.line(id, answer)
        return Request.access == .read ? Answered(line: line) : Answered(line: line, request: request.auditText, result: answer.auditText)
      },
      request: { incoming in (try? incoming.parameters(as: type))?.auditText ?? Request.method })
  }

  /// Adds a command whose answer has pages: `limit` is always set, from 1 to `ControlLimits.pageRowCount`.
  mutating func add<Request: PagedRequest>(
    _ type: Request.Type, _ body: @escaping @Sendable (Request) async throws(ControlError) -> Request.Answer
  ) {
    commands[Request.method] = Command(
      access: Request.access,
      answer: { incoming, id throws(ControlError) in
        var request: Request = try incoming.parameters(as: type)
        request.limit = min(max(request.limit ?? ControlLimits.pageRowCount, 1), ControlLimits.pageRowCount)
        return Answered(line: try Self.line(id, try await body(request)))
      },
      request: { _ in Request.method })
  }

  private static func line(_ id: JSONRPC.Identifier, _ result: some Encodable) throws(ControlError) -> Data {
    do {
      return try JSONRPC.line(JSONRPC.Success(id: id, result: result))
    } catch {
      throw ControlError(.internalError, "cannot encode the answer: \(error)")
    }
  }
}

// ControlDispatcher: turns a request line into an answer line: reads the envelope, finds the command, and converts every failure
// to a JSON-RPC error. Each change, and each attempt at one, makes a line of the log. Knows nothing about sockets.

import FoundationEssentials
import Glibc
import VTEPControl

/// Answers the request lines of one client.
struct ControlDispatcher: Sendable {
  let commands: ControlCommands
  /// The client, and what it may do.
  let user: uid_t
  let access: ControlAccess
  var origin = ChangeOrigin.daemon
  /// Gets a line for each change, and for each that was refused.
  var audit: @Sendable (_ text: String, _ isRefused: Bool) -> Void = { _, _ in }

  /// The answer to one line, newline included; nil for a notification.
  func answer(to line: Data) async -> Data? {
    let incoming: JSONRPC.Incoming
    do throws(JSONRPC.Failure) {
      incoming = try JSONRPC.Incoming(line: line)
    } catch {
      return Self.refusal(error.error, id: error.id)
    }
    let answer = await answer(to: incoming, id: incoming.id ?? .null)
    return incoming.id == nil ? nil : answer
  }

  /// A refusal; without an identifier it belongs to no request.
  static func refusal(_ error: ControlError, id: JSONRPC.Identifier = .null) -> Data {
    let bare = #"{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"cannot encode the error"}}"#
    return (try? JSONRPC.line(JSONRPC.Failure(id: id, error: error))) ?? Data((bare + "\n").utf8)
  }

  private func answer(to incoming: JSONRPC.Incoming, id: JSONRPC.Identifier) async -> Data {
    do throws(ControlError) {
      guard let command = commands[incoming.method] else {
        throw ControlError(.methodNotFound, "there is no command '\(incoming.method)'")
      }
      guard command.access <= access else {
        let refusal = ControlGroups.refusal(incoming.method, needs: command.access, user: user)
        note(incoming.method, "refused: no permission", isRefused: true)
        throw refusal
      }
      guard command.access == .change else { return try await command.answer(incoming, id).line }
      do throws(ControlError) {
        let answered = try await carryOut(command, incoming, id)
        note(answered.request, answered.result)
        return answered.line
      } catch {
        note(command.request(incoming), "refused: \(error.message)", isRefused: true)
        throw error
      }
    } catch {
      return Self.refusal(error, id: id)
    }
  }

  private func carryOut(
    _ command: ControlCommands.Command, _ incoming: JSONRPC.Incoming, _ id: JSONRPC.Identifier
  ) async throws(ControlError) -> ControlCommands.Answered {
    let result = await ChangeOrigin.$current.withValue(origin) { () async -> Result<ControlCommands.Answered, ControlError> in
      do throws(ControlError) {
        return .success(try await command.answer(incoming, id))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func note(_ request: String, _ result: String, isRefused: Bool = false) {
    audit("\(origin.text): \(request): \(result)", isRefused)
  }
}

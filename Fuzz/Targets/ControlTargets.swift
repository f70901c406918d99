// Text that people and programs give the daemon: lines of the control socket, configuration files, and the file with the saved
// controller state.

import Encap
import FoundationEssentials
import NIOCore
import OVSDBClient
import VTEP
import VTEPControl

@testable import vtepd
@testable import vtepdTests

// -- control socket -----------------------------------------------------------------------------------------------------

private let lineLimit = 8192

/// The lines of a stream that arrives in pieces; ends with nil if a line is too long.
private func lines(of pieces: [[UInt8]]) -> [Data?] {
  var buffer = LineBuffer(byteLimit: lineLimit)
  var lines: [Data?] = []
  for piece in pieces {
    buffer.append(ByteBuffer(bytes: piece))
    while let line = buffer.next() { lines.append(line) }
    if buffer.isOverflowing { return lines + [nil] }
  }
  return lines
}

@Sendable func fuzzControlLine(_ input: UnsafeMutableRawBufferPointer) throws {
  let bytes = Array(input)
  let found = lines(of: [bytes])
  let third = bytes.count / 3
  try require(lines(of: [Array(bytes[..<third]), Array(bytes[third...])]) == found, "other lines in two pieces")
  let handler = RecordingHandler(desired: try fullConfiguration.get().desired)
  for case let line? in found {
    let before = handler.desired.withLock { $0 }
    try answer(line, handler, .read)
    try require(handler.desired.withLock { $0 } == before, "a reader has changed something")
    try answer(line, handler, .change)
  }
  let problems = handler.desired.withLock { $0 }.problems()
  try require(problems.isEmpty, "accepted, and wrong: \(problems)")
}

private func answer(_ line: Data, _ handler: RecordingHandler, _ access: ControlAccess) throws {
  let dispatcher = ControlDispatcher(commands: handler.commands, user: 0, access: access)
  guard let answer = try runInPlace({ await dispatcher.answer(to: line) }) else { return }
  try require(answer.last == UInt8(ascii: "\n") && !answer.dropLast().contains(UInt8(ascii: "\n")), "an answer is no line")
  guard case .object(let members)? = try? JSONValue(parsing: answer.dropLast(), depth: 64) else {
    throw Finding(description: "an answer is no JSON object")
  }
  try require(members["jsonrpc"] == .string("2.0") && members["id"] != nil, "an answer is not JSON-RPC 2.0")
  try require((members["result"] == nil) != (members["error"] == nil), "an answer has neither result nor error, or both")
  guard case .object(let error)? = members["error"] else { return }
  guard case .integer(let code)? = error["code"], case .string(let message)? = error["message"] else {
    throw Finding(description: "an error without words")
  }
  try require(!message.contains(where: \.isNewline), "a message of several lines: \(message)")
  // The handler's answer to `show workers` contains a number that JSON cannot represent.
  let isKnown = message.hasPrefix("cannot encode the answer")
  try require(code != Int64(ControlError.Code.internalError.rawValue) || isKnown, "an internal error: \(message)")
}

/// Runs an asynchronous function that never suspends.
private func runInPlace<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) throws -> Value {
  let box = Box<Value>()
  Task.detached(executorPreference: InPlace.executor) { box.value = await body() }
  guard let value = box.value else { throw Finding(description: "the answer did not come at once") }
  return value
}

private final class Box<Value>: @unchecked Sendable {
  var value: Value?
}

private final class InPlace: TaskExecutor {
  static let executor = InPlace()

  func enqueue(_ job: consuming ExecutorJob) { UnownedJob(job).runSynchronously(on: asUnownedTaskExecutor()) }
}

private let fullConfiguration = Result { try ConfigurationLoader(hostName: "h").load(text: fullConfigurationText, file: "f") }

// -- configuration ------------------------------------------------------------------------------------------------------

@Sendable func fuzzConfiguration(_ input: UnsafeMutableRawBufferPointer) throws {
  let loader = ConfigurationLoader(hostName: "h")
  let configuration: Configuration
  do throws(ConfigurationError) {
    configuration = try loader.load(bytes: Data(input), file: "f")
  } catch {
    try require(!error.problems.isEmpty, "refused without a reason")
    for problem in error.problems {
      try require(problem.position.map { $0.line >= 1 && $0.column >= 1 } ?? true, "no place in a file: \(problem)")
      try require(!problem.message.isEmpty, "a problem without words")
    }
    try require(error.lines.allSatisfy { !$0.contains(where: \.isNewline) }, "not one line each: \(error.lines)")
    return
  }
  let text = try configuration.yaml()
  let again: Configuration
  do throws(ConfigurationError) {
    again = try loader.load(text: text, file: "f")
  } catch {
    throw Finding(description: "written, and not read: \(error)\n\(text)")
  }
  try require(again == configuration, "written and read as another:\n\(text)")
  try require(try again.yaml() == text, "written in two ways:\n\(text)")
  try require(configuration.changes(to: again).isEmpty && configuration.keysNeedingRestart(for: again).isEmpty, "changes to itself")
  try require(configuration.loss(to: again, isWhole: true) == nil, "loses something to itself")
  let other = try fullConfiguration.get()
  _ = (configuration.changes(to: other), other.changes(to: configuration), other.loss(to: configuration, isWhole: true))
  _ = try? other.desired.merging(from: other.desired, to: configuration.desired)
}

// -- controller state ---------------------------------------------------------------------------------------------------

@Sendable func fuzzControllerState(_ input: UnsafeMutableRawBufferPointer) throws {
  guard let text = String(validating: input, as: UTF8.self) else { return }
  if let edit = try? ControllerStateFile.edit(text), let layer = edit.layer { try checkKept(layer, edit.addresses) }
  // A controller's names can be any text.
  var layer = ControllerLayer()
  layer.switches[VNI(truncating: 1)] = LogicalSwitchSettings(name: text)
  try checkKept(layer, [])
}

private func checkKept(_ layer: ControllerLayer, _ addresses: [ControllerEdit.Address]) throws {
  let again: ControllerEdit
  do {
    again = try ControllerStateFile.edit(ControllerStateFile.text(layer, addresses))
  } catch {
    throw Finding(description: "written, and not read: \(error)")
  }
  var kept = layer
  // Names lose their line breaks.
  for (vni, settings) in layer.switches { kept.switches[vni]?.name = String(settings.name.map { $0.isNewline ? " " : $0 }) }
  try require(again.layer == kept && again.addresses == addresses, "written and read as another")
}

// AgentXAgent: the sub-agent of snmpd (RFC 2741): connects, registers the rows of our interfaces and our forwarding database, and answers.

import Glibc
import Logging
import NIOCore
import NIOPosix
import VTEP
import VTEPControl

/// One sub-agent, for as long as its task runs.
struct AgentXAgent: Sendable {
  typealias Channel = NIOAsyncChannel<AgentXMessage, AgentXMessage>

  let path: String
  let daemon: Daemon
  let log: Logger

  /// How long a view is shown: a walk asks thousands of times.
  private static let viewSeconds = 5.0
  private static let longestPause = 30.0

  /// Registration of a subtree, or of the row of an interface.
  private struct Region: Hashable, Sendable {
    var name: ObjectIdentifier
    /// The sub-identifier that stands for a range, counted from 1, and the last of the range.
    var rangePosition: UInt8 = 0
    var rangeLast: UInt32?

    static func rows(ofInterface index: UInt32) -> [Region] {
      [(ManagementView.interfaceEntry, ManagementView.interfaceColumns), (ManagementView.extendedEntry, ManagementView.extendedColumns)].map
      {
        entry, columns in
        Region(
          name: entry + [columns.lowerBound, index], rangePosition: UInt8(entry.ids.count + 1), rangeLast: columns.upperBound)
      }
    }
  }

  /// Connects, and connects again, until it is cancelled.
  func run() async {
    var pause = 1.0
    var told = ""
    while !Task.isCancelled {
      let begin = ContinuousClock.now
      do {
        try await serve()
        log.notice("SNMP: \(path) has closed the session")
        told = ""
      } catch is CancellationError {
        return
      } catch {
        let text = Self.text(error)
        if text != told { log.warning("SNMP: \(path): \(text); trying again (metrics.agentx)") }
        told = text
      }
      if begin.duration(to: .now) > .seconds(60) { pause = 1 }
      try? await Task.sleep(for: .seconds(pause))
      pause = min(pause * 2, Self.longestPause)
    }
  }

  /// Why there is no session, and what to do.
  private static func text(_ error: any Error) -> String {
    guard let error = error as? IOError else { return "\(error)" }
    let reason = String(cString: strerror(error.errnoCode))
    switch error.errnoCode {
    case ENOENT, ECONNREFUSED:
      return "\(reason): no snmpd listens there; snmpd.conf needs 'master agentx', and 'agentXSocket' with this path"
    case EACCES: return "\(reason): vtepd may not open it; see 'agentXPerms' in snmpd.conf"
    default: return reason
    }
  }

  private func serve() async throws {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(unixDomainSocketPath: path) { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandlers(ByteToMessageHandler(AgentXDecoder()), MessageToByteHandler(AgentXEncoder()))
        return try Channel(wrappingChannelSynchronously: channel)
      }
    }
    try await channel.executeThenClose { inbound, outbound in
      try await withTaskCancellationHandler {
        try await talk(inbound, outbound)
      } onCancel: {
        channel.channel.close(promise: nil)
      }
    }
  }

  private func talk(_ inbound: NIOAsyncChannelInboundStream<AgentXMessage>, _ outbound: NIOAsyncChannelOutboundWriter<AgentXMessage>)
    async throws
  {
    var messages = inbound.makeAsyncIterator()
    try await outbound.write(AgentXMessage(payload: .open(description: "vtepd \(Version.text)")))
    guard let answer = try await messages.next(), case .response(_, let error, _, _) = answer.payload else {
      throw AgentXError(description: "no answer to Open")
    }
    guard error == 0 else { throw AgentXError(description: "Open was refused with error \(error)") }
    let session = answer.session
    log.notice("SNMP: registered with \(path)")
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await self.register(session, outbound) }
      var view: (value: ManagementView, made: ContinuousClock.Instant)?
      while let message = try await messages.next() {
        if case .close = message.payload { break }
        if case .response(_, let error, _, _) = message.payload {
          if error == AgentXMessage.errorDuplicate {
            log.warning("SNMP: another sub-agent, or snmpd itself, already has a part of BRIDGE-MIB or IF-MIB that vtepd offers")
          } else if error != 0 {
            log.warning("SNMP: a registration was refused with error \(error)")
          }
          continue
        }
        let now = ContinuousClock.now
        if view.map({ $0.made.duration(to: now) > .seconds(Self.viewSeconds) }) ?? true {
          view = (await currentView(), ContinuousClock.now)
        }
        guard let view, let answer = message.answer(from: view.value) else { continue }
        try await outbound.write(answer)
      }
      tasks.cancelAll()
    }
  }

  private func currentView() async -> ManagementView {
    guard let current = try? await daemon.running().running else { return ManagementView(objects: [], stations: []) }
    return ManagementView(current)
  }

  /// Registers what there is, and follows as ports come and go.
  private func register(_ session: UInt32, _ outbound: NIOAsyncChannelOutboundWriter<AgentXMessage>) async throws {
    var registered: Set<Region> = []
    var packet: UInt32 = 1
    while !Task.isCancelled {
      if let current = try? await daemon.running().running {
        let wanted = Set(
          ManagementView.interfaceIndexes(current).flatMap(Region.rows)
            + [ManagementView.bridgeBase, ManagementView.bridgeForwarding].map { Region(name: $0) })
        for region in registered.subtracting(wanted) {
          packet &+= 1
          let payload = AgentXMessage.Payload.unregister(region.name, rangePosition: region.rangePosition, rangeLast: region.rangeLast)
          try await outbound.write(AgentXMessage(session: session, packet: packet, payload: payload))
        }
        for region in wanted.subtracting(registered).sorted(by: { $0.name < $1.name }) {
          packet &+= 1
          let payload = AgentXMessage.Payload.register(region.name, rangePosition: region.rangePosition, rangeLast: region.rangeLast)
          try await outbound.write(AgentXMessage(session: session, packet: packet, payload: payload))
        }
        registered = wanted
      }
      try await Task.sleep(for: .seconds(2))
    }
  }
}

extension AgentXMessage {
  /// Most variables in one answer.
  private static let variableLimit = 1000

  /// The answer to a request of the master; nil: it wants none.
  func answer(from view: ManagementView) -> AgentXMessage? {
    var variables: [AgentXVariable] = []
    var (error, index): (UInt16, UInt16) = (0, 0)
    switch payload {
    case .get(let ranges): variables = ranges.map { AgentXVariable(name: $0.start, value: view.value($0.start)) }
    case .getNext(let ranges): variables = ranges.map(view.next)
    case .getBulk(let nonRepeaters, let maxRepetitions, var ranges):
      let single = min(Int(nonRepeaters), ranges.count)
      variables = ranges.prefix(single).map(view.next)
      ranges.removeFirst(single)
      // RFC 2741, section 7.2.3.3: repetition by repetition.
      for _ in 0..<maxRepetitions where !ranges.isEmpty && variables.count + ranges.count <= Self.variableLimit {
        let row = ranges.map(view.next)
        variables += row
        for position in ranges.indices {
          ranges[position].start = row[position].name
          ranges[position].includesStart = false
        }
        if row.allSatisfy({ $0.value == .endOfMIBView }) { break }
      }
    case .set: (error, index) = (Self.errorNotWritable, 1)
    default: return nil
    }
    return AgentXMessage(
      session: session, transaction: transaction, packet: packet,
      payload: .response(upTime: 0, error: error, index: index, variables))
  }
}

private struct AgentXDecoder: ByteToMessageDecoder {
  typealias InboundOut = AgentXMessage

  mutating func decode(context: ChannelHandlerContext, buffer: inout ByteBuffer) throws -> DecodingState {
    guard let message = try AgentXMessage(readingFrom: &buffer) else { return .needMoreData }
    context.fireChannelRead(wrapInboundOut(message))
    return .continue
  }
}

private struct AgentXEncoder: MessageToByteEncoder {
  typealias OutboundIn = AgentXMessage

  func encode(data: AgentXMessage, out: inout ByteBuffer) { data.write(into: &out) }
}

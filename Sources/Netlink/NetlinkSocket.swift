// NetlinkSocket: sends requests to the kernel and waits for the answers. Requests about links, addresses, routes and neighbours are
// in the extensions. The socket belongs to the network namespace of the thread that created it.

import CMNL
import Glibc

/// A synchronous rtnetlink client. Not for concurrent use. A request waits at most `timeoutSeconds` for the kernel.
public final class NetlinkSocket {
  static let timeoutSeconds = 5
  /// How often to repeat a dump that the kernel marks inconsistent (NLM_F_DUMP_INTR), each time after a pause for a burst of
  /// changes to end.
  private static let dumpAttempts = 20
  private static let dumpPauseMicroseconds: UInt32 = 20_000

  private let transport: NetlinkTransport
  var fileDescriptor: Int32 { transport.fileDescriptor }
  private var sequence: UInt32 = 0
  /// False once the kernel has rejected NTF_EXT_MANAGED.
  var supportsManagedNeighbors = true

  /// - Throws: EMFILE and the like; never EPERM, since reading needs no privilege.
  public convenience init() throws(NetlinkError) { try self.init(bus: NETLINK_ROUTE) }

  /// - Parameter bus: NETLINK_ROUTE or another NETLINK_* number.
  init(bus: Int32) throws(NetlinkError) {
    transport = try NetlinkTransport(bus: bus, nonBlocking: false, operation: "open request socket")
    var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
    let size = socklen_t(MemoryLayout<timeval>.size)
    guard setsockopt(transport.fileDescriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size) == 0 else {
      throw NetlinkError("set receive timeout", subject: "netlink", code: errno)
    }
    // Better error texts and strict checks; kernels before 4.20 lack them, and nothing here depends on them.
    _ = transport.setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1)
    _ = transport.setOption(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1)
  }

  /// Sends a request that the kernel acknowledges, and passes every message before the acknowledgement to `body`.
  func perform(_ request: borrowing NetlinkRequest, _ body: (NetlinkMessage) -> Void = { _ in }) throws(NetlinkError) {
    let outcome = try exchange(request, body)
    if outcome.code != 0 { throw request.error(outcome.code, detail: outcome.detail) }
  }

  /// Collects the results of a dump request; repeats it if the list changed in the meantime or part of it was lost.
  func dump<Value>(_ request: borrowing NetlinkRequest, _ parse: (NetlinkMessage) -> Value?) throws(NetlinkError)
    -> [Value]
  {
    for _ in 0..<Self.dumpAttempts {
      var values: [Value] = []
      let outcome = try exchange(request) { if let value = parse($0) { values.append(value) } }
      if outcome.code == 0 && !outcome.isInterrupted { return values }
      if outcome.code != 0 && outcome.code != ENOBUFS { throw request.error(outcome.code, detail: outcome.detail) }
      usleep(Self.dumpPauseMicroseconds)
    }
    throw request.error(EAGAIN, detail: "the list kept changing")
  }

  private struct Outcome {
    var code: Int32 = 0
    var detail: String?
    var isInterrupted = false
  }

  private func exchange(_ request: borrowing NetlinkRequest, _ body: (NetlinkMessage) -> Void) throws(NetlinkError)
    -> Outcome
  {
    sequence &+= 1
    request.setSequence(sequence)
    try transport.send(request)
    var outcome = Outcome()
    var isDone = false
    while !isDone {
      let (datagram, code) = transport.receive()
      if code == ENOBUFS { return Outcome(code: ENOBUFS, detail: "answer lost: receive buffer full") }
      if code == EAGAIN { throw request.error(ETIMEDOUT) }
      if code != 0 { throw request.error(code) }
      NetlinkMessage.forEach(in: datagram) { message in
        // The answer to an earlier request that timed out.
        guard message.sequence == sequence else { return true }
        if message.flags & NLM_F_DUMP_INTR != 0 { outcome.isInterrupted = true }
        switch Int32(message.type) {
        case NLMSG_ERROR:
          (outcome.code, outcome.detail) = message.acknowledgement
          isDone = true
        case NLMSG_DONE:
          // Carries the error of an aborted dump.
          outcome.code = 0 &- (message.familyHeader(Int32.self) ?? 0)
          isDone = true
        case NLMSG_NOOP, NLMSG_OVERRUN:
          break
        default:
          body(message)
        }
        return !isDone
      }
    }
    return outcome
  }
}

extension NetlinkMessage {
  /// errno (0 = success) and the kernel's message, from NLMSG_ERROR.
  var acknowledgement: (code: Int32, detail: String?) {
    guard let error = familyHeader(nlmsgerr.self) else { return (EBADMSG, nil) }
    // The minimum integer has no positive counterpart.
    let code = 0 &- error.error
    guard flags & NLM_F_ACK_TLVS != 0 else { return (code, nil) }
    // The code is followed by the request, in full unless "capped", and then by the attributes.
    let echoed = flags & NLM_F_CAPPED != 0 ? 0 : Int(error.msg.nlmsg_len) - MemoryLayout<nlmsghdr>.size
    let offset = MemoryLayout<nlmsgerr>.size + ((max(echoed, 0) + 3) & ~3)
    let length = mnl_nlmsg_get_payload_len(header) - offset
    guard length > 0, let first = cmnl_first_attribute(header, offset) else { return (code, nil) }
    let attributes = NetlinkAttributes(UnsafeRawBufferPointer(start: first, count: length))
    return (code, attributes[Int(NLMSGERR_ATTR_MSG.rawValue)]?.string)
  }
}

// NetlinkMessage: a view of one netlink message and its attributes, valid as long as the receive buffer. Every access checks the
// length it needs; messages that are too short yield nil.

import CMNL
import Encap

struct NetlinkMessage {
  let header: UnsafePointer<nlmsghdr>

  var type: Int { Int(header.pointee.nlmsg_type) }
  var flags: Int32 { Int32(header.pointee.nlmsg_flags) }
  var sequence: UInt32 { header.pointee.nlmsg_seq }

  /// The family header (`ifinfomsg`, `rtmsg`, ...) at the start of the payload.
  func familyHeader<Header: BitwiseCopyable>(_: Header.Type) -> Header? {
    guard mnl_nlmsg_get_payload_len(header) >= MemoryLayout<Header>.size else { return nil }
    return cmnl_message_payload(header)?.loadUnaligned(as: Header.self)
  }

  /// The attributes after a family header. None if the message is shorter than that header.
  func attributes<Header: BitwiseCopyable>(after _: Header.Type) -> NetlinkAttributes {
    let offset = (MemoryLayout<Header>.size + 3) & ~3
    let length = mnl_nlmsg_get_payload_len(header) - offset
    guard length > 0, let first = cmnl_first_attribute(header, offset) else { return NetlinkAttributes() }
    return NetlinkAttributes(UnsafeRawBufferPointer(start: first, count: length))
  }

  /// Calls `body` with each complete message of a received datagram, until it returns false.
  /// - Returns: false when `body` stopped the walk.
  @discardableResult
  static func forEach(in datagram: UnsafeRawBufferPointer, _ body: (NetlinkMessage) -> Bool) -> Bool {
    guard var next = datagram.baseAddress?.assumingMemoryBound(to: nlmsghdr.self) else { return true }
    var remaining = Int32(datagram.count)
    // libmnl compares lengths as signed numbers: it takes 2 GiB or more for negative.
    while mnl_nlmsg_ok(next, remaining), Int(next.pointee.nlmsg_len) <= Int(remaining) {
      guard body(NetlinkMessage(header: next)) else { return false }
      guard let following = mnl_nlmsg_next(next, &remaining) else { return true }
      next = UnsafePointer(following)
    }
    return true
  }
}

/// The type-length-value list of a message or nested attribute.
struct NetlinkAttributes: Sequence {
  private var attributes: [NetlinkAttribute] = []

  init() {}

  init(_ bytes: UnsafeRawBufferPointer) {
    guard var next = bytes.baseAddress?.assumingMemoryBound(to: nlattr.self), let end = bytes.baseAddress else { return }
    let limit = end + bytes.count
    while mnl_attr_ok(next, Int32(limit - UnsafeRawPointer(next))) {
      attributes.append(NetlinkAttribute(header: next))
      guard let following = mnl_attr_next(next) else { return }
      next = UnsafePointer(following)
    }
  }

  subscript(_ type: Int) -> NetlinkAttribute? { attributes.first { $0.type == type } }
  subscript(_ type: rtattr_type_t) -> NetlinkAttribute? { self[Int(type.rawValue)] }

  func makeIterator() -> IndexingIterator<[NetlinkAttribute]> { attributes.makeIterator() }
}

/// One attribute.
struct NetlinkAttribute {
  let header: UnsafePointer<nlattr>

  /// Without the "nested" and "network byte order" flags.
  var type: Int { Int(mnl_attr_get_type(header)) }

  var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: cmnl_attribute_payload(header), count: Int(mnl_attr_get_payload_len(header)))
  }

  /// The payload as a value in host byte order; nil when it is shorter.
  func value<Value: BitwiseCopyable>(_: Value.Type) -> Value? {
    payload.count >= MemoryLayout<Value>.size ? payload.loadUnaligned(as: Value.self) : nil
  }

  /// A string, with or without its terminating zero.
  var string: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }

  var nested: NetlinkAttributes { NetlinkAttributes(payload) }

  /// 4 or 16 bytes in network byte order.
  var address: IPAddress? { IPAddress(bytes: Array(payload)) }

  /// An Ethernet address; nil for any other length (IPv4 tunnels have 4 bytes, InfiniBand 20).
  var mac: MACAddress? {
    guard payload.count == 6 else { return nil }
    return MACAddress(bits: payload.reduce(0) { $0 << 8 | UInt64($1) })
  }
}

// NetlinkRequest: a netlink message under construction, and the text of its error.

import CMNL
import Encap

/// One request: family header first, then attributes.
struct NetlinkRequest: ~Copyable {
  /// All requests in this module are far shorter; the checked put traps instead of writing past the end.
  private static let capacity = 512

  let header: UnsafeMutablePointer<nlmsghdr>
  private let operation: String
  private let subject: String

  /// - Parameter flags: NLM_F_* in addition to NLM_F_REQUEST.
  init(_ type: Int, flags: Int32, operation: String, subject: String = "") {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: Self.capacity, alignment: 16)
    header = mnl_nlmsg_put_header(memory)
    header.pointee.nlmsg_type = UInt16(type)
    header.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST | flags)
    self.operation = operation
    self.subject = subject
  }

  deinit { UnsafeMutableRawPointer(header).deallocate() }

  var byteCount: Int { Int(header.pointee.nlmsg_len) }

  func setSequence(_ sequence: UInt32) { header.pointee.nlmsg_seq = sequence }

  /// Appends the family header. Call it once, before any attribute.
  func putFamilyHeader<Header: BitwiseCopyable>(_ value: Header) {
    mnl_nlmsg_put_extra_header(header, MemoryLayout<Header>.size).storeBytes(of: value, as: Header.self)
  }

  func put(_ type: Int, bytes: [UInt8]) {
    let fits = mnl_attr_put_check(header, Self.capacity, UInt16(type), bytes.count, bytes)
    precondition(fits, "netlink request too long")
  }

  func put(_ type: Int, _ value: UInt32) {
    put(type, bytes: withUnsafeBytes(of: value) { Array($0) })
  }

  func put(_ type: Int, _ mac: MACAddress) {
    put(type, bytes: (0..<6).map { UInt8(truncatingIfNeeded: mac.bits >> UInt64(40 - 8 * $0)) })
  }

  func put(_ type: rtattr_type_t, _ address: IPAddress) { put(Int(type.rawValue), bytes: address.bytes) }

  func error(_ code: Int32, detail: String? = nil) -> NetlinkError {
    NetlinkError(operation, subject: subject, code: code, detail: detail)
  }
}

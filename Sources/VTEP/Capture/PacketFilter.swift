// PacketFilter: a filter in libpcap's language (pcap-filter(7)), compiled by libpcap, for frames as they are on the wire.

import CPCAP

/// A compiled filter. Its program lives as long as it does.
public final class PacketFilter: @unchecked Sendable {
  /// For threads that are not to know of this object.
  let program: OpaquePointer

  /// A filter that does not compile.
  public struct Fault: Error, CustomStringConvertible {
    /// libpcap's.
    public var description: String
  }

  /// May ask a name server for hosts that the filter names: not for a thread in a hurry.
  ///
  /// - Parameter text: empty: every frame matches.
  public init(_ text: String) throws(Fault) {
    var message = [CChar](repeating: 0, count: 256)
    guard let program = cpcap_compile(text, &message, message.count) else {
      throw Fault(description: String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
    self.program = program
  }

  deinit { cpcap_free(program) }
}

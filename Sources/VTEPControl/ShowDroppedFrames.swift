// ShowDroppedFrames: `vtepctl show drops --frames REASON`, the last frames that were dropped for a reason.

import FoundationEssentials

/// Asks for the last frames that were dropped for a reason. For clients with full access: they show what guests send.
public struct ShowDroppedFrames: ControlRequest {
  public typealias Answer = DroppedFramesAnswer
  public static let method = "show.dropped-frames"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  public var reason: String
  /// Most frames; nil: all that are kept.
  public var limit: Int?

  public init(reason: String, limit: Int? = nil) {
    self.reason = reason
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case reason, limit }
}

/// The frames, and what there is to say about those that are not among them.
public struct DroppedFramesAnswer: Codable, Equatable, Sendable {
  public var reason: String
  public var description: String
  /// Frames that were dropped for the reason since the start.
  public var count: UInt64
  /// Oldest first.
  public var frames: [DroppedFrameRow]
  /// Why frames were counted that cannot be shown; nil: there are none.
  @Nullable public var note: String?
  /// UDP port of VXLAN.
  public var vxlanPort: UInt16

  public init(reason: String, description: String, count: UInt64, frames: [DroppedFrameRow], note: String?, vxlanPort: UInt16) {
    self.reason = reason
    self.description = description
    self.count = count
    self.frames = frames
    self.note = note
    self.vxlanPort = vxlanPort
  }

  public enum CodingKeys: String, CodingKey {
    case reason, description, count, frames, note
    case vxlanPort = "vxlan_port"
  }
}

/// A frame that was dropped.
public struct DroppedFrameRow: Codable, Equatable, Sendable {
  /// Microseconds since 1970, UTC.
  public var microseconds: Int64
  /// Port or uplink that it came in at or was to leave by; nil: it is gone.
  @Nullable public var port: String?
  @Nullable public var vni: UInt32?
  /// That it came from or was to go to.
  @Nullable public var vtep: String?
  /// Octets of the whole frame.
  public var length: Int
  /// Its first octets, in hexadecimal digits.
  public var octets: String

  public init(microseconds: Int64, port: String?, vni: UInt32?, vtep: String?, length: Int, octets: [UInt8]) {
    self.microseconds = microseconds
    self.port = port
    self.vni = vni
    self.vtep = vtep
    self.length = length
    self.octets = octets.hexDigits
  }

  enum CodingKeys: String, CodingKey {
    case microseconds = "time_us"
    case port, vni, vtep, length, octets
  }
}

extension [UInt8] {
  /// Two lower-case digits for each octet.
  public var hexDigits: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// Nil: these are not two digits for each octet.
  public init?(hexDigits text: String) {
    let values = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
    guard values.count % 2 == 0, !values.contains(nil) else { return nil }
    self = stride(from: 0, to: values.count, by: 2).map { UInt8((values[$0] ?? 0) << 4 | (values[$0 + 1] ?? 0)) }
  }
}

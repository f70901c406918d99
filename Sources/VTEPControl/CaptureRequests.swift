// CaptureRequests: `vtepctl capture`. A capture belongs to the connection that has started it, and ends with it. The client reads packets as
// blocks of a pcapng file (draft-ietf-opsawg-pcapng) and writes the file itself, with its own rights.

import FoundationEssentials

/// Starts the capture of this connection. For clients with full access: it shows what guests send.
public struct StartCapture: ControlRequest {
  public typealias Answer = ChangeAnswer
  public static let method = "capture.start"
  public static let access = ControlAccess.change
  public static let parameterNames = names(of: CodingKeys.self)

  /// In libpcap's language; empty: everything.
  public var filter: String
  /// Only at this port or uplink.
  public var port: String?
  public var vni: UInt32?
  /// Only frames that are dropped.
  public var drops: Bool?
  /// Most octets of a frame; nil: all.
  public var snaplen: Int?

  public init(filter: String, port: String? = nil, vni: UInt32? = nil, drops: Bool? = nil, snaplen: Int? = nil) {
    self.filter = filter
    self.port = port
    self.vni = vni
    self.drops = drops
    self.snaplen = snaplen
  }

  enum CodingKeys: CodingKey, CaseIterable { case filter, port, vni, drops, snaplen }
}

/// Reads what the capture of this connection has caught; waits a moment if that is nothing.
public struct ReadCapture: ControlRequest {
  public typealias Answer = CaptureBlocks
  public static let method = "capture.read"
  /// Of a capture that only a client with full access can have started.
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  /// Most packets.
  public var limit: Int?
  /// Nothing more is to be captured; what waits can still be read.
  public var stop: Bool?

  public init(limit: Int? = nil, stop: Bool? = nil) {
    self.limit = limit
    self.stop = stop
  }

  enum CodingKeys: CodingKey, CaseIterable { case limit, stop }
}

/// A part of a pcapng file.
public struct CaptureBlocks: Codable, Equatable, Sendable {
  /// Whole blocks, in Base64.
  public var blocks: String
  /// Packets in them.
  public var packets: Int
  /// Packets since the start that workers had to leave out, because they were not read in time.
  public var missed: UInt64
  /// The capture has been stopped, and all of it read: this is the end of the file.
  public var isOver: Bool

  public init(blocks: [UInt8], packets: Int, missed: UInt64, isOver: Bool) {
    self.blocks = Data(blocks).base64EncodedString()
    self.packets = packets
    self.missed = missed
    self.isOver = isOver
  }

  enum CodingKeys: String, CodingKey {
    case blocks, packets, missed
    case isOver = "over"
  }
}

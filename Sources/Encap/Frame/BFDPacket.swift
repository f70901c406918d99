// BFDPacket: the BFD control packet, 24 octets without authentication (RFC 5880 section 4.1), and the checks of section 6.8.6 that need no
// session. Written and read by the BFD thread, never per frame of data.

/// `bfd.SessionState` (RFC 5880 section 6.8.1), in the values of the wire.
public enum BFDState: UInt8, Sendable, CaseIterable {
  case adminDown, down, initializing, up

  /// As vtep(5) and Open vSwitch write it.
  public var name: String {
    switch self {
    case .adminDown: "admin_down"
    case .down: "down"
    case .initializing: "init"
    case .up: "up"
    }
  }
}

/// `bfd.LocalDiag`: why a session has last left the state Up (RFC 5880 section 4.1).
public struct BFDDiagnostic: RawRepresentable, Hashable, Sendable {
  public var rawValue: UInt8

  public init(rawValue: UInt8) { self.rawValue = rawValue & 31 }

  public static let none = BFDDiagnostic(rawValue: 0)
  public static let detectionTimeExpired = BFDDiagnostic(rawValue: 1)
  public static let neighborSignaledDown = BFDDiagnostic(rawValue: 3)
  public static let concatenatedPathDown = BFDDiagnostic(rawValue: 6)
  public static let administrativelyDown = BFDDiagnostic(rawValue: 7)
  public static let reverseConcatenatedPathDown = BFDDiagnostic(rawValue: 8)

  /// The remote system says that packets sent to it go no further.
  public var saysPathDown: Bool { self == .concatenatedPathDown || self == .reverseConcatenatedPathDown }

  /// The words of RFC 5880 section 4.1.
  public var text: String {
    switch rawValue {
    case 0: "No Diagnostic"
    case 1: "Control Detection Time Expired"
    case 2: "Echo Function Failed"
    case 3: "Neighbor Signaled Session Down"
    case 4: "Forwarding Plane Reset"
    case 5: "Path Down"
    case 6: "Concatenated Path Down"
    case 7: "Administratively Down"
    case 8: "Reverse Concatenated Path Down"
    default: "Diagnostic \(rawValue)"
    }
  }
}

/// A BFD control packet. Times are in microseconds.
public struct BFDPacket: Equatable, Sendable {
  public var diagnostic = BFDDiagnostic.none
  public var state = BFDState.down
  public var polls = false
  public var isFinal = false
  /// The sender's control plane fails with its data plane (C): nothing in it survives alone.
  public var isIndependent = false
  public var demands = false
  public var multiplier: UInt8 = 3
  public var ownDiscriminator: UInt32 = 0
  public var yourDiscriminator: UInt32 = 0
  public var desiredMinTx: UInt32 = 0
  public var requiredMinRx: UInt32 = 0
  public var requiredMinEchoRx: UInt32 = 0

  public static let byteCount = 24
  static let version: UInt8 = 1

  public init() {}

  /// Why a packet is discarded.
  public enum Fault: Error, Equatable, Sendable {
    case tooShort, version, length, multiplierZero, multipoint, discriminatorZero, yourDiscriminatorZero, authenticated
  }

  /// Reads a packet and checks it as RFC 5880 section 6.8.6 does before a session is looked for.
  ///
  /// - Parameters:
  ///   - bytes: hold it from `offset` on.
  ///   - byteCount: the UDP payload's.
  public init(parsing bytes: RawSpan, at offset: Int, byteCount: Int) throws(Fault) {
    guard byteCount >= Self.byteCount, offset + byteCount <= bytes.byteCount else { throw .tooShort }
    let first = bytes.byte(offset)
    let second = bytes.byte(offset + 1)
    guard first >> 5 == Self.version else { throw .version }
    let length = Int(bytes.byte(offset + 3))
    let isAuthenticated = second & 0x04 != 0
    guard length >= (isAuthenticated ? 26 : Self.byteCount), length <= byteCount else { throw .length }
    multiplier = bytes.byte(offset + 2)
    guard multiplier != 0 else { throw .multiplierZero }
    guard second & 0x01 == 0 else { throw .multipoint }
    ownDiscriminator = bytes.big32(offset + 4)
    guard ownDiscriminator != 0 else { throw .discriminatorZero }
    yourDiscriminator = bytes.big32(offset + 8)
    state = BFDState(rawValue: second >> 6) ?? .down
    if yourDiscriminator == 0, state != .down, state != .adminDown { throw .yourDiscriminatorZero }
    // No session of ours authenticates.
    guard !isAuthenticated else { throw .authenticated }
    diagnostic = BFDDiagnostic(rawValue: first)
    polls = second & 0x20 != 0
    isFinal = second & 0x10 != 0
    isIndependent = second & 0x08 != 0
    demands = second & 0x02 != 0
    desiredMinTx = bytes.big32(offset + 12)
    requiredMinRx = bytes.big32(offset + 16)
    requiredMinEchoRx = bytes.big32(offset + 20)
  }

  /// Writes the 24 octets.
  public func write(into bytes: inout MutableRawSpan, at offset: Int) {
    var flags = state.rawValue << 6
    if polls { flags |= 0x20 }
    if isFinal { flags |= 0x10 }
    if isIndependent { flags |= 0x08 }
    if demands { flags |= 0x02 }
    bytes.storeByte(Self.version << 5 | diagnostic.rawValue, at: offset)
    bytes.storeByte(flags, at: offset + 1)
    bytes.storeByte(multiplier, at: offset + 2)
    bytes.storeByte(UInt8(Self.byteCount), at: offset + 3)
    bytes.storeBig32(ownDiscriminator, at: offset + 4)
    bytes.storeBig32(yourDiscriminator, at: offset + 8)
    bytes.storeBig32(desiredMinTx, at: offset + 12)
    bytes.storeBig32(requiredMinRx, at: offset + 16)
    bytes.storeBig32(requiredMinEchoRx, at: offset + 20)
  }
}

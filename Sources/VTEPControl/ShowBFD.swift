// ShowBFD: `vtepctl show bfd`, the BFD sessions with other VTEPs.

/// Asks for all BFD sessions.
public struct ShowBFD: PagedRequest {
  public typealias Row = BFDRow
  public typealias Answer = Page<BFDRow>
  public static let method = "show.bfd"
  public static let access = ControlAccess.read
  public static let parameterNames = names(of: CodingKeys.self)

  public var cursor: UInt64?
  public var limit: Int?

  public init(cursor: UInt64? = nil, limit: Int? = nil) {
    self.cursor = cursor
    self.limit = limit
  }

  enum CodingKeys: CodingKey, CaseIterable { case cursor, limit }
}

/// One BFD session (RFC 5880 section 6.8.1). States are `admin_down`, `down`, `init` and `up`, diagnostics the words of RFC 5880 section 4.1.
public struct BFDRow: Codable, Equatable, Sendable {
  public var address: String
  public var state: String
  /// Data may be sent to the VTEP.
  public var forwarding: Bool
  public var diagnostic: String
  public var remoteState: String
  public var remoteDiagnostic: String
  /// `ovs` or `rfc8971`, and the VNI of sent frames.
  public var form: String
  public var vni: UInt32
  public var discriminator: UInt32
  /// 0: not known yet.
  public var remoteDiscriminator: UInt32
  /// Milliseconds between sent packets, before jitter; nil: the other end wants none.
  @Nullable public var transmitMilliseconds: Double?
  /// Milliseconds without a packet after which the session is down; 0: none has come.
  public var detectionMilliseconds: Double
  /// Times that the session has left the state up.
  public var flaps: UInt64
  /// Seconds in this state.
  public var sinceSeconds: UInt64
  public var txPackets: UInt64
  public var rxPackets: UInt64
  /// Frames refused since their VNI was not 0 (`check_tnl_key`).
  public var wrongKeys: UInt64

  public init(
    address: String, state: String, forwarding: Bool, diagnostic: String, remoteState: String, remoteDiagnostic: String, form: String,
    vni: UInt32, discriminator: UInt32, remoteDiscriminator: UInt32, transmitMilliseconds: Double?, detectionMilliseconds: Double,
    flaps: UInt64, sinceSeconds: UInt64, txPackets: UInt64, rxPackets: UInt64, wrongKeys: UInt64
  ) {
    self.address = address
    self.state = state
    self.forwarding = forwarding
    self.diagnostic = diagnostic
    self.remoteState = remoteState
    self.remoteDiagnostic = remoteDiagnostic
    self.form = form
    self.vni = vni
    self.discriminator = discriminator
    self.remoteDiscriminator = remoteDiscriminator
    self.transmitMilliseconds = transmitMilliseconds
    self.detectionMilliseconds = detectionMilliseconds
    self.flaps = flaps
    self.sinceSeconds = sinceSeconds
    self.txPackets = txPackets
    self.rxPackets = rxPackets
    self.wrongKeys = wrongKeys
  }

  enum CodingKeys: String, CodingKey {
    case address, state, forwarding, diagnostic
    case remoteState = "remote_state"
    case remoteDiagnostic = "remote_diagnostic"
    case form, vni, discriminator
    case remoteDiscriminator = "remote_discriminator"
    case transmitMilliseconds = "tx_ms"
    case detectionMilliseconds = "detection_ms"
    case flaps
    case sinceSeconds = "since_s"
    case txPackets = "tx_packets"
    case rxPackets = "rx_packets"
    case wrongKeys = "wrong_keys"
  }
}

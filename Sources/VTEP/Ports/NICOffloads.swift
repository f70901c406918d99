// NICOffloads: what a NIC that DPDK drives does in place of the workers. A driver's word is not enough: offloads are offered that do not
// work. So each is used only if frames that went through the NIC have shown it to (OffloadSelfTest), or the operator says that it is to be
// trusted; docs/decisions/0038-offloads-of-owned-nics.md.

import CDPDK

/// Something that a NIC may do.
public enum NICOffload: String, CaseIterable, Sendable {
  /// Completes the TCP or UDP checksum of what the kernel sends on the tap.
  case tcpChecksum = "tx-tcp-checksum"
  case udpChecksum = "tx-udp-checksum"
  /// Cuts the kernel's large TCP segments.
  case segmentation = "tso"
  /// Sends packets that lie in several buffers.
  case multiSegment = "multi-segment"
  /// Verifies the outer UDP checksum of VXLAN packets.
  case receivedChecksum = "rx-udp-checksum"

  /// Drivers that, when asked to verify checksums, let their host hand over packets whose checksum nobody has computed yet.
  private static let leaveChecksums: Set<String> = ["net_virtio", "net_virtio_user"]

  /// What a driver says that it can do.
  static func offered(by info: rte_eth_dev_info, driver: String) -> Set<NICOffload> {
    Set(
      allCases.filter { offload in
        if offload == .receivedChecksum && leaveChecksums.contains(driver) { return false }
        return info.tx_offload_capa & offload.transmitBit == offload.transmitBit
          && info.rx_offload_capa & offload.receiveBit == offload.receiveBit
      })
  }

  /// What is asked of a driver, in DPDK's numbers; it may not offer all of it.
  static func transmitBits(_ offloads: Set<NICOffload>) -> UInt64 {
    offloads.reduce(0) { $0 | $1.transmitBit } | (offloads.contains(.segmentation) ? cdpdk_tx_offload_ipv4_checksum() : 0)
  }
  static func receiveBits(_ offloads: Set<NICOffload>) -> UInt64 { offloads.reduce(0) { $0 | $1.receiveBit } }

  private var transmitBit: UInt64 {
    switch self {
    case .tcpChecksum: cdpdk_tx_offload_tcp_checksum()
    case .udpChecksum: cdpdk_tx_offload_udp_checksum()
    case .segmentation: cdpdk_tx_offload_tso()
    case .multiSegment: cdpdk_tx_offload_multi_segs()
    case .receivedChecksum: 0
    }
  }

  private var receiveBit: UInt64 { self == .receivedChecksum ? cdpdk_rx_offload_udp_checksum() : 0 }
}

/// What is made use of, and why not.
struct NICOffloads: Equatable, Sendable {
  enum State: Equatable, Sendable, CustomStringConvertible {
    case used
    /// On the driver's word.
    case untested
    /// Workers do it, for this reason.
    case software(String)

    var description: String {
      switch self {
      case .used: "used"
      case .untested: "used, untested"
      case .software(let reason): "software: \(reason)"
      }
    }
  }

  /// What the self-test has found.
  enum Finding: Equatable, Sendable {
    /// No frame can come back, for this reason.
    case untestable(String)
    /// What does not work, and how that showed; all else does.
    case tested(failures: [NICOffload: String])
  }

  private(set) var states: [NICOffload: State] = [:]

  init() {}

  /// - Parameter finding: with `auto`.
  init(offered: Set<NICOffload>, driver: String, mode: UnderlaySettings.OffloadMode, finding: Finding) {
    for offload in NICOffload.allCases {
      states[offload] =
        offered.contains(offload) ? Self.state(of: offload, mode, finding) : .software("\(driver) does not offer it")
    }
    // A large segment has a checksum, and lies in several buffers.
    let needed: [NICOffload] = [.tcpChecksum, .multiSegment]
    if uses(.segmentation), let missing = needed.first(where: { !uses($0) }) {
      states[.segmentation] = .software("it needs \(missing.rawValue)")
    }
  }

  private static func state(of offload: NICOffload, _ mode: UnderlaySettings.OffloadMode, _ finding: Finding) -> State {
    switch (mode, finding) {
    case (.off, _): return .software("underlay.offloads is off")
    case (.trust, _): return .untested
    case (.auto, .tested(let failures)): return failures[offload].map { .software("the self-test has failed: \($0)") } ?? .used
    case (.auto, .untestable(let reason)):
      // Nothing is computed: a driver that cannot do it loses all that is long, which nobody overlooks.
      return offload == .multiSegment ? .untested : .software("not tested: \(reason)")
    }
  }

  func uses(_ offload: NICOffload) -> Bool {
    switch states[offload] {
    case .used, .untested: true
    case .software, nil: false
    }
  }

  var used: Set<NICOffload> { Set(NICOffload.allCases.filter(uses)) }

  /// For the workers.
  var features: PortFeatures {
    var features: PortFeatures = []
    if uses(.tcpChecksum) { features.insert(.completesTCP) }
    if uses(.udpChecksum) { features.insert(.completesUDP) }
    if uses(.segmentation) { features.insert(.cutsTCP) }
    if uses(.receivedChecksum) { features.insert(.verifiesUDP) }
    return features
  }
}

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
  /// Completes the TCP or UDP checksum of guests' frames inside VXLAN, and cuts their large TCP segments.
  case innerChecksum = "vxlan-checksum"
  case innerSegmentation = "vxlan-tso"
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
    offloads.reduce(0) { $0 | $1.transmitBit }
      | (offloads.isDisjoint(with: [.segmentation, .innerSegmentation]) ? 0 : cdpdk_tx_offload_ipv4_checksum())
      | (offloads.isDisjoint(with: inner) ? 0 : cdpdk_tx_offload_vxlan_tso())
  }
  static func receiveBits(_ offloads: Set<NICOffload>) -> UInt64 { offloads.reduce(0) { $0 | $1.receiveBit } }

  /// Those of frames inside VXLAN.
  static let inner: Set<NICOffload> = [.innerChecksum, .innerSegmentation]

  private var transmitBit: UInt64 {
    switch self {
    case .tcpChecksum: cdpdk_tx_offload_tcp_checksum()
    case .udpChecksum: cdpdk_tx_offload_udp_checksum()
    case .segmentation: cdpdk_tx_offload_tso()
    case .multiSegment: cdpdk_tx_offload_multi_segs()
    // DPDK has no number for checksums inside tunnels, nor for NICs that cut anything behind a link header of any length.
    case .innerChecksum: cdpdk_tx_offload_tcp_checksum() | cdpdk_tx_offload_udp_checksum()
    case .innerSegmentation: cdpdk_tx_offload_tcp_checksum() | cdpdk_tx_offload_tso()
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
  /// A request about a frame inside VXLAN tells the NIC where the outer headers are. Else they are a part of the link header for it, which
  /// it repeats as it is: what NICs can do that know of no tunnels (Linux calls it GSO_PARTIAL).
  private(set) var namesTunnels = false

  init() {}

  /// - Parameters:
  ///   - namesTunnels: the driver offers to cut segments inside VXLAN.
  ///   - finding: with `auto`.
  init(offered: Set<NICOffload>, namesTunnels: Bool, driver: String, mode: UnderlaySettings.OffloadMode, finding: Finding) {
    self.namesTunnels = namesTunnels
    for offload in NICOffload.allCases {
      // Without a tunnel in its requests, no driver has ever said that it carries them out.
      let isOffered = offered.contains(offload) && (mode != .trust || namesTunnels || !NICOffload.inner.contains(offload))
      states[offload] = isOffered ? Self.state(of: offload, mode, finding) : .software("\(driver) does not offer it")
    }
    // A large segment has a checksum, and lies in several buffers.
    require([.tcpChecksum, .multiSegment], for: .segmentation)
    require([.tcpChecksum, .multiSegment], for: .innerSegmentation)
    // Datagrams whose sum is 0 are tested without a tunnel.
    require([.tcpChecksum, .udpChecksum], for: .innerChecksum)
  }

  private mutating func require(_ needed: [NICOffload], for offload: NICOffload) {
    guard uses(offload), let missing = needed.first(where: { !uses($0) }) else { return }
    states[offload] = .software("it needs \(missing.rawValue)")
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
    if uses(.innerChecksum) { features.insert(.completesInner) }
    if uses(.innerSegmentation) { features.insert(.cutsInner) }
    if namesTunnels { features.insert(.namesTunnels) }
    return features
  }
}

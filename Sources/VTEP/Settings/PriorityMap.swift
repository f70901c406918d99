// PriorityMap: 802.1p priorities across the overlay: inside VXLAN a frame has no tag, so the outer DSCP carries its priority
// (docs/decisions/0009).

/// Which DSCP stands for a priority code point (PCP), and which PCP for a DSCP.
public struct PriorityMap: Equatable, Sendable {
  /// DSCP for each PCP, 0...63. 0 leaves the DSCP to `UnderlaySettings.dscp`.
  public var dscpOfPCP: [UInt8] = (0..<8).map { $0 << 3 }
  /// PCP for single DSCPs; the others have their three high bits.
  public var pcpOfDSCP: [UInt8: UInt8] = [:]

  public init() {}

  /// PCP of the tag added to a frame that arrived with this outer DSCP.
  public func pcp(dscp: UInt8) -> UInt8 { pcpOfDSCP[dscp] ?? dscp >> 3 }

  func problems() -> [DesiredState.Problem] {
    var problems: [DesiredState.Problem] = []
    func report(_ path: [String], _ message: String) {
      problems.append(DesiredState.Problem(.underlay, path, message))
    }
    if dscpOfPCP.count != 8 {
      report(["pcp-to-dscp"], "pcp-to-dscp must have 8 values, for priorities 0 to 7, not \(dscpOfPCP.count)")
    }
    for dscp in dscpOfPCP where dscp > 63 { report(["pcp-to-dscp"], "pcp-to-dscp: DSCP \(dscp) has more than six bits") }
    for (dscp, pcp) in pcpOfDSCP.sorted(by: { $0.key < $1.key }) {
      if dscp > 63 { report(["dscp-to-pcp"], "dscp-to-pcp: DSCP \(dscp) has more than six bits") }
      if pcp > 7 { report(["dscp-to-pcp"], "dscp-to-pcp: priority \(pcp) of DSCP \(dscp) has more than three bits") }
    }
    return problems
  }
}

// ACLEntry: one filter of a list (vtep(5), table ACL_entry).

extension HardwareVTEP {
  /// One filter. Fields that are nil match everything.
  public struct ACLEntry: HardwareVTEPRow {
    public var id: RowID
    /// The order: lowest first.
    public var sequence: Int64
    public var sourceMAC: String?
    public var destinationMAC: String?
    /// Hexadecimal, "0x0800".
    public var etherType: String?
    public var sourceIP: String?
    public var sourceMask: String?
    public var destinationIP: String?
    public var destinationMask: String?
    public var protocolNumber: Int64?
    public var sourcePortMinimum: Int64?
    public var sourcePortMaximum: Int64?
    public var destinationPortMinimum: Int64?
    public var destinationPortMaximum: Int64?
    public var tcpFlags: Int64?
    public var tcpFlagsMask: Int64?
    public var icmpCode: Int64?
    public var icmpType: Int64?
    /// `ingress` or `egress`
    public var direction: String
    /// `permit` or `deny`
    public var action: String
    /// `acle_fault_status`
    public var faults: Set<String>

    public init(
      id: RowID = .zero, sequence: Int64 = 0, sourceMAC: String? = nil, destinationMAC: String? = nil, etherType: String? = nil,
      sourceIP: String? = nil, sourceMask: String? = nil, destinationIP: String? = nil, destinationMask: String? = nil,
      protocolNumber: Int64? = nil, sourcePortMinimum: Int64? = nil, sourcePortMaximum: Int64? = nil, destinationPortMinimum: Int64? = nil,
      destinationPortMaximum: Int64? = nil, tcpFlags: Int64? = nil, tcpFlagsMask: Int64? = nil, icmpCode: Int64? = nil,
      icmpType: Int64? = nil, direction: String = "", action: String = "", faults: Set<String> = []
    ) {
      self.id = id
      self.sequence = sequence
      self.sourceMAC = sourceMAC
      self.destinationMAC = destinationMAC
      self.etherType = etherType
      self.sourceIP = sourceIP
      self.sourceMask = sourceMask
      self.destinationIP = destinationIP
      self.destinationMask = destinationMask
      self.protocolNumber = protocolNumber
      self.sourcePortMinimum = sourcePortMinimum
      self.sourcePortMaximum = sourcePortMaximum
      self.destinationPortMinimum = destinationPortMinimum
      self.destinationPortMaximum = destinationPortMaximum
      self.tcpFlags = tcpFlags
      self.tcpFlagsMask = tcpFlagsMask
      self.icmpCode = icmpCode
      self.icmpType = icmpType
      self.direction = direction
      self.action = action
      self.faults = faults
    }

    public init?(_ id: RowID, _ row: OVSDBRow) {
      self.id = id
      sequence = row.integer("sequence")
      sourceMAC = row.optionalText("source_mac")
      destinationMAC = row.optionalText("dest_mac")
      etherType = row.optionalText("ethertype")
      sourceIP = row.optionalText("source_ip")
      sourceMask = row.optionalText("source_mask")
      destinationIP = row.optionalText("dest_ip")
      destinationMask = row.optionalText("dest_mask")
      protocolNumber = row.optionalInteger("protocol")
      sourcePortMinimum = row.optionalInteger("source_port_min")
      sourcePortMaximum = row.optionalInteger("source_port_max")
      destinationPortMinimum = row.optionalInteger("dest_port_min")
      destinationPortMaximum = row.optionalInteger("dest_port_max")
      tcpFlags = row.optionalInteger("tcp_flags")
      tcpFlagsMask = row.optionalInteger("tcp_flags_mask")
      icmpCode = row.optionalInteger("icmp_code")
      icmpType = row.optionalInteger("icmp_type")
      direction = row.text("direction")
      action = row.text("action")
      faults = row.texts("acle_fault_status")
    }

    public var columns: [String: OVSDBDatum] {
      [
        "sequence": OVSDBDatum(sequence), "source_mac": OVSDBDatum(optional: sourceMAC), "dest_mac": OVSDBDatum(optional: destinationMAC),
        "ethertype": OVSDBDatum(optional: etherType), "source_ip": OVSDBDatum(optional: sourceIP),
        "source_mask": OVSDBDatum(optional: sourceMask), "dest_ip": OVSDBDatum(optional: destinationIP),
        "dest_mask": OVSDBDatum(optional: destinationMask), "protocol": OVSDBDatum(optional: protocolNumber),
        "source_port_min": OVSDBDatum(optional: sourcePortMinimum), "source_port_max": OVSDBDatum(optional: sourcePortMaximum),
        "dest_port_min": OVSDBDatum(optional: destinationPortMinimum), "dest_port_max": OVSDBDatum(optional: destinationPortMaximum),
        "tcp_flags": OVSDBDatum(optional: tcpFlags), "tcp_flags_mask": OVSDBDatum(optional: tcpFlagsMask),
        "icmp_code": OVSDBDatum(optional: icmpCode), "icmp_type": OVSDBDatum(optional: icmpType), "direction": OVSDBDatum(direction),
        "action": OVSDBDatum(action), "acle_fault_status": OVSDBDatum(faults),
      ]
    }
  }
}

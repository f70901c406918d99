// MetricFamily: every metric that vtepd has, with its type, labels and meaning. This list feeds /metrics and docs/metrics.md; tests compare
// it with the dashboard and the alert rules in packaging/.

/// A metric: a name under which there is a sample for each set of its labels' values. The raw value is the name, without the `_total` of
/// counters and the `_info` of information.
///
/// Units are those of the name: bytes, seconds, and otherwise what is counted.
enum MetricFamily: String, CaseIterable, Sendable {
  enum Kind: String, Sendable {
    /// Never decreases while the daemon lives.
    case counter
    case gauge
    /// Constant text, in labels; the value is 1.
    case info
  }

  // The daemon.
  case build = "vtepd_build"
  case ready = "vtepd_ready"
  case problems = "vtepd_problems"

  // Ports.
  case portUp = "vtepd_port_up"
  case portShut = "vtepd_port_shut"
  case portReceivePackets = "vtepd_port_receive_packets"
  case portReceiveBytes = "vtepd_port_receive_bytes"
  case portTransmitPackets = "vtepd_port_transmit_packets"
  case portTransmitBytes = "vtepd_port_transmit_bytes"
  case portAddresses = "vtepd_port_learned_addresses"

  // VNIs.
  case vnis = "vtepd_vnis"
  case vniReceivePackets = "vtepd_vni_receive_packets"
  case vniReceiveBytes = "vtepd_vni_receive_bytes"
  case vniTransmitPackets = "vtepd_vni_transmit_packets"
  case vniTransmitBytes = "vtepd_vni_transmit_bytes"
  case vniFlooded = "vtepd_vni_flooded_frames"
  case vniNeighborAnswers = "vtepd_vni_neighbor_answers"
  case vniNeighborPasses = "vtepd_vni_neighbor_passes"
  case vniLearnRefusals = "vtepd_vni_learn_refusals"
  case vniAddresses = "vtepd_vni_addresses"
  case neighbors = "vtepd_neighbors"
  case neighborsContested = "vtepd_neighbors_contested"

  // Routers and access control lists.
  case routerReceivePackets = "vtepd_router_receive_packets"
  case routerReceiveBytes = "vtepd_router_receive_bytes"
  case routerTransmitPackets = "vtepd_router_transmit_packets"
  case routerTransmitBytes = "vtepd_router_transmit_bytes"
  case routerUnresolved = "vtepd_router_unresolved_next_hops"
  case aclPermits = "vtepd_acl_permitted_frames"
  case aclDenies = "vtepd_acl_denied_frames"

  // VTEPs.
  case vteps = "vtepd_vteps"
  case vtepReachable = "vtepd_vtep_reachable"
  case bfdSessions = "vtepd_bfd_sessions"
  case bfdUp = "vtepd_vtep_bfd_up"
  case bfdFlaps = "vtepd_bfd_flaps"
  case vtepReceivePackets = "vtepd_vtep_receive_packets"
  case vtepReceiveBytes = "vtepd_vtep_receive_bytes"
  case vtepTransmitPackets = "vtepd_vtep_transmit_packets"
  case vtepTransmitBytes = "vtepd_vtep_transmit_bytes"

  // Drops.
  case drops = "vtepd_drops"
  case dropsByReason = "vtepd_drops_by_reason"

  // The MAC table.
  case macEntries = "vtepd_mac_table_entries"
  case macLimit = "vtepd_mac_table_limit"
  case macInserts = "vtepd_mac_table_inserts"
  case macMoves = "vtepd_mac_table_moves"
  case macEvictions = "vtepd_mac_table_evictions"
  case macFrozen = "vtepd_mac_table_frozen_entries"
  case learnEventsLost = "vtepd_learn_events_lost"

  // Workers.
  case workerPackets = "vtepd_worker_packets"
  case workerBursts = "vtepd_worker_bursts"
  case workerBusy = "vtepd_worker_busy_seconds"
  case workerCycles = "vtepd_worker_busy_cycles"
  case workerStuck = "vtepd_worker_stuck"

  // The underlay.
  case underlayUp = "vtepd_underlay_up"
  case underlayReceivePackets = "vtepd_underlay_receive_packets"
  case underlayReceiveBytes = "vtepd_underlay_receive_bytes"
  case underlayTransmitPackets = "vtepd_underlay_transmit_packets"
  case underlayTransmitBytes = "vtepd_underlay_transmit_bytes"
  case underlayMissed = "vtepd_underlay_missed_packets"
  case underlayIgnored = "vtepd_underlay_ignored_packets"
  case nextHops = "vtepd_underlay_next_hops"
  case groups = "vtepd_multicast_groups"

  // The controller.
  case ovsdbConnected = "vtepd_ovsdb_connected"
  case ovsdbRows = "vtepd_ovsdb_rows"

  // Memory.
  case bufferLimit = "vtepd_packet_buffers_limit"
  case buffersFree = "vtepd_packet_buffers_free"

  // The process: names that every exporter uses.
  case processCPU = "process_cpu_seconds"
  case processStart = "process_start_time_seconds"
  case processResident = "process_resident_memory_bytes"
  case processVirtual = "process_virtual_memory_bytes"
  case processDescriptors = "process_open_fds"
  case processDescriptorLimit = "process_max_fds"

  var kind: Kind {
    switch self {
    case .build: .info
    case .portReceivePackets, .portReceiveBytes, .portTransmitPackets, .portTransmitBytes, .vniReceivePackets, .vniReceiveBytes,
      .vniTransmitPackets, .vniTransmitBytes, .vniFlooded, .vniNeighborAnswers, .vniNeighborPasses, .vniLearnRefusals,
      .routerReceivePackets,
      .routerReceiveBytes, .routerTransmitPackets, .routerTransmitBytes, .aclPermits, .aclDenies, .vtepReceivePackets, .vtepReceiveBytes,
      .vtepTransmitPackets, .vtepTransmitBytes, .bfdFlaps, .drops, .dropsByReason, .macInserts, .macMoves, .macEvictions, .learnEventsLost,
      .workerPackets, .workerBursts, .workerBusy, .workerCycles, .underlayReceivePackets, .underlayReceiveBytes,
      .underlayTransmitPackets, .underlayTransmitBytes, .underlayMissed, .underlayIgnored, .processCPU:
      .counter
    default: .gauge
    }
  }

  /// Seconds or bytes, if the name ends so (OpenMetrics 1.0, section "Units and Base Units").
  var unit: String? { ["seconds", "bytes"].first { rawValue.hasSuffix("_" + $0) } }

  /// Names of its labels, in the order of the values of a sample.
  var labels: [String] {
    switch self {
    case .build: ["version", "name"]
    case .portUp, .portShut, .portReceivePackets, .portReceiveBytes, .portTransmitPackets, .portTransmitBytes, .portAddresses: ["port"]
    case .vniReceivePackets, .vniReceiveBytes, .vniTransmitPackets, .vniTransmitBytes, .vniFlooded, .vniNeighborAnswers, .vniNeighborPasses,
      .vniLearnRefusals, .vniAddresses:
      ["vni"]
    case .routerReceivePackets, .routerReceiveBytes, .routerTransmitPackets, .routerTransmitBytes: ["router"]
    case .aclPermits, .aclDenies: ["acl"]
    case .vteps, .nextHops, .groups, .bfdSessions: ["state"]
    case .vtepReachable, .bfdUp, .vtepReceivePackets, .vtepReceiveBytes, .vtepTransmitPackets, .vtepTransmitBytes: ["vtep"]
    case .drops: ["reason", "place"]
    case .dropsByReason: ["reason"]
    case .learnEventsLost, .workerPackets, .workerBursts, .workerBusy, .workerCycles, .workerStuck: ["worker"]
    case .underlayUp, .underlayReceivePackets, .underlayReceiveBytes, .underlayTransmitPackets, .underlayTransmitBytes, .underlayMissed:
      ["device"]
    case .underlayIgnored: ["device", "cause"]
    case .ovsdbConnected: ["remote"]
    case .ovsdbRows: ["table"]
    case .bufferLimit, .buffersFree: ["pool"]
    default: []
    }
  }

  /// One line.
  var help: String {
    switch self {
    case .build: "Version of vtepd, and the name of this switch."
    case .ready: "1 while vtepd forwards, 0 while it starts or stops."
    case .problems: "Problems that vtepctl status lists."
    case .portUp: "1: the port is attached and its device has a link."
    case .portShut: "1: vtepd keeps the port shut for a while (loop, BPDU guard)."
    case .portReceivePackets: "Frames received from the port."
    case .portReceiveBytes: "Bytes of these frames, without a frame check sequence."
    case .portTransmitPackets: "Frames sent to the port."
    case .portTransmitBytes: "Bytes of these frames, without a frame check sequence."
    case .portAddresses: "Learned MAC addresses behind the port."
    case .vnis: "VNIs."
    case .vniReceivePackets: "Frames received from the overlay. \(Self.rest("VNIs", "vni"))"
    case .vniReceiveBytes: "Bytes of the inner frames. \(Self.rest("VNIs", "vni"))"
    case .vniTransmitPackets: "Frames sent into the overlay, each copy. \(Self.rest("VNIs", "vni"))"
    case .vniTransmitBytes: "Bytes of the inner frames. \(Self.rest("VNIs", "vni"))"
    case .vniFlooded: "Frames that were flooded. \(Self.rest("VNIs", "vni"))"
    case .vniNeighborPasses: "Requests for neighbours that were flooded although the VNI answers requests. \(Self.rest("VNIs", "vni"))"
    case .neighbors: "IP addresses of the overlay whose MAC address is known."
    case .neighborsContested: "Those of them that several stations claim, or sources disagree about: requests for them are flooded."
    case .routerReceivePackets: "Packets that VNIs sent to the router. \(Self.restByVNIs("routers", "router"))"
    case .routerReceiveBytes: "Bytes of their frames. \(Self.restByVNIs("routers", "router"))"
    case .routerTransmitPackets:
      "Packets that the router sent into VNIs: forwarded, answers, ICMP errors. \(Self.restByVNIs("routers", "router"))"
    case .routerTransmitBytes: "Bytes of their frames. \(Self.restByVNIs("routers", "router"))"
    case .routerUnresolved: "Next hops of routers that packets wait for now, summed over workers."
    case .aclPermits:
      "Frames that the access control list let pass, those included that no entry matched. \(Self.restByVNIs("lists", "acl"))"
    case .aclDenies: "Frames that the access control list denied. \(Self.restByVNIs("lists", "acl"))"
    case .vniNeighborAnswers: "Requests for neighbours answered here. \(Self.rest("VNIs", "vni"))"
    case .vniLearnRefusals: "Addresses not learned because of the mac-limit. \(Self.rest("VNIs", "vni"))"
    case .vniAddresses: "MAC addresses. \(Self.rest("VNIs", "vni"))"
    case .vteps: "Remote VTEPs by the state of their next hops."
    case .bfdSessions: "BFD sessions with VTEPs, by state."
    case .bfdUp: "1: the BFD session with the VTEP is up. Only the busiest VTEPs that have one."
    case .bfdFlaps: "Times that a BFD session has left the state up."
    case .vtepReachable: "1: packets can be sent to the VTEP. Only the busiest VTEPs."
    case .vtepReceivePackets: "Packets received from the VTEP. \(Self.rest("VTEPs", "vtep"))"
    case .vtepReceiveBytes: "Bytes of these packets, without an Ethernet header. \(Self.rest("VTEPs", "vtep"))"
    case .vtepTransmitPackets: "Packets sent to the VTEP. \(Self.rest("VTEPs", "vtep"))"
    case .vtepTransmitBytes: "Bytes of these packets, without an Ethernet header. \(Self.rest("VTEPs", "vtep"))"
    case .drops: "Frames and packets dropped, by reason and place: a port or an uplink. Only what has happened."
    case .dropsByReason: "Frames and packets dropped in all places, by reason. Every reason is there from the start."
    case .macEntries: "Entries of the MAC table."
    case .macLimit: "Entries that the MAC table can hold."
    case .macInserts: "Entries added."
    case .macMoves: "Entries that changed their place."
    case .macEvictions: "Learned entries removed because the table was full."
    case .macFrozen: "Addresses frozen because they moved too often."
    case .learnEventsLost: "Addresses not learned because the learner was busy; the next frame tries again."
    case .workerPackets: "Packets that the worker received."
    case .workerBursts: "Rounds of the worker that found packets."
    case .workerBusy: "Time in rounds that found packets."
    case .workerCycles: "Cycles of the time-stamp counter in rounds that found packets."
    case .workerStuck: "1: the worker has not finished its round for a second."
    case .underlayUp: "1: the uplink is up."
    case .underlayReceivePackets: "Packets received from the uplink."
    case .underlayReceiveBytes: "Bytes of these packets, with their Ethernet headers."
    case .underlayTransmitPackets: "Packets sent to the uplink."
    case .underlayTransmitBytes: "Bytes of these packets, with their Ethernet headers."
    case .underlayMissed: "Packets lost because the receive queue was full."
    case .underlayIgnored: "Packets left to the kernel, by cause."
    case .nextHops: "Next hops by the state of their neighbor entries."
    case .groups: "Multicast groups: joined, or failed."
    case .ovsdbConnected: "1: the session with this database server is active."
    case .ovsdbRows: "Rows of the controller's database."
    case .bufferLimit: "Packet buffers of the pool: frames (by socket if there are several), segments (large ones), slices (views)."
    case .buffersFree: "Packet buffers of the pool that are free."
    case .processCPU: "Processor time of the process, in user and kernel mode."
    case .processStart: "Start of the process, in seconds since 1970."
    case .processResident: "Memory of the process that is resident, without hugepages."
    case .processVirtual: "Address space of the process."
    case .processDescriptors: "Open file descriptors."
    case .processDescriptorLimit: "Limit on open file descriptors."
    }
  }

  private static func restByVNIs(_ things: String, _ label: String) -> String {
    "Only the busiest \(things) have a series of their own, as many as metrics.vnis says; \(label)=\"other\" sums the rest."
  }

  private static func rest(_ things: String, _ label: String) -> String {
    "Only the busiest \(things) have a series of their own (metrics.\(label)s); \(label)=\"other\" sums the rest."
  }

  /// The name with the ending of its type.
  var sampleName: String {
    switch kind {
    case .counter: rawValue + "_total"
    case .info: rawValue + "_info"
    case .gauge: rawValue
    }
  }
}

extension MetricFamily {
  /// All metrics as a table in Markdown, for docs/metrics.md.
  static var reference: String {
    let rows = allCases.map { family in
      "| `\(family.sampleName)` | \(family.kind.rawValue) | \(family.labels.map { "`\($0)`" }.joined(separator: ", ")) | \(family.help) |\n"
    }
    return "| metric | type | labels | |\n|---|---|---|---|\n" + rows.joined()
  }
}

// Tracer: traces frames for whoever asks, one at a time, on the asker's thread. Its dry worker is made with the first question.

import CDPDK
import Encap
import MACTable
import Synchronization

/// `vtepctl trace`, and what `vtepctl explain` says of a frame.
final class Tracer: Sendable {
  nonisolated(unsafe) let context: UnsafeMutablePointer<WorkerContext>
  private let reader: UInt32
  let runtime: DPDKRuntime

  struct State: ~Copyable {
    var worker: DryWorker?
    /// The live trace that is armed, and the number of the latest.
    var live: LiveTrace?
    var serial = 0
  }
  let state = Mutex(State())

  /// - Parameters:
  ///   - context: of a worker.
  ///   - reader: a number for RCU that no other thread has.
  init(beside context: UnsafeMutablePointer<WorkerContext>, reader: UInt32, runtime: DPDKRuntime) {
    self.context = context
    self.reader = reader
    self.runtime = runtime
  }

  /// Forwards a frame and sends nothing.
  func run(_ octets: [UInt8], at port: PortIndex) throws(VTEPError) -> DryRun {
    try state.withLock { state throws(VTEPError) -> DryRun in try worker(&state).run(octets, at: port) }
  }

  /// The dry worker, made with the first question.
  func worker(_ state: inout State) throws(VTEPError) -> DryWorker {
    if let worker = state.worker { return worker }
    let worker = try DryWorker(beside: context.pointee, reader: reader, runtime: runtime)
    state.worker = worker
    return worker
  }
}

extension Reconciler {
  /// What vtepd would do with a frame: nothing is sent, learned or counted.
  ///
  /// - Parameter octets: as `origin` says.
  /// - Throws: `.refused` when there is no such port or uplink, or the frame cannot come from there.
  public nonisolated func trace(_ octets: [UInt8], from origin: TraceOrigin) throws(VTEPError) -> TraceReport {
    let state = running
    guard octets.count <= DryWorker.largestFrame else {
      throw VTEPError(
        .refused, "frame", "\(octets.count) octets are more than an IP packet has, and Ethernet: at most \(DryWorker.largestFrame)",
        remedy: "give one frame, without FCS")
    }
    let port: PortIndex
    var octets = octets
    switch origin {
    case .port(let name): port = try state.traceablePort(name)
    case .underlay(let uplink): port = try state.traceableUplink(uplink).portIndex
    case .vtep(let address, let vni, let uplink):
      let device = try state.traceableUplink(uplink)
      port = device.portIndex
      octets = try state.packet(from: address, vni: vni, by: device, carrying: octets)
    }
    let run = try tracer.run(octets, at: port)
    // Names may be newer than at the beginning: what the run has used is in them.
    return running.report(on: run)
  }

  /// What would become of a frame from a station behind a port to an address, in one line (`TraceReport.summary`) or in full.
  ///
  /// - Parameter vlan: of the port's binding; 0: untagged.
  /// - Throws: `.refused` when there is no such port.
  public nonisolated func trace(to destination: MACAddress, fromPort port: String, vlan: UInt16) throws(VTEPError) -> TraceReport {
    // Nothing is learned of a source that is made up.
    let state = running
    var frame = TestFrame(from: state.someStation(behind: port, vlan: vlan) ?? TestFrame.madeUpSource, to: destination)
    if vlan != 0 { frame.vlan = vlan }
    if let record = state.ports[port] { frame.tpid = state.model.ports[Int(record.index)].tpid }
    return try trace(frame.octets, from: .port(port))
  }
}

extension RunningState {
  func traceablePort(_ name: String) throws(VTEPError) -> PortIndex {
    guard let port = ports[name] else {
      throw VTEPError(.refused, "port '\(name)'", "there is no such port", remedy: "vtepctl show ports lists them")
    }
    return port.index
  }

  /// - Parameter name: nil: the first that is up, or the first.
  fileprivate func traceableUplink(_ name: String?) throws(VTEPError) -> UnderlayDevice {
    if let name {
      guard let device = underlay.devices.first(where: { $0.name == name }) else {
        throw VTEPError(
          .refused, "uplink '\(name)'", "there is no such uplink",
          remedy: "choose from \(underlay.devices.map(\.name).joined(separator: ", "))")
      }
      return device
    }
    guard let device = underlay.devices.first(where: \.isUp) ?? underlay.devices.first else {
      throw VTEPError(.refused, "uplink", "there is none", remedy: "set underlay.device")
    }
    return device
  }

  /// The packet in which a VTEP sends a frame to us.
  fileprivate func packet(
    from address: IPAddress, vni: VNI, by device: UnderlayDevice, carrying inner: [UInt8]
  ) throws(VTEPError) -> [UInt8] {
    guard !address.isMulticast, !address.isUnspecified else {
      throw VTEPError(.refused, "from-vtep \(address)", "this is no address of a host", remedy: "give the remote VTEP's own address")
    }
    guard let own = configuration.underlay.ownAddress(like: address) else {
      throw VTEPError(
        .refused, "from-vtep \(address)", "vtepd has no \(address.isIPv4 ? "IPv4" : "IPv6") address that it could send to",
        remedy: "give a VTEP of the other family, or add one to underlay.addresses")
    }
    let headerByteCount = address.isIPv4 ? OuterHeader.ipv4ByteCount : OuterHeader.ipv6ByteCount
    guard inner.count + headerByteCount <= 65_535 else {
      throw VTEPError(
        .refused, "frame", "\(inner.count) octets do not fit an IP packet with outer headers",
        remedy: "give at most \(65_535 - headerByteCount)")
    }
    let hop = underlay.vteps[address].map(nextHops)?.compactMap(\.mac).first
    let header = OuterHeader(
      source: address, destination: own, sourceMAC: hop ?? TestFrame.madeUpSource,
      destinationMAC: model.ports[Int(device.portIndex)].mac, udpPort: configuration.underlay.udpPort, ttl: 64,
      dscp: OuterHeader.inheritedDSCP, computesUDPChecksum: !address.isIPv4)
    // A frame without an Ethernet header has no flow.
    let flow =
      inner.count >= EthernetView.headerByteCount ? InnerFlow(frame: inner.span.bytes) : InnerFlow(hash: 0, trafficClass: 0, hopLimit: 0)
    var packet = [UInt8](repeating: 0, count: header.byteCount)
    packet.withUnsafeMutableBytes { buffer in
      var bytes = MutableRawSpan(_unsafeBytes: buffer)
      header.write(
        into: &bytes, innerByteCount: inner.count, innerSum: InternetChecksum.partialSum(inner.span.bytes), vni: vni, flow: flow)
    }
    return packet + inner
  }

  /// A VTEP that floods to a domain or may send to it, or any; else an address for documentation (RFC 5737, RFC 3849).
  func someVTEP(sendingTo domain: DomainIndex) -> IPAddress {
    let candidates = (model.domains[Int(domain)].flood + model.domains[Int(domain)].peers).map { model.vteps[Int($0)].entry.address }
    let isIPv4 = configuration.underlay.addresses.first?.isIPv4 != false
    return candidates.first { !$0.isMulticast } ?? underlay.vteps.values.map(\.address).filter { !$0.isMulticast }.min()
      ?? (isIPv4 ? IPAddress(ipv4: 0xc633_6401) : IPAddress(high: 0x2001_0db8_0000_0000, low: 1))
  }

  /// An address that is known behind a port, for a frame of which nothing else is said: a static one, or a learned one.
  ///
  /// - Parameter vlan: of the binding, 0: untagged.
  public func someStation(behind port: String, vlan: UInt16) -> MACAddress? {
    guard let record = ports[port], record.bound[vlan] != nil else { return nil }
    let settings = record.settings
    if let mac = (vlan == 0 ? settings.macs : settings.vlanMACs[vlan] ?? []).first { return mac }
    let location = MACLocation.port(record.index, vlan: vlan)
    return learner.write { table in table.entries(port: record.index).first { $0.location == location }?.key.mac }
  }
}

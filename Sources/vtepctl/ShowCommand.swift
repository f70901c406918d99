// ShowCommand: `vtepctl show …`, the daemon's tables.

import ArgumentParser
import VTEPControl

struct ShowCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows the daemon's tables.",
    subcommands: [
      MACTable.self, MACMoves.self, VNIs.self, VTEPs.self, Ports.self, Bindings.self, ACLs.self, Drops.self, Multicast.self, Underlay.self,
      Neighbors.self, BFD.self, Workers.self, Placement.self, OVSDB.self, Routers.self, Routes.self,
    ])

  struct MACTable: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "mac-table", abstract: "Shows the MAC table. Entries must match all given filters.",
      discussion:
        "A table of up to 10,000 entries is sorted by VNI and address; longer ones and JSON are not, so that they can come in parts.")

    @Option(help: "Only this VNI.") var vni: UInt32?
    @Option(help: "Only addresses on this port.") var port: String?
    @Option(help: "Only addresses behind this VTEP.") var vtep: String?
    @Option(help: "Only this MAC address.") var mac: String?
    @Option(help: "Only entries of this type.") var type: MACTableRow.Kind?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      try session.list(ShowMACTable(vni: vni, port: port, vtep: vtep, mac: mac, type: type), MACTableRow.columns) {
        ($0.vni, $0.mac) < ($1.vni, $1.mac)
      }
    }
  }

  struct MACMoves: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "mac-moves", abstract: "Shows MAC addresses that moved recently, and those frozen for moving too often.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowMACMoves(), MACMoveRow.columns) }
  }

  struct VNIs: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "vnis", abstract: "Shows the VXLAN segments.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowVNIs(), VNIRow.columns) }
  }

  struct VTEPs: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "vteps", abstract: "Shows the remote VTEPs.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowVTEPs(), VTEPRow.columns) }
  }

  struct Ports: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "ports", abstract: "Shows the access ports.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowPorts(), PortRow.columns) }
  }

  struct Bindings: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "bindings", abstract: "Shows the VNI of each port and VLAN, with counters.")

    @Option(help: "Only this port.") var port: String?
    @Option(help: "Only bindings to this VNI.") var vni: UInt32?
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowBindings(port: port, vni: vni), BindingRow.columns) }
  }

  struct Drops: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "drops", abstract: "Shows why frames were dropped, and how often.")
    @Flag(help: "Include reasons that never occurred.") var all = false
    @Option(help: "Count by port or uplink, which every drop has, or by VNI or VTEP, where they were known.") var by = DropGrouping.port
    @Option(help: "Show the last frames that were dropped for this reason.") var frames: String?
    @Option(help: "With --frames: show the last N, 1 to 64.") var count: Int?
    @Flag(help: "Show what is dropped now, again and again: the growth of each counter, fastest first.") var watch = false
    @Option(help: "With --watch: seconds between two looks, 0.1 to 3600.") var interval = 1.0
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func validate() throws {
      guard (0.1...3600).contains(interval) else { throw ValidationError("--interval must be from 0.1 to 3600 seconds, not \(interval)") }
      if let count {
        guard frames != nil else { throw ValidationError("--count belongs to --frames") }
        guard (1...64).contains(count) else { throw ValidationError("--count must be from 1 to 64, not \(count)") }
      }
      if frames != nil, watch || all || by != .port {
        throw ValidationError("--frames shows frames, not counters: leave out --watch, --all and --by")
      }
    }

    func run(_ session: Session) throws {
      if let frames { return try DroppedFramesText.show(session, ShowDroppedFrames(reason: frames, limit: count)) }
      let request = ShowDrops(all: all, by: by)
      if watch { return try DropWatch.run(session, request, interval: interval) }
      try session.list(request, DropRow.columns)
    }
  }

  struct Multicast: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "multicast", abstract: "Shows the multicast groups.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowMulticast(), MulticastRow.columns) }
  }

  struct Underlay: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "underlay", abstract: "Shows the local VTEP addresses, and the routes and neighbours in use.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      guard session.format == .table else { return try session.list(ShowUnderlay(), [Column<UnderlayRow>]()) }
      let rows = try session.ask(ShowUnderlay())
      var table = Table(UnderlayRow.columns, isWide: session.isWide)
      Output.standard.write(table.lines(for: rows))
      var devices: Set<String> = []
      for row in rows where devices.insert(row.device).inserted {
        if !row.offloads.isEmpty {
          var offloads = Table(OffloadRow.columns, isWide: session.isWide)
          let states = row.offloads.sorted { $0.key < $1.key }.map { OffloadRow(name: $0.key, state: $0.value) }
          Output.standard.write("\n\(row.dpdk ?? row.device):\n" + offloads.lines(for: states))
        }
        guard let classes = row.classes else { continue }
        var table = Table(HostClassRow.columns, isWide: session.isWide)
        Output.standard.write("\nbetween the NIC and \(row.device):\n" + table.lines(for: classes))
      }
      for row in rows where !row.destinations.isEmpty {
        var destinations = Table(DestinationRow.columns, isWide: session.isWide)
        Output.standard.write("\n\(row.address) on \(row.device):\n" + destinations.lines(for: row.destinations))
      }
    }
  }

  struct Workers: ClientCommand {
    static let configuration = CommandConfiguration(commandName: "workers", abstract: "Shows the forwarding threads.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws { try session.list(ShowWorkers(), WorkerRow.columns) }
  }

  struct Placement: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "placement", abstract: "Shows which worker runs on which CPU, which queues it has, and why.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      let answer = try session.ask(ShowPlacement())
      guard session.format == .table else { return try session.printObject(answer) }
      let threads =
        answer.workers.map { PlacedThread(name: "\($0.worker)", thread: $0) }
        + answer.ioCores.map { PlacedThread(name: "io \($0.worker)", thread: $0) }
      var workers = Table(PlacedThread.columns, isWide: session.isWide)
      Output.standard.write(workers.lines(for: threads))
      var queues = Table(QueueOfWorker.columns, isWide: session.isWide)
      let rows = threads.flatMap { thread in thread.thread.queues.map { QueueOfWorker(worker: thread.name, queue: $0) } }
      if !rows.isEmpty { Output.standard.write("\n" + queues.lines(for: rows)) }
      Output.standard.write("\n")
      for socket in answer.sockets {
        let isolated = socket.isolated.isEmpty ? "" : ", isolated \(socket.isolated)"
        Output.standard.write("socket \(socket.socket): CPUs \(socket.cpus)\(isolated)\n")
      }
      for pool in answer.pools {
        Output.standard.write("packet buffers: \(pool.socket.map { "socket \($0)" } ?? "any socket"): \(pool.reason)\n")
      }
      for warning in answer.warnings { Output.standard.write("warning: \(warning)\n") }
    }
  }

  struct OVSDB: ClientCommand {
    static let configuration = CommandConfiguration(
      commandName: "ovsdb", abstract: "Shows the connections to the controller's database.")
    @ParentCommand var root: VTEPCtl
    @OptionGroup var options: CommandOptions

    func run(_ session: Session) throws {
      guard session.format == .table else { return try session.list(ShowOVSDB(), [Column<OVSDBRemoteRow>]()) }
      let rows = try session.ask(ShowOVSDB())
      var table = Table(OVSDBRemoteRow.columns, isWide: session.isWide)
      Output.standard.write(table.lines(for: rows))
      guard let row = rows.first else { return }
      if !row.held.isEmpty {
        var held = Table(HeldNetworkRow.columns, isWide: session.isWide)
        Output.standard.write("\nheld: forwarded although no longer in the database:\n" + held.lines(for: row.held))
      }
      if !row.faults.isEmpty {
        Output.standard.write("\nfaults: what the controller wants and vtepd cannot do:\n" + row.faults.map { "  \($0)\n" }.joined())
      }
    }
  }
}

extension MACTableRow.Kind: ExpressibleByArgument {}
extension DropGrouping: ExpressibleByArgument {}

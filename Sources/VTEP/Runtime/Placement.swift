// Placement: which worker runs on which CPU, which receive queue it gets, and on which socket packet buffers lie, each with the reason.
// A function of a described machine and of the settings (Machine); the start carries it out (DPDKRuntime), and so does everything that
// opens queues later (ControlState.addQueues). `vtepctl show placement` prints it.

/// Where workers and packet buffers are.
public struct Placement: Equatable, Sendable {
  /// A forwarding thread.
  public struct Worker: Equatable, Sendable {
    /// CPUs that it may run on; one: it is pinned.
    public var cpus: [Int]
    /// Nil: its CPUs are on several.
    public var socket: Int?
    public var reason: String
  }

  /// Packet buffers.
  public struct Pool: Equatable, Sendable {
    /// Nil: wherever DPDK has memory.
    public var socket: Int?
    public var reason: String
  }

  public var workers: [Worker]
  /// Those that receive and send for the workers on NICs of DPDK.
  public var ioCores: [Worker]
  /// The first one is for all that has no pool on its own socket.
  public var pools: [Pool]
  /// What crosses sockets, and what to do about it.
  public var warnings: [String] = []
  /// The machine's sockets and the CPUs that the process may use there.
  public var sockets: [(socket: Int, cpus: [Int])] { machine.sockets.map { ($0, machine.cpus(onSocket: $0)) } }
  /// CPUs that the scheduler leaves alone.
  public var isolated: [Int] { machine.isolated.sorted() }

  private let machine: Machine

  /// - Parameters:
  ///   - cores: `dataplane.cores`: empty, or a CPU of the machine for each worker.
  ///   - nics: of the underlay first.
  ///   - ioCores: `dataplane.io-cores`, CPUs of the machine.
  ///   - owned: the NICs that io-cores serve.
  init(
    _ machine: Machine, workers count: Int, cores: [Int], nics: [Machine.NIC], ioCores: [Int] = [], owned: [Machine.NIC] = []
  ) {
    self.machine = machine
    self.ioCores = ioCores.map { Self.pinned($0, "dataplane.io-cores", machine) }
    let sockets = machine.sockets
    let isLarge = sockets.count > 1
    // Sockets with NICs, the one with the most first.
    let placed = nics.filter { nic in nic.socket.map(sockets.contains) == true }
    let counts = placed.reduce(into: [Int: Int]()) { $0[$1.socket ?? 0, default: 0] += 1 }
    let homes = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)

    func names(_ socket: Int) -> String { placed.filter { $0.socket == socket }.map(\.name).joined(separator: ", ") }

    if cores.isEmpty {
      // Without isolated CPUs and io-cores, if any are left.
      let general = machine.cpus.filter { !machine.isolated.contains($0) }
      let free =
        [general.filter { !ioCores.contains($0) }, machine.cpus.filter { !ioCores.contains($0) }, general].first { !$0.isEmpty }
        ?? machine.cpus
      workers = (0..<count).map { number in
        guard isLarge, !homes.isEmpty else {
          return Worker(cpus: free, socket: isLarge ? nil : sockets.first, reason: "no dataplane.cores: the scheduler chooses")
        }
        let home = homes[number % homes.count]
        let near = free.filter { machine.socketOfCPU[$0] == home }
        let own = machine.cpus(onSocket: home)
        let all = own.filter { !ioCores.contains($0) }.isEmpty ? own : own.filter { !ioCores.contains($0) }
        return Worker(
          cpus: near.isEmpty ? all : near, socket: home,
          reason: "no dataplane.cores: the scheduler chooses on socket \(home), where \(names(home)) is")
      }
    } else {
      workers = cores.prefix(count).map { Self.pinned($0, "dataplane.cores", machine) }
    }

    if workers.contains(where: { !$0.cpus.allSatisfy { !ioCores.contains($0) } }) {
      warnings.append("workers share CPUs with io-cores: no others are left; name fewer in dataplane.io-cores")
    }
    guard isLarge else {
      pools = [Pool(socket: nil, reason: "the machine has one socket")]
      return
    }
    pools = homes.map { Pool(socket: $0, reason: "\(names($0)) is there") }
    if pools.isEmpty {
      let busy = Set(workers.compactMap(\.socket)).sorted()
      pools = busy.prefix(1).map { Pool(socket: $0, reason: "the first worker is there, and no NIC says where it is") }
      if pools.isEmpty { pools = [Pool(socket: nil, reason: "no NIC says where it is")] }
    }
    for home in homes where !workers.contains(where: { $0.socket == home }) {
      let cpus = Machine.list(machine.cpus(onSocket: home))
      let remedy =
        cores.isEmpty ? "raise dataplane.workers to \(homes.count)" : "name one of its CPUs \(cpus) in dataplane.cores"
      warnings.append("no worker runs on socket \(home), where \(names(home)) is: its packets cross sockets; \(remedy)")
    }
    warnings += Self.ioWarnings(self.ioCores, owned, machine)
    if !homes.isEmpty {
      for (number, worker) in workers.enumerated() {
        guard let socket = worker.socket, !homes.contains(socket) else { continue }
        warnings.append("worker \(number) runs on socket \(socket), where none of the NICs is: all its packets cross sockets")
      }
    }
  }

  private static func pinned(_ core: Int, _ key: String, _ machine: Machine) -> Worker {
    Worker(cpus: [core], socket: machine.socketOfCPU[core], reason: key + (machine.isolated.contains(core) ? ", isolated" : ""))
  }

  /// What io-cores carry across sockets.
  private static func ioWarnings(_ ioCores: [Worker], _ owned: [Machine.NIC], _ machine: Machine) -> [String] {
    guard !ioCores.isEmpty else { return [] }
    let homes = Set(owned.compactMap(\.socket)).intersection(machine.sockets)
    let far = homes.sorted().filter { home in !ioCores.contains { $0.socket == home } }.map { home in
      let names = owned.filter { $0.socket == home }.map(\.name).joined(separator: ", ")
      return "no io-core runs on socket \(home), where \(names) is: its packets cross sockets; "
        + "name one of its CPUs \(Machine.list(machine.cpus(onSocket: home))) in dataplane.io-cores"
    }
    let idle = ioCores.enumerated().compactMap { number, core -> String? in
      guard let socket = core.socket, !homes.isEmpty, !homes.contains(socket) else { return nil }
      return "io-core \(number) runs on socket \(socket), where none of its NICs is: it has work only if no io-core is near a NIC"
    }
    return far + idle
  }

  /// The memory that each socket gets, in MiB, socket 0 first; nil: no pool asks for one.
  func memory(megabytes: Int) -> String? {
    let homes = pools.compactMap(\.socket)
    guard let last = homes.max() else { return nil }
    return (0...last).map { homes.contains($0) ? "\(megabytes / homes.count)" : "0" }.joined(separator: ",")
  }

  /// Without a machine, for tests of other things.
  init(workers: Int) {
    self.init(Machine(socketOfCPU: [0: 0]), workers: workers, cores: [], nics: [])
  }

  /// Where a receive queue went, and why.
  public struct Queue: Equatable, Sendable {
    /// Or io-core.
    public var worker: Int
    /// Of the device that it belongs to.
    public var socket: Int?
    public var reason: String
    public var crossesSockets: Bool
  }

  /// The worker that gets another receive queue.
  ///
  /// - Parameters:
  ///   - socket: of the queue's device.
  ///   - loads: queues that each worker has.
  func place(queueOnSocket socket: Int?, loads: [Int]) -> Queue { place(socket, loads, among: workers, "worker") }

  /// The io-core that gets another queue of a NIC; parameters as above.
  func place(ioQueueOnSocket socket: Int?, loads: [Int]) -> Queue { place(socket, loads, among: ioCores, "io-core") }

  /// The worker that gets a ring from io-cores: its own.
  ///
  /// - Parameter socket: of the NIC.
  func place(ring number: Int, onSocket socket: Int?) -> Queue {
    Queue(worker: number, socket: socket, reason: "a ring for each worker", crossesSockets: isFar(workers[number], socket))
  }

  /// Queues that a NIC has for io-cores: one for each on its socket, or else for each.
  func ioCoreCount(near socket: Int?) -> Int {
    let near = ioCores.count { $0.socket == socket }
    return near > 0 ? near : ioCores.count
  }

  private func isFar(_ thread: Worker, _ socket: Int?) -> Bool { socket != nil && thread.socket != nil && thread.socket != socket }

  private func place(_ socket: Int?, _ loads: [Int], among threads: [Worker], _ noun: String) -> Queue {
    func leastLoaded(_ candidates: [Int]) -> Int { candidates.min { loads[$0] < loads[$1] } ?? 0 }
    let all = Array(threads.indices)
    guard all.count > 1 else {
      return Queue(worker: 0, socket: socket, reason: "the only \(noun)", crossesSockets: isFar(threads[0], socket))
    }
    guard machine.sockets.count > 1, let socket else {
      return Queue(worker: leastLoaded(all), socket: socket, reason: "fewest queues", crossesSockets: false)
    }
    let near = all.filter { threads[$0].socket == socket }
    if !near.isEmpty {
      return Queue(worker: leastLoaded(near), socket: socket, reason: "fewest queues on its socket", crossesSockets: false)
    }
    let number = leastLoaded(all)
    return Queue(
      worker: number, socket: socket, reason: "fewest queues: no \(noun) is on its socket", crossesSockets: threads[number].socket != nil)
  }

  public static func == (left: Placement, right: Placement) -> Bool {
    left.workers == right.workers && left.ioCores == right.ioCores && left.pools == right.pools && left.warnings == right.warnings
      && left.machine == right.machine
  }
}

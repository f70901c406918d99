// DPDKRuntime: the environment abstraction layer, started once for the life of the process: memory, worker threads
// (lcores), and the pool of packet buffers.

import CDPDK
import Glibc
import Netlink
import Synchronization

/// DPDK's environment of this process.
public final class DPDKRuntime: Sendable {
  /// Worker `n` runs on lcore `n + 1`, io-cores on those behind; lcore 0 is the thread that started the runtime.
  public let workers: Int
  public let usesHugepages: Bool
  /// Largest frame that a packet buffer holds, in bytes.
  let maxFrameByteCount: Int
  nonisolated(unsafe) let pool: OpaquePointer
  /// The same on other sockets that NICs are on.
  private nonisolated(unsafe) let poolsOfSockets: [Int: OpaquePointer]
  /// Which workers run where, and on which sockets the pools are.
  public let placement: Placement
  /// Buffers of nearly 64 KiB, for what exceeds the first buffer of a frame from the kernel (see `KernelReceiver`).
  nonisolated(unsafe) let largePool: OpaquePointer
  /// Buffers without room of their own, for views of others' bytes.
  nonisolated(unsafe) let slicePool: OpaquePointer
  /// Number of packet buffers in the pool.
  let bufferCount: Int
  private let dataRoom: UInt16

  /// Starts DPDK. May be called once in a process.
  ///
  /// - Parameters:
  ///   - maxFrameByteCount: largest Ethernet frame of any device, in bytes.
  ///   - nics: that the configuration names, of the underlay first.
  ///   - owned: those of them that DPDK drives for the underlay.
  /// - Throws: `.environment` when memory, hugepages or permissions are insufficient, or DPDK has another release.
  public init(
    settings: DataplaneSettings, maxFrameByteCount: Int, nics: [Machine.NIC] = [], owned: [Machine.NIC] = [], log: (String) -> Void
  ) throws(VTEPError) {
    if let difference = try DPDKVersion.built.difference(from: .loaded) { log(difference) }
    workers = settings.workers
    // Until the pages are taken.
    let turn = settings.hugepages == .off ? -1 : Self.awaitTurn()
    defer { if turn >= 0 { close(turn) } }
    let free = Self.freeHugepageMiB()
    switch settings.hugepages {
    case .off:
      usesHugepages = false
    case .required:
      guard free >= settings.memoryMiB else {
        throw VTEPError(
          .environment, "hugepages: required", "\(free) MiB are free, \(settings.memoryMiB) MiB are needed",
          remedy: "write \((settings.memoryMiB + 1) / 2) or more to /proc/sys/vm/nr_hugepages, or set hugepages: auto")
      }
      usesHugepages = true
    case .auto:
      usesHugepages = free >= settings.memoryMiB
      if !usesHugepages {
        log("hugepages: \(free) MiB free, \(settings.memoryMiB) MiB needed: using ordinary pages")
      }
    }

    placement = try Self.place(settings, nics, owned)
    try Self.startEAL(settings: settings, usesHugepages: usesHugepages, placement: placement)

    VanishedMemory.guardThreads()

    // Headroom holds the outer headers (70 bytes at most) and a VLAN tag; DPDK's 128 bytes suffice.
    let dataRoom = UInt16(clamping: maxFrameByteCount + Int(cdpdk_headroom()))
    self.maxFrameByteCount = maxFrameByteCount
    self.dataRoom = dataRoom
    // The other half is for guests and for the queues of devices.
    let budget = settings.memoryMiB * 1_048_576 / 2
    let footprint = Self.bufferFootprint(dataRoom: Int(dataRoom), usesHugepages)
    // Ordinary pages are all on one socket for DPDK.
    let sockets = usesHugepages ? placement.pools.map(\.socket) : [nil]
    bufferCount = min(max(budget / sockets.count / footprint, 1024), Self.largestPool)
    pool = try Self.makePool("vtepd-frames", count: bufferCount, cache: 256, dataRoom: dataRoom, socket: sockets[0])
    var others: [Int: OpaquePointer] = [:]
    for case let socket? in sockets.dropFirst() {
      others[socket] = try Self.makePool("vtepd-frames-\(socket)", count: bufferCount, cache: 256, dataRoom: dataRoom, socket: socket)
    }
    poolsOfSockets = others
    largePool = try Self.makeLargePool(settings: settings, usesHugepages: usesHugepages, log: log)
    // For views of the datagrams of a burst's trains. They are small and lie close together: with ordinary buffers, whose headers are
    // kilobytes apart, each datagram cost a cache miss.
    slicePool = try Self.makePool(
      "vtepd-slices", count: 2_048 * (settings.workers + settings.ioCores.count), cache: Int(RTE_MEMPOOL_CACHE_MAX_SIZE), dataRoom: 0)
  }

  /// Most packet buffers: the ring behind them has twice as many places, each of them touched. Drivers that keep frames (net_pcap's loop
  /// over a file) may need millions.
  private static let largestPool = 8_388_607

  /// Large buffers of one worker: a burst waits for frames, and two bursts may be on their way.
  private static let largeBuffersPerWorker = 3 * Limits.burst

  /// No more than an eighth of the memory. With less than half of `largeBuffersPerWorker`, bursts of large segments are cut short.
  private static func makeLargePool(
    settings: DataplaneSettings, usesHugepages: Bool, log: (String) -> Void
  ) throws(VTEPError) -> OpaquePointer {
    let wanted = largeBuffersPerWorker * settings.workers
    let footprint = bufferFootprint(dataRoom: Int(UInt16.max), usesHugepages)
    let count = min(wanted, settings.memoryMiB * 1_048_576 / 8 / footprint)
    if count < wanted / 2 {
      log(
        "dataplane.memory-mb: \(settings.memoryMiB) is little for \(settings.workers) workers: large segments from kernel interfaces"
          + " may be dropped as no-buffers; \((wanted * footprint * 4 + 1_048_575) / 1_048_576) is enough")
    }
    // Without caches, which would keep buffers from the other workers.
    return try makePool("vtepd-segments", count: count, cache: 0, dataRoom: .max)
  }

  /// All pools of packet buffers.
  var bufferReports: [BufferReport] {
    let named = [("frames", pool)] + poolsOfSockets.sorted { $0.key < $1.key }.map { ("frames-\($0.key)", $0.value) }
    return (named + [("segments", largePool), ("slices", slicePool)]).map { name, pool in
      let (free, used) = (Int(rte_mempool_avail_count(pool)), Int(rte_mempool_in_use_count(pool)))
      return BufferReport(pool: name, count: free + used, free: free)
    }
  }

  /// Buffers for what a device on a socket receives.
  ///
  /// - Parameter socket: negative: on none.
  func pool(onSocket socket: Int32) -> OpaquePointer { poolsOfSockets[Int(socket)] ?? pool }

  /// A pool for a dry worker (`DryWorker`), so that it takes no buffer from others and waits for nobody's.
  func makeTracePool(_ name: String) throws(VTEPError) -> OpaquePointer {
    try Self.makePool(name, count: 2047, cache: 0, dataRoom: dataRoom)
  }

  private static func place(_ settings: DataplaneSettings, _ nics: [Machine.NIC], _ owned: [Machine.NIC]) throws(VTEPError) -> Placement {
    let cpus = (0..<1024).filter { cdpdk_cpu_allowed(Int32($0)) != 0 }
    for (key, cores) in [("cores", settings.cores), ("io-cores", settings.ioCores)] {
      guard let missing = cores.first(where: { !cpus.contains($0) }) else { continue }
      throw VTEPError(
        .environment, "dataplane.\(key)", "CPU \(missing) is not available to this process",
        remedy: "choose from \(Machine.list(cpus))")
    }
    return Placement(
      Machine.read(cpus: cpus), workers: settings.workers, cores: settings.cores, nics: nics, ioCores: settings.ioCores, owned: owned)
  }

  private static func makePool(
    _ name: String, count: Int, cache: Int, dataRoom: UInt16, socket: Int? = nil
  ) throws(VTEPError) -> OpaquePointer {
    let place = socket.map { Int32($0) } ?? Int32(SOCKET_ID_ANY)
    guard let pool = rte_pktmbuf_pool_create(name, UInt32(count), UInt32(cache), 0, dataRoom, place) else {
      throw VTEPError(
        .environment, "packet buffers: \(count) of \(dataRoom) bytes", VTEPError.errnoText(cdpdk_errno()),
        remedy: "raise dataplane.memory-mb")
    }
    return pool
  }

  /// Redirects DPDK's log. Its defaults, standard error and syslog, may both block.
  public static func sendLog(to sink: @convention(c) (UnsafePointer<CChar>?, Int) -> Void) { _ = cdpdk_log_to(sink) }

  /// Another pool, of buffers of the same size. Nil: there is no memory left for it.
  ///
  /// - Parameters:
  ///   - name: unique, at most 25 characters.
  ///   - cache: buffers in each worker's cache, plus half as many.
  func makePool(name: String, count: Int, cache: Int) -> OpaquePointer? {
    rte_pktmbuf_pool_create(name, UInt32(count), UInt32(cache), 0, dataRoom, Int32(SOCKET_ID_ANY))
  }

  /// Memory used by one packet buffer, in bytes, including its header, the pool's, and padding; on ordinary pages, DPDK's buffers
  /// do not cross page boundaries.
  private static func bufferFootprint(dataRoom: Int, _ usesHugepages: Bool) -> Int {
    let object = dataRoom + 320
    let page = 4096
    if usesHugepages { return object }
    return object <= page ? page / (page / object) : (object + page - 1) / page * page
  }

  private static func startEAL(settings: DataplaneSettings, usesHugepages: Bool, placement: Placement) throws(VTEPError) {
    func set(_ cpus: [Int]) -> String { "(" + cpus.map(String.init).joined(separator: ",") + ")" }
    var lcores = ["0@" + set(placement.sockets.flatMap(\.cpus))]
    for (thread, place) in (placement.workers + placement.ioCores).enumerated() { lcores.append("\(thread + 1)@" + set(place.cpus)) }
    var arguments = [
      "vtepd", "--no-telemetry", "--iova-mode=va", "--file-prefix=\(RuntimeFolders.prefix)\(getpid())",
      "--lcores=" + lcores.joined(separator: ","), "--log-level=4",
      // Its multi-queue discipline is only needed for rte_flow, which is not used: its absence is no error.
      "--log-level=pmd.net.tap:1",
    ]
    // An allow list keeps DPDK from probing every device; the host bridge on it has no driver. Ports add devices later.
    arguments += access("/sys/bus/pci/devices", R_OK) == 0 ? ["-a", "0000:00:00.0"] : ["--no-pci"]
    let memory = usesHugepages ? placement.memory(megabytes: settings.memoryMiB) : nil
    arguments += memory.map { ["--socket-mem", $0] } ?? ["-m", String(settings.memoryMiB)]
    // One file for all pages: vhost-user tells a virtio-user port's back end of eight memory regions at most, each a file.
    arguments += usesHugepages ? ["--in-memory", "--single-file-segments"] : ["--no-huge", "--no-shconf"]

    // The arguments must outlive the call: DPDK keeps pointers into them.
    let vector = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count + 1)
    for (index, argument) in arguments.enumerated() { vector[index] = strdup(argument) }
    vector[arguments.count] = nil
    defer {
      RuntimeFolders.remove()
      // DPDK has raised the soft limit to the hard one.
      DescriptorLimit.raise()
    }
    let work: @Sendable () -> Void = { if !usesHugepages { LargePages.provideMemory() } }
    guard ClockMeasurement.using(work, { rte_eal_init(Int32(arguments.count), vector) }) >= 0 else {
      throw VTEPError(
        .environment, "DPDK start", VTEPError.errnoText(cdpdk_errno()),
        remedy: "run as root or with CAP_NET_ADMIN, CAP_NET_RAW and CAP_IPC_LOCK")
    }
  }

  /// Waits until no other daemon counts and takes hugepages: two that start together would count the same ones. By a lock of the root
  /// folder, which each has and may lock. Whoever keeps it for long keeps nobody waiting for longer than that.
  ///
  /// - Returns: a descriptor; closing it lets the next one go on. -1: there was no waiting for it.
  private static func awaitTurn() -> Int32 {
    let descriptor = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    for _ in 0..<200 where descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0 { usleep(10_000) }
    return descriptor
  }

  /// Free memory in 2 MiB hugepages.
  private static func freeHugepageMiB() -> Int {
    guard let file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 32)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    return Int(strtol(line, nil, 10)) * 2
  }
}

/// Where the processor does not tell the frequency of its clock (CPUID leaf 15h, which virtual machines often hide), DPDK measures it in the middle of
/// its start: it sleeps for a tenth of a second, in which a restarted daemon forwards nothing. Since it divides by the time that has really
/// passed and rounds to 10 MHz, a fifth of that does, and something can be done meanwhile.
enum ClockMeasurement {
  private struct Work {
    var thread: pthread_t
    var body: () -> Void
  }

  private static let work = Mutex<Work?>(nil)
  private static let usualNanoseconds = 100_000_000
  private static let enoughNanoseconds = 20_000_000

  /// Starts DPDK with `start`, and does `work` while it measures the clock, or afterwards if it does not. DPDK's memory is there by then.
  static func using(_ work: @escaping @Sendable () -> Void, _ start: () -> Int32) -> Int32 {
    self.work.withLock { $0 = Work(thread: pthread_self(), body: work) }
    let code = start()
    if let body = take(), code >= 0 { body() }
    return code
  }

  /// What this thread has to do now.
  private static func take() -> (() -> Void)? {
    work.withLock { work in
      guard let due = work, due.thread == pthread_self() else { return nil }
      work = nil
      return due.body
    }
  }

  /// How long to sleep when somebody wants to sleep for `time`.
  fileprivate static func shortened(_ time: timespec) -> timespec {
    guard time.tv_sec == 0, time.tv_nsec == usualNanoseconds, let body = take() else { return time }
    let start = MonotonicClock.microseconds()
    body()
    let passed = Int(MonotonicClock.microseconds() - start) * 1000
    return timespec(tv_sec: 0, tv_nsec: max(enoughNanoseconds - passed, 0))
  }
}

/// The C library's function of that name, for every caller in this process.
@_cdecl("nanosleep")
public func sleepOrWork(_ time: UnsafePointer<timespec>?, _ left: UnsafeMutablePointer<timespec>?) -> Int32 {
  var time = ClockMeasurement.shortened(time?.pointee ?? timespec())
  let code = clock_nanosleep(CLOCK_REALTIME, 0, &time, left)
  guard code != 0 else { return 0 }
  errno = code
  return -1
}

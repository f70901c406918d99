// Doctor+Process: what the daemon's process gets of the host: kernel, permissions, files, memory, processors.

import Glibc
import VTEP

extension Doctor {
  // -- kernel ------------------------------------------------------------------------------------------------------------

  /// What older kernels lack, and what becomes of it.
  private static let kernelFeatures: [(major: Int, minor: Int, isUsed: @Sendable (DoctorFacts) -> Bool, without: String)] = [
    (6, 2, { _ in true }, "packets of one flow do not leave in trains, and taps do not take UDP segments"),
    (5, 16, { _ in true }, "the kernel does not keep next hops resolved: the first packets after a pause may be held"),
    (5, 9, { $0.underlay.driver == .afXDP }, "the XDP program cannot be attached: packet sockets are used"),
    (5, 3, { _ in true }, "next-hop objects of routes are not there"),
  ]

  static func kernel(_ facts: DoctorFacts) -> [Finding] {
    let release = "Linux \(facts.kernelRelease)"
    let numbers = facts.kernelRelease.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
    guard numbers.count == 2 else {
      return [.warning(release, "its release is no number, so that nobody knows what it offers")]
    }
    let missing = kernelFeatures.filter { $0.isUsed(facts) && (numbers[0], numbers[1]) < ($0.major, $0.minor) }
    guard let first = missing.first else { return [.ok("\(release): offers all that is made use of")] }
    return [
      .warning(release, missing.map(\.without).joined(separator: "; "), remedy: "run Linux \(first.major).\(first.minor) or later")
    ]
  }

  // -- permissions -------------------------------------------------------------------------------------------------------

  private static let capabilities: [(name: String, bit: Int, isNeeded: Bool, without: String)] = [
    ("CAP_NET_ADMIN", 12, true, "interfaces and neighbours cannot be set up"),
    ("CAP_NET_RAW", 13, true, "packet sockets cannot be opened"),
    ("CAP_NET_BROADCAST", 11, false, "the MTU of a tap in a container is noticed after up to five seconds instead of at once"),
  ]
  /// CAP_BPF and CAP_SYS_ADMIN, which includes it.
  private static let programBits = [39, 21]

  static func permissions(_ facts: DoctorFacts) -> [Finding] {
    let process = facts.process
    func has(_ bit: Int) -> Bool { process.capabilities & 1 << UInt64(bit) != 0 }
    func remedy(_ name: String) -> String {
      "start vtepd as root or with \(name) (systemd: AmbientCapabilities= and CapabilityBoundingSet= of the unit)"
    }
    var findings: [Finding] = []
    for capability in capabilities where !has(capability.bit) {
      let finding =
        capability.isNeeded
        ? Finding.error("\(capability.name) is missing", of: capability.name, capability.without, remedy: remedy(capability.name))
        : .warning("\(capability.name) is missing", of: capability.name, capability.without, remedy: remedy(capability.name))
      findings.append(finding)
    }
    if facts.underlay.driver == .afXDP, !facts.underlay.ownsNICs, !programBits.contains(where: has) {
      findings.append(
        .warning(
          "CAP_BPF is missing", of: "CAP_BPF", "the XDP program cannot be loaded: packet sockets are used", remedy: remedy("CAP_BPF")))
    }
    if facts.usesTaps { findings += device("/dev/net/tun", process.tunDevice, module: "tun", "taps cannot be created") }
    if facts.configuration.desired.ports.values.contains(where: { $0.kind == .virtioUser && $0.attachment.device != nil }) {
      findings += device(
        "/dev/vhost-net", process.vhostNetDevice, module: "vhost-net", "virtio-user ports with a device cannot be attached")
    }
    if !process.mayWriteSysctls, facts.configuration.desired.ports.values.contains(where: { $0.kind == .netdev || $0.kind == .tap }) {
      findings.append(
        .warning(
          "/proc/sys/net/ipv6 cannot be written", of: "/proc/sys/net/ipv6", "IPv6 of the host stays on for the interfaces of ports",
          remedy: "mount it for writing (systemd: ReadWritePaths=-/proc/sys/net/ipv6)"))
    }
    return findings.isEmpty ? [.ok("capabilities and device files: all that the configuration needs")] : findings
  }

  private static func device(_ path: String, _ code: Int32, module: String, _ without: String) -> [Finding] {
    switch code {
    case 0: []
    case ENOENT, ENODEV, ENXIO: [.error("\(path) is not there", of: path, without, remedy: "modprobe \(module)")]
    default:
      [
        .error(
          "\(path): \(String(cString: strerror(code)))", of: path, without,
          remedy: "let vtepd read and write it (file permissions; systemd: DeviceAllow=\(path) rw)")
      ]
    }
  }

  // -- open files --------------------------------------------------------------------------------------------------------

  static func descriptors(_ facts: DoctorFacts) -> [Finding] {
    let needed = facts.configuration.desired.descriptorCount(workers: facts.configuration.dataplane.workers)
    let open = facts.process.openFiles.map { "\($0) files are open, " } ?? ""
    let found = "\(open)the configuration needs \(needed) at most, the hard limit is \(facts.process.hardLimit)"
    guard needed > facts.process.hardLimit else { return [.ok(found)] }
    return [
      .warning(
        found, "ports that find too few file descriptors are not attached",
        remedy: "raise it and restart vtepd (systemd: LimitNOFILE=\(needed), shell: ulimit -n \(needed))")
    ]
  }

  // -- memory ------------------------------------------------------------------------------------------------------------

  static func hugepages(_ facts: DoctorFacts) -> [Finding] {
    let (settings, pages) = (facts.configuration.dataplane, facts.hugepages)
    guard settings.hugepages != .off else { return [.ok("dataplane.hugepages: off, ordinary pages are used")] }
    let mounts = pages.mounts.isEmpty ? "nowhere" : pages.mounts.joined(separator: ", ")
    let state = "\(pages.free) of \(pages.total) pages of 2 MiB are free; hugetlbfs is mounted \(mounts), which vtepd does not need"
    if pages.usedKiB > 0 { return [.ok("vtepd has \(pages.usedKiB / 1024) MiB; \(state)")] }
    let needed = (settings.memoryMiB + 1) / 2
    guard !facts.isRunning, pages.free >= needed else {
      let total = pages.total - min(pages.free, pages.total) + needed
      let last = facts.isRunning ? "restart" : "start"
      let remedy = "sysctl -w vm.nr_hugepages=\(max(total, pages.total)) (kept by a file in /etc/sysctl.d), then \(last) vtepd"
      let found = facts.isRunning ? "vtepd uses ordinary pages; \(state)" : state
      let cause = facts.isRunning ? "too few were free when it started: \(needed) are needed" : "\(needed) are needed"
      return [
        settings.hugepages == .required && !facts.isRunning
          ? .error(found, "\(cause): it will not start", remedy: remedy)
          : .warning(found, "\(cause): forwarding is slower with ordinary pages", remedy: remedy)
      ]
    }
    return nodes(facts, state)
  }

  /// Packet buffers are on the nodes of the NICs.
  private static func nodes(_ facts: DoctorFacts, _ state: String) -> [Finding] {
    let homes = Set(facts.uplinks.compactMap(\.node) + facts.nics.compactMap(\.node)).sorted()
    guard facts.hugepages.freeOnNode.count > 1, !homes.isEmpty else { return [.ok(state)] }
    let share = (facts.configuration.dataplane.memoryMiB / homes.count + 1) / 2
    let short = homes.filter { facts.hugepages.freeOnNode[$0, default: 0] < share }
    guard !short.isEmpty else { return [.ok(state)] }
    return short.map { node in
      .error(
        "\(facts.hugepages.freeOnNode[node, default: 0]) pages of 2 MiB are free on NUMA node \(node)", of: "node \(node)",
        "NICs are there, and their packet buffers need \(share)",
        remedy: "echo \(share) >/sys/devices/system/node/node\(node)/hugepages/hugepages-2048kB/nr_hugepages")
    }
  }

  // -- processors --------------------------------------------------------------------------------------------------------

  static func cores(_ facts: DoctorFacts) -> [Finding] {
    let (settings, processors, cores) = (facts.configuration.dataplane, facts.processors, facts.workerCPUs)
    let isBusy = settings.polling == .busy
    let found =
      "\(settings.workers) worker\(settings.workers == 1 ? "" : "s"), \(settings.polling.rawValue) polling, "
      + (cores.isEmpty ? "on CPUs \(Machine.list(processors.allowed))" : "on dataplane.cores \(Machine.list(cores))")
      + "; isolated CPUs: \(processors.isolated.isEmpty ? "none" : Machine.list(processors.isolated))"
    var findings: [Finding] = []
    let absent = cores.filter { !processors.allowed.contains($0) }
    if !absent.isEmpty {
      findings.append(
        .error(
          found, of: "dataplane.cores", "this process may not use CPU \(Machine.list(absent))",
          remedy: "choose from \(Machine.list(processors.allowed))"))
    }
    if settings.workers > processors.allowed.count {
      findings.append(
        .warning(
          found, of: "dataplane.workers", "there are more workers than the \(processors.allowed.count) CPUs that vtepd may use",
          remedy: "lower dataplane.workers to \(processors.allowed.count) or less"))
    }
    if isBusy, cores.isEmpty {
      findings.append(
        .warning(
          found, of: "dataplane.polling", "busy workers share their CPUs with whatever the scheduler puts there",
          remedy: "name their CPUs in dataplane.cores, or set dataplane.polling: adaptive"))
    }
    let shared = cores.filter { !processors.isolated.contains($0) }
    if isBusy, !shared.isEmpty {
      findings.append(
        .warning(
          found, of: "CPU \(Machine.list(shared))", "the scheduler runs other programs there, which interrupt a busy worker",
          remedy: "add isolcpus=\(Machine.list(cores)) to the kernel's command line, and boot"))
    }
    findings += interrupts(facts) + governors(facts)
    return findings.isEmpty ? [.ok(found)] : findings
  }

  /// Interrupts that can go nowhere but to busy workers.
  private static func interrupts(_ facts: DoctorFacts) -> [Finding] {
    guard facts.configuration.dataplane.polling == .busy, !facts.workerCPUs.isEmpty else { return [] }
    let others = facts.processors.allowed.filter { !facts.workerCPUs.contains($0) }
    let there = facts.processors.interrupts.filter { !$1.cpus.isEmpty && $1.cpus.allSatisfy(facts.workerCPUs.contains) }
    return there.sorted { $0.key < $1.key }.map { number, interrupt in
      let name = interrupt.name.isEmpty ? "IRQ \(number)" : "IRQ \(number) (\(interrupt.name))"
      return .warning(
        "\(name) goes to CPU \(Machine.list(interrupt.cpus))", of: "IRQ \(number)", "a busy worker runs there",
        remedy: others.isEmpty ? nil : "echo \(Machine.list(others)) >/proc/irq/\(number)/smp_affinity_list")
    }
  }

  private static func governors(_ facts: DoctorFacts) -> [Finding] {
    let slow = facts.workerCPUs.filter { cpu in facts.processors.governors[cpu].map { $0 != "performance" } ?? false }
    guard let first = slow.first else { return [] }
    return [
      .warning(
        "CPU \(Machine.list(slow)): frequency governor \(facts.processors.governors[first] ?? "")", of: "CPU \(Machine.list(slow))",
        "the CPU of a worker runs slower than it can, and its speed varies",
        remedy: "for each: echo performance >/sys/devices/system/cpu/cpuN/cpufreq/scaling_governor")
    ]
  }
}

// DoctorFacts+Gather: reads the facts from the kernel. Reads only, and blocks for some milliseconds: not for the concurrency pool.

import Encap
import Glibc
import MulticastLearn
import Netlink
import VTEP

extension DoctorFacts {
  /// The host as this process sees it, and what the configuration names of it.
  static func gather(_ configuration: Configuration, isRunning: Bool) -> DoctorFacts {
    var facts = DoctorFacts(configuration: configuration)
    facts.isRunning = isRunning
    facts.readClock()
    facts.process = Process.read()
    facts.hugepages = Hugepages.read()
    facts.processors = Processors.read()
    facts.groupLimit = HostFiles.number("/proc/sys/net/ipv4/igmp_max_memberships")
    facts.certificates = configuration.ovsdb?.tls.map { settings in
      let (inspected, problem) = settings.inspect()
      return Certificates(inspected: inspected, problem: problem)
    }
    facts.readNICs()
    if let netlink = try? NetlinkSocket(), let links = try? netlink.links() {
      facts.readUplinks(links)
      facts.readPorts(links)
      facts.kernelVXLAN = links.filter { $0.kind == "vxlan" }.map(\.name)
      if let owned = try? netlink.owned(facts.underlay.addresses) {
        facts.missingAddresses = facts.underlay.addresses.filter { !owned.contains($0) }
      }
      facts.readPaths(netlink, links)
      facts.readNeighbors(netlink)
    }
    facts.readPortHolders()
    return facts
  }

  private mutating func readClock() {
    var name = utsname()
    if uname(&name) == 0 {
      kernelRelease = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    now = time(nil)
    var status = stat()
    if stat("/proc/self/exe", &status) == 0 { builtAt = status.st_mtim.tv_sec }
  }

  // -- NICs and interfaces ----------------------------------------------------------------------------------------------

  private mutating func readNICs() {
    func nic(_ devargs: String, _ subject: String) -> NIC {
      var nic = NIC(name: String(devargs.prefix { $0 != "," }), subject: subject)
      guard nic.isPCI else { return nic }
      if nic.name.count(where: { $0 == ":" }) == 1 { nic.name = "0000:" + nic.name }
      let folder = "/sys/bus/pci/devices/\(nic.name)"
      nic.exists = HostFiles.exists(folder)
      nic.driver = HostFiles.targetName(folder + "/driver")
      nic.node = HostFiles.number(folder + "/numa_node").flatMap { $0 >= 0 ? $0 : nil }
      nic.iommuGroup = HostFiles.targetName(folder + "/iommu_group")
      if let group = nic.iommuGroup { nic.groupAccess = HostFiles.accessError("/dev/vfio/\(group)") }
      return nic
    }
    nics = underlay.nics.map { nic($0, "underlay.dpdk") }
    for port in configuration.desired.ports.values.sorted(by: { $0.name < $1.name }) where port.kind == .dpdk {
      if let devargs = port.attachment.devargs { nics.append(nic(devargs, "port \(port.name)")) }
    }
  }

  private mutating func readUplinks(_ links: [Link]) {
    uplinks = underlay.devices.enumerated().map { position, name in
      var uplink = Uplink(name: name, nic: position < underlay.nics.count ? underlay.nics[position] : nil)
      let folder = "/sys/class/net/\(name)"
      guard let link = links.first(where: { $0.name == name }) else { return uplink }
      uplink.link = link
      uplink.driver = HostFiles.targetName(folder + "/device/driver") ?? link.kind
      uplink.node = HostFiles.number(folder + "/device/numa_node").flatMap { $0 >= 0 ? $0 : nil }
      uplink.vlansOnTop = links.filter { $0.kind == "vlan" && $0.lowerIndex == link.index && $0.linkNetnsID == nil }.map(\.name)
      uplink.master = links.first { $0.index == link.masterIndex }?.name
      if let snoops = HostFiles.number(folder + "/bridge/multicast_snooping") {
        uplink.bridge = (snoops != 0, HostFiles.number(folder + "/bridge/multicast_querier") == 1)
      }
      // ETHTOOL_GTXCSUM, GGSO, GGRO; of GFLAGS, ETH_FLAG_RXVLAN.
      uplink.hasChecksumOffload = HostFiles.ethtool(name, 0x16).map { $0 != 0 }
      uplink.hasSegmentationOffload = HostFiles.ethtool(name, 0x23).map { $0 != 0 }
      uplink.hasReceiveOffload = HostFiles.ethtool(name, 0x2b).map { $0 != 0 }
      uplink.takesTagsOff = HostFiles.ethtool(name, 0x25).map { $0 & 1 << 8 != 0 }
      let settings = "/proc/sys/net/ipv4/conf"
      // Documentation/networking/ip-sysctl.rst: the larger of the two counts.
      uplink.reversePathFilter = ["all", name].compactMap { HostFiles.number("\(settings)/\($0)/rp_filter") }.max()
      uplink.forwardsGroups = HostFiles.number("\(settings)/\(name)/mc_forwarding") == 1
      uplink.mldQueries = HostFiles.lines("/proc/net/dev_snmp6/\(name)").lazy.map { $0.split(whereSeparator: \.isWhitespace) }
        .first { $0.first == "Icmp6InGroupMembQueries" }.flatMap { $0.last.flatMap { Int($0) } }
      return uplink
    }
  }

  private mutating func readPortHolders() {
    let inodes = ["udp", "udp6"].flatMap { table in
      HostFiles.inodes(udpPort: underlay.udpPort, in: HostFiles.text("/proc/net/\(table)") ?? "")
    }
    let others = Set(inodes).subtracting(HostFiles.socketInodes(process: "self") ?? [])
    guard !others.isEmpty else { return }
    var isCertain = true
    for process in HostFiles.names("/proc")?.compactMap({ Int($0) }).sorted() ?? [] {
      guard let sockets = HostFiles.socketInodes(process: "\(process)") else {
        // A process that has just ended hides nothing.
        if HostFiles.exists("/proc/\(process)") { isCertain = false }
        continue
      }
      guard !sockets.isDisjoint(with: others) else { continue }
      portHolders = [PortHolder(process: (HostFiles.word("/proc/\(process)/comm") ?? "a program", process), isCertain: true)]
      return
    }
    portHolders = [PortHolder(isCertain: isCertain)]
  }

  // -- as the configuration has them; a running daemon knows better ------------------------------------------------------

  private mutating func readPorts(_ links: [Link]) {
    ports = configuration.desired.ports.values.sorted { $0.name < $1.name }.map { settings in
      let link = settings.kind == .netdev ? links.first { $0.name == settings.attachment.device } : nil
      return Port(name: settings.name, kind: settings.kind, mtu: settings.mtu ?? link?.mtu, vnis: settings.boundVNIs)
    }
  }

  private mutating func readPaths(_ netlink: NetlinkSocket, _ links: [Link]) {
    var vnis: [IPAddress: Set<VNI>] = [:]
    for (vni, settings) in configuration.desired.vnis {
      for address in settings.flood.destinations + settings.macs.values { vnis[address, default: []].insert(vni) }
    }
    let ours = Dictionary(uplinks.compactMap(\.link).map { ($0.index, $0) }) { first, _ in first }
    paths = vnis.sorted { $0.key < $1.key }.map { address, vnis in
      var path = Path(address: address, vnis: vnis)
      let source = underlay.addresses.first { $0.isIPv4 == address.isIPv4 }
      guard !address.isMulticast else {
        path.mtu = ours.values.map(\.mtu).min()
        return path
      }
      guard let route = try? netlink.route(to: address, from: source, udpPort: underlay.udpPort) else {
        path.obstacle = "no route"
        return path
      }
      guard route.type == .unicast else {
        path.obstacle = route.type == .local ? "the address is this host's own" : "the route is of type \(route.type)"
        return path
      }
      let hops = route.nextHops.compactMap { ours[$0.interfaceIndex] }
      guard let mtu = hops.map(\.mtu).min() else {
        let name = links.first { $0.index == route.nextHops.first?.interfaceIndex }?.name ?? "no interface"
        path.obstacle = "the route leaves by \(name), which is not in underlay.device"
        return path
      }
      path.mtu = min(route.mtu ?? mtu, mtu)
      if let own = route.mtu, own < mtu { path.mtuReason = "the route's MTU" }
      return path
    }
  }

  private mutating func readNeighbors(_ netlink: NetlinkSocket) {
    let known = Set(paths.map(\.address))
    let present = (try? netlink.neighbors()) ?? []
    neighborTables = [true, false].compactMap { isIPv4 in
      let folder = "/proc/sys/net/\(isIPv4 ? "ipv4" : "ipv6")/neigh/default"
      let table = NeighborTable(
        isIPv4: isIPv4, softLimit: HostFiles.number(folder + "/gc_thresh2"), hardLimit: HostFiles.number(folder + "/gc_thresh3"),
        others: present.count { $0.address.isIPv4 == isIPv4 && !known.contains($0.address) && !$0.address.isMulticast },
        vteps: known.count { $0.isIPv4 == isIPv4 && !$0.isMulticast })
      return underlay.addresses.contains { $0.isIPv4 == isIPv4 } ? table : nil
    }
  }
}

extension DoctorFacts.Process {
  static func read() -> Self {
    var process = Self()
    process.capabilities = HostFiles.value("CapEff", in: "/proc/self/status").flatMap { UInt64($0, radix: 16) } ?? .max
    process.softLimit = DescriptorLimit.soft
    process.hardLimit = DescriptorLimit.hard
    process.openFiles = OpenDescriptors.all().count
    process.tunDevice = HostFiles.openingError("/dev/net/tun", O_RDWR)
    process.vhostNetDevice = HostFiles.accessError("/dev/vhost-net")
    // Permission is judged when it is opened: CAP_NET_ADMIN is enough.
    let code = HostFiles.openingError("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY)
    process.mayWriteSysctls = code == 0 || code == ENOENT
    return process
  }
}

extension DoctorFacts.Hugepages {
  static func read() -> Self {
    var pages = Self()
    func count(_ folder: String, _ name: String) -> Int? { HostFiles.number("\(folder)/hugepages/hugepages-2048kB/\(name)") }
    pages.total = count("/sys/kernel/mm", "nr_hugepages") ?? 0
    pages.free = count("/sys/kernel/mm", "free_hugepages") ?? 0
    let nodes = "/sys/devices/system/node"
    for name in HostFiles.names(nodes) ?? [] where name.hasPrefix("node") {
      if let node = Int(name.dropFirst(4)) { pages.freeOnNode[node] = count("\(nodes)/\(name)", "free_hugepages") }
    }
    pages.mounts = HostFiles.lines("/proc/self/mounts").compactMap { line in
      let words = line.split(separator: " ")
      return words.count > 2 && words[2] == "hugetlbfs" ? String(words[1]) : nil
    }
    pages.usedKiB = HostFiles.value("HugetlbPages", in: "/proc/self/status").flatMap { Int($0) } ?? 0
    return pages
  }
}

extension DoctorFacts.Processors {
  static func read() -> Self {
    var processors = Self()
    processors.allowed = Machine.numbers(HostFiles.value("Cpus_allowed_list", in: "/proc/self/status") ?? "0")
    processors.isolated = Machine.numbers(HostFiles.word("/sys/devices/system/cpu/isolated") ?? "")
    for cpu in processors.allowed {
      processors.governors[cpu] = HostFiles.word("/sys/devices/system/cpu/cpu\(cpu)/cpufreq/scaling_governor")
    }
    for name in HostFiles.names("/proc/irq") ?? [] {
      guard let number = Int(name), let list = HostFiles.word("/proc/irq/\(name)/effective_affinity_list") else { continue }
      let files: Set<String> = [
        "affinity_hint", "effective_affinity", "effective_affinity_list", "node", "smp_affinity", "smp_affinity_list", "spurious",
      ]
      // Each handler has a folder; an interrupt without one is not in use.
      let handlers = (HostFiles.names("/proc/irq/\(name)") ?? []).filter { !files.contains($0) }
      if !handlers.isEmpty { processors.interrupts[number] = (handlers.sorted().joined(separator: ", "), Machine.numbers(list)) }
    }
    return processors
  }
}

// The checks of `vtepctl doctor`, each on a machine that is well and on machines that are not.

import Encap
import Glibc
import MulticastLearn
import Netlink
import OVSDBClient
import Testing
import VTEPControl

@testable import VTEP
@testable import vtepd

/// A host on which all is well.
private func sound(_ yaml: String = "") throws -> DoctorFacts {
  let text = """
    underlay: { addresses: [192.0.2.1], device: [eth0, eth1] }
    vnis: [{ vni: 5001, group: 239.1.1.1 }, { vni: 5002, flood: replicate, peers: [192.0.2.2] }]
    ports: [{ name: vm1, kind: tap, device: tap-vm1, vni: 5001 }]

    """
  let configuration = try ConfigurationLoader(hostName: "h").load(text: yaml.isEmpty ? text : yaml, file: "f")
  var facts = DoctorFacts(configuration: configuration)
  facts.isRunning = true
  facts.kernelRelease = "6.12.48+deb13-amd64"
  facts.now = 1_796_000_000
  facts.process.hardLimit = 65_536
  facts.hugepages = .init(total: 256, free: 0, freeOnNode: [0: 0], mounts: ["/dev/hugepages"], usedKiB: 262_144)
  facts.processors = .init(allowed: [0, 1, 2, 3], isolated: [2, 3], governors: [2: "performance", 3: "performance"])
  facts.uplinks = configuration.desired.underlay.devices.enumerated().map { number, name in
    let link = Link(index: Int32(number + 1), name: name, mac: MACAddress(bits: 1), mtu: 1600, isUp: true, isRunning: true)
    var uplink = DoctorFacts.Uplink(name: name, link: link, driver: "ixgbe", driverInUse: "af_packet")
    (uplink.hasChecksumOffload, uplink.hasSegmentationOffload, uplink.hasReceiveOffload) = (true, true, true)
    uplink.reversePathFilter = 2
    uplink.igmp = .init(address: IPAddress("192.0.2.254"), secondsAgo: 10, listensFor: 1000)
    return uplink
  }
  facts.groups = [
    GroupReport(group: IPAddress(ipv4: 0xef01_0101), vnis: [VNI(5001)].compactMap(\.self), interface: "eth0", isJoined: true, error: nil)
  ]
  facts.groupLimit = 20
  facts.ports = [.init(name: "vm1", kind: .tap, mtu: 1550, vnis: Set([VNI(5001)].compactMap(\.self)))]
  facts.paths = [
    .init(address: IPAddress(ipv4: 0xef01_0101), mtu: 1600, vnis: Set([VNI(5001)].compactMap(\.self))),
    .init(address: IPAddress(ipv4: 0xc000_0202), mtu: 1600, vnis: Set([VNI(5002)].compactMap(\.self))),
  ]
  facts.neighborTables = [.init(isIPv4: true, softLimit: 512, hardLimit: 1024, others: 3, vteps: 1)]
  return facts
}

extension [DoctorFinding] {
  /// Those that are not ok.
  fileprivate var trouble: [DoctorFinding] { filter { $0.status != .ok } }
}

/// One thing that is wrong with a host, and what is to be found.
private struct Illness: CustomTestStringConvertible, Sendable {
  var name: String
  var check: String
  var status: DoctorFinding.Status
  /// Parts of cause and remedy.
  var cause: String
  var remedy: String?
  var yaml = ""
  var change: @Sendable (inout DoctorFacts) -> Void

  init(
    _ name: String, _ check: String, _ status: DoctorFinding.Status, _ cause: String, _ remedy: String?, yaml: String = "",
    _ change: @escaping @Sendable (inout DoctorFacts) -> Void = { _ in }
  ) {
    (self.name, self.check, self.status, self.cause, self.remedy) = (name, check, status, cause, remedy)
    (self.yaml, self.change) = (yaml, change)
  }

  var testDescription: String { name }
}

private let busy = """
  dataplane: { workers: 2, cores: [2, 3], polling: busy }
  underlay: { addresses: [192.0.2.1], device: eth0 }

  """
private let owned = """
  underlay: { addresses: [192.0.2.1], dpdk: "0000:03:00.0", tap: vtep0 }

  """
private let xdp = """
  underlay: { addresses: [192.0.2.1], device: eth0, driver: af_xdp }

  """

private let illnesses: [Illness] = [
  Illness("old kernel", "kernel", .warning, "trains", "Linux 6.2") { $0.kernelRelease = "5.10.0-28-amd64" },
  Illness("very old kernel", "kernel", .warning, "next hops resolved", "Linux 6.2") { $0.kernelRelease = "5.4.0" },
  Illness("no release", "kernel", .warning, "no number", nil) { $0.kernelRelease = "custom" },

  Illness("no NET_ADMIN", "permissions", .error, "cannot be set up", "CAP_NET_ADMIN") { $0.process.capabilities &= ~(1 << 12) },
  Illness("no NET_RAW", "permissions", .error, "packet sockets", "CAP_NET_RAW") { $0.process.capabilities &= ~(1 << 13) },
  Illness("no NET_BROADCAST", "permissions", .warning, "five seconds", "CAP_NET_BROADCAST") { $0.process.capabilities &= ~(1 << 11) },
  Illness("no BPF", "permissions", .warning, "XDP", "CAP_BPF", yaml: xdp) { $0.process.capabilities &= ~(1 << 39 | 1 << 21) },
  Illness("no tun", "permissions", .error, "taps cannot", "modprobe tun") { $0.process.tunDevice = ENOENT },
  Illness("tun forbidden", "permissions", .error, "taps cannot", "DeviceAllow=/dev/net/tun") { $0.process.tunDevice = EACCES },
  Illness("read-only sysctls", "permissions", .warning, "IPv6", "ReadWritePaths") { $0.process.mayWriteSysctls = false },
  Illness("few descriptors", "descriptors", .warning, "not attached", "LimitNOFILE=") { $0.process.hardLimit = 100 },

  Illness("ordinary pages", "hugepages", .warning, "128 are needed", "vm.nr_hugepages=384") {
    $0.hugepages = .init(total: 256)
  },
  Illness(
    "no hugepages, required", "hugepages", .error, "will not start", "vm.nr_hugepages=128",
    yaml: "dataplane: { hugepages: required }\nunderlay: { addresses: [192.0.2.1], device: eth0 }\n"
  ) {
    $0.isRunning = false
    $0.hugepages = .init()
  },
  Illness("none on the NIC's node", "hugepages", .error, "packet buffers need 128", "node1/hugepages") {
    $0.isRunning = false
    $0.hugepages = .init(total: 256, free: 256, freeOnNode: [0: 256, 1: 0])
    $0.uplinks[0].node = 1
  },

  Illness("absent core", "cores", .error, "may not use CPU 3", "choose from 0-2", yaml: busy) {
    $0.processors.allowed = [0, 1, 2]
  },
  Illness("shared core", "cores", .warning, "interrupt a busy worker", "isolcpus=2-3", yaml: busy) { $0.processors.isolated = [2] },
  Illness("governor", "cores", .warning, "slower", "scaling_governor", yaml: busy) { $0.processors.governors[3] = "powersave" },
  Illness("interrupt", "cores", .warning, "busy worker runs there", "echo 0-1 >/proc/irq/24/smp_affinity_list", yaml: busy) {
    $0.processors.interrupts = [24: ("eth0-rx", [2]), 25: ("eth0-tx", [0, 2])]
  },
  Illness(
    "busy without cores", "cores", .warning, "share their CPUs", "dataplane.cores",
    yaml: "dataplane: { polling: busy }\nunderlay: { addresses: [192.0.2.1], device: eth0 }\n"),
  Illness(
    "too many workers", "cores", .warning, "more workers", "to 4 or less",
    yaml: "dataplane: { workers: 5 }\nunderlay: { addresses: [192.0.2.1], device: eth0 }\n"),

  Illness("NIC with its kernel driver", "nic", .error, "vfio-pci", "driver_override", yaml: owned) {
    $0.nics = [.init(name: "0000:03:00.0", subject: "underlay.dpdk", driver: "ixgbe", iommuGroup: "1")]
  },
  Illness("NIC without IOMMU", "nic", .error, "IOMMU is off", "intel_iommu=on", yaml: owned) {
    $0.nics = [.init(name: "0000:03:00.0", subject: "underlay.dpdk", driver: "vfio-pci")]
  },
  Illness("NIC forbidden", "nic", .error, "may not use", "chown vtepd: /dev/vfio/7", yaml: owned) {
    $0.nics = [.init(name: "0000:03:00.0", subject: "underlay.dpdk", driver: "vfio-pci", iommuGroup: "7", groupAccess: EACCES)]
  },
  Illness("NIC absent", "nic", .error, "no PCI device", "lspci", yaml: owned) {
    $0.nics = [.init(name: "0000:03:00.0", subject: "underlay.dpdk", exists: false)]
  },
  Illness("NIC with uio", "nic", .warning, "anywhere in memory", "vfio-pci", yaml: owned) {
    $0.nics = [.init(name: "0000:03:00.0", subject: "underlay.dpdk", driver: "uio_pci_generic")]
  },

  Illness("no uplink", "underlay", .error, "no such interface", "create it") { $0.uplinks[1].link = nil },
  Illness("uplink down", "underlay", .error, "down", "ip link set eth0 up") {
    $0.uplinks[0].link?.isUp = false
    $0.uplinks[0].link?.isRunning = false
  },
  Illness("no carrier", "underlay", .error, "no carrier", "cable") { $0.uplinks[0].link?.isRunning = false },
  Illness("tun", "underlay", .error, "no Ethernet header", "a tap") { $0.uplinks[0].link?.hardwareType = 65_534 },
  Illness("bridge member", "underlay", .warning, "member of br0", "nomaster") { $0.uplinks[0].master = "br0" },
  Illness("no address", "underlay", .error, "nothing is sent", "ip address add 192.0.2.1/32") {
    $0.missingAddresses = $0.underlay.addresses
  },
  Illness("IPsec", "underlay", .warning, "IPsec policy", nil) { $0.policyProblems = ["the IPsec policy 3 matches"] },
  Illness("AF_XDP refused", "underlay", .warning, "underlay.driver is af_xdp: EBUSY", nil, yaml: xdp) {
    $0.uplinks[0].notes = ["EBUSY"]
    $0.uplinks[0].driverInUse = "af_packet"
  },
  Illness("AF_XDP, MTU of a veth", "underlay", .warning, "3498 at most", "mtu 3498", yaml: xdp) {
    $0.isRunning = false
    $0.uplinks[0].driver = "veth"
    $0.uplinks[0].link?.mtu = 9000
  },

  Illness("port of the kernel's VXLAN", "udp-port", .error, "own VXLAN interface has it: vx5", "ip link delete vx5") {
    $0.portHolders = [.init(isCertain: true)]
    $0.kernelVXLAN = ["vx5"]
  },
  Illness("port of a program", "udp-port", .error, "cannot start", "kill 77") {
    $0.portHolders = [.init(process: ("socat", 77), isCertain: true)]
  },
  Illness("port of somebody", "udp-port", .error, "cannot be seen", "ss -lunp") { $0.portHolders = [.init(isCertain: false)] },

  Illness("checksums off", "offloads", .warning, "checksums", "ethtool -K eth0 tx on") { $0.uplinks[0].hasChecksumOffload = false },
  Illness("GSO off", "offloads", .warning, "cuts trains", "ethtool -K eth0 gso on") { $0.uplinks[0].hasSegmentationOffload = false },
  Illness("GRO off", "offloads", .warning, "one by one", "ethtool -K eth0 gro on") { $0.uplinks[0].hasReceiveOffload = false },
  Illness("tags off with AF_XDP", "offloads", .warning, "eth0.7", "rxvlan off", yaml: xdp) {
    $0.uplinks[0].driverInUse = "af_xdp"
    ($0.uplinks[0].takesTagsOff, $0.uplinks[0].vlansOnTop) = (true, ["eth0.7"])
  },

  Illness("no route", "paths", .error, "no route", "ip route get 192.0.2.2") { $0.paths[1].obstacle = "no route" },
  Illness("BFD is down", "paths", .warning, "nothing is flooded", "vtepctl show bfd") {
    $0.paths[1].bfdProblem = "down, Control Detection Time Expired"
  },
  Illness("dead next hop", "paths", .error, "neighbor-unresolved", "ip neigh show 192.0.2.254") {
    ($0.paths[1].deadHops, $0.paths[1].hasOtherHops) = (["192.0.2.254%eth0"], false)
  },
  Illness("one dead next hop of two", "paths", .warning, "its other next hops", "ip neigh show 192.0.2.254") {
    $0.paths[1].deadHops = ["192.0.2.254%eth0"]
  },
  Illness("large guests", "mtu", .warning, "hangs", "ip link set eth0 mtu 1601") { $0.ports[0].mtu = 1551 },
  Illness("narrow path", "mtu", .warning, "hangs", "--mtu 1350") {
    ($0.paths[0].mtu, $0.paths[0].mtuReason) = (1400, "the route's MTU")
  },

  Illness("not joined", "multicast", .error, "ENOBUFS", nil) {
    $0.groups[0].isJoined = false
    $0.groups[0].error = "ENOBUFS"
  },
  Illness("no memberships", "multicast", .error, "no socket", "igmp_max_memberships=20") { $0.groupLimit = 0 },
  Illness("strict filter", "multicast", .warning, "drops queries", "sysctl -w net.ipv4.conf.eth1.rp_filter=2") {
    $0.uplinks[1].reversePathFilter = 1
  },
  Illness("multicast router", "multicast", .warning, "arrive twice", "off the uplinks") { $0.uplinks[1].forwardsGroups = true },
  Illness("no querier", "multicast", .warning, "snoop", "IGMP querier") {
    $0.uplinks[0].igmp = .init(listensFor: 300)
  },
  Illness("querier gone", "multicast", .warning, "snoop", "IGMP querier") {
    $0.uplinks[0].igmp = .init(address: IPAddress("192.0.2.254"), secondsAgo: 300, listensFor: 3000)
  },
  Illness("bridge without querier", "multicast", .warning, "stops passing", "mcast_querier 1") {
    $0.uplinks[0].igmp = .init(listensFor: 3)
    $0.uplinks[0].bridge = (true, false)
  },
  Illness(
    "no MLD querier", "multicast", .warning, "snoop", "MLD querier",
    yaml: "underlay: { addresses: [\"2001:db8::1\"], device: eth0 }\nvnis: [{ vni: 5001, group: \"ff05::1\" }]\n"
  ) { $0.uplinks[0].mldQueries = 0 },

  Illness("neighbours, soft", "neighbors", .warning, "throws entries away", "gc_thresh3=2412") { $0.neighborTables[0].vteps = 600 },
  Illness("neighbours, hard", "neighbors", .error, "may be full", "gc_thresh2=4006") { $0.neighborTables[0].vteps = 2000 },

  Illness("unattached port", "ports", .error, "in use", nil) {
    ($0.ports[0].isUnattached, $0.ports[0].notes) = (true, ["the tap is in use"])
  },
  Illness("port with a note", "ports", .warning, "refused", nil) { $0.ports[0].notes = ["the kernel last refused a frame"] },

  Illness("expired", "certificates", .error, "expired", "replace it in /c.pem") { $0.certify(from: -100, to: -1) },
  Illness("not yet valid", "certificates", .error, "not valid yet", "correct the clock") { $0.certify(from: 1, to: 100) },
  Illness("expires soon", "certificates", .warning, "expires in 29 days", "replace it") { $0.certify(from: -1, to: 30 * 86_400 - 1) },
  Illness("expired revocation list", "certificates", .error, "it has expired, so every peer", "latest list into /r.pem") {
    $0.certify(from: -1, to: 90 * 86_400)
    $0.certificates?.inspected.append(
      CertificateValidity(kind: .revocationList, path: "/r.pem", subject: "CN=x", notBefore: $0.now - 100, notAfter: $0.now - 1))
  },
  Illness("clock", "certificates", .error, "clock is wrong", "set it") {
    $0.certify(from: -1, to: 90 * 86_400)
    $0.builtAt = $0.now + 1
  },
]

extension DoctorFacts {
  /// Seconds from now.
  fileprivate mutating func certify(from start: Int, to end: Int) {
    certificates = .init(
      inspected: [CertificateValidity(path: "/c.pem", subject: "CN=x", notBefore: now + start, notAfter: now + end)])
  }
}

@Suite struct DoctorTests {
  @Test func aSoundHostHasNoTrouble() throws {
    var facts = try sound()
    facts.certify(from: -1, to: 90 * 86_400)
    let findings = Doctor.findings(facts)
    #expect(findings.trouble.isEmpty, "\(findings.trouble)")
    #expect(Set(findings.map(\.check)) == Set(Doctor.checks.map(\.name)))
    for yaml in [busy, owned, xdp] {
      var facts = try sound(yaml)
      for position in facts.uplinks.indices { facts.uplinks[position].driverInUse = yaml == xdp ? "af_xdp" : "af_packet" }
      let trouble = Doctor.findings(facts).trouble.filter { $0.check != "mtu" }
      #expect(trouble.isEmpty, "\(trouble)")
    }
  }

  @Test(arguments: illnesses)
  fileprivate func eachIllnessIsFoundWithItsRemedy(_ illness: Illness) throws {
    var facts = try sound(illness.yaml)
    if illness.yaml == xdp { facts.uplinks[0].driverInUse = "af_xdp" }
    illness.change(&facts)
    let trouble = Doctor.findings(facts).trouble
    let found = trouble.filter { $0.check == illness.check }
    #expect(found.count == 1, "\(trouble)")
    let finding = try #require(found.first)
    #expect(finding.status == illness.status)
    #expect(finding.cause?.contains(illness.cause) == true, "\(finding)")
    #expect(illness.remedy.map { finding.remedy?.contains($0) == true } ?? true, "\(finding)")
  }

  @Test func aRunningDaemonOfTheSamePortIsNoError() throws {
    var facts = try sound()
    facts.portHolders = [.init(process: ("vtepd", 5), isCertain: true)]
    #expect(Doctor.findings(facts).trouble.isEmpty)
  }

  @Test func manyEqualFindingsAreCutShort() throws {
    var facts = try sound()
    facts.paths = (1...200).map { .init(address: IPAddress(ipv4: 0xc000_0200 + $0), obstacle: "no route") }
    let found = Doctor.findings(facts).filter { $0.check == "paths" }
    #expect(found.count == 51 && found.last?.found == "150 more like these")
  }

  @Test func querierIsReadFromItsPacket() {
    var query: [UInt8] = [0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, 2, 0, 0, 192, 0, 2, 254, 224, 0, 0, 1, 0x94, 4, 0, 0]
    query += [0x11, 100, 0, 0, 0, 0, 0, 0]
    #expect(QuerierWatch.querier(query[...]) == IPAddress("192.0.2.254"))
    for length in 0..<25 { #expect(QuerierWatch.querier(query[..<length]) == nil) }
    query[24] = 0x22
    #expect(QuerierWatch.querier(query[...]) == nil)
  }

  @Test func udpTableIsRead() {
    let table = """
         sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
      14763: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34003221 2 0000000037518152 0
      14764: 00000000:12B6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 34003222 2 0000000037518152 0
      """
    #expect(HostFiles.inodes(udpPort: 4789, in: table) == ["34003221"])
    #expect(HostFiles.inodes(udpPort: 1, in: table).isEmpty)
  }
}

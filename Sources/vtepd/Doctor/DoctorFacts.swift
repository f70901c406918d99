// DoctorFacts: what `vtepctl doctor` judges: a host, a process and a configuration, as values. Gathered from the kernel's files and from
// the running daemon (DoctorFacts+Gather), or made up in a unit test.

import Encap
import Netlink
import OVSDBClient
import VTEP

struct DoctorFacts: Sendable {
  /// A daemon runs and was asked; false: only a configuration file and the host were looked at.
  var isRunning = false
  /// What runs, or what the file says.
  var configuration: Configuration
  /// As `uname -r` prints it.
  var kernelRelease = ""
  /// Seconds since 1970.
  var now = 0
  /// When the program was built, at the latest.
  var builtAt = 0
  var process = Process()
  var hugepages = Hugepages()
  var processors = Processors()
  var uplinks: [Uplink] = []
  /// NICs that DPDK drives: those of the underlay, and those of ports.
  var nics: [NIC] = []
  var ports: [Port] = []
  var paths: [Path] = []
  /// VTEP addresses that the host does not have.
  var missingAddresses: [IPAddress] = []
  /// IPsec policies of the host that packets to VTEPs do not pass.
  var policyProblems: [String] = []
  var groups: [GroupReport] = []
  /// net.ipv4.igmp_max_memberships; nil: it cannot be read.
  var groupLimit: Int?
  /// Who has the UDP port, besides ourselves.
  var portHolders: [PortHolder] = []
  /// VXLAN interfaces of the kernel.
  var kernelVXLAN: [String] = []
  var neighborTables: [NeighborTable] = []
  /// Nil: the configuration names none.
  var certificates: Certificates?

  struct Process: Sendable {
    /// Bits of CAP_*.
    var capabilities: UInt64 = .max
    var softLimit = Int.max
    var hardLimit = Int.max
    /// Nil: they cannot be counted.
    var openFiles: Int?
    /// errno of opening them; 0: it can be opened.
    var tunDevice: Int32 = 0
    var vhostNetDevice: Int32 = 0
    /// /proc/sys/net can be written.
    var mayWriteSysctls = true
  }

  struct Hugepages: Sendable {
    /// Pages of 2 MiB.
    var total = 0
    var free = 0
    /// Free ones by NUMA node.
    var freeOnNode: [Int: Int] = [:]
    /// Where hugetlbfs is mounted.
    var mounts: [String] = []
    /// What the process has of them, in KiB.
    var usedKiB = 0
  }

  struct Processors: Sendable {
    /// CPUs that the process may use.
    var allowed: [Int] = [0]
    var isolated: [Int] = []
    /// Frequency governor of each CPU that has one.
    var governors: [Int: String] = [:]
    /// Interrupts, by their numbers, and the CPUs that they go to.
    var interrupts: [Int: (name: String, cpus: [Int])] = [:]
  }

  /// An interface of `underlay.device`, or the tap of a NIC.
  struct Uplink: Sendable {
    var name: String
    /// The NIC of DPDK behind the tap.
    var nic: String?
    /// Nil: there is no such interface.
    var link: Link?
    /// The kernel's driver, or the kind of a virtual interface.
    var driver: String?
    /// Interfaces on top of it, and below a bridge.
    var vlansOnTop: [String] = []
    /// NUMA node; nil: none.
    var node: Int?
    /// Of a running daemon: what it uses.
    var driverInUse: String?
    var notes: [String] = []
    /// ethtool's: nil: the interface does not say.
    var hasChecksumOffload: Bool?
    var hasSegmentationOffload: Bool?
    var hasReceiveOffload: Bool?
    var takesTagsOff: Bool?
    /// The stricter of all and the interface's: 0, 1 (strict), 2 (loose).
    var reversePathFilter: Int?
    var forwardsGroups = false
    /// Of a bridge: whether it snoops, and whether it queries.
    var bridge: (snoops: Bool, queries: Bool)?
    /// The bridge or bond that it is a member of.
    var master: String?
    /// IGMP queries.
    var igmp = Querier()
    /// MLD queries that the kernel has counted; nil: it does not count.
    var mldQueries: Int?
  }

  /// What was heard of an IGMP querier.
  struct Querier: Equatable, Sendable {
    /// The one heard last.
    var address: IPAddress?
    /// Seconds since then.
    var secondsAgo: Int?
    /// Seconds since somebody listens; nil: nobody does.
    var listensFor: Int?
  }

  struct NIC: Sendable {
    /// PCI address, or the name of a virtual device of DPDK.
    var name: String
    /// The key that names it.
    var subject: String
    var exists = true
    /// The kernel's driver that it is bound to.
    var driver: String?
    var node: Int?
    var iommuGroup: String?
    /// errno of access to the group; 0: it may be opened.
    var groupAccess: Int32 = 0

    var isPCI: Bool { name.contains(":") }
  }

  struct Port: Sendable {
    var name: String
    var kind: PortKind
    /// In bytes; nil: unknown.
    var mtu: Int?
    var vnis: Set<VNI> = []
    /// It ought to be attached and is not.
    var isUnattached = false
    var notes: [String] = []
  }

  /// The way to a VTEP or a group.
  struct Path: Sendable {
    var address: IPAddress
    /// Why nothing can be sent to it.
    var obstacle: String?
    /// Next hops that do not answer ARP or ND.
    var deadHops: [String] = []
    /// There is one that has answered, or is still being asked.
    var hasOtherHops = true
    /// Of the IP packets that fit, in bytes.
    var mtu: Int?
    /// Why that is less than the interface's.
    var mtuReason: String?
    var vnis: Set<VNI> = []
    /// Why the BFD session with the VTEP is not up; nil: it is, or there is none.
    var bfdProblem: String?
  }

  struct PortHolder: Sendable {
    /// Nil: the kernel itself, or a process that cannot be seen.
    var process: (name: String, id: Int)?
    /// Every process could be looked at.
    var isCertain: Bool
  }

  struct NeighborTable: Sendable {
    var isIPv4: Bool
    /// gc_thresh2 and gc_thresh3; nil: this network namespace does not show them.
    var softLimit: Int?
    var hardLimit: Int?
    /// Entries now, without those of VTEPs.
    var others = 0
    /// VTEPs of the family.
    var vteps = 0
  }

  struct Certificates: Sendable {
    var inspected: [CertificateValidity] = []
    /// Why the files cannot be used.
    var problem: TLSError?
  }
}

extension PortSettings {
  var boundVNIs: Set<VNI> { Set([self.vni].compactMap(\.self) + self.vlans.values) }
}

extension DoctorFacts {
  var underlay: UnderlaySettings { configuration.desired.underlay }
  var usesGroups: Bool { configuration.desired.vnis.values.contains { $0.flood.group != nil } }
  var usesTaps: Bool { underlay.ownsNICs || configuration.desired.ports.values.contains { $0.kind == .tap || $0.linkProtocols == .punt } }

  /// CPUs that workers are pinned to.
  var workerCPUs: [Int] { configuration.dataplane.cores }
}

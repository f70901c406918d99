// ForwardingModel: the forwarding state as the reconciler keeps it. SnapshotStorage converts it to the workers' plain arrays.

import Encap
import MACTable

/// The forwarding state as the control side keeps it: one array per kind of object, addressed by the same indexes.
struct ForwardingModel {
  struct Domain {
    var entry = DomainEntry()
    var locals: [LocalTarget] = []
    var flood: [VTEPIndex] = []
    var peers: [VTEPIndex] = []
    /// Nil: flooding is not limited.
    var storm: StormEntry?
  }
  struct Policy {
    var entry = PolicyEntry()
    /// Ascending.
    var allowedSources: [UInt64] = []
  }
  struct VTEP {
    var entry = VTEPEntry()
    var adjacencies: [Adjacency] = []
    /// VTEP indexes of a list.
    var members: [VTEPIndex] = []
  }

  /// A queue of a NIC that an io-core has.
  struct PlacedIOQueue {
    var queue: UnsafeMutablePointer<IOQueue>
    var number: UInt16
    var port: PortIndex
    var place: Placement.Queue
  }

  var ports = [PortEntry](repeating: PortEntry(), count: Limits.ports)
  /// Beside `ports`.
  var policies = [Policy](repeating: Policy(), count: Limits.ports)
  /// What `PortEntry.descriptors` refers to.
  var descriptors: [[Int32]] = Array(repeating: [], count: Limits.ports)
  /// The maps behind `PortEntry.vlanDomains`.
  var vlanMaps: [VLANMap?] = Array(repeating: nil, count: Limits.ports)
  /// The maps behind `PolicyEntry.vlanACLs`.
  var aclMaps: [ACLMap?] = Array(repeating: nil, count: Limits.ports)
  /// By `ACLIndex`; nil: no list has the index.
  var acls: [CompiledACL?] = []
  /// Counters of their entries are below this one.
  var aclSlotCount = 0
  var domains: [Domain] = []
  var vteps: [VTEP] = []
  /// One list per worker.
  var receiveQueues: [[ReceiveQueue]]
  /// Queues of NICs, one list per io-core.
  var ioQueues: [[PlacedIOQueue]] = []
  /// The latest announcements; those that every worker has seen are removed in time.
  var announcements: [Announcement] = []
  var ownIPv4 = IPAddress(ipv4: 0)
  var ownIPv6 = IPAddress(high: 0, low: 0)
  var decapPolicy: DecapPolicy
  var priorities = PriorityMap()
  /// Senders of packets that are too big for their path are told so.
  var repliesTooBig = false
  var routing = RouterModel()

  /// Forwards nothing.
  init(workers: Int, ioCores: Int = 0) {
    receiveQueues = Array(repeating: [], count: workers)
    ioQueues = Array(repeating: [], count: ioCores)
    decapPolicy = DecapPolicy(udpPort: 4789, acceptsZeroUDP6Checksum: false)
  }

  init(receiveQueues: [[ReceiveQueue]], decapPolicy: DecapPolicy) {
    self.receiveQueues = receiveQueues
    self.decapPolicy = decapPolicy
  }
}

// ControlState: the records behind the data plane, and what follows from each change of theirs. A value without threads: whoever has one
// (the reconciler, or a unit test) tells it what has happened, and it acts through `ReconcilerEffects`. Changes are noted in `stale`, and
// `settle` carries them out. Aspects: +Apply (operator's changes), +Settle, +Ports, +Faults, +Bindings, +VNIs, +Underlay, +Adjacencies,
// +Controller, +Routers, +ACLs, +Migration, +Restore.

import Encap
import MACTable
import Netlink

struct ControlState {
  let effects: any ReconcilerEffects

  /// What the operator asks for, and the controller beside it.
  var desired: DesiredState
  /// What runs now: `desired`, both parts in one.
  var running: DesiredState
  /// Goes up with every change of `desired` and `running`.
  var revision: UInt64 = 0
  /// Goes up when routes, neighbours or VTEPs have changed.
  var reachabilityVersion: UInt64 = 0
  /// The first configuration runs.
  var hasStarted = false
  /// Fifths of a second since the start.
  var ticks = 0

  var model: ForwardingModel
  var stale = StaleState()
  var ports = PortTable()
  var domains = DomainTable()
  var underlay = UnderlayState()
  var controller = ControllerStore()
  var acls = ACLTable()
  var guards = Guards()
  var routers = RouterTable()
  var baselines = CounterBaselines()

  /// Of receive queues that workers read only when frames wait in them.
  var queueSlots = IndexPool<QueueSlot>(limit: Limits.receiveQueues)
  var latestQueueSerial: UInt32 = 0
  /// Where workers run.
  let placement: Placement
  /// Where each receive queue went, by its serial.
  var placedQueues: [UInt32: Placement.Queue] = [:]
  /// The group that each VNI with a port up has joined.
  var joined: [VNI: IPAddress] = [:]
  /// Static entries that the table has.
  var installedStatics: [MACKey: MACLocation] = [:]
  /// What the neighbour table has of the operator.
  var installedNeighbors: [DomainIndex: [IPAddress: MACAddress]] = [:]
  /// Domains that take link-local control frames from the overlay.
  var tunnellingDomains: Set<DomainIndex> = []
  var announcementSerial: UInt64 = 0
  /// When the latest announcement was made, on the monotonic clock.
  var lastAnnouncement: UInt32 = 0
  var preparations: [VNI: Preparation] = [:]
  /// BFD sessions that are wanted.
  var bfdTargets: [IPAddress: BFDTarget] = [:]
  /// Where BFD has sockets.
  var bfdUplinks: Set<BFDUplink> = []
  /// Of ports that an earlier run had shut, by what they are attached to; used when their devices are opened first.
  var restoredFaults: [String: PortFault] = [:]
  /// When ports that are still down lose the addresses that were restored behind them.
  var returnTick: Int?
  /// VNIs whose settings or entries were looked at since the start: the work of a change is to be in proportion to it.
  private(set) var visitedVNIs = 0

  /// Runs an underlay without VNIs and ports.
  ///
  /// - Parameter placement: nil: nobody knows where workers run.
  init(_ underlay: UnderlaySettings, workers: Int, effects: any ReconcilerEffects, placement: Placement? = nil) {
    self.effects = effects
    self.placement = placement ?? Placement(workers: workers)
    running = DesiredState(underlay: underlay)
    desired = running
    model = ForwardingModel(workers: workers, ioCores: self.placement.ioCores.count)
    stale.routes = true
    stale.memberships = true
  }

  mutating func countVisits(_ count: Int) { visitedVNIs += count }
}

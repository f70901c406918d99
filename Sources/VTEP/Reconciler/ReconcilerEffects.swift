// ReconcilerEffects: everything that the reconciler does or asks outside its records. `LiveEffects` does it; unit tests record it.

import Encap
import Logging
import MACTable
import Netlink

protocol ReconcilerEffects: AnyObject {
  var log: Logger { get }
  /// The monotonic clock.
  var nowSeconds: UInt32 { get }
  var events: EventLog { get }

  // -- workers and MAC table ---------------------------------------------------------------------------------------------

  /// Makes the model current. Workers see it with their next round.
  func publish(_ model: ForwardingModel)
  /// Returns when no worker uses anything older than what was published last, and what they had learned by then is in the table.
  func waitForWorkers()
  /// Runs `body` as the MAC table's writer.
  func write<Result>(_ body: (MACTable) -> sending Result) -> Result
  func enter(_ entries: [(key: MACKey, index: VTEPIndex)])
  /// Nil: there is none.
  var neighborTable: NeighborTable? { get }
  /// Addresses are no longer frozen.
  func post(released moves: [MACMove])
  /// Begins the counts of a port's or a domain's rate limits anew.
  func resetLimits(port: PortIndex)
  func resetLimits(domain: DomainIndex)
  /// Those of the workers and of the slow path.
  var counters: [WorkerCounters] { get }

  // -- devices -----------------------------------------------------------------------------------------------------------

  /// Opens a port's device. Nil: what it attaches to is not there yet.
  ///
  /// - Parameters:
  ///   - guestMTU: MTU in bytes with which a guest's frames fit the underlay.
  ///   - ownSockets: paths of the sockets that ports serve.
  func open(_ settings: PortSettings, guestMTU: Int, ownSockets: Set<String>) throws(VTEPError) -> OpenedPort?
  /// Opens the device of a port whose back end has answered.
  func open(_ backEnd: BackEnd) throws(VTEPError) -> FrameDevice
  /// While it is true, what was read of the host's interfaces for one port serves for all that are opened.
  var opensTogether: Bool { get set }
  func openUnderlay(_ uplink: UnderlaySettings.Uplink, udpPort: UInt16) throws(VTEPError) -> OpenedUplink
  /// Whether a NIC that is ours has a link, by its driver.
  func hasLink(_ nic: OwnedNIC) -> Bool
  /// Tests the offloads of NICs that were opened together and are not in use yet, and has them use those that work.
  ///
  /// - Parameter udpPort: of VXLAN.
  func chooseOffloads(_ nics: [OwnedNIC], _ mode: UnderlaySettings.OffloadMode, udpPort: UInt16) throws(VTEPError) -> [OwnedNIC]
  /// Has a NIC that is ours and its tap follow each other.
  ///
  /// - Parameter link: the tap's.
  /// - Returns: what both agree on now.
  func follow(_ nic: OwnedNIC, _ link: Link, subject: String) -> OwnedNIC
  /// Applies changed settings to the device of a port.
  func adjust(_ link: Link, _ settings: PortSettings, guestMTU: Int) throws(VTEPError)
  /// Takes back what `adjust` has changed. Failures are logged.
  ///
  /// - Parameter link: as it was before.
  func restore(_ link: Link, port: String)
  /// Gives back what was held for ports and underlay devices. No worker uses it any more.
  func close(_ closings: [StaleState.Closing])
  /// What the device of a port says.
  func status(of record: PortRecord) -> PortStatus
  /// Tells the far end of a device that stays open whether the port is enabled.
  func setCarrier(_ record: PortRecord, isOn: Bool)
  /// Turns offloads of an open device on or off, as its port's settings say.
  func setOffloads(_ record: PortRecord)
  /// States of taps, each by one of its descriptors.
  func states(ofTaps descriptors: [Int32]) -> [TapDevice.State]
  func place(of tap: TapQueues) -> TapPlace
  /// Events tell of taps in other namespaces.
  var followsNamespaces: Bool { get }
  /// The socket of the machine (NUMA node) that a device is on; nil: none, or the machine does not say.
  func socket(ofDevice name: String) -> Int?
  /// Wakes a worker when frames wait in a queue that has a descriptor.
  /// Lets workers wake the io-core that has a queue of a NIC.
  func handOver(_ queue: Int, of rings: RingDevice, toIOCore number: Int)
  func watch(_ queue: ReceiveQueue, worker: Int)
  func unwatch(_ queue: ReceiveQueue, worker: Int)

  // -- kernel ------------------------------------------------------------------------------------------------------------

  /// An interface as it is now, which events lag behind; nil: it is gone.
  func link(index: Int32) -> Link?
  /// Which of these addresses the host has.
  func owned(_ addresses: [IPAddress]) throws(NetlinkError) -> Set<IPAddress>
  func route(to address: IPAddress, from source: IPAddress?, udpPort: UInt16) throws(NetlinkError) -> Route?
  /// For how long a path MTU that ICMP reports is believed.
  func pathMTUSeconds(isIPv4: Bool) -> UInt32
  func neighbors() throws(NetlinkError) -> [Neighbor]
  /// Has the kernel resolve a neighbour and keep it resolved.
  func request(_ neighbor: NeighborKey) throws(NetlinkError)
  func release(_ neighbor: NeighborKey)
  /// Nil: the IPsec policies have not changed since they were read, and this is not the first time.
  func policies(isFirst: Bool) throws(NetlinkError) -> [IPsecPolicy]?
  func join(_ group: IPAddress, vni: VNI) throws
  func leave(_ group: IPAddress, vni: VNI)
  /// Has the XDP programs of uplinks hand over what is for our addresses and groups.
  func steer(_ devices: [UnderlayDevice], _ settings: UnderlaySettings)
  /// The interfaces on which groups are joined.
  func setMembershipInterfaces(_ indexes: [Int32])

  // -- BFD ---------------------------------------------------------------------------------------------------------------

  /// Starts, changes and ends BFD sessions, so that these are all.
  ///
  /// - Parameter uplinks: those that have a socket for BFD.
  func followBFD(_ targets: [IPAddress: BFDTarget], on uplinks: Set<BFDUplink>)
  /// The sessions that there are.
  var bfdSessions: [IPAddress: BFDTarget] { get }
  /// Sessions go on counting from what an earlier run has counted.
  func continueBFD(_ earlier: [IPAddress: BFDCounts])

  // -- slow path ---------------------------------------------------------------------------------------------------------

  /// Brings punt taps and loop probes in line with the ports.
  func updateSlowPath(_ ports: PortTable, probeIntervalSeconds: UInt32)
}

/// An uplink that was just opened.
struct OpenedUplink {
  var link: Link
  var device: FrameDevice
  /// Of an uplink whose NIC DPDK drives.
  var nic: OwnedNIC?
  /// Why it is not used in the way that was asked for.
  var driverNote: String?
}

extension ReconcilerEffects {
  func close(_ closing: StaleState.Closing) { close([closing]) }
}

// EthernetDevice: a DPDK device, from attach to removal. Workers see only its number.

import CDPDK
import Encap
import Glibc
import Netlink

/// A started DPDK device.
struct EthernetDevice: Sendable {
  /// DPDK's port number.
  let portID: UInt16
  let queueCount: Int
  var sendsSegments: Bool
  let mac: MACAddress
  /// Frames come by DMA.
  var isHardware = false
  /// The device spreads flows over its receive queues as we have told it to.
  var usesRSS = false
  /// Name of DPDK's driver, `net_virtio` for example.
  var driver = ""
  /// It is told of changes of its link (`UplinkEvents`), and is not asked.
  var reportsLink = false
  /// Why the driver has refused the MTU that it was opened with (errno); 0: it has not.
  var mtuError: Int32 = 0
  /// In bytes, of a port whose settings do not tell; nil: its driver knows.
  var defaultMTU: Int?
  /// What the driver offers.
  var offered: Set<NICOffload> = []
  /// It says that it cuts segments inside VXLAN.
  var namesTunnels = false
  /// Of an uplink: how it was started, and what is made use of.
  var uplink: UplinkMode?
  var offloads = NICOffloads() { didSet { sendsSegments = offloads.uses(.multiSegment) } }
  /// Path of a socket that the driver leaves behind.
  var ownedSocket: String?
  /// Of a virtio-user port with a socket.
  var backEnd: BackEnd?

  /// Largest frame that an interface with this MTU sends or receives, with Ethernet header and two VLAN tags.
  static func frameByteCount(mtu: Int) -> Int {
    mtu + 14 + 8
  }

  /// Size of packet buffers for frames of an interface with this MTU; a buffer's size is a 16-bit number.
  static func bufferByteCount(mtu: Int) -> Int {
    min(max(frameByteCount(mtu: mtu), 2048), 32_768)
  }

  /// Stops and removes the device. No worker may refer to it any more.
  func remove(subject: String) throws(VTEPError) {
    UplinkEvents.end(portID)
    if let ownedSocket { MemifListener.close(ownedSocket) }
    defer {
      if let ownedSocket { UnixSocketPath.removeIfAbandoned(ownedSocket) }
      backEnd?.close()
    }
    try MemifInterrupts.inTurn(driver) { () throws(VTEPError) in
      try VTEPError.check(cdpdk_device_remove(portID), "\(subject): remove device")
    }
  }

  static func attach(
    driver: String, arguments: String, subject: String, remedy: String = "run as root or with CAP_NET_ADMIN and CAP_NET_RAW"
  ) throws(VTEPError) -> UInt16 {
    guard let name = freeDeviceName(driver) else {
      throw VTEPError(
        .refused, "\(subject): attach", "all \(cdpdk_max_ports()) device slots are in use",
        remedy: "delete a port first")
    }
    return try attach(bus: "vdev", name: name, arguments: arguments, subject: subject, remedy: remedy)
  }

  static func attach(
    bus: String, name: String, arguments: String, subject: String, remedy: String?
  ) throws(VTEPError) -> UInt16 {
    try VTEPError.check(
      rte_eal_hotplug_add(bus, name, arguments), "\(subject): attach \(name) (\(arguments))", remedy: remedy)
    var portID: UInt16 = 0
    try VTEPError.check(rte_eth_dev_get_port_by_name(name, &portID), "\(subject): find device \(name)")
    return portID
  }

  private static func freeDeviceName(_ driver: String) -> String? {
    var ignored: UInt16 = 0
    return (0..<cdpdk_max_ports()).lazy.map { "\(driver)\($0)" }
      .first { rte_eth_dev_get_port_by_name($0, &ignored) != 0 }
  }

  /// What a device is opened for.
  enum Purpose {
    /// Everything that comes.
    case port
    /// What is for this host, spread by flow over the queues.
    case uplink(UplinkMode)
    /// A test's.
    case plain
  }

  /// How a NIC is started.
  struct UplinkMode {
    /// In bytes; nil: the device's own.
    var mtu: Int?
    /// In bytes; nil: what the driver takes.
    var largestMTU: Int?
    /// Those that are not offered are left out.
    var offloads: Set<NICOffload> = [.multiSegment]
    /// It receives what it sends.
    var isLoopback = false
    /// Each packet comes with the hash of its flow, also from one queue.
    var wantsHashes = false
  }

  /// Configures and starts an attached device, which must not run.
  ///
  /// - Parameter queues: wanted, one per worker; a device with fewer gives what it has.
  static func start(
    _ portID: UInt16, queues: Int, purpose: Purpose, runtime: DPDKRuntime, subject: String
  ) throws(VTEPError) -> EthernetDevice {
    var info = rte_eth_dev_info()
    try VTEPError.check(rte_eth_dev_info_get(portID, &info), "\(subject): device information")
    let isHardware = cdpdk_device_bus(portID).map { String(cString: $0) } == "pci"
    var count = min(queues, Int(info.max_rx_queues), Int(info.max_tx_queues))
    var flows: UInt64 = 0
    let driver = info.driver_name.map { String(cString: $0) } ?? ""
    let offered = NICOffload.offered(by: info, driver: driver)
    var offloads = offered.intersection([.multiSegment])
    var receiveOffloads: UInt64 = 0
    var reports: (link: Int32, removal: Int32) = (0, 0)
    var uplink: UplinkMode?
    if case .uplink(let mode) = purpose {
      let flags = info.dev_flags?.pointee ?? 0
      if UplinkEvents.reportLinks(driver) { reports.link = cdpdk_device_has_link_events(flags) }
      reports.removal = cdpdk_device_has_removal_events(flags)
      let hashes = mode.wantsHashes ? info.rx_offload_capa & cdpdk_rx_offload_hash() : 0
      if count > 1 || hashes != 0 { flows = info.flow_type_rss_offloads & cdpdk_rss_flows() }
      // Without RSS everything comes by the first queue. Virtual drivers have ways of their own.
      if flows == 0 && isHardware { count = 1 }
      receiveOffloads = info.rx_offload_capa & cdpdk_rx_offload_scatter() | (flows != 0 ? hashes : 0)
      uplink = mode
      offloads = offered.intersection(mode.offloads)
    }
    let queueCount = UInt16(count)
    try VTEPError.check(
      cdpdk_device_configure(
        portID, queueCount, queueCount, receiveOffloads | info.rx_offload_capa & NICOffload.receiveBits(offloads),
        info.tx_offload_capa & NICOffload.transmitBits(offloads), flows, reports.link, reports.removal,
        uplink?.isLoopback == true ? 1 : 0),
      "\(subject): configure")
    try setUpQueues(portID, count: queueCount, runtime: runtime, subject: subject)
    let mtuError = uplink?.mtu.map { set(mtu: $0, of: portID, largest: uplink?.largestMTU) } ?? 0
    try VTEPError.check(rte_eth_dev_start(portID), "\(subject): start")
    if case .port = purpose {
      // Virtual devices without a filter receive everything anyway.
      let code = rte_eth_promiscuous_enable(portID)
      if code != -ENOTSUP { try VTEPError.check(code, "\(subject): promiscuous mode") }
    }
    var octets = [UInt8](repeating: 0, count: 6)
    try VTEPError.check(cdpdk_device_mac(portID, &octets), "\(subject): address")
    return EthernetDevice(
      portID: portID, queueCount: count, sendsSegments: offloads.contains(.multiSegment),
      mac: MACAddress(bits: octets.reduce(0) { $0 << 8 | UInt64($1) }), isHardware: isHardware, usesRSS: flows != 0 && count > 1,
      driver: driver, reportsLink: reports.link != 0, mtuError: -mtuError, offered: offered,
      namesTunnels: info.tx_offload_capa & cdpdk_tx_offload_vxlan_tso() == cdpdk_tx_offload_vxlan_tso(), uplink: uplink)
  }

  /// - Returns: 0, also of a driver that knows no MTU, or a negative errno.
  private static func set(mtu: Int, of portID: UInt16, largest: Int?) -> Int32 {
    if let largest, mtu > largest { return -EINVAL }
    let code = rte_eth_dev_set_mtu(portID, UInt16(clamping: mtu))
    return code == -ENOTSUP ? 0 : code
  }

  /// The same of an uplink that runs.
  func set(mtu: Int) -> Int32 { Self.set(mtu: mtu, of: portID, largest: uplink?.largestMTU) }

  private static func setUpQueues(_ portID: UInt16, count: UInt16, runtime: DPDKRuntime, subject: String) throws(VTEPError) {
    var receiveFrames: UInt16 = 512
    var transmitFrames: UInt16 = 512
    try VTEPError.check(
      rte_eth_dev_adjust_nb_rx_tx_desc(portID, &receiveFrames, &transmitFrames), "\(subject): sizes of queues")
    let pool = runtime.pool(onSocket: rte_eth_dev_socket_id(portID))
    for queue in 0..<count {
      try VTEPError.check(
        rte_eth_rx_queue_setup(portID, queue, receiveFrames, UInt32(bitPattern: SOCKET_ID_ANY), nil, pool),
        "\(subject): receive queue \(queue)")
      try VTEPError.check(
        rte_eth_tx_queue_setup(portID, queue, transmitFrames, UInt32(bitPattern: SOCKET_ID_ANY), nil),
        "\(subject): transmit queue \(queue)")
    }
  }
}

// Doctor+Underlay: the interfaces and NICs that lead to other VTEPs, the UDP port, the ways to VTEPs and what fits them, and ports.

import Encap
import Glibc
import VTEP

extension Doctor {
  // -- NICs of DPDK ------------------------------------------------------------------------------------------------------

  /// Drivers of the kernel beside which DPDK's own one works.
  private static let sharedDrivers: Set<String> = ["mlx4_core", "mlx5_core", "mana"]

  static func nics(_ facts: DoctorFacts) -> [Finding] {
    facts.nics.isEmpty ? [.ok("DPDK drives no NIC")] : facts.nics.map(nic)
  }

  private static func nic(_ nic: DoctorFacts.NIC) -> Finding {
    guard nic.isPCI else { return .ok("\(nic.name) is a virtual device of DPDK", of: nic.subject) }
    guard nic.exists else {
      return .error("\(nic.name) is not there", of: nic.subject, "no PCI device has this address", remedy: "lspci -D lists them")
    }
    let found = "\(nic.name) is bound to \(nic.driver ?? "no driver")"
    switch nic.driver {
    case "vfio-pci": break
    case let driver? where sharedDrivers.contains(driver): return .ok("\(found), which DPDK's driver shares", of: nic.subject)
    case let driver? where driver.hasPrefix("uio") || driver == "igb_uio":
      return .warning(found, of: nic.subject, "the NIC can write anywhere in memory, and vtepd needs more rights", remedy: binding(nic))
    default:
      return .error(found, of: nic.subject, "DPDK can use it only through vfio-pci", remedy: binding(nic))
    }
    guard let group = nic.iommuGroup else {
      return .error(
        found, of: nic.subject, "it is in no IOMMU group: the IOMMU is off",
        remedy: "turn it on in the firmware and on the kernel's command line (intel_iommu=on), and boot")
    }
    guard nic.groupAccess == 0 else {
      return .error(
        "\(found), /dev/vfio/\(group): \(String(cString: strerror(nic.groupAccess)))", of: nic.subject, "vtepd may not use its IOMMU group",
        remedy: "chown vtepd: /dev/vfio/\(group)")
    }
    return .ok("\(found), IOMMU group \(group)", of: nic.subject)
  }

  /// docs/configuration.md, NICs of DPDK.
  private static func binding(_ nic: DoctorFacts.NIC) -> String {
    let device = "/sys/bus/pci/devices/\(nic.name)"
    let unbind = nic.driver == nil ? "" : "echo \(nic.name) >\(device)/driver/unbind; "
    return "stop vtepd; modprobe vfio-pci; echo vfio-pci >\(device)/driver_override; \(unbind)echo \(nic.name) >/sys/bus/pci/drivers_probe"
  }

  // -- interfaces --------------------------------------------------------------------------------------------------------

  /// Largest MTU of drivers whose interface takes no larger one beside an XDP program.
  private static let xdpLimits = ["veth": 3498]

  static func uplinks(_ facts: DoctorFacts) -> [Finding] {
    var findings = facts.uplinks.flatMap { uplink($0, facts) }
    findings += facts.missingAddresses.map { address in
      .error(
        "\(address) is not on this host", of: "underlay.addresses", "nothing is sent with it",
        remedy: "ip address add \(address)/\(address.isIPv4 ? 32 : 128) dev lo, or on the uplink")
    }
    return findings + facts.policyProblems.map { .warning("IPsec policies of the host", of: "ipsec-policy", $0) }
  }

  private static func uplink(_ uplink: DoctorFacts.Uplink, _ facts: DoctorFacts) -> [Finding] {
    guard let link = uplink.link else {
      if uplink.nic != nil, !facts.isRunning { return [.ok("\(uplink.name) is not there: vtepd will create it", of: uplink.name)] }
      return [
        .error("\(uplink.name) is not there", of: uplink.name, "there is no such interface", remedy: "create it, or name another")
      ]
    }
    let found =
      "\(uplink.name): \(uplink.driver ?? "driver unknown"), MTU \(link.mtu), \(link.isRunning ? "up" : "down")"
      + (uplink.driverInUse.map { ", used through \($0)" } ?? "")
    var findings: [Finding] = []
    if !link.isEthernet {
      findings.append(
        .error(
          found, of: uplink.name, "its packets have no Ethernet header",
          remedy: "name an Ethernet interface, or make the tunnel one that carries Ethernet frames (a tap, not a tun)"))
    }
    if !link.isUp {
      findings.append(.error(found, of: uplink.name, "it is down", remedy: "ip link set \(uplink.name) up"))
    } else if !link.isRunning, uplink.nic == nil || facts.isRunning {
      findings.append(.error(found, of: uplink.name, "it has no carrier", remedy: "check the cable, and the port at its other end"))
    }
    if let master = uplink.master {
      findings.append(
        .warning(
          found, of: uplink.name, "it is a member of \(master), which has the addresses and the groups",
          remedy: "name \(master) in underlay.device, or: ip link set \(uplink.name) nomaster"))
    }
    let wanted = facts.underlay.driver.rawValue
    if let used = uplink.driverInUse, uplink.nic == nil, used != wanted {
      let notes = uplink.notes.isEmpty ? "kernel or driver refused" : uplink.notes.joined(separator: "; ")
      findings.append(.warning(found, of: uplink.name, "underlay.driver is \(wanted): \(notes)"))
    } else if !facts.isRunning, uplink.nic == nil, facts.underlay.driver == .afXDP, let limit = xdpLimits[uplink.driver ?? ""],
      link.mtu > limit
    {
      let kind = uplink.driver ?? ""
      findings.append(
        .warning(
          found, of: uplink.name, "with an XDP program a \(kind) takes an MTU of \(limit) at most: packet sockets will be used",
          remedy: "ip link set \(uplink.name) mtu \(limit)"))
    }
    return findings.isEmpty ? [.ok(found, of: uplink.name)] : findings
  }

  // -- UDP port ----------------------------------------------------------------------------------------------------------

  static func udpPort(_ facts: DoctorFacts) -> [Finding] {
    let port = facts.underlay.udpPort
    guard let holder = facts.portHolders.first else {
      return [.ok("UDP port \(port) is \(facts.isRunning ? "vtepd's" : "free")")]
    }
    if let process = holder.process {
      let found = "UDP port \(port) belongs to \(process.name), process \(process.id)"
      if process.name == "vtepd" { return [.ok("\(found): a daemon that runs")] }
      return [
        .error(
          found, "vtepd cannot start", remedy: "stop that program (kill \(process.id)), or set another underlay.udp-port on all VTEPs")
      ]
    }
    let found = "UDP port \(port) is in use"
    guard let interface = facts.kernelVXLAN.first, holder.isCertain else {
      return [
        .error(
          found, "vtepd cannot start; the process cannot be seen from here, or it is in the kernel",
          remedy: "see 'ss -lunp sport = :\(port)' as root, and stop what it shows")
      ]
    }
    return [
      .error(
        found, "the kernel's own VXLAN interface has it: \(facts.kernelVXLAN.joined(separator: ", "))",
        remedy: facts.kernelVXLAN.count == 1
          ? "ip link delete \(interface)" : "delete those with 'dstport \(port)': ip -d link show type vxlan")
    ]
  }

  // -- offloads ----------------------------------------------------------------------------------------------------------

  static func offloads(_ facts: DoctorFacts) -> [Finding] {
    facts.uplinks.filter { $0.nic == nil && $0.link != nil }.flatMap { uplink -> [Finding] in
      func text(_ name: String, _ value: Bool?) -> String { "\(name) \(value.map { $0 ? "on" : "off" } ?? "unknown")" }
      let found = [
        text("tx", uplink.hasChecksumOffload), text("gso", uplink.hasSegmentationOffload), text("gro", uplink.hasReceiveOffload),
        text("rxvlan", uplink.takesTagsOff),
      ].joined(separator: ", ")
      var findings: [Finding] = []
      func off(_ value: Bool?, _ name: String, _ cause: String) {
        guard value == false else { return }
        findings.append(.warning(found, of: uplink.name, cause, remedy: "ethtool -K \(uplink.name) \(name) on"))
      }
      if facts.underlay.driver == .afXDP {
        if uplink.takesTagsOff == true, !uplink.vlansOnTop.isEmpty {
          findings.append(
            .warning(
              found, of: uplink.name, "the XDP program takes packets of \(uplink.vlansOnTop.joined(separator: ", ")) for untagged ones",
              remedy: "ethtool -K \(uplink.name) rxvlan off"))
        }
      } else {
        off(uplink.hasChecksumOffload, "tx", "the kernel computes the checksums of trains and cuts them itself")
        if uplink.hasChecksumOffload != false { off(uplink.hasSegmentationOffload, "gso", "the kernel cuts trains before the interface") }
        // What a veth receives is joined by its sender.
        if uplink.driver != "veth" { off(uplink.hasReceiveOffload, "gro", "received packets of one flow are handled one by one") }
      }
      return findings.isEmpty ? [.ok(found, of: uplink.name)] : findings
    }
  }

  // -- paths -------------------------------------------------------------------------------------------------------------

  static func paths(_ facts: DoctorFacts) -> [Finding] {
    let troubled = facts.paths.compactMap { path -> Finding? in
      let subject = "\(path.address)"
      if let obstacle = path.obstacle {
        return .error("nothing can be sent to \(path.address)", of: subject, obstacle, remedy: "see: ip route get \(path.address)")
      }
      if let problem = path.bfdProblem, path.deadHops.isEmpty {
        return .warning(
          "BFD with \(path.address) is not up: \(problem)", of: subject,
          "nothing is flooded to a VTEP that BFD has lost; one that has never been up does not run BFD with this host, or runs another form of it",
          remedy: "see: vtepctl show bfd; start BFD there, or name the VTEPs that run it in underlay.bfd.vteps")
      }
      // One that no VNI names any more is about to be forgotten.
      guard let hop = path.deadHops.first, !path.vnis.isEmpty else { return nil }
      let address = hop.split(separator: "%").first.map(String.init) ?? hop
      let remedy = "check that it is up and on this segment (ip neigh show \(address)), or change the route (ip route get \(path.address))"
      let hops = "next hop \(path.deadHops.joined(separator: ", ")) does not answer"
      return path.hasOtherHops
        ? .warning(hops, of: subject, "flows to the VTEP use its other next hops", remedy: remedy)
        : .error(hops, of: subject, "frames to the VTEP wait for 3 s and are dropped (neighbor-unresolved)", remedy: remedy)
    }
    let open = facts.paths.count { $0.obstacle == nil && ($0.deadHops.isEmpty || $0.hasOtherHops) }
    return troubled + (open > 0 || troubled.isEmpty ? [.ok("VTEPs and groups that can be reached: \(open)")] : [])
  }

  /// What a packet has around an Ethernet frame without the frame's own header: outer IP, UDP, VXLAN and inner Ethernet headers (RFC 7348
  /// section 5), in bytes.
  static func overhead(isIPv4: Bool) -> Int { isIPv4 ? 50 : 70 }

  static func mtu(_ facts: DoctorFacts) -> [Finding] {
    guard let interface = facts.uplinks.compactMap(\.link).min(by: { $0.mtu < $1.mtu }) else { return [] }
    let isIPv4 = facts.underlay.addresses.contains(where: \.isIPv4)
    var findings: [Finding] = []
    for port in facts.ports {
      guard let mtu = port.mtu, !port.vnis.isEmpty else { continue }
      let ways = facts.paths.filter { $0.obstacle == nil && !$0.vnis.isDisjoint(with: port.vnis) }
      let carriesTags = port.vnis.contains { facts.configuration.desired.vnis[$0]?.innerVLAN == .carry }
      func room(_ total: Int, _ isIPv4: Bool) -> Int { total - overhead(isIPv4: isIPv4) - (carriesTags ? 4 : 0) }
      // The narrowest way; without any, what the interface allows.
      let narrowest = ways.compactMap { path in path.mtu.map { (room: room($0, path.address.isIPv4), path: path) } }
        .min { $0.room < $1.room }
      let fits = narrowest?.room ?? room(interface.mtu, isIPv4)
      guard mtu > fits else { continue }
      let whole = interface.mtu + mtu - fits
      let way = narrowest.map { "\($0.path.address)" } ?? interface.name
      let isShort = narrowest?.path.mtuReason
      let found = "MTU \(mtu), but only packets of \(fits) bytes fit the path to \(way)" + (isShort.map { " (\($0))" } ?? "")
      let path = isShort == nil ? "ip link set \(interface.name) mtu \(whole), and as much on the way" : "raise the MTU of that path"
      let set = "vtepctl port set \(port.name) --mtu \(fits)"
      let guest =
        switch port.kind {
        case .netdev: "set the MTU of its interface and of what is behind it to \(fits)"
        // Its far end has the say once it is there.
        case .tap: "set the MTU of its interface to \(fits), in whatever namespace it is, and for the next one: \(set)"
        default: set
        }
      findings.append(
        .warning(
          found, of: port.name, "larger packets from its guests are dropped and answered by ICMP; what ignores that hangs",
          remedy: "\(path); or \(guest)"))
    }
    let count = facts.ports.filter { $0.mtu != nil && !$0.vnis.isEmpty }.count - findings.count
    guard count > 0 || findings.isEmpty else { return findings }
    let ports = "\(count) port\(count == 1 ? "" : "s")"
    return findings + [.ok("MTU \(interface.mtu) of \(interface.name) and of the paths: enough for \(ports)")]
  }

  // -- neighbours --------------------------------------------------------------------------------------------------------

  static func neighbors(_ facts: DoctorFacts) -> [Finding] {
    facts.neighborTables.map { table in
      let family = table.isIPv4 ? "ipv4" : "ipv6"
      guard let soft = table.softLimit, let hard = table.hardLimit else {
        return .ok(
          "VTEPs: \(table.vteps), other entries: \(table.others); the limits are those of the host, and not visible here", of: family)
      }
      let most = table.others + table.vteps
      let found = "VTEPs: \(table.vteps), other entries: \(table.others); gc_thresh2 \(soft), gc_thresh3 \(hard)"
      guard most > soft else { return .ok(found, of: family) }
      let values = "net.\(family).neigh.default.gc_thresh3=\(4 * most) net.\(family).neigh.default.gc_thresh2=\(2 * most)"
      return most > hard
        ? .error(found, of: family, "the kernel's table may be full before all next hops are resolved", remedy: "sysctl -w \(values)")
        : .warning(found, of: family, "the kernel throws entries away above gc_thresh2", remedy: "sysctl -w \(values)")
    }
  }

  // -- ports -------------------------------------------------------------------------------------------------------------

  static func ports(_ facts: DoctorFacts) -> [Finding] {
    guard facts.isRunning else { return [] }
    let findings = facts.ports.compactMap { port -> Finding? in
      let notes = port.notes.joined(separator: "; ")
      if port.isUnattached { return .error("it is not attached", of: port.name, notes.isEmpty ? "see the log" : notes) }
      return notes.isEmpty ? nil : .warning("it is attached", of: port.name, notes)
    }
    let count = facts.ports.count - findings.count
    return findings + (count > 0 || findings.isEmpty ? [.ok("\(count) port\(count == 1 ? "" : "s") without a note")] : [])
  }
}

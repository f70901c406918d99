// What an operator reads about a drop: a stable name for scripts, and one line with its meaning and the remedy.

extension DropReason {
  /// The stable name, kebab-case of the case: `outerIPv4Checksum` is `outer-ipv4-checksum`.
  public var name: String { text.name }

  /// One line: what happened, and the remedy if there is one.
  public var description: String { text.meaning }

  /// The same when a controller owns the bindings: the remedy is for the controller, not for the configuration.
  public var descriptionUnderController: String {
    switch self {
    case .vlanNotBound:
      """
      this VLAN is not bound to a VNI on this port; the controller must bind it to a logical switch with a tunnel_key \
      (vtep-ctl bind-ls SWITCH PORT VLAN LOGICAL-SWITCH); vtepctl show ovsdb shows what is missing
      """
    case .untaggedNotBound:
      """
      untagged frame on a port without an untagged binding; the controller must bind it to a logical switch with a tunnel_key \
      (vtep-ctl bind-ls SWITCH PORT 0 LOGICAL-SWITCH); vtepctl show ovsdb shows what is missing
      """
    case .floodDisabled:
      """
      unknown or group destination, and the VNI has nowhere to flood; the controller must name VTEPs \
      (vtep-ctl add-mcast-remote LOGICAL-SWITCH unknown-dst ADDRESS), or set the VNI's flood mode in the file
      """
    case .unknownVNI:
      "no logical switch has this VNI as tunnel_key, and it is not configured here; the controller must set it, or take this host off the flood list"
    default: description
    }
  }

  /// The reason with a name; nil: there is none.
  public init?(name: String) {
    guard let reason = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = reason
  }

  /// Why frames may have been counted under this reason that nobody can show; nil: every frame was there when it was counted.
  public var unseenFrames: String? {
    switch self {
    case .receiveFull:
      "frames that find the queue of an interface or NIC full never reach vtepd; only those that io-cores or overloaded workers drop are kept"
    case .noBuffers: "a frame for which there was no buffer on reception was never read"
    case .frameTooLong: "a frame from a kernel interface that is longer than the buffers is discarded as it is read"
    case .offloadHeaders: "the kernel discards segments of a kind that it cannot describe (SCTP), and says no more than that"
    case .refusedByKernel: "AF_XDP sockets do not say which packet of a batch the interface has refused"
    default: nil
    }
  }

  /// Why `vtepctl trace` does not name this reason: it is no frame that is dropped for it, but something that happens to a frame, or what
  /// a worker has left at a moment. Nil: trace names it.
  public var untraceable: String? {
    switch self {
    case .puntRateLimit, .controlRateLimit, .hostRateLimit:
      "each worker has a budget of its own for a moment; trace has a full one"
    case .puntQueueFull: "it depends on how many control frames wait at that moment"
    case .puntTapDown: "it happens behind the worker, when the frame reaches the tap"
    case .puntNotControl: "such a frame comes from the host through a punt tap, not from a port"
    case .neighborUnresolved: "it happens when the time is up; trace says that the frame is held, and for which next hop"
    case .routerNeighborUnresolved: "it happens when the time is up; trace says that the packet waits, and for which next hop"
    case .bfdQueueFull: "it depends on how many BFD frames wait at that moment"
    case .bfdInvalid, .bfdTunnelKey: "it happens behind the worker, in the BFD session"
    case .holdQueueFull: "it depends on how many frames wait in the worker; trace says that the frame is held"
    case .heldTargetGone: "it happens when the configuration changes while the frame waits; trace says that the frame is held"
    case .transmitFull, .guestRingFull: "it depends on how full the queue is when the frame comes to it"
    case .noBuffers: "it depends on how many buffers are free at that moment"
    case .noHeadroom: "it depends on the buffer that the device delivers; trace makes its own"
    case .refusedByKernel: "only the kernel knows, when it gets the frame"
    case .receiveFull: "no worker has seen such a frame"
    default: nil
    }
  }

  private var text: (name: String, meaning: String) {
    switch self {
    case .runtFrame:
      ("runt-frame", "frame too short for its Ethernet header or VLAN tag; look for a broken sender")
    case .frameTooLong:
      (
        "frame-too-long",
        "frame arrived in several buffers and does not fit in one; lower the sender's MTU to the port's, or restart vtepd after raising the port's; with BIG TCP, ip link set dev IF gso_max_size 65536 gro_max_size 65536"
      )
    case .sourceMulticast:
      ("source-multicast", "source MAC is a group address, never valid as a source; look for a broken sender")
    case .sourceZero:
      ("source-zero", "source MAC is 00:00:00:00:00:00; give the guest's interface an address")
    case .vlanReserved:
      ("vlan-reserved", "VLAN ID 4095 is reserved (IEEE 802.1Q); look for a broken sender")
    case .linkLocalControl:
      (
        "link-local-control",
        "STP, LACP, LLDP, PAUSE or 802.1X frame (01:80:c2:00:00:0x), which bridges do not relay; set the port's l2-protocols to tunnel or punt it (never PAUSE)"
      )
    case .bpduGuard:
      (
        "bpdu-guard",
        "BPDU received on a port with bpdu-guard, which shuts the port; remove the bridge behind the port, or turn the guard off"
      )
    case .loopProbe:
      ("loop-probe", "our own loop probe came back: there is a loop behind our ports; the log says which port was shut (show ports)")
    case .puntRateLimit:
      ("punt-rate-limit", "port exceeds 320 punted control frames per second and worker; look for a broken neighbour")
    case .puntQueueFull:
      ("punt-queue-full", "queue to the punt taps is full; look for a flood of control frames")
    case .puntTapDown:
      ("punt-tap-down", "punt tap did not accept the frame; bring it up (ip link set punt-PORT up)")
    case .puntNotControl:
      ("punt-not-control", "IP or ARP sent through a punt tap, which carries control protocols only; remove the addresses from the tap")
    case .bfdFromPort:
      (
        "bfd-from-port",
        "frame from a port to an address that VTEPs send BFD to, which could end a VTEP's session; look for the guest that sends it"
      )
    case .vlanNotBound:
      ("vlan-not-bound", "this VLAN is not bound to a VNI on this port; add it under the port's vlans")
    case .tpidNotBound:
      ("tpid-not-bound", "tag's TPID differs from the port's tpid, so its VLAN is not bound; set tpid to the sender's, or to any")
    case .untaggedNotBound:
      ("untagged-not-bound", "untagged or priority-tagged (VLAN 0) frame on a port without an untagged binding; set the port's vni")
    case .offloadHeaders:
      (
        "offload-headers",
        "sender requested checksum or segmentation offload, but the headers lead to no TCP or UDP header there; update the guest's driver; for SCTP behind a veth, ethtool -K PEER tx-sctp-segmentation off"
      )
    case .offloadSegmentSize:
      (
        "offload-segment-size",
        "sender requested segmentation with an invalid segment size; update the guest's driver, or distrust the guest"
      )
    case .portDisabled:
      ("port-disabled", "port is disabled, or shut by a guard (show ports says why); vtepctl port set NAME --enabled reopens it")
    case .sourceSpoofed:
      ("source-spoofed", "source MAC is not in the port's macs and anti-spoofing is on; add it to macs if the guest may use it")
    case .aclDeniedIngress:
      (
        "acl-denied-ingress",
        "an access control list of the port, or of the router's interface that it came in by, denies the frame on its way in (show acls counts for each entry; trace names the entry); change the entry if the frame should pass"
      )
    case .portMACLimit:
      ("port-mac-limit", "source MAC is new and the port has reached its mac-limit; raise it, or look for a loop behind the port")
    case .ingressRateLimit:
      ("ingress-rate-limit", "port exceeds its rate-limit ingress; raise it if the guest may send more")
    case .stormBroadcast:
      ("storm-broadcast", "port exceeds its storm-control limit for broadcast; look for a loop or a broken guest")
    case .stormUnknownUnicast:
      (
        "storm-unknown-unicast",
        "port exceeds its storm-control limit for unknown unicast; look for a scan or a missing MAC"
      )
    case .stormUnknownMulticast:
      ("storm-unknown-multicast", "port exceeds its storm-control limit for multicast; raise it if the guest may send more")
    case .sourceFrozen:
      (
        "source-frozen",
        "source MAC kept moving and is frozen at another place; look for a loop or a duplicate MAC address (vtepctl show mac-moves)"
      )
    case .tooBigForUnderlay:
      (
        "too-big-for-underlay",
        "frame plus VXLAN overhead exceeds the MTU towards the VTEP; set the guests' MTU 50 (IPv4) or 70 (IPv6) below it, or raise it (vtepctl show vteps; ip route get ADDRESS)"
      )
    case .tooBigForPort:
      (
        "too-big-for-port",
        "frame exceeds the egress port's MTU; use the same MTU throughout the VNI, and on a netdev port 4 more for full-size frames with an 0x88a8 tag, for which the kernel allows nothing"
      )
    case .samePort:
      ("same-port", "destination is on the port the frame came from; normal behind a switch or hub")
    case .portIsolated:
      ("port-isolated", "source and destination are both on isolated ports, which reach only the overlay and other ports; nothing to do")
    case .carriedVLANBound:
      (
        "carried-vlan-bound",
        "carried VLAN tag is bound on the egress port, so the frame would enter that VLAN; delete the binding or use another port"
      )
    case .routerProtocol:
      ("router-protocol", "frame to a router's MAC address that is neither IPv4, IPv6 nor ARP, or has a VLAN tag; routers drop it")
    case .routerHeader:
      ("router-header", "packet to a router with a malformed IP header or a wrong header checksum; look at its sender")
    case .routerMartian:
      (
        "router-martian",
        "packet to a router from or to an address that is not forwarded: loopback, link-local, multicast, the number or broadcast address of a network; or from one of the router's own, or with a source route; look at its sender"
      )
    case .routerTTLExceeded:
      ("router-ttl-exceeded", "TTL or hop limit used up at a router; a traceroute, or a routing loop (vtepctl show routes)")
    case .routerNoRoute:
      ("router-no-route", "router has no route to the destination; add an interface or a static route (vtepctl show routes)")
    case .routerNeighborUnresolved:
      (
        "router-neighbor-unresolved",
        "next hop of a router did not answer ARP or ND within three seconds, or too many packets waited for answers; check that the host is up and in the router's VNI"
      )
    case .routerTooBig:
      (
        "router-too-big",
        "routed packet exceeds the MTU towards its next hop; its sender is told. IPv4 without DF is fragmented instead; it is silently dropped only if it would need more than 128 fragments"
      )
    case .routerAddress:
      (
        "router-address",
        "packet to an address of a router other than ping, ARP and ND, which is all that is served there; or a fragment of one that was not complete within 30 s or had more than eight fragments"
      )
    case .aclDeniedEgress:
      (
        "acl-denied-egress",
        "an access control list of the port, or of the router's interface that it would leave by, denies the frame on its way out (show acls counts for each entry; trace names the entry); change the entry if the frame should pass"
      )
    case .floodDisabled:
      ("flood-disabled", "unknown or group destination, and the VNI has flood: none; add the MAC, or choose another flood mode")
    case .floodNoReceiver:
      (
        "flood-no-receiver",
        "unknown or group destination, and the VNI has no receiver; check in order: that the VNI's ports are up (show ports), its peers or group, that BFD has not lost them (show bfd), that it has a second port"
      )
    case .vniStormBroadcast:
      ("vni-storm-broadcast", "VNI exceeds its storm-control limit for broadcast; look for a loop or a broken station")
    case .vniStormUnknownUnicast:
      (
        "vni-storm-unknown-unicast",
        "VNI exceeds its storm-control limit for unknown unicast; look for a scan or a missing MAC"
      )
    case .vniStormUnknownMulticast:
      ("vni-storm-unknown-multicast", "VNI exceeds its storm-control limit for multicast; raise it if stations may send more")
    case .noRoute:
      (
        "no-route",
        "no usable route to the remote VTEP (show vteps says why); add one, or replace the unreachable, blackhole or prohibit route (ip route get ADDRESS)"
      )
    case .uplinkDown:
      ("uplink-down", "interface towards the VTEP is down or has no carrier (show underlay); bring it up")
    case .ownAddressMissing:
      (
        "own-address-missing",
        "local VTEP address is not configured on this host; add it (ip address add), or change underlay.addresses"
      )
    case .routeNotUnderlay:
      (
        "route-not-underlay",
        "route to the remote VTEP uses an interface that is not in underlay.device (show vteps); add it there, or change the route"
      )
    case .ipsecPolicy:
      (
        "ipsec-policy",
        "an IPsec policy on this host matches packets to the remote VTEP, and ipsec-policy is refuse; see show vteps for the policy"
      )
    case .neighborUnresolved:
      ("neighbor-unresolved", "next hop did not answer ARP or ND in time; check that it is up and reachable (ip neigh)")
    case .holdQueueFull:
      ("hold-queue-full", "too many frames are waiting for the next hop's ARP or ND answer; check the next hop if this repeats")
    case .heldTargetGone:
      ("held-target-gone", "VNI or VTEP was deleted while the frame waited for its next hop; nothing to do")
    case .egressRateLimit:
      ("egress-rate-limit", "traffic to the port exceeds its rate-limit egress; raise it if the guest may receive more")
    case .transmitFull:
      (
        "transmit-full",
        "device did not accept the frame: its queue is full; check in order: a shaper (tc -s qdisc show dev IF), a slow receiver or link"
      )
    case .guestRingFull:
      (
        "guest-ring-full",
        "guest's receive ring is full; check in order: that the guest runs and is not paused, that its interface is up, that it is fast enough (more queues)"
      )
    case .noBuffers:
      ("no-buffers", "packet buffer pool is exhausted; raise dataplane memory-mb, and restart vtepd")
    case .noHeadroom:
      ("no-headroom", "no room in front of the frame for the outer header; the device delivers unsuitable buffers")
    case .portDown:
      ("port-down", "egress port is down (show ports); bring its interface up, or start its guest")
    case .outerMACOtherHost:
      ("outer-mac-other-host", "frame is for another host's MAC address; normal behind a flooding switch or with a promiscuous device")
    case .outerMACGroup:
      (
        "outer-mac-group",
        "unicast IP packet in a frame to a group MAC address (RFC 1122 3.3.6); look for a broken sender"
      )
    case .outerIPv4Header:
      ("outer-ipv4-header", "outer IPv4 header is malformed (version, header length, cut short); look for a broken sender")
    case .outerIPv4Checksum:
      ("outer-ipv4-checksum", "outer IPv4 header checksum is wrong; the packet was corrupted in transit")
    case .outerIPv6Header:
      ("outer-ipv6-header", "outer IPv6 header is malformed (version, mapped address, cut short); look for a broken sender")
    case .outerLength:
      (
        "outer-length",
        "outer IP length exceeds the packet, which was cut on reception; check in order: sender's underlay MTU above ours, ours raised while vtepd ran (restart it), ethtool -K IF tso off gso off at a veth's sending end, ethtool -K IF gro off on a NIC"
      )
    case .outerFragment:
      (
        "outer-fragment",
        "VXLAN packet is fragmented and VTEPs do not reassemble (RFC 7348 4.3); raise the underlay MTU on the sender's path"
      )
    case .outerExtensionHeader:
      ("outer-extension-header", "outer IPv6 extension headers are malformed, or there are more than four; look for a broken sender")
    case .outerSourceInvalid:
      ("outer-source-invalid", "outer source is a multicast, broadcast, loopback or unspecified address; look for a forged packet")
    case .outerSourceOwn:
      ("outer-source-own", "our own packet came back, or another host uses our VTEP address; look for a loop or a duplicate address")
    case .notOurDestination:
      ("not-our-destination", "outer destination is neither our VTEP address nor a joined group; normal with flooding switches")
    case .uplinkDuplicate:
      ("uplink-duplicate", "copy of a flooded packet received on another uplink, or our own packet heard there; nothing to do")
    case .udpLength:
      ("udp-length", "outer UDP length is below 8 or exceeds the IP packet; look for a broken sender")
    case .udpChecksum:
      (
        "udp-checksum",
        "outer UDP checksum is wrong: the packet was corrupted, or a sender on a local veth left it unfinished (ethtool -K IF tx off there)"
      )
    case .udp6ZeroChecksum:
      ("udp6-zero-checksum", "zero UDP checksum over IPv6; if the sender does this on purpose (RFC 6935), set udp6-zero-checksum-rx: true")
    case .vxlanTruncated:
      ("vxlan-truncated", "UDP payload is shorter than a VXLAN header; something else sends to our UDP port")
    case .vxlanFlags:
      ("vxlan-flags", "VXLAN I flag is not set (RFC 7348 5); something else, such as VXLAN-GPE, sends to our UDP port")
    case .unknownVNI:
      ("unknown-vni", "VNI is not configured here; configure it, or take this host off the sender's flood list")
    case .innerRunt:
      ("inner-runt", "inner frame is too short for its Ethernet header; look for a broken sender")
    case .innerSourceMulticast:
      ("inner-source-multicast", "inner source MAC is a group address, never valid as a source; look for a broken sender")
    case .innerSourceZero:
      ("inner-source-zero", "inner source MAC is 00:00:00:00:00:00; look for a broken sender")
    case .innerSourceOwn:
      ("inner-source-own", "inner source MAC belongs to a local port; look for a loop or a duplicate MAC address")
    case .innerSourceFrozen:
      (
        "inner-source-frozen",
        "inner source MAC kept moving and is frozen at another place; look for a loop or a duplicate MAC address (vtepctl show mac-moves)"
      )
    case .innerVLAN:
      ("inner-vlan", "inner frame carries a VLAN tag (RFC 7348 6.1); set the VNI's inner-vlan: carry to let it pass")
    case .ecnForbidden:
      (
        "ecn-forbidden",
        "outer header is CE but inner is Not-ECT; dropped per RFC 6040 4.2; look for the congested router"
      )
    case .peerNotAllowed:
      ("peer-not-allowed", "sender is not a peer of this VNI and accept-from: peers is set; add it if it should be")
    case .splitHorizon:
      (
        "split-horizon",
        "destination is behind another VTEP, and tunnel-to-tunnel forwarding is never done; the sender's MAC table is out of date"
      )
    case .innerLinkLocalControl:
      (
        "inner-link-local-control",
        "inner STP, LACP, LLDP, PAUSE or 802.1X frame, and no port of the VNI has l2-protocols: tunnel; set it where these should arrive"
      )
    case .bfdOff:
      (
        "bfd-off",
        "BFD frame from a VTEP that BFD does not run with; set underlay.bfd, or end BFD there (ovs-vsctl set interface NAME bfd:enable=false)"
      )
    case .bfdInvalid:
      (
        "bfd-invalid",
        "no BFD control packet for the session with this VTEP, or its TTL is not 255 (RFC 5880 section 6.8.6, RFC 5881 section 5)"
      )
    case .bfdTunnelKey:
      ("bfd-tunnel-key", "BFD frame with a VNI other than 0, and check_tnl_key is set; give the other end key 0, or clear check_tnl_key")
    case .bfdQueueFull:
      (
        "bfd-queue-full",
        "more BFD frames than the BFD thread could take; raise the intervals, or look for a VTEP that sends a flood of them"
      )
    case .receiveFull:
      ("receive-full", "frames came to the interface or NIC faster than vtepd took them; raise dataplane.workers, or limit the senders")
    case .controlRateLimit:
      (
        "control-rate-limit",
        "control frames (ARP, ND, IGMP, MLD, routing, LLDP) between NIC and tap exceed the limit of their class (show underlay); look for a storm or a loop"
      )
    case .hostRateLimit:
      (
        "host-rate-limit",
        "the NIC receives more than vtepd takes, and the host's own traffic exceeds its share (show underlay); raise dataplane.workers, or limit the senders"
      )
    case .refusedByKernel:
      (
        "refused-by-kernel",
        "the kernel refused the frame on its way out (ENOBUFS; show ports and show underlay name the last error); check in order: MTU of a veth's far end below ours (ip link), an egress rule (nft list ruleset; tc filter show dev IF egress), a full queueing discipline (tc -s qdisc show dev IF)"
      )
    }
  }
}

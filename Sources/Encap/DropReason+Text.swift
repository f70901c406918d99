// What an operator reads about a drop: a name that scripts may rely on, and one line that says what it means and what
// to do about it.

extension DropReason {
  /// The stable name, kebab-case of the case: `outerIPv4Checksum` is `outer-ipv4-checksum`.
  public var name: String { text.name }

  /// One line: what happened, and the remedy where there is one.
  public var description: String { text.meaning }

  /// The same where a controller owns the bindings: what it has to do, and not the configuration.
  public var descriptionUnderController: String {
    switch self {
    case .vlanNotBound:
      """
      VLAN of the tag has no VNI on this port; the controller must bind it to a logical switch with a tunnel_key \
      (vtep-ctl bind-ls SWITCH PORT VLAN LOGICAL-SWITCH); vtepctl show ovsdb tells what is missing
      """
    case .untaggedNotBound:
      """
      untagged frame on a port without an untagged binding; the controller must bind it to a logical switch with a tunnel_key \
      (vtep-ctl bind-ls SWITCH PORT 0 LOGICAL-SWITCH); vtepctl show ovsdb tells what is missing
      """
    case .floodDisabled:
      """
      unknown or group destination and nowhere to flood to; the controller must name VTEPs \
      (vtep-ctl add-mcast-remote LOGICAL-SWITCH unknown-dst ADDRESS), or the VNI's flood mode in the file
      """
    case .unknownVNI:
      "VNI is no logical switch's tunnel_key and is not configured here; the controller must give it, or take this host off the flood list"
    default: description
    }
  }

  private var text: (name: String, meaning: String) {
    switch self {
    case .runtFrame:
      ("runt-frame", "frame too short for its Ethernet header or VLAN tag; look for a broken sender")
    case .frameTooLong:
      (
        "frame-too-long",
        "frame came in pieces and is longer than a packet buffer; lower the sender's MTU to the port's, or restart vtepd once the port's is raised"
      )
    case .sourceMulticast:
      ("source-multicast", "source MAC is a group address, which no station may use; look for a broken sender")
    case .sourceZero:
      ("source-zero", "source MAC is 00:00:00:00:00:00; give the guest's interface an address")
    case .vlanReserved:
      ("vlan-reserved", "VLAN of the tag is 4095, which no tag may have (IEEE 802.1Q); look for a broken sender")
    case .linkLocalControl:
      (
        "link-local-control",
        "STP, LACP, LLDP, PAUSE or 802.1X frame (01:80:c2:00:00:0x), which a bridge does not relay; the port's l2-protocols may say otherwise"
      )
    case .bpduGuard:
      ("bpdu-guard", "BPDU at a port with bpdu-guard, which is shut for it; take the bridge behind the port away, or turn the guard off")
    case .loopProbe:
      ("loop-probe", "loop probe of ours came back: two places are joined behind our ports; the log says what was shut (show ports)")
    case .puntRateLimit:
      ("punt-rate-limit", "more control frames than a port may have punted (320 a second and worker); look for a broken neighbour")
    case .puntQueueFull:
      ("punt-queue-full", "too many control frames waited for the thread that serves the punt taps; look for a flood of them")
    case .puntTapDown:
      ("punt-tap-down", "the tap that control frames are punted to did not take one; bring it up (ip link set punt-PORT up)")
    case .puntNotControl:
      ("punt-not-control", "IP or ARP out of a punt tap, which is for control protocols only; take the addresses off the tap")
    case .vlanNotBound:
      ("vlan-not-bound", "VLAN of the tag has no VNI on this port; add it under the port's vlans")
    case .tpidNotBound:
      ("tpid-not-bound", "tag has another TPID than the port's tpid, so it is none of its VLANs; set tpid to the sender's, or to any")
    case .untaggedNotBound:
      ("untagged-not-bound", "untagged or priority-tagged (VLAN 0) frame on a port without an untagged binding; set the port's vni")
    case .frameTruncated:
      (
        "frame-truncated",
        "frame is longer than the port's packet buffers and was cut; check in order: sender's MTU above the port's (lower it), port's MTU raised while vtepd ran (restart it), a veth's sending end (ethtool -K IF tso off gso off), a NIC (ethtool -K IF gro off lro off)"
      )
    case .offloadHeaders:
      (
        "offload-headers",
        "guest left a checksum or segmentation to us, but no whole TCP or UDP header is where it should be; update the guest's driver"
      )
    case .offloadSegmentSize:
      (
        "offload-segment-size",
        "guest wants TCP cut into segments of no, too few or too many octets; update the guest's driver, or distrust the guest"
      )
    case .portDisabled:
      ("port-disabled", "port is disabled, or shut by a guard (show ports says why); vtepctl port set NAME --enabled brings it back")
    case .sourceSpoofed:
      ("source-spoofed", "source MAC is none of the port's macs and anti-spoofing is on; add it to macs if the guest may use it")
    case .portMACLimit:
      ("port-mac-limit", "source MAC is new and the port has as many as its mac-limit; raise it, or look for a loop behind the port")
    case .ingressRateLimit:
      ("ingress-rate-limit", "port sends more than its rate-limit ingress; raise it if the guest may send more")
    case .stormBroadcast:
      ("storm-broadcast", "port sends more broadcasts than its storm-control allows; look for a loop or a broken guest")
    case .stormUnknownUnicast:
      (
        "storm-unknown-unicast",
        "port sends more frames to unknown addresses than its storm-control allows; look for a scan or a missing MAC"
      )
    case .stormUnknownMulticast:
      ("storm-unknown-multicast", "port sends more multicast frames than its storm-control allows; raise it if the guest may send more")
    case .sourceFrozen:
      (
        "source-frozen",
        "source MAC moved to and fro and is frozen elsewhere; look for a loop or a second station with it (vtepctl show mac-moves)"
      )
    case .tooBigForUnderlay:
      (
        "too-big-for-underlay",
        "frame plus VXLAN header exceeds the MTU towards the VTEP; give guests that MTU less 50 (IPv4) or 70 (IPv6), or raise it (ip route get ADDRESS)"
      )
    case .tooBigForPort:
      ("too-big-for-port", "frame exceeds the MTU of the port it should leave by; make the MTU the same in the whole VNI")
    case .tooBigForDevice:
      (
        "too-big-for-device",
        "frame fits the port's MTU, but not DPDK's driver for taps, which takes 1500; set the port's mtu to 1500 or less, or use a veth (netdev)"
      )
    case .samePort:
      ("same-port", "destination is on the port the frame came from; normal behind a switch or hub")
    case .portIsolated:
      ("port-isolated", "source and destination are both on isolated ports, which reach only the overlay and other ports; nothing to do")
    case .carriedVLANBound:
      (
        "carried-vlan-bound",
        "carried VLAN tag has a binding of its own on the port to leave by, and would enter that VLAN; delete the binding or use another port"
      )
    case .floodDisabled:
      ("flood-disabled", "unknown or group destination and the VNI has flood: none; add the MAC, or choose another flood mode")
    case .floodNoReceiver:
      (
        "flood-no-receiver",
        "unknown or group destination and nobody to flood to; check in order: that the VNI's ports are up (show ports), its peers or group, that it has a second port"
      )
    case .vniStormBroadcast:
      ("vni-storm-broadcast", "VNI floods more broadcasts than its storm-control allows; look for a loop or a broken station")
    case .vniStormUnknownUnicast:
      (
        "vni-storm-unknown-unicast",
        "VNI floods more frames to unknown addresses than its storm-control allows; look for a scan or a missing MAC"
      )
    case .vniStormUnknownMulticast:
      ("vni-storm-unknown-multicast", "VNI floods more multicast frames than its storm-control allows; raise it if stations may send more")
    case .noRoute:
      (
        "no-route",
        "no route leads to the remote VTEP (show vteps says why); add one, or replace the unreachable, blackhole or prohibit one (ip route get ADDRESS)"
      )
    case .uplinkDown:
      ("uplink-down", "the interface that leads to the VTEP is down or has no carrier (show underlay); bring it up")
    case .ownAddressMissing:
      (
        "own-address-missing",
        "this host does not have the VTEP address that packets leave with; add it (ip address add), or change underlay.addresses"
      )
    case .routeNotUnderlay:
      (
        "route-not-underlay",
        "route to the remote VTEP leaves by an interface that is not in underlay.device (show vteps); add it there, or change the route"
      )
    case .ipsecPolicy:
      (
        "ipsec-policy",
        "an IPsec policy of this host is about packets to the remote VTEP, and ipsec-policy is refuse; see show vteps for the policy"
      )
    case .neighborUnresolved:
      ("neighbor-unresolved", "next hop did not answer ARP or ND in time; check that it is up and reachable (ip neigh)")
    case .holdQueueFull:
      ("hold-queue-full", "too many frames waited for the next hop's ARP or ND answer; check the next hop if this repeats")
    case .heldTargetGone:
      ("held-target-gone", "VNI or VTEP was deleted while the frame waited for its next hop; nothing to do")
    case .egressRateLimit:
      ("egress-rate-limit", "port is sent more than its rate-limit egress; raise it if the guest may receive more")
    case .transmitFull:
      (
        "transmit-full",
        "device did not take the frame; check in order: MTU of a veth's far end below the port's (ip link), egress filter or shaper (tc, nft), a receiver or link that is too slow"
      )
    case .guestRingFull:
      (
        "guest-ring-full",
        "guest's receive ring has no room; check in order: that the guest runs and is not paused, that its interface is up, that it is fast enough (more queues)"
      )
    case .noBuffers:
      ("no-buffers", "packet buffer pool is exhausted; raise dataplane memory-mb, and restart vtepd")
    case .noHeadroom:
      ("no-headroom", "no room in front of the frame for the outer header; the device hands over unsuitable buffers")
    case .portDown:
      ("port-down", "port that should send the frame is down (show ports); bring its interface up, or start its guest")
    case .outerMACOtherHost:
      ("outer-mac-other-host", "frame is for another host's MAC address; normal behind a flooding switch or with a promiscuous device")
    case .outerMACGroup:
      (
        "outer-mac-group",
        "frame to a group MAC address carries a packet to a unicast IP address (RFC 1122 3.3.6); look for a broken sender"
      )
    case .outerIPv4Header:
      ("outer-ipv4-header", "outer IPv4 header is malformed (version, header length, cut short); look for a broken sender")
    case .outerIPv4Checksum:
      ("outer-ipv4-checksum", "outer IPv4 header checksum is wrong; packet was damaged on the way")
    case .outerIPv6Header:
      ("outer-ipv6-header", "outer IPv6 header is malformed (version, mapped address, cut short); look for a broken sender")
    case .outerLength:
      (
        "outer-length",
        "outer IP length exceeds the packet: cut on reception; check in order: sender's underlay MTU above ours, ours raised while vtepd ran (restart it), ethtool -K IF tso off gso off at a veth's sending end, ethtool -K IF gro off on a NIC"
      )
    case .outerFragment:
      ("outer-fragment", "fragment of a VXLAN packet, which is not reassembled (RFC 7348 4.3); raise the underlay MTU on the sender's path")
    case .outerExtensionHeader:
      ("outer-extension-header", "outer IPv6 extension headers are malformed or more than four; look for a broken sender")
    case .outerSourceInvalid:
      ("outer-source-invalid", "outer source is a multicast, broadcast, loopback or unspecified address; look for a forged packet")
    case .outerSourceOwn:
      ("outer-source-own", "our own packet came back, or another host uses our VTEP address; look for a loop or a duplicate address")
    case .notOurDestination:
      ("not-our-destination", "outer destination is neither our VTEP address nor a joined group; normal with flooding switches")
    case .uplinkDuplicate:
      ("uplink-duplicate", "copy of a flooded packet that came by another uplink, or our own heard by another uplink; nothing to do")
    case .udpLength:
      ("udp-length", "outer UDP length is below 8 or beyond the IP packet; look for a broken sender")
    case .udpChecksum:
      (
        "udp-checksum",
        "outer UDP checksum is wrong: damaged, or left unfinished by a local veth sender; then run ethtool -K IF tx off there"
      )
    case .udp6ZeroChecksum:
      ("udp6-zero-checksum", "zero UDP checksum over IPv6; if the sender means it (RFC 6935), set udp6-zero-checksum-rx: true")
    case .vxlanTruncated:
      ("vxlan-truncated", "UDP payload is shorter than a VXLAN header; something else sends to our UDP port")
    case .vxlanFlags:
      ("vxlan-flags", "VXLAN I flag is not set (RFC 7348 5); something else, such as VXLAN-GPE, sends to our UDP port")
    case .unknownVNI:
      ("unknown-vni", "VNI is not configured here; configure it, or take this host off the sender's flood list")
    case .innerRunt:
      ("inner-runt", "inner frame is too short for its Ethernet header; look for a broken sender")
    case .innerSourceMulticast:
      ("inner-source-multicast", "inner source MAC is a group address, which no station may use; look for a broken sender")
    case .innerSourceZero:
      ("inner-source-zero", "inner source MAC is 00:00:00:00:00:00; look for a broken sender")
    case .innerSourceOwn:
      ("inner-source-own", "inner source MAC belongs to a local port; look for a loop or a duplicate MAC address")
    case .innerSourceFrozen:
      (
        "inner-source-frozen",
        "inner source MAC moved to and fro and is frozen elsewhere; look for a loop or a second station with it (vtepctl show mac-moves)"
      )
    case .innerVLAN:
      ("inner-vlan", "inner frame carries a VLAN tag (RFC 7348 6.1); set the VNI's inner-vlan: carry to let it pass")
    case .ecnForbidden:
      (
        "ecn-forbidden",
        "outer header is marked CE, inner packet is not ECN-capable: dropped as RFC 6040 4.2 demands; look for the congested router"
      )
    case .peerNotAllowed:
      ("peer-not-allowed", "sender is no peer of this VNI and accept-from: peers is set; add the peer if it is one")
    case .splitHorizon:
      ("split-horizon", "destination lies behind another VTEP, and tunnel never goes to tunnel; the sender's MAC table is out of date")
    case .innerLinkLocalControl:
      ("inner-link-local-control", "inner STP, LACP, LLDP, PAUSE or 802.1X frame, and no port of the VNI has l2-protocols: tunnel")
    }
  }
}

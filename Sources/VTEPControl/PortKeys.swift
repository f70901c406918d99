// PortKeys: every key of a port, once. From this table come the keys that the file's reader and writer know (vtepd's PortFields adds how each
// is stored), the options of `vtepctl port add|set`, the values in `show ports`, and the reference in docs/configuration.md: a test compares
// the two. The order is that of `config show`.
//
// A new key is a row here, a property in VTEP (PortOptions; PortAttachment for what a port is attached to), and a line in PortFields.

extension PortKey {
  public static let all: [PortKey] = [
    PortKey("name", .port, .text, default: "required", help: nil, "1 to 63 letters, digits, `.`, `_` or `-`"),
    PortKey(
      "kind", .port, .choice(["tap", "netdev", "vhost-user", "memif", "virtio-user", "dpdk"]), default: "required", help: "Kind of port.",
      "`tap`, `netdev`, `vhost-user`, `memif`, `virtio-user` or `dpdk`; it determines which of the keys up to `socket-mode` apply"),
    PortKey(
      "device", .attachment, .text, default: "required for `tap`, `netdev`",
      help: "Kernel interface: created (tap) or existing (netdev).",
      "`tap`: vtepd creates it, or takes over a persistent tap that nobody has open (for several queues: one made with `multi_queue`); `netdev`: the port waits until the interface exists; `virtio-user`: the tap behind the kernel's vhost-net"
    ),
    PortKey(
      "socket", .attachment, .text, default: "required for `vhost-user`, `memif`", option: "port-socket", valueName: "socket",
      help: "Unix socket of a vhost-user or memif peer; --socket after 'port add' means the same.",
      "path, relative to `run-dir` or absolute; `virtio-user`: another process's vhost-user socket"),
    PortKey(
      "role", .attachment, .choice(["client", "server"]), default: "`client`",
      help: "client: connect to the socket, and reconnect; server: create the socket and listen.",
      "`client`: connect to the socket, and reconnect; `server`: create the socket and listen. For `vhost-user`, `memif`, `virtio-user`"),
    PortKey(
      "queues", .attachment, .number, default: "1", help: "Queue pairs to offer.",
      "queue pairs, 1 to 64 (`memif` with `role: client`: 32); a guest may use fewer. Frames to a port are spread over the queues in use, by flow. For all kinds except `netdev`"
    ),
    PortKey(
      "memif-id", .attachment, .number, default: "0", help: "Number of a memif interface on its socket.",
      "number of the interface on its socket"),
    PortKey(
      "devargs", .attachment, .text, default: "required for `dpdk`", help: "DPDK device and its arguments.",
      "a PCI address bound to vfio-pci, or a DPDK virtual device, and its arguments"),
    PortKey(
      "socket-owner", .attachment, .text, default: "see **Sockets**", help: "Owner of a socket that vtepd creates.",
      "user of a socket with `role: server`, by name or number"),
    PortKey(
      "socket-group", .attachment, .text, default: "see **Sockets**", help: "Group of a socket that vtepd creates.",
      "group of a socket with `role: server`, by name or number"),
    PortKey(
      "socket-mode", .attachment, .text, default: "`0660`", valueName: "octal",
      help: "Permissions of a socket that vtepd creates; clients need write permission.",
      "permissions of a socket with `role: server`, in octal; clients need write permission to connect"),
    PortKey(
      "profile", .port, .text, default: "none", display: .row, help: "Profile that supplies unset options.",
      "profile that supplies the settings the port does not set"),
    PortKey(
      "vni", .option, .number, default: "none", display: .column("VNI"), help: "VNI of untagged frames.", "VNI of untagged frames"),
    PortKey(
      "vlans", .option, .vlans, default: "none", display: .column("VLANS"), option: "vlan", valueName: "vid:vni",
      help: "VNI of frames with this VLAN tag; repeatable.", "VNIs of tagged frames: VLAN (1 to 4094) → VNI"),
    PortKey(
      "tpid", .option, .text, default: "`any`", display: .column("TPID"), valueName: "0x8100|0x88a8|any",
      help: "TPID of the port's VLAN tags.",
      "tag type of `vlans`: `0x8100` (C-tag), `0x88a8` (S-tag), or `any`: accepts both, sends 0x8100"),
    PortKey(
      "acl", .option, .text, default: "none", display: .row, help: "Access control list of all VLANs and of untagged frames.",
      "name of the access control list (`acls`) of untagged frames and of all VLANs without one in `vlan-acls`"),
    PortKey(
      "vlan-acls", .option, .text, default: "none", display: .row, help: nil,
      "access control lists of single VLANs, in place of `acl`: VLAN (1 to 4094) → name"),
    PortKey(
      "isolated", .option, .flag, default: "`false`", display: .column("ISOLATED"),
      help: "Reach only the overlay and ports that are not isolated.",
      "`true`: frames from the port reach only the overlay and ports that are not isolated"),
    PortKey(
      "mtu", .option, .number,
      default: "tap, memif: underlay MTU less the overhead; netdev: its own; vhost-user: the guest's, if the hypervisor reports it",
      help: "MTU of the interface in bytes.",
      "in bytes, from 68 to 65521; memif: up to 2026 (`role: server`) or 16362 (`client`), see **memif**; a tap's is what its far end sets in whatever namespace it is"
    ),
    PortKey(
      "offloads", .option, .choice(["auto", "off"]), default: "`auto`", display: .column("OFFLOADS"),
      help: "off: do not offer the guest checksum or segmentation offloads.",
      "whatever the guest supports; `off`: offer a `vhost-user` guest or the far end of a `tap` no checksum or segmentation offloads, so that it sends and receives complete frames"
    ),
    PortKey(
      "enabled", .option, .flag, default: "`true`", display: .row,
      help: "Administrative state: a disabled port is down; --enabled reopens one that a guard shut.",
      "`false`: the port is down and carries nothing"),
    PortKey(
      "anti-spoofing", .option, .flag, default: "`false`", display: .limits,
      help: "Accept only the port's configured addresses as sources.",
      "`true`: accept only `macs` and `vlan-macs` as source addresses"),
    PortKey(
      "announce", .option, .flag, default: "`false`", display: .row,
      help: "Announce the port's MAC addresses to the other VTEPs when it comes up.",
      "`true`: when the port comes up, announce each of `macs` and `vlan-macs` to the other VTEPs with a RARP frame"),
    PortKey(
      "l2-protocols", .option, .choice(["drop", "tunnel", "punt"]), default: "`drop`", display: .row,
      help: "Link-local control frames (STP, LACP, LLDP, 802.1X): drop them, tunnel them through the VNI, or punt them to a kernel tap.",
      "link-local control frames (STP, LACP, LLDP, 802.1X): `drop` them, `tunnel` them through the VNI, or `punt` them to a kernel tap"),
    PortKey(
      "bpdu-guard", .option, .flag, default: "`false`", display: .row, help: "Shut the port when it receives a BPDU.",
      "`true`: a BPDU shuts the port"),
    PortKey(
      "loop-probe", .option, .flag, default: "by `mode`", display: .row, help: "Probe for loops, and shut the port when one is found.",
      "`true`: probe for loops, and shut the port when one is found"),
    PortKey(
      "mac-limit", .option, .number, default: "0", display: .limits, help: "Most addresses to learn behind the port; 0: no limit.",
      "most learned addresses behind the port; frames from further sources are dropped until an address ages out, moves or is flushed; 0: no limit"
    ),
    PortKey(
      "rate-limit.ingress.bits", .option, .number, default: "0", display: .limits, short: "ingress-bits",
      help: "Ingress limit in bits per second, from the guest; 0: no limit.",
      "bits per second from the guest, 0: no limit; the burst is a tenth of a second's worth, at least one 64 KiB segment"),
    PortKey(
      "rate-limit.ingress.packets", .option, .number, default: "0", display: .limits, short: "ingress-packets",
      help: "Ingress limit in packets per second, from the guest; 0: no limit.", "packets per second from the guest, likewise"),
    PortKey(
      "rate-limit.egress.bits", .option, .number, default: "0", display: .limits, short: "egress-bits",
      help: "Egress limit in bits per second, to the guest; 0: no limit.", "bits per second to the guest, likewise"),
    PortKey(
      "rate-limit.egress.packets", .option, .number, default: "0", display: .limits, short: "egress-packets",
      help: "Egress limit in packets per second, to the guest; 0: no limit.", "packets per second to the guest, likewise"),
    PortKey(
      "storm-control.broadcast", .option, .number, default: "by `mode`", display: .limits, short: "storm-broadcast",
      help: "Storm control: broadcasts per second from the guest; 0: no limit.",
      "broadcasts per second from the guest, 0: no limit; see **Storm control**"),
    PortKey(
      "storm-control.unknown-unicast", .option, .number, default: "by `mode`", display: .limits, short: "storm-unknown-unicast",
      help: "Storm control: unknown unicast frames per second from the guest; 0: no limit.",
      "unknown unicast frames per second, likewise"),
    PortKey(
      "storm-control.unknown-multicast", .option, .number, default: "by `mode`", display: .limits, short: "storm-unknown-multicast",
      help: "Storm control: multicast frames per second from the guest; 0: no limit.", "multicast frames per second, likewise"),
    PortKey(
      "macs", .port, .texts, default: "none", option: "mac", help: "Static MAC address behind the port; repeatable.",
      "static addresses of the untagged binding, while the port is up"),
    PortKey("vlan-macs", .port, .text, default: "none", help: nil, "VLAN → list of static addresses"),
  ]
}

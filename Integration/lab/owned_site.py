"""A site whose host has an uplink that DPDK drives, with its exception tap. The NIC is a veth's end behind DPDK's af_packet driver; from there
the kernel gets nothing, as from a real NIC. The other end leads to a switch and a peer with the kernel's VXLAN device."""
from .daemon import Vtepd
from .hosts import Guest, KernelVXLANHost, Switch, UnderlayHost, like_a_wire
from .namespaces import wait_until
from .site import GROUP4, GROUP6, VNI

NIC = "net_af_packet0,iface=u0"


class OwnedHost(UnderlayHost):
    """u0 is the NIC: the kernel neither answers nor listens there."""

    def __init__(self, lab, switch, number=1):
        super().__init__(lab, switch, number)
        ns = self.namespace
        ns.sysctl("net.ipv6.conf.u0.disable_ipv6", 1)
        ns.ip("address flush dev u0")
        ns.ip("link set u0 mtu 1500")  # the driver takes no larger one
        ns.run("ethtool", "-K", "u0", "gro", "off")
        like_a_wire(switch.namespace, self.switch_port)
        ns.run("nft", "add table netdev nic; add chain netdev nic in { type filter hook ingress device u0 priority 0; policy drop; }")
        self.mac = ns.mac("u0")

    def add_tap(self, options=""):
        """A persistent tap, which keeps its addresses while vtepd is away."""
        self.namespace.ip(f"tuntap add vtep0 mode tap {options}")
        self.set_up_tap()

    def set_up_tap(self):
        self.namespace.ip("link set vtep0 up")
        self.namespace.ip(f"address add {self.ipv4}/24 dev vtep0")
        self.namespace.ip(f"address add {self.ipv6}/64 dev vtep0 nodad")


class OwnedSite:
    def __init__(self, lab, ipv6=False, workers=1, is_persistent=True, nic=NIC, flood="multicast", io_cores=()):
        self.switch = Switch(lab)
        self.host, self.peer = OwnedHost(lab, self.switch), KernelVXLANHost(lab, self.switch, 2)
        self.group = GROUP6 if ipv6 else GROUP4
        ours, theirs = [host.ipv6 if ipv6 else host.ipv4 for host in (self.host, self.peer)]
        self.vm1, self.vm2 = self.guests = Guest(lab, "vm1", 1), Guest(lab, "vm2", 2)
        self.peer.vxlan(VNI, group=self.group if flood == "multicast" else None, remotes=[ours] if flood == "replicate" else (), ipv6=ipv6)
        self.peer.add_guest(self.vm2, VNI, mtu=1430 if ipv6 else 1450)
        self.vm1.attach_veth(self.host.namespace, "port1")
        self.is_persistent = is_persistent
        if is_persistent:
            self.host.add_tap("multi_queue" if workers > 1 else "")
        queues = len(io_cores) or workers
        if queues > 1:
            nic += f",qpairs={queues}"
        section = {"vni": VNI, "flood": flood, **({"group": self.group} if flood == "multicast" else {"peers": [theirs]})}
        self.daemon = Vtepd(self.host.namespace, {
            "underlay": {"addresses": [ours], "dpdk": nic, "tap": "vtep0"},
            "vnis": [section],
            "ports": [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": VNI}],
        })
        self.daemon.config["dataplane"] |= {"workers": workers} | ({"io-cores": list(io_cores)} if io_cores else {})
        # The hosts themselves, as the ends of streams.
        self.stations = [Guest(lab, f"station{host.number}", host.number, namespace=host.namespace) for host in (self.host, self.peer)]
        for station, host in zip(self.stations, (self.host, self.peer)):
            station.ipv4, station.ipv6 = host.ipv4, host.ipv6

    def start(self):
        self.daemon.write_config()
        self.daemon.start()
        if not self.is_persistent:
            self.host.set_up_tap()
        self.daemon.wait_ports_up()
        return self

    def wait_all_pings(self):
        for first, second in (self.guests, self.stations):
            for source, target in ((first, second), (second, first)):
                source.wait_ping(target.ipv4)
                source.wait_ping(target.ipv6)

    def underlay(self):
        return self.daemon.ctl("show", "underlay")[0]

    def carrier(self):
        return "LOWER_UP" in self.host.namespace.ip("link show vtep0")

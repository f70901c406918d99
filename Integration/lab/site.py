"""The setup of most tests: one switch, hosts with vtepd, hosts with the kernel's VXLAN device, one guest each.

Hosts are numbered from 1, those with vtepd first. Guest `vmN` has the addresses 10.0.0.N and fd00::N.
"""
from .daemon import Vtepd
from .hosts import Guest, KernelVXLANHost, Switch, UnderlayHost
from .namespaces import wait_until

VNI = 5001
GROUP4, GROUP6 = "239.1.1.1", "ff05::100"


class Site:
    def __init__(self, lab, vtepd=2, kernel=0, flood="multicast", ipv6=False, kind="netdev", vni=None, underlay=None,
                 dataplane=None, vnis=(), wait=True, underlay_mtu=1600):
        """`vni`, `underlay`, `dataplane`: further keys of these sections; `vnis`: further VNIs of all daemons."""
        self.lab, self.ipv6, self.kind = lab, ipv6, kind
        self.switch = Switch(lab, mtu=underlay_mtu)
        self.group = GROUP6 if ipv6 else GROUP4
        self.hosts = [UnderlayHost(lab, self.switch, number) for number in range(1, vtepd + 1)]
        self.kernels = [KernelVXLANHost(lab, self.switch, number) for number in range(vtepd + 1, vtepd + kernel + 1)]
        everyone = self.hosts + self.kernels
        self.guests = [Guest(lab, f"vm{host.number}", host.number) for host in everyone]

        for host, guest in zip(self.kernels, self.guests[vtepd:]):
            remotes = [self.address(other) for other in everyone if other is not host] if flood == "replicate" else ()
            host.vxlan(VNI, group=self.group if flood == "multicast" else None, remotes=remotes, ipv6=ipv6)
            host.add_guest(guest, VNI, mtu=1430 if ipv6 else 1450)

        self.daemons = []
        for host, guest in zip(self.hosts, self.guests):
            section = {"vni": VNI, "flood": flood, **(vni or {})}
            if flood == "multicast":
                section["group"] = self.group
            elif flood == "replicate":
                section["peers"] = [self.address(other) for other in everyone if other is not host]
            device = "tap1" if kind == "tap" else "port1"
            if kind == "netdev":
                guest.attach_veth(host.namespace, device)
            self.daemons.append(Vtepd(host.namespace, {
                "underlay": {"addresses": [self.address(host)], "device": "u0", **(underlay or {})},
                "vnis": [section, *vnis],
                "ports": [{"name": guest.name, "kind": kind, "device": device, "vni": VNI}],
            }))
            self.daemons[-1].config["dataplane"].update(dataplane or {})
            self.daemons[-1].write_config()
        if wait:
            self.start()

    def address(self, host):
        return host.ipv6 if self.ipv6 else host.ipv4

    def start_without_ports_up(self):
        """Starts the daemons; some ports may stay down."""
        for daemon in self.daemons:
            daemon.start(wait=False)
        for daemon in self.daemons:
            daemon.wait_running()

    def start(self):
        self.start_without_ports_up()
        for daemon, host, guest in zip(self.daemons, self.hosts, self.guests):
            if self.kind == "tap" and guest.device is None:
                guest.attach_tap(host.namespace, "tap1")
            daemon.wait_ports_up()

    def wait_joined(self):
        everyone = {host.switch_port for host in self.hosts + self.kernels}
        wait_until(lambda: self.switch.members(self.group) == everyone,
                   lambda: f"{everyone} joined {self.group}, not {self.switch.members(self.group)}")

    def wait_all_pings(self):
        """Every guest reaches every other, IPv4 and IPv6."""
        for source in self.guests:
            for target in self.guests:
                if source is not target:
                    source.wait_ping(target.ipv4)
                    source.wait_ping(target.ipv6)

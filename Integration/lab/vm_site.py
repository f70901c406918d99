"""The setup for vhost-user tests: guests behind two vtepd and behind the kernel's VXLAN device.

    vm1 (socket role client) ──┐
                               ├─ hv1: vtepd ──┐
    vm2 (socket role server) ──┘               │
    vm3 (two pairs of queues) ─── hv2: vtepd ──┼─ switch
    vm4 (a namespace) ─────────── hv3: kernel ─┘
"""
from .daemon import Vtepd
from .hosts import Guest, KernelVXLANHost, Switch, UnderlayHost
from .site import VNI


class VMSite:
    def __init__(self, lab, make):
        """`make` is VirtualMachine or StandIn."""
        self.lab, self.switch = lab, Switch(lab)
        self.hosts = [UnderlayHost(lab, self.switch, number) for number in (1, 2)]
        kernel = KernelVXLANHost(lab, self.switch, 3)
        kernel.vxlan(VNI, remotes=[host.ipv4 for host in self.hosts])
        kernel_guest = Guest(lab, "vm4", 4)
        kernel.add_guest(kernel_guest, VNI)

        everyone = [*self.hosts, kernel]
        ports = [[("vm1", "client", 1), ("vm2", "server", 1)], [("vm3", "client", 2)]]
        self.daemons, self.machines = [], []
        for host, named in zip(self.hosts, ports):
            daemon = Vtepd(host.namespace, {
                "underlay": {"addresses": [host.ipv4], "device": "u0"},
                "vnis": [{"vni": VNI, "flood": "replicate", "peers": [other.ipv4 for other in everyone if other is not host]}],
                "ports": [{"name": name, "kind": "vhost-user", "socket": f"{name}.sock", "role": role, "queues": queues, "vni": VNI}
                          for name, role, queues in named],
            })
            self.daemons.append(daemon)
            for name, role, queues in named:
                machine = make(lab, name, int(name[2:]), daemon.directory / "run" / f"{name}.sock", role=role, queues=queues)
                machine.daemon = daemon
                self.machines.append(machine)
        self.guests = [*self.machines, kernel_guest]

        for daemon in self.daemons:
            daemon.start(wait=False)
        for daemon in self.daemons:
            daemon.wait_running()
        for machine in self.machines:
            machine.start()
        for machine in self.machines:
            machine.wait_booted()
        for daemon in self.daemons:
            daemon.wait_ports_up()

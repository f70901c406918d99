"""Ports of all kinds on two hosts with vtepd, and the kernel's VXLAN device on a third; the kernel's settings are its defaults.

    tap1, veth1, tap3, veth3, vm1 ────── hv1: vtepd, 1 worker  ──┐
    tap2, veth2, tap4, veth4, vm2, vm4 ─ hv2: vtepd, 2 workers ──┼─ bridge
    plain3 ───────────────────────────── hv3: kernel ────────────┘

hv2's interfaces join received segments (GRO), like a NIC. Each guest has four networks:

    untagged   10.0.0.N   VNI 5001, over IPv4
    carried    10.0.1.N   VNI 5001, with tag 100 inside VXLAN
    bound      10.0.2.N   VNI 5002, over IPv6; tag 200 on the port, none inside VXLAN
    stacked    10.0.3.N   the same with tag 300 behind tag 200: the only one inside VXLAN
"""
from .daemon import Vtepd
from .guest import VirtualMachine
from .hosts import Guest
from .namespaces import run, wait_until

NETWORKS = ("untagged", "carried", "bound", "stacked")
VNIS = (5001, 5002)
CARRIED, BOUND, STACKED = 100, 200, 300
OVERHEAD4, OVERHEAD6, TAG = 50, 70, 4


def tagged_networks(guest_mtu, underlay_mtu):
    """Number of the network, tags (outermost first) and MTU."""
    bound = underlay_mtu - OVERHEAD6
    return [(1, (CARRIED,), guest_mtu - TAG), (2, (BOUND,), bound), (3, (BOUND, STACKED), bound - TAG)]


class MixedGuest(Guest):
    """A namespace in all networks, whatever its port is."""

    def join(self, device, mtu, underlay_mtu):
        self.namespace.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.use(device, mtu)
        for index, (*outer, vlan), size in tagged_networks(mtu, underlay_mtu):
            member = Guest(self.lab, f"{self.name}-{vlan}", self.number, index, namespace=self.namespace)
            member.tag(vlan, f"vlan{outer[0]}" if outer else device, size)
        return self


def addresses(number, network):
    """IPv4 and IPv6 address of guest `number` in a network."""
    index = NETWORKS.index(network)
    return f"10.0.{index}.{number}", f"fd00:{index:x}::{number:x}"


class MixedSite:
    def __init__(self, lab, mtu=1500, machines=True, environment=None):
        """`machines`: there are ports for vm1 and vm2, which start with `start_machines`."""
        self.lab, self.mtu, self.guest_mtu = lab, mtu, mtu - OVERHEAD4
        self.environment, self.guests, self.daemons, self.where = environment or {}, {}, [], {}
        self.switch = lab.namespace("sw")
        self.switch.ip("link add br0 type bridge")
        self.switch.ip(f"link set br0 mtu {mtu} up")
        self.hosts = [self.add_host(number) for number in (1, 2, 3)]
        plans = [[("tap1", "tap"), ("tap3", "tap"), ("veth1", "netdev"), ("veth3", "netdev"), ("vm1", "vhost-user")],
                 [("tap2", "tap"), ("tap4", "tap"), ("veth2", "netdev"), ("veth4", "netdev"), ("vm2", "vhost-user"), ("vm4", "vhost-user")]]
        self.number = 0
        for workers, plan in enumerate(plans, 1):
            self.add_daemon(workers, [(name, kind) for name, kind in plan if machines or kind != "vhost-user"])
        for daemon in self.daemons:
            daemon.wait_running()
        self.take_taps()
        self.add_kernel()
        self.wait_up()

    # -- hosts --------------------------------------------------------------------------------------------------------

    def add_host(self, number):
        host = self.lab.namespace(f"hv{number}")
        host.ip(f"link add u0 mtu {self.mtu} type veth peer name hv{number} mtu {self.mtu} netns {self.switch.full_name}")
        if number == 2:
            host.run("ethtool", "-K", "u0", "gro", "on")
        self.switch.ip(f"link set hv{number} master br0 up")
        host.sysctl("net.ipv6.conf.u0.accept_dad", 0)
        host.ip("link set u0 up")
        host.ip(f"address add 192.0.2.{number}/24 dev u0")
        host.ip(f"address add 2001:db8::{number}/64 dev u0")
        return host

    def add_daemon(self, workers, plan):
        host, number = self.hosts[workers - 1], workers
        others = [other for other in (1, 2, 3) if other != number]
        ports = []
        for name, kind in plan:
            self.number += 1
            self.where[name] = number - 1
            port = {"name": name, "kind": kind, "vni": VNIS[0], "vlans": {BOUND: VNIS[1]}}
            if kind == "vhost-user":
                port |= {"socket": f"{name}.sock", "queues": workers}
                self.guests[name] = VirtualMachine(self.lab, name, self.number, self.lab.directory / f"hv{number}/run/{name}.sock",
                                                   queues=workers, host_mtu=self.guest_mtu)
            else:
                port |= {"device": name, **({"mtu": self.guest_mtu, "queues": workers} if kind == "tap" else {})}
                self.guests[name] = MixedGuest(self.lab, name, self.number)
            self.guests[name].kind = kind
            if kind == "netdev":
                guest = self.guests[name].namespace
                host.ip(f"link add {name} mtu {self.guest_mtu} type veth peer name eth0 mtu {self.guest_mtu} netns {guest.full_name}")
                if number == 2:
                    host.run("ethtool", "-K", name, "gro", "on")
                host.ip(f"link set {name} up")
                self.guests[name].join("eth0", self.guest_mtu, self.mtu)
            ports.append(port)
        daemon = Vtepd(host, {
            "underlay": {"addresses": [f"192.0.2.{number}", f"2001:db8::{number}"], "device": "u0"},
            "vnis": [{"vni": VNIS[0], "flood": "replicate", "peers": [f"192.0.2.{other}" for other in others], "inner-vlan": "carry"},
                     {"vni": VNIS[1], "flood": "replicate", "peers": [f"2001:db8::{other}" for other in others], "inner-vlan": "carry"}],
            "ports": ports,
        })
        daemon.config["dataplane"] |= {"workers": workers, "memory-mb": 256}
        daemon.write_config()
        daemon.environment = self.environment
        self.daemons.append(daemon.start(wait=False))

    def add_kernel(self):
        """The guest has eth0 in the first VNI and eth1 in the second, each with a VLAN device for the tag inside VXLAN."""
        host, name = self.hosts[2], "plain3"
        self.number += 1
        self.guests[name] = guest = MixedGuest(self.lab, name, self.number)
        guest.kind, space = "kernel", guest.namespace
        space.sysctl("net.ipv6.conf.default.accept_dad", 0)
        for index, (vni, mtu) in enumerate(zip(VNIS, (self.guest_mtu, self.mtu - OVERHEAD6))):
            local, form = ("192.0.2.3", "192.0.2.{}") if index == 0 else ("2001:db8::3", "2001:db8::{}")
            host.ip(f"link add br{index} type bridge mcast_snooping 0")
            host.ip(f"link add vx{index} type vxlan id {vni} local {local} dstport 4789 dev u0 ttl 64")
            for number in (1, 2):
                run("bridge", "-n", host.full_name, "fdb", "append", "00:00:00:00:00:00", "dev", f"vx{index}", "dst", form.format(number))
            host.ip(f"link add g{index} mtu {mtu} type veth peer name eth{index} mtu {mtu} netns {space.full_name}")
            for device in (f"vx{index}", f"g{index}"):
                host.ip(f"link set {device} master br{index} up")
            host.ip(f"link set br{index} up")
        guest.use("eth0")
        Guest(self.lab, f"{name}-{CARRIED}", self.number, 1, namespace=space).tag(CARRIED, "eth0", self.guest_mtu - TAG)
        Guest(self.lab, f"{name}-{BOUND}", self.number, 2, namespace=space).use("eth1")
        Guest(self.lab, f"{name}-{STACKED}", self.number, 3, namespace=space).tag(STACKED, "eth1", self.mtu - OVERHEAD6 - TAG)

    # -- guests -------------------------------------------------------------------------------------------------------

    def start_machines(self):
        """Does nothing when they run."""
        machines = [guest for guest in self.guests.values() if isinstance(guest, VirtualMachine) and not guest.process]
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.wait_booted()
            machine.shell("for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >$f; done")
            for index, tags, size in tagged_networks(self.guest_mtu, self.mtu):
                ipv4, ipv6 = addresses(machine.number, NETWORKS[index])
                trunk, device = (".".join(["eth0", *map(str, some)]) for some in (tags[:-1], tags))
                machine.shell(f"ip link add link {trunk} name {device} type vlan id {tags[-1]} && ip link set {device} mtu {size} up"
                              f" && ip address add {ipv4}/24 dev {device} && ip address add {ipv6}/64 dev {device}")
        for machine in machines:
            self.daemons[self.where[machine.name]].wait_ports_up(machine.name)

    def take_taps(self):
        """Moves the taps into the guests' namespaces, as a container runtime does."""
        for name, guest in self.guests.items():
            if guest.kind == "tap":
                self.hosts[self.where[name]].ip(f"link set {name} netns {guest.namespace.full_name}")
                guest.join(name, self.guest_mtu, self.mtu)

    def wait_up(self):
        for daemon in self.daemons:
            daemon.wait_ports_up(*(name for name, guest in self.guests.items() if guest.kind != "vhost-user"))
            wait_until(lambda: all(row["state"] == "resolved" for row in daemon.ctl("show", "vteps")),
                       lambda: f"the VTEPs are resolved: {daemon.ctl('show', 'vteps')}")

    def drops(self):
        return [daemon.drops() for daemon in self.daemons]

"""The machines of a lab: underlay switch and router, hosts on them, and guests behind the hosts.

    guest ── port ── host ── u0 ──────── switch (bridge, IGMP snooping, querier)
"""
import pathlib
import re
import sys

from .namespaces import run, wait_until

VLAN_HOST = pathlib.Path(__file__).with_name("vlan_host.py")


def veth(first, first_name, second, second_name):
    """A cable. Its ends merge received segments (GRO), like a NIC; a veth does not by default."""
    first.ip(f"link add {first_name} type veth peer name {second_name} netns {second.full_name}")
    for namespace, name in ((first, first_name), (second, second_name)):
        namespace.run("ethtool", "-K", name, "gro", "on")
    first.cables[first_name], second.cables[second_name] = (second, second_name), (first, first_name)


# Every setting that differs from the kernel's defaults, and why (docs/architecture.md, Tests).

def like_a_wire(namespace, interface):
    """What leaves by the interface is as on a wire: the kernel cuts trains and segments up and computes checksums, as a NIC does for
    others. For captures of single packets, and for peers whose packet sockets know no offloads (userspace Open vSwitch)."""
    namespace.run("ethtool", "-K", interface, "tx", "off")


class Switch:
    """A Linux bridge with IGMP and MLD snooping and a querier."""

    def __init__(self, lab, name="sw", mtu=1600):
        self.namespace, self.mtu = lab.namespace(name), mtu
        ns = self.namespace
        ns.sysctl("net.ipv6.conf.default.disable_ipv6", 1)  # its ports are not hosts
        ns.ip("link add br0 type bridge mcast_snooping 1")
        # The querier comes last, in a command of its own: for the response interval configured at that moment the bridge assumes
        # that there is no querier, and floods everything. Units are hundredths of a second.
        ns.ip("link set br0 type bridge mcast_igmp_version 3 mcast_mld_version 2 mcast_query_use_ifaddr 1 "
              "mcast_query_interval 200 mcast_query_response_interval 100 mcast_startup_query_interval 100 "
              "mcast_membership_interval 700 mcast_querier_interval 700 mcast_last_member_interval 20")
        ns.sysctl("net.ipv6.conf.br0.disable_ipv6", 0)
        ns.ip(f"link set br0 mtu {mtu} up")
        ns.ip("address add 192.0.2.254/24 dev br0")
        ns.ip("link set br0 type bridge mcast_querier 1")

    def connect(self, namespace, device="u0", port=None, *addresses):
        port = port or namespace.name
        veth(namespace, device, self.namespace, port)
        self.namespace.ip(f"link set {port} mtu {self.mtu} master br0 up")
        namespace.ip(f"link set {device} mtu {self.mtu} up")
        for address in addresses:
            namespace.ip(f"address add {address} dev {device}")
        return port

    def members(self, group):
        """Names of the switch ports that have joined the group."""
        out = run("bridge", "-n", self.namespace.full_name, "mdb", "show", "dev", "br0").stdout
        return set(re.findall(rf"port (\S+) grp {re.escape(group)} ", out))


class Router:
    """A namespace that forwards IPv4 and IPv6."""

    def __init__(self, lab, name="router"):
        self.namespace = lab.namespace(name)
        self.namespace.sysctl("net.ipv4.ip_forward", 1)
        self.namespace.sysctl("net.ipv6.conf.all.forwarding", 1)

    def connect(self, namespace, device, port, router_addresses, host_addresses, mtu=1600):
        veth(namespace, device, self.namespace, port)
        for side, interface, addresses in ((self.namespace, port, router_addresses), (namespace, device, host_addresses)):
            side.ip(f"link set {interface} mtu {mtu} up")
            for address in addresses:
                side.ip(f"address add {address} dev {interface}")


class UnderlayHost:
    """A host on the switch, with the addresses 192.0.2.N and 2001:db8::N."""

    def __init__(self, lab, switch, number, name=None):
        self.lab, self.number = lab, number
        self.namespace = lab.namespace(name or f"hv{number}")
        self.ipv4, self.ipv6 = f"192.0.2.{number}", f"2001:db8::{number:x}"
        self.switch_port = switch.connect(self.namespace, "u0", None, f"{self.ipv4}/24", f"{self.ipv6}/64")


class Guest:
    """A namespace with the addresses 10.0.0.N and fd00::N on a device that is served by a host's port."""

    def __init__(self, lab, name, number, subnet=0, namespace=None):
        """`namespace`: an existing one, for a further interface there."""
        self.lab, self.name, self.number = lab, name, number
        self.namespace = namespace or lab.namespace(name)
        self.ipv4, self.ipv6 = f"10.0.{subnet}.{number}", f"fd00:{subnet:x}::{number:x}"
        self.device = None
        self.scratch = lab.directory / name
        self.scratch.mkdir(exist_ok=True)
        self.mac = f"02:00:00:00:{subnet:02x}:{number:02x}"

    def attach_veth(self, host_namespace, device, mtu=1500):
        """Creates the veth pair of a netdev port: `device` in the host, eth0 here."""
        veth(host_namespace, device, self.namespace, "eth0")
        host_namespace.ip(f"link set {device} mtu {mtu} up")
        return self.use("eth0", mtu)

    def attach_tap(self, host_namespace, device):
        """Takes over a tap created by vtepd in the host."""
        host_namespace.ip(f"link set {device} netns {self.namespace.full_name}")
        return self.use(device)

    def use(self, device, mtu=None):
        self.device = device
        self.namespace.ip(f"link set {device} address {self.mac}")
        self.namespace.ip(f"link set {device} up" + (f" mtu {mtu}" if mtu else ""))
        self.namespace.ip(f"address add {self.ipv4}/24 dev {device}")
        self.namespace.ip(f"address add {self.ipv6}/64 dev {device}")
        return self

    def tag(self, vlan, trunk="eth0", mtu=1450):
        """Moves the addresses to an 802.1Q tag on the trunk: a VLAN-aware station."""
        if self.device:
            self.namespace.ip(f"address flush dev {self.device} scope global")
        ready = self.lab.directory / f"{self.name}-vlan"
        process = self.namespace.popen(sys.executable, "-B", VLAN_HOST, trunk, vlan, f"vlan{vlan}", ready)
        wait_until(lambda: ready.exists() or process.poll() is not None, "the VLAN device is there")
        assert process.poll() is None, "vlan_host ended"
        return self.use(f"vlan{vlan}", mtu)

    def ping(self, target, count=1, seconds=1, size=56, *options):
        """Returns how many of `count` echo requests were answered; each may take `seconds`."""
        done = self.namespace.run("ping", "-n", "-q", "-c", count, "-i", "0.2", "-W", seconds, "-s", size, *options, target,
                                  check=False, timeout=count * 0.2 + seconds + 60)
        found = re.search(r"(\d+) received", done.stdout)
        assert found, f"ping {target} in {self.name}: {done.stdout}{done.stderr}"
        return int(found[1])

    def wait_ping(self, target, seconds=30):
        wait_until(lambda: self.ping(target), f"{self.name} reaches {target}", seconds)

    def shell(self, command, check=True, seconds=60):
        """Runs a busybox shell command here, as VirtualMachine does; (status, output) without `check`."""
        done = self.namespace.run("busybox", "sh", "-c", command, check=check, timeout=seconds)
        return done.stdout if check else (done.returncode, done.stdout)

    def forget_neighbors(self):
        self.namespace.ip("neigh flush all")


class KernelVXLANHost(UnderlayHost):
    """A host whose VTEP is the Linux kernel: one VXLAN device and one bridge per VNI."""

    def vxlan(self, vni, group=None, remotes=(), ipv6=False, options=""):
        local = self.ipv6 if ipv6 else self.ipv4
        ns, bridge, device = self.namespace, f"br{vni}", f"vx{vni}"
        ns.ip(f"link add {bridge} type bridge mcast_snooping 0")
        target = f"group {group} dev u0 ttl 4" if group else "ttl 64"
        ns.ip(f"link add {device} type vxlan id {vni} {target} local {local} dstport 4789 {options}")
        ns.ip(f"link set {device} mtu 1500 master {bridge} up", check=False)
        for remote in remotes:
            run("bridge", "-n", ns.full_name, "fdb", "append", "00:00:00:00:00:00", "dev", device, "dst", remote)
        ns.ip(f"link set {bridge} up")
        return device

    def add_guest(self, guest, vni, mtu=1450):
        port = f"g-{guest.name}"[:15]
        veth(self.namespace, port, guest.namespace, "eth0")
        self.namespace.ip(f"link set {port} master br{vni} up")
        return guest.use("eth0", mtu)

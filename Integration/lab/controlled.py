"""A switch with a controller: a host with vtepd and a real database server, a bare-metal guest on its port, and remote hosts with
the kernel's VXLAN device. `vtep-ctl` acts as the controller."""
from .certificates import Certificates
from .daemon import Vtepd
from .hosts import Guest, KernelVXLANHost, Switch, UnderlayHost
from .namespaces import wait_until
from .ovsdb import OvsdbServer

VNI = 5000
# From here on VNIs stand for logical switches without a key, which are bridged between local ports.
FIRST_LOCAL = 0xF00000


class ControlledSite:
    """The switch is `hv1`; its port `p1` leads to guest `bm1`. Guests `vmN` are behind kernel hosts `hvN`, N from 2."""

    def __init__(self, lab, kernels=1, remote="unix", ports=1, config=None, server=None, start=True):
        self.lab = lab
        self.switch = Switch(lab)
        self.host = UnderlayHost(lab, self.switch, 1)
        self.kernels = [KernelVXLANHost(lab, self.switch, number) for number in range(2, kernels + 2)]
        self.guests = [Guest(lab, f"vm{host.number}", host.number) for host in self.kernels]
        for host, guest in zip(self.kernels, self.guests):
            others = [other.ipv4 for other in self.kernels if other is not host]
            host.vxlan(VNI, remotes=[self.host.ipv4, *others])
            host.add_guest(guest, VNI)
        self.locals = [Guest(lab, f"bm{number}", 100 + number) for number in range(1, ports + 1)]
        for number, guest in enumerate(self.locals, 1):
            guest.attach_veth(self.host.namespace, f"port{number}", 1450)
        self.bm, self.vm = self.locals[0], (self.guests or [None])[0]
        remotes, options, section = [], [], {}
        if remote == "ssl":
            pki = Certificates(lab)
            pki.self_signed("ca")
            pki.issue("server", extensions="subjectAltName=IP:127.0.0.1")
            pki.issue("switch")
            remotes, options = ["pssl:6641:127.0.0.1"], pki.options("server")
            section = {"remotes": ["ssl:127.0.0.1:6641"], **pki.keys("switch")}
        elif remote == "tcp":
            remotes, section = ["ptcp:6640:127.0.0.1"], {"remotes": ["tcp:127.0.0.1:6640"]}
        self.server = server or OvsdbServer(self.host.namespace, remotes=remotes, options=options)
        if remote == "unix":
            section = {"remotes": [f"unix:{self.server.socket}"]}
        self.daemon = Vtepd(self.host.namespace, {
            "underlay": {"addresses": [self.host.ipv4], "device": "u0"},
            "ports": [{"name": f"p{number}", "kind": "netdev", "device": f"port{number}"} for number in range(1, ports + 1)],
            "ovsdb": section, **(config or {}),
        })
        if start:
            self.server.start()
            self.start()

    def start(self):
        self.daemon.start()
        self.daemon.wait_ports_up()
        self.wait_registered()

    def ctl(self, *arguments, **options):
        """Runs vtep-ctl; `--` separates several commands of one transaction."""
        return self.server.vtep_ctl(*arguments, **options)

    def rows(self, table, *columns, where=()):
        """Rows of a table in the database."""
        return self.server.transact({"op": "select", "table": table, "where": list(where), "columns": ["_uuid", *columns]})[0]["rows"]

    def wait_registered(self):
        # By a plain select: vtep-ctl inserts the Global row if there is none, and vtepd may be about to do the same.
        wait_until(lambda: any(row["ports"] != ["set", []] for row in self.rows("Physical_Switch", "ports")),
                   lambda: f"the switch is in the database:\n{self.daemon.log()[-3000:]}")

    def add_switch(self, name="ls0", key=VNI, mode="source_node"):
        self.ctl("add-ls", name, "--", "set", "Logical_Switch", name, f"tunnel_key={key}", *([f"replication_mode={mode}"] if mode else []))

    def connect(self, name="ls0", vlan=0):
        """Binds p1 and announces the remote guests."""
        self.add_switch(name)
        self.ctl("bind-ls", "hv1", "p1", vlan, name)
        for host, guest in zip(self.kernels, self.guests):
            self.ctl("add-mcast-remote", name, "unknown-dst", host.ipv4, "--", "add-ucast-remote", name, guest.mac, host.ipv4)

    def tunnelled(self, *table):
        """Rows of `show`, without those of networks that are only bridged locally."""
        return [row for row in self.daemon.ctl("show", *table) if row["vni"] < FIRST_LOCAL]

    def wait_vni(self, vni=VNI, present=True):
        def found():
            return any(row["vni"] == vni and row["source"] == "ovsdb" for row in self.daemon.ctl("show", "vnis")) == present

        wait_until(found, lambda: f"VNI {vni}: {present}; {self.daemon.ctl('show', 'vnis')}\n{self.daemon.log()[-3000:]}")

    def wait_mac(self, mac, **expected):
        """Waits until the MAC table shows this for an address; without expectations: until the address is unknown."""
        def found():
            row = self.daemon.macs().get(mac)
            if not expected:
                return row is None
            return row is not None and all(row[key] == value for key, value in expected.items())

        wait_until(found, lambda: f"{mac} is {expected}: {self.daemon.macs().get(mac)}\n{self.daemon.log()[-3000:]}")

    def local_macs(self):
        """{MAC: ipaddr} of Ucast_Macs_Local."""
        return {row["MAC"]: row["ipaddr"] for row in self.rows("Ucast_Macs_Local", "MAC", "ipaddr")}

    def wait_local(self, mac, present=True):
        wait_until(lambda: (mac in self.local_macs()) == present,
                   lambda: f"{mac} published: {present}; {self.local_macs()}\n{self.daemon.log()[-3000:]}", interval=0.02)

    def faults(self, table="Physical_Switch", column="switch_fault_status", name="hv1"):
        value = self.rows(table, column, where=[["name", "==", name]])[0][column]
        return set(value[1]) if isinstance(value, list) else {value}

    def wait_faults(self, expected, *arguments):
        wait_until(lambda: self.faults(*arguments) == expected,
                   lambda: f"the faults are {expected}: {self.faults(*arguments)}\n{self.daemon.log()[-3000:]}")


def pairs(mapping):
    """A map as RFC 7047 has it."""
    return ["map", [[key, value] for key, value in mapping.items()]]


def routed_site(lab):
    """bm1 is on p1 in logical switch ls0, bm2 on p2 in ls1; vm2 is behind a kernel's VTEP in ls0."""
    site = ControlledSite(lab, ports=2)
    site.connect()
    site.add_switch("ls1", VNI + 1)
    site.ctl("bind-ls", "hv1", "p2", 0, "ls1")
    site.wait_vni(VNI + 1)
    bm2 = site.locals[1].namespace
    bm2.ip("address flush dev eth0 scope global")
    for address in ("10.0.1.102/24", "fd00:1::66/64"):
        bm2.ip(f"address add {address} dev eth0")
    for guest, subnet, net in ((site.bm, "10.0.0", "fd00:"), (site.vm, "10.0.0", "fd00:"), (site.locals[1], "10.0.1", "fd00:1:")):
        guest.namespace.ip(f"route add default via {subnet}.254")
        guest.namespace.ip(f"route add default via {net}:fe")
    return site

"""OVN, complete: central databases and northd, hypervisors with a userspace Open vSwitch and ovn-controller, and
ovn-controller-vtep on a gateway: this machine's (Debian 12: OVN 23.03, Open vSwitch 3.1) or Debian sid's, unpacked into a folder
(scripts/newer-package). Nothing here depends on vtepd.

    vmN ── tvmN ── hvN: Open vSwitch, ovn-controller ── u0 ──┐
    central: northd, databases ──────────────────────── u0 ──┼── switch
    gateway: database, ovn-controller-vtep ──────────── u0 ──┘
"""
import os
import pathlib

from .hosts import like_a_wire, veth
from .namespaces import run, wait_until

CENTRAL = "192.0.2.100"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Release:
    """Where the programs and schemas of OVN and Open vSwitch are."""

    def __init__(self, folder=None, loader=()):
        self.folder, self.loader = pathlib.Path(folder or "/"), list(loader)

    @classmethod
    def newer(cls):
        """Debian sid's: OVN 26.03 and Open vSwitch 4.0 in November 2026. The first call downloads 40 MB."""
        folder = REPOSITORY / ".build/newer/ovn"
        packages = ("ovn-central", "ovn-host", "ovn-controller-vtep", "openvswitch-vtep", "openvswitch-switch")
        loader = run(REPOSITORY / "scripts/newer-package", "-s", "sid", "-f", folder, *packages, timeout=600).stdout.split()
        return cls(folder, loader)

    def command(self, program):
        """The words that start a program."""
        folders = ("usr/bin", "usr/sbin", "usr/lib/openvswitch-switch")
        path = next(path for path in (self.folder / folder / program for folder in folders) if path.exists())
        return [*self.loader, path]

    def schema(self, name):
        folder = "ovn" if name.startswith("ovn") else "openvswitch"
        return self.folder / f"usr/share/{folder}/{name}.ovsschema"


INSTALLED = Release()
BFD_MILLISECONDS = 100


class Daemons:
    """Programs of Open vSwitch and OVN in one namespace, with a folder of their own."""

    def __init__(self, namespace, release=INSTALLED):
        self.namespace, self.release = namespace, release
        self.directory = namespace.lab.directory / f"ovs-{namespace.name}"
        self.directory.mkdir()
        names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR")
        self.environment = {**os.environ, **{name: str(self.directory) for name in names}}

    def start(self, name, program, *arguments):
        """Runs in the foreground and ends with the lab."""
        log = open(self.directory / f"{name}.log", "a")
        return self.namespace.popen(*self.release.command(program), *arguments, "-vconsole:info", f"--pidfile={self.directory / name}.pid",
                                    env=self.environment, stdout=log, stderr=log)

    def run(self, program, *arguments, **options):
        return self.namespace.run(*self.release.command(program), *arguments, env=self.environment, **options)

    def database(self, name, schema, *remotes):
        """A server with one database on the socket `name`."""
        file, socket = self.directory / f"{name}.db", self.directory / f"{name}.sock"
        self.run("ovsdb-tool", "create", file, self.release.schema(schema))
        process = self.start(name, "ovsdb-server", f"--unixctl={self.directory / name}.ctl", f"--remote=punix:{socket}", *remotes, file)
        wait_until(socket.exists, f"the server of {name} listens")
        return f"unix:{socket}", process


class Central(Daemons):
    def __init__(self, lab, switch, release=INSTALLED):
        namespace = lab.namespace("ctl")
        switch.connect(namespace, "u0", None, f"{CENTRAL}/24")
        super().__init__(namespace, release)
        self.north, _ = self.database("nb", "ovn-nb", f"--remote=ptcp:6641:{CENTRAL}")
        self.south, _ = self.database("sb", "ovn-sb", f"--remote=ptcp:6642:{CENTRAL}")
        self.start("northd", "ovn-northd", f"--unixctl={self.directory}/northd.ctl", f"--ovnnb-db={self.north}", f"--ovnsb-db={self.south}")

    def nbctl(self, *arguments):
        return self.run("ovn-nbctl", "--timeout=30", f"--db={self.north}", *arguments).stdout.strip()

    def sbctl(self, *arguments):
        return self.run("ovn-sbctl", "--timeout=30", f"--db={self.south}", *arguments).stdout.strip()


class OpenVSwitch(Daemons):
    """A host of userspace Open vSwitch, which has the underlay device. The address is on its bridge."""

    def __init__(self, lab, switch, name, number, release=INSTALLED):
        self.address = f"192.0.2.{number}"
        namespace = lab.namespace(name)
        switch.connect(namespace, "u0", name)
        # Its packet socket knows no offloads.
        like_a_wire(switch.namespace, name)
        super().__init__(namespace, release)
        self.socket, _ = self.database("conf", "vswitch")
        self.vsctl("--no-wait", "init")
        self.start("vswitchd", "ovs-vswitchd", self.socket, "--disable-system",
                   f"--unixctl={self.directory}/vswitchd.ctl")
        self.vsctl("add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
                   f"other_config:hwaddr={namespace.mac('u0')}", "fail_mode=standalone", "--", "add-port", "br-phy", "u0")
        namespace.ip(f"address add {self.address}/24 dev br-phy")
        namespace.ip("link set br-phy mtu 1600 up")

    def vsctl(self, *arguments, **options):
        return self.run("ovs-vsctl", "--timeout=30", f"--db={self.socket}", *arguments, **options)


class BFDPeer(OpenVSwitch):
    """A VTEP of Open vSwitch with BFD towards 192.0.2.1."""

    def __init__(self, lab, switch, number, key):
        super().__init__(lab, switch, f"ovs{number}", number)
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "--", "add-port", "br0", "vx", "--",
                   "set", "interface", "vx", "type=vxlan", "options:remote_ip=192.0.2.1", f"options:key={key}")
        self.set(enable="true", min_rx=BFD_MILLISECONDS, min_tx=BFD_MILLISECONDS)

    def set(self, **parameters):
        self.vsctl("set", "interface", "vx", *(f"bfd:{key}={value}" for key, value in parameters.items()))

    def status(self):
        text = self.vsctl("get", "interface", "vx", "bfd_status").stdout.strip().strip("{}")
        return dict((key, value.strip('"')) for key, value in (pair.split("=", 1) for pair in text.split(", ") if "=" in pair))

    def link(self, state):
        self.namespace.ip(f"link set u0 {state}")


class Hypervisor(OpenVSwitch):
    """An Open vSwitch that OVN controls."""

    def __init__(self, lab, switch, number, release=INSTALLED):
        super().__init__(lab, switch, f"ovn{number}", number, release)
        namespace = self.namespace
        settings = {"system-id": namespace.name, "ovn-remote": f"tcp:{CENTRAL}:6642", "ovn-encap-type": "geneve,vxlan",
                    "ovn-encap-ip": self.address, "ovn-bridge-datapath-type": "netdev", "ovn-bridge": "br-int"}
        self.vsctl("set", "Open_vSwitch", ".", *(f"external_ids:{key}={value}" for key, value in settings.items()))
        self.start("ovn-controller", "ovn-controller", self.socket)
        wait_until(lambda: self.vsctl("br-exists", "br-int", check=False).returncode == 0, f"{namespace.name} has its bridge")

    def attach(self, guest, port):
        """Attaches a guest as logical port `port`."""
        device = f"t{guest.name}"
        veth(guest.namespace, "eth0", self.namespace, device)
        self.namespace.ip(f"link set {device} up")
        guest.use("eth0", 1450)
        self.vsctl("add-port", "br-int", device, "--", "set", "Interface", device, f"external_ids:iface-id={port}")


class Gateway(Daemons):
    """The components beside the switch under test: its database and ovn-controller-vtep."""

    def __init__(self, namespace, release=INSTALLED):
        super().__init__(namespace, release)
        self.remote, self.server = self.database("vtep", "vtep")
        self.controller = None

    def start_server(self):
        self.server = self.start("vtep", "ovsdb-server", f"--unixctl={self.directory}/vtep.ctl",
                                 f"--remote=punix:{self.directory}/vtep.sock", self.directory / "vtep.db")

    def start_controller(self):
        self.controller = self.start("controller", "ovn-controller-vtep", f"--vtep-db={self.remote}", f"--ovnsb-db=tcp:{CENTRAL}:6642")

    def exit_controller(self):
        """The orderly stop: `ovn-appctl exit`. A signal leaves everything as it is."""
        self.run("ovs-appctl", "-t", f"{self.directory}/ovn-controller-vtep.{self.controller.pid}.ctl", "exit")
        self.controller.wait(30)

    def vtep_ctl(self, *arguments, **options):
        return self.run("vtep-ctl", "--timeout=30", f"--db={self.remote}", *arguments, **options).stdout.strip()

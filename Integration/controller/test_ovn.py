"""The whole chain with OVN: vtepd takes the place of ovs-vtep, without changes in OVN. A virtual machine on an OVN hypervisor
reaches a bare-metal host behind vtepd, and vice versa. With OVN of Debian 12 (23.03) and, the tests that depend on its behaviour, with
OVN 26.03 and Open vSwitch 4.0 of Debian sid."""
import signal

import pytest

from lab import Capture, EchoStream, Guest, Switch, UnderlayHost, Vtepd, wait_until
from lab.controlled import FIRST_LOCAL
from lab.hosts import like_a_wire
from lab.ovn import INSTALLED, Central, Gateway, Hypervisor, Release


class OVN:
    """Two hypervisors with one guest each, and a gateway with a bare-metal host, all on logical switch sw0."""

    def __init__(self, lab, release):
        self.switch = Switch(lab)
        self.central = Central(lab, self.switch, release)
        self.host = UnderlayHost(lab, self.switch, 1, "gw")
        like_a_wire(self.host.namespace, "u0")  # packets are counted there
        self.hypervisors = [Hypervisor(lab, self.switch, number, release) for number in (2, 3)]
        self.guests = [Guest(lab, f"vm{number}", number) for number in (2, 3)]
        self.server = Guest(lab, "srv", 9)
        self.server.attach_veth(self.host.namespace, "tsrv", 1450)
        self.central.nbctl("ls-add", "sw0")
        for guest in self.guests:
            self.central.nbctl("lsp-add", "sw0", guest.name, "--", "lsp-set-addresses", guest.name, f"{guest.mac} {guest.ipv4}")
        self.central.nbctl(
            "lsp-add", "sw0", "sw0-vtep", "--", "lsp-set-type", "sw0-vtep", "vtep", "--", "lsp-set-options", "sw0-vtep",
            "vtep-physical-switch=ps0", "vtep-logical-switch=ls0", "--", "lsp-set-addresses", "sw0-vtep", "unknown")
        for hypervisor, guest in zip(self.hypervisors, self.guests):
            hypervisor.attach(guest, guest.name)
        self.gateway = Gateway(self.host.namespace, release)
        self.daemon = Vtepd(self.host.namespace, {
            "name": "ps0",
            "underlay": {"addresses": [self.host.ipv4], "device": "u0"},
            "ports": [{"name": "tsrv", "kind": "netdev", "device": "tsrv"}],
            "ovsdb": {"remotes": [self.gateway.remote]},
        }).start()
        wait_until(lambda: self.gateway.vtep_ctl("list-ports", "ps0", check=False) == "tsrv", "the switch has registered")
        self.gateway.start_controller()

    def bind(self, vlan=0):
        self.gateway.vtep_ctl("add-ls", "ls0", "--", "bind-ls", "ps0", "tsrv", vlan, "ls0")

    def wait_pings(self):
        for guest in self.guests:
            guest.wait_ping(self.server.ipv4, 60)
            self.server.wait_ping(guest.ipv4, 60)


@pytest.fixture
def ovn(lab, request):
    release = Release.newer() if getattr(request, "param", "installed") == "sid" else INSTALLED
    return OVN(lab, release)


both_releases = pytest.mark.parametrize("ovn", ["installed", "sid"], indirect=True)


@pytest.mark.quick
@both_releases
def test_virtual_machines_reach_bare_metal(ovn):
    ovn.bind()
    capture = Capture(ovn.host.namespace, "u0", "udp port 4789")
    ovn.wait_pings()
    for guest in ovn.guests:
        assert guest.ping(ovn.server.ipv4, 3, 1, 1400) == 3
    # OVN has announced its machines and how to replicate.
    macs = ovn.daemon.macs()
    for guest, hypervisor in zip(ovn.guests, ovn.hypervisors):
        assert (macs[guest.mac]["type"], macs[guest.mac]["vtep"]) == ("controller", hypervisor.address)
    row = ovn.daemon.ctl("show", "vnis")[0]
    key = int(ovn.gateway.vtep_ctl("get", "Logical_Switch", "ls0", "tunnel_key"))
    assert (row["vni"], row["source"], sorted(row["peers"])) == (key, "ovsdb", ["192.0.2.2", "192.0.2.3"])
    assert {row[0] for row in capture.fields("vxlan.vni", only="vxlan")} == {str(key)}
    # And we have announced ours.
    wait_until(lambda: ovn.server.mac in ovn.gateway.vtep_ctl("list-local-macs", "ls0"), "the host's address is published")
    assert ovn.central.sbctl("--columns=name", "--bare", "find", "chassis", "name=ps0") == "ps0"


def test_virtual_machine_comes_moves_and_goes(ovn):
    ovn.bind()
    ovn.wait_pings()
    first, second = ovn.hypervisors
    mac = "02:00:00:00:00:77"
    ovn.central.nbctl("lsp-add", "sw0", "vm7", "--", "lsp-set-addresses", "vm7", f"{mac} 10.0.0.77")

    def vtep():
        return ovn.daemon.macs().get(mac, {}).get("vtep")

    first.vsctl("add-port", "br-int", "dummy7", "--", "set", "Interface", "dummy7", "type=internal", "external_ids:iface-id=vm7")
    wait_until(lambda: vtep() == first.address, lambda: f"{mac} is behind {first.address}, not {vtep()}")
    first.vsctl("del-port", "br-int", "dummy7")
    second.vsctl("add-port", "br-int", "dummy7", "--", "set", "Interface", "dummy7", "type=internal", "external_ids:iface-id=vm7")
    wait_until(lambda: vtep() == second.address, lambda: f"{mac} is behind {second.address}, not {vtep()}")
    ovn.central.nbctl("lsp-del", "vm7")
    wait_until(lambda: vtep() is None, lambda: f"{mac} is gone, not {vtep()}")


def tunnelled(capture):
    """The numbers of an EchoStream's requests that left in a tunnel."""
    return {int(number) for number, in capture.fields("icmp.seq", only="vxlan && icmp.type == 8")}


@both_releases
def test_everything_is_killed(ovn):
    """Under traffic nothing is lost while the controller and the database are killed and restarted, in either order; forwarding
    also continues across a restart of vtepd without them."""
    ovn.bind()
    ovn.wait_pings()
    state = ovn.daemon.directory / "state/controller-state"
    wait_until(lambda: state.exists() and ovn.guests[0].mac in state.read_text(), "the state is kept")
    capture = Capture(ovn.host.namespace, "u0", "udp port 4789")
    stream = EchoStream(ovn.server, ovn.guests[0].mac, ovn.guests[0].ipv4, rate=100)
    try:
        for controller, database in ((True, True), (False, True), (True, False)):
            connects = ovn.daemon.log().count("is replicated")
            for process in ([ovn.gateway.controller] if controller else []) + ([ovn.gateway.server] if database else []):
                process.send_signal(signal.SIGKILL)
                process.wait()
                stream.wait_answers(50)
            if database:
                ovn.gateway.start_server()
                wait_until(lambda: ovn.daemon.log().count("is replicated") > connects, lambda: f"vtepd is back:\n{ovn.daemon.log()[-2000:]}")
            if controller:
                ovn.gateway.start_controller()
            stream.wait_answers(100)
    finally:
        stream.stop()
    left = tunnelled(capture)
    assert sorted(set(range(min(left), max(left))) - left) == [] and len(left) > 400
    assert set(range(min(left), max(left) - 20)) <= stream.answered
    for process in (ovn.gateway.controller, ovn.gateway.server):
        process.send_signal(signal.SIGKILL)
        process.wait()
    ovn.daemon.kill()
    ovn.daemon.start()
    ovn.wait_pings()
    ovn.gateway.start_server()
    ovn.gateway.start_controller()
    ovn.daemon.wait_ovsdb()
    ovn.wait_pings()
    # The chain works again.
    ovn.central.nbctl("lsp-set-addresses", ovn.guests[0].name, f"02:00:00:00:00:78 {ovn.guests[0].ipv4}")
    wait_until(lambda: "02:00:00:00:00:78" in ovn.daemon.macs(), lambda: f"a change arrives: {ovn.daemon.macs()}")


@both_releases
def test_controller_is_restarted(ovn):
    """When it stops, it withdraws everything in many transactions; when it starts, it sends it again. We lose nothing. Losses on
    the hypervisors, where OVN removes and re-creates the tunnel to us, are their own."""
    ovn.bind()
    ovn.wait_pings()
    capture = Capture(ovn.host.namespace, "u0", "udp port 4789")
    stream = EchoStream(ovn.server, ovn.guests[0].mac, ovn.guests[0].ipv4, rate=100)
    try:
        stream.wait_answers(50)
        ovn.gateway.exit_controller()
        assert ovn.gateway.vtep_ctl("list-remote-macs", "ls0").count("->") == 0
        wait_until(lambda: ovn.daemon.ovsdb()["held"], lambda: f"the network is held:\n{ovn.daemon.log()[-2000:]}")
        ovn.gateway.start_controller()
        wait_until(lambda: all(guest.mac in ovn.gateway.vtep_ctl("list-remote-macs", "ls0") for guest in ovn.guests), "it has said all again")
        stream.wait_answers(200)
        wait_until(lambda: not ovn.daemon.ovsdb()["held"], "nothing is held any more")
        stream.wait_answers(100)
    finally:
        stream.stop()
    left = tunnelled(capture)
    missing = sorted(set(range(min(left), max(left))) - left)
    assert len(missing) < 5 and len(left) >= 350, f"lost: {missing}"


def test_key_of_a_deleted_network_is_reused(ovn):
    ovn.bind()
    ovn.wait_pings()
    key = ovn.gateway.vtep_ctl("get", "Logical_Switch", "ls0", "tunnel_key")
    ovn.central.nbctl("lsp-del", "sw0-vtep")
    wait_until(lambda: ovn.gateway.vtep_ctl("get", "Logical_Switch", "ls0", "tunnel_key") == "0", "the key is withdrawn")
    wait_until(lambda: ovn.daemon.ovsdb()["held"], lambda: f"the network is held:\n{ovn.daemon.log()[-2000:]}")
    # Another network gets the key, with the gateway's other VLAN.
    ovn.central.nbctl("ls-del", "sw0")
    ovn.central.nbctl("ls-add", "sw1", "--", "set", "Logical_Switch", "sw1", f"other_config:requested-tnl-key={key}")
    ovn.central.nbctl(
        "lsp-add", "sw1", "sw1-vtep", "--", "lsp-set-type", "sw1-vtep", "vtep", "--", "lsp-set-options", "sw1-vtep",
        "vtep-physical-switch=ps0", "vtep-logical-switch=ls1", "--", "lsp-set-addresses", "sw1-vtep", "unknown")
    ovn.gateway.vtep_ctl("add-ls", "ls1", "--", "bind-ls", "ps0", "tsrv", 100, "ls1")
    wait_until(lambda: ovn.gateway.vtep_ctl("get", "Logical_Switch", "ls1", "tunnel_key") == key, "the key is given on")
    wait_until(lambda: [(row["vlan"], row["vni"]) for row in ovn.daemon.ctl("show", "bindings") if row["vni"] < FIRST_LOCAL] == [(100, int(key))],
               lambda: f"only the new network is bound: {ovn.daemon.ctl('show', 'bindings')}")
    capture = Capture(ovn.host.namespace, "u0", "udp port 4789")
    assert ovn.server.ping(ovn.guests[0].ipv4, 3) == 0
    assert capture.fields("vxlan.vni", only="vxlan") == [] and "ls0" not in {row["logical_switch"] for row in ovn.daemon.ovsdb()["held"]}


def test_both_families(lab):
    """Of two addresses in tunnel_ips OVN uses the first in text order; so there is only one."""
    switch = Switch(lab)
    host = UnderlayHost(lab, switch, 1, "gw")
    central = Central(lab, switch)
    gateway = Gateway(host.namespace)
    daemon = Vtepd(host.namespace, {
        "name": "ps0", "underlay": {"addresses": ["2001:db8::1", host.ipv4], "device": "u0"},
        "ovsdb": {"remotes": [gateway.remote]},
    }).start()
    wait_until(lambda: gateway.vtep_ctl("list-ps", check=False) == "ps0", "the switch has registered")
    gateway.start_controller()

    def encapsulation():
        return central.sbctl("--columns=ip", "--bare", "find", "encap", "chassis_name=ps0")

    wait_until(lambda: encapsulation() == host.ipv4, lambda: f"hypervisors get {host.ipv4}: {encapsulation()}")
    daemon.config["ovsdb"]["tunnel-address"] = "2001:db8::1"
    daemon.reload("configuration reloaded")
    wait_until(lambda: encapsulation() == "2001:db8::1", lambda: f"hypervisors get the other address: {encapsulation()}")

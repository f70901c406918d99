"""OpenStack's networking-l2gw 22.0.0, from the Python package index, manages vtepd: it writes an IP address with every MAC address and
never a flood set. So a bare-metal host that asks for a virtual machine is answered by vtepd."""
import os
import re
import shutil
import signal

import pytest

from lab import Certificates, transact, vtep_ctl, wait_until
from lab.controlled import VNI, ControlledSite
from lab.hosts import Guest
from lab.l2gw import NAME, L2GatewayAgent

NETWORKS = {"net-a": VNI, "net-b": VNI + 1}
REMOTES = {"tcp": "ptcp:6640:127.0.0.1", "ssl": "pssl:6640:127.0.0.1"}


class OpenStackSite(ControlledSite):
    """vtepd serves its own database. Network A: `bm` untagged on p1, and `vm` behind hv2; network B: `other` in VLAN 100 of p2, and `other_vm`
    behind hv3."""

    def __init__(self, lab, remote):
        super().__init__(lab, kernels=2, ports=2, start=False)
        self.other = self.locals[1].tag(100)
        self.other_vm = Guest(lab, "vm-b", 53, subnet=1)
        self.other.namespace.ip("address add 10.0.1.102/24 dev vlan100")
        self.kernels[1].vxlan(VNI + 1, remotes=[self.host.ipv4])
        self.kernels[1].add_guest(self.other_vm, VNI + 1)
        options = {"ovsdb_hosts": f"{NAME}:127.0.0.1:6640", "periodic_interval": 2, "max_connection_retries": 1}
        self.daemon.config["ovsdb"] = {}
        if remote == "ssl":
            pki = Certificates(lab)
            pki.self_signed("ca")
            pki.issue("switch", extensions="subjectAltName=IP:127.0.0.1")
            pki.issue("agent")
            self.daemon.config["ovsdb"] = pki.keys("switch")
            for source, suffix in (("agent.key", "key"), ("agent.pem", "cert"), ("ca.pem", "ca_cert")):
                shutil.copy(pki.path(source), pki.path(f"{NAME}.{suffix}"))
            for kind in ("priv_key", "cert", "ca_cert"):
                options[f"l2_gw_agent_{kind}_base_path"] = str(pki.directory)
        self.daemon.write_config()
        self.daemon.start()
        self.daemon.wait_ports_up()
        self.socket = f"unix:{self.daemon.directory}/run/db.sock"
        self.daemon.wait_ovsdb()
        wait_until(lambda: transact(self.socket, {"op": "select", "table": "Global", "where": []})[0]["rows"], "the switch is registered")
        vtep_ctl(self.socket, "set-manager", REMOTES[remote])
        wait_until(lambda: "6640" in self.host.namespace.run("ss", "-ltn").stdout, "the server listens")
        self.agent = L2GatewayAgent(self.host.namespace, options, {
            "networks": {name: {"id": name, "name": name, "provider:network_type": "vxlan", "provider:segmentation_id": vni}
                         for name, vni in NETWORKS.items()},
            "agents": [{"host": f"hv{host.number}", "configurations": {"tunneling_ip": host.ipv4, "tunnel_types": ["vxlan"], "l2_population": True}}
                       for host in self.kernels],
            "gateways": {name: {"id": name, "devices": [{"device_name": "hv1", "interfaces": [{"name": port}]}]}
                         for name, port in (("gw-a", "p1"), ("gw-b", "p2"))},
            "ports": [port(self.vm, "net-a", "hv2"), port(self.other_vm, "net-b", "hv3")],
            "connections": []}).start()

    def answers(self, vni=VNI):
        return next((row["neighbor_answers"] for row in self.daemon.ctl("show", "vnis") if row["vni"] == vni), 0)

    def expect_asked(self, bm, vm, vni=VNI, target=None):
        """The bare-metal host asks first, and the virtual machine answers; then the other way round."""
        target = target or vm.ipv4
        before = self.answers(vni)
        for guest in (bm, vm):
            guest.forget_neighbors()
        bm.wait_ping(target)
        assert self.answers(vni) > before
        for guest in (bm, vm):
            guest.forget_neighbors()
        vm.wait_ping("10.0.1.102" if vni != VNI else bm.ipv4)


def port(guest, network, host):
    return {"id": guest.name, "network_id": network, "device_owner": "compute:nova", "mac_address": guest.mac, "binding:host_id": host,
            "fixed_ips": [{"ip_address": guest.ipv4}]}


@pytest.fixture
def site(lab, request):
    site = OpenStackSite(lab, request.param)
    yield site
    for process in (site.agent.process,):
        if process and process.poll() is None:
            process.kill()


@pytest.mark.parametrize("site", REMOTES, indirect=True)
def test_gateways_and_addresses(site):
    agent, third = site.agent, site.guests[1]
    agent.wait_ports("p1", "p2")
    assert site.bm.ping(site.vm.ipv4) == 0
    agent("connect", {"id": "a", "l2_gateway_id": "gw-a", "network_id": "net-a", "segmentation_id": "0"})
    site.wait_mac(site.vm.mac, vtep="192.0.2.2", type="controller")
    site.expect_asked(site.bm, site.vm)
    agent("connect", {"id": "b", "l2_gateway_id": "gw-b", "network_id": "net-b", "segmentation_id": "100"})
    site.wait_mac(site.other_vm.mac, vtep="192.0.2.3")
    site.expect_asked(site.other, site.other_vm, VNI + 1)
    neighbors = {row["address"]: row for row in site.daemon.ctl("show", "neighbors", "--vni", str(VNI))}
    assert neighbors[site.vm.ipv4]["mac"] == site.vm.mac and "controller" in neighbors[site.vm.ipv4]["sources"]
    # A new virtual machine; it leaves again.
    assert site.bm.ping(third.ipv4) == 0
    agent("add_port", port(third, "net-a", "hv3"))
    site.wait_mac(third.mac, vtep="192.0.2.3")
    site.expect_asked(site.bm, third)
    # One moves, here only in the database: frames go where that says.
    agent("move_port", third.name, "hv2")
    site.wait_mac(third.mac, vtep="192.0.2.2")
    agent("move_port", third.name, "hv3")
    site.wait_mac(third.mac, vtep="192.0.2.3")
    site.expect_asked(site.bm, third)
    agent("delete_port", third.name)
    site.wait_mac(third.mac)
    wait_until(lambda: not site.daemon.ctl("show", "neighbors", "--address", third.ipv4)
               or "controller" not in site.daemon.ctl("show", "neighbors", "--address", third.ipv4)[0]["sources"],
               "the address is gone with it")
    assert site.bm.ping(site.vm.ipv4)
    # The local addresses got to the plugin.
    wait_until(lambda: site.bm.mac in {row["mac"] for row in agent("tables")["UcastMacsLocals"]}, lambda: f"{agent('tables')}")
    agent("disconnect", "a")
    wait_until(lambda: {row["port"] for row in site.daemon.ctl("show", "bindings")} == {"p2"}, "the binding is gone")
    assert site.bm.ping(site.vm.ipv4) == 0 and site.other.ping(site.other_vm.ipv4) == 1
    assert site.daemon.ovsdb()["faults"] == []


@pytest.mark.parametrize("site", ["tcp"], indirect=True)
def test_agent_and_server_restart_under_traffic(site):
    agent = site.agent
    agent.wait_ports("p1", "p2")
    agent("connect", {"id": "a", "l2_gateway_id": "gw-a", "network_id": "net-a", "segmentation_id": "0"})
    site.wait_mac(site.vm.mac, vtep="192.0.2.2")
    site.expect_asked(site.bm, site.vm)
    pings = [guest.namespace.popen("ping", "-n", "-q", "-i", "0.02", target, stdout=-1, text=True)
             for guest, target in ((site.bm, site.vm.ipv4), (site.vm, site.bm.ipv4))]
    agent.kill()
    agent.world["connections"] = [{"id": "a", "l2_gateway_id": "gw-a", "network_id": "net-a", "segmentation_id": 0}]
    agent.start().wait_ports("p1", "p2")
    pid = int((site.daemon.directory / "run/ovsdb-server.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: int((site.daemon.directory / "run/ovsdb-server.pid").read_text() or 0) != pid, "another server runs")
    site.daemon.wait_ovsdb()
    agent.kill()
    agent.start().wait_ports("p1", "p2")
    # It manages as before, and whoever asks anew is answered.
    agent("add_port", port(site.guests[1], "net-a", "hv3"))
    site.wait_mac(site.guests[1].mac, vtep="192.0.2.3")
    site.expect_asked(site.bm, site.guests[1])
    for ping in pings:
        ping.send_signal(signal.SIGINT)
        text = ping.communicate()[0]
        sent, received = (int(number) for number in re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
        # The last one may be on its way.
        assert sent > 100 and sent - received <= 1, text

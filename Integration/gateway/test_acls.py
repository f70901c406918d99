"""Access control lists: from the file, at run time and from a controller, with real hosts on both sides of the filters."""
import contextlib
import socket

import pytest

from lab import Site, wait_until
from lab.controlled import ControlledSite
from lab.daemon import Refused
from lab.exchange import exchange
from lab.hosts import Guest
from lab.site import VNI


class Service:
    """TCP and UDP services of a guest; the kernel answers connections."""

    def __init__(self, guest, *ports):
        self.guest = guest
        with guest.namespace.entered():
            self.tcp = [socket.create_server((guest.ipv4, port)) for port in ports]
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind((guest.ipv4, 53))
            self.udp.settimeout(0.3)

    def is_reached(self, client, port, seconds=1.0):
        with client.namespace.entered():
            connection = socket.socket()
        with contextlib.closing(connection):
            connection.settimeout(seconds)
            try:
                connection.connect((self.guest.ipv4, port))
            except OSError:
                return False
            return True

    def wait_reached(self, client, port):
        wait_until(lambda: self.is_reached(client, port), f"{client.name} reaches port {port} of {self.guest.name}")

    def hears(self, client, count=3):
        """Whether datagrams from a client arrive."""
        with client.namespace.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(count):
            sender.sendto(b"question", (self.guest.ipv4, 53))
        sender.close()
        try:
            return self.udp.recv(100) == b"question"
        except TimeoutError:
            return False


def matched(daemon, name, direction, sequence):
    """Packets that an entry has decided about."""
    acl, = daemon.ctl("show", "acls", "--name", name)
    entry, = (row for row in acl["entries"] if row["direction"] == direction and row["sequence"] == sequence)
    return entry["packets"]


def test_lists_of_the_file_and_at_run_time(lab):
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, vm1 = site.daemons[0], site.guests[0]
    vm9 = Guest(lab, "vm9", 9).attach_veth(site.hosts[0].namespace, "port9")
    daemon.config["acls"] = [{"name": "clients", "entries": [
        {"sequence": 10, "direction": "ingress", "action": "deny", "protocol": "tcp", "destination-ports": 22},
        {"sequence": 20, "direction": "ingress", "action": "deny", "protocol": "icmpv6", "icmp-type": 128},
        {"sequence": 30, "direction": "ingress", "action": "permit", "source-ip": "10.0.0.0/24"},
    ]}]
    daemon.config["ports"][0]["acl"] = "clients"
    daemon.config["ports"].append({"name": "vm9", "kind": "netdev", "device": "port9", "vni": VNI})
    daemon.write_config()
    site.start()
    daemon.wait_ports_up()
    service = Service(vm9, 22, 80)
    vm1.wait_ping(vm9.ipv4)
    service.wait_reached(vm1, 80)
    before = matched(daemon, "clients", "ingress", 10)
    assert not service.is_reached(vm1, 22)
    assert matched(daemon, "clients", "ingress", 10) > before and matched(daemon, "clients", "ingress", 30) > 0
    wait_until(lambda: vm1.ping(vm9.ipv6) == 0 and matched(daemon, "clients", "ingress", 20) > 0,
               "neighbour discovery passes, echo requests do not")
    assert {row["reason"] for row in daemon.ctl("show", "drops") if row["where"] == "vm1"} >= {"acl-denied-ingress"}
    # The other direction of the same port is not filtered: neither requests to it, nor its answers.
    Service(vm1, 22).wait_reached(vm9, 22)
    # Large segments pass in one piece, both ways.
    exchange(vm1, vm9, vm9.ipv4)

    # At run time: datagrams to vm9 are denied there; then to one VLAN only, which is not theirs.
    assert service.hears(vm1)
    daemon.ctl("acl", "add", "dns", "--direction", "egress", "--action", "deny", "--protocol", "udp", "--destination-ports", "53")
    daemon.ctl("acl", "bind", "dns", "--port", "vm9")
    while service.hears(vm1, 0):
        pass
    assert not service.hears(vm1) and matched(daemon, "dns", "egress", 10) >= 3
    assert {row["reason"] for row in daemon.ctl("show", "drops") if row["where"] == "vm9"} >= {"acl-denied-egress"}
    trace = daemon.ctl("trace", "--port", "vm1", "--src-mac", vm1.mac, "--dst-mac", vm9.mac, "--ipv4", f"{vm1.ipv4},{vm9.ipv4}",
                       "--udp", "4000,53")
    stages = [stage["facts"] for stage in trace["stages"] if stage["stage"] == "acl"]
    assert [(stage["acl"], stage["sequence"], stage["action"]) for stage in stages] == [("clients", 30, "permit"), ("dns", 10, "deny")]
    assert trace["outcome"] == "dropped" and trace["drops"][0]["reason"] == "acl-denied-egress"
    # A list that denies everything: trace ends there, and explain names the entry.
    daemon.ctl("acl", "add", "all", "--direction", "ingress", "--action", "deny")
    daemon.ctl("acl", "bind", "all", "--port", "vm9")
    text = daemon.table("trace", "--port", "vm9", "--src-mac", vm9.mac, "--dst-mac", vm1.mac)
    assert "ingress ACL all, entry 10: deny everything" in text and "\nchecks" not in text, text
    rows = daemon.ctl("explain", vm1.mac, "--vni", VNI, "--from-port", "vm9")["outcomes"]
    assert [row["text"] for row in rows] == ["acl-denied-ingress: ingress ACL all, entry 10: deny everything"]
    daemon.ctl("acl", "bind", "dns", "--port", "vm9")
    daemon.ctl("acl", "delete", "all")
    with pytest.raises(Refused, match="is bound to: vm9"):
        daemon.ctl("acl", "delete", "dns")
    daemon.ctl("acl", "unbind", "--port", "vm9")
    daemon.ctl("acl", "bind", "dns", "--port", "vm9", "--vlan", 7)
    assert wait_until(lambda: service.hears(vm1), "datagrams arrive again")
    assert "sequence: 10, direction: egress" in daemon.table("config", "show")

    # An entry that goes opens what it closed; the counters of the others stay.
    before = matched(daemon, "clients", "ingress", 30)
    daemon.ctl("acl", "delete", "clients", "--sequence", 10)
    service.wait_reached(vm1, 22)
    assert matched(daemon, "clients", "ingress", 30) > before
    with pytest.raises(Refused, match="ports need protocol"):
        daemon.ctl("acl", "add", "clients", "--direction", "ingress", "--action", "deny", "--destination-ports", "80")


def entry(sequence, direction="ingress", action="deny", **columns):
    return {"op": "insert", "table": "ACL_entry", "uuid-name": f"e{sequence}",
            "row": {"sequence": sequence, "direction": direction, "action": action, **columns}}


def test_lists_of_a_controller(lab):
    site = ControlledSite(lab)
    site.connect()
    site.vm.wait_ping(site.bm.ipv4)
    service = Service(site.vm, 22, 80)
    service.wait_reached(site.bm, 22)

    def bind(*names):
        """The list of p1; its entries by their names in the transaction."""
        site.server.transact(
            *names, {"op": "insert", "table": "ACL", "uuid-name": "acl",
                     "row": {"acl_name": "web", "acl_entries": ["set", [["named-uuid", name["uuid-name"]] for name in names]]}},
            {"op": "update", "table": "Physical_Port", "where": [["name", "==", "p1"]],
             "row": {"acl_bindings": ["map", [[0, ["named-uuid", "acl"]]]]}})

    def entry_faults():
        return {row["sequence"]: row["acle_fault_status"] for row in site.rows("ACL_entry", "sequence", "acle_fault_status")}

    def list_fault():
        return [row["acl_fault_status"] for row in site.rows("ACL", "acl_fault_status")]

    bind(entry(10, protocol=6, dest_port_min=22, dest_port_max=22),
         entry(20, "egress", protocol=1, icmp_type=8, source_ip="10.0.0.0", source_mask="255.0.0.0"),
         entry(30, source_ip="nonsense"))
    # Ingress is from the port into the logical switch, egress towards the port. What cannot be is left out, and told in its own row.
    wait_until(lambda: not service.is_reached(site.bm, 22), lambda: f"the list is in force:\n{site.daemon.log()[-3000:]}")
    service.wait_reached(site.bm, 80)
    assert site.vm.ping(site.bm.ipv4) == 0 and site.bm.ping(site.vm.ipv4) == 1
    wait_until(lambda: list_fault() == ["invalid_acl"], lambda: f"the list has a fault: {list_fault()}")
    assert entry_faults() == {10: ["set", []], 20: ["set", []], 30: "invalid_acl_entry"}
    assert site.faults() == set() and site.faults("Physical_Port", "port_fault_status", "p1") == set()
    assert any("ACL 'web', entry 30: source_ip" in text for text in site.daemon.ovsdb()["faults"])
    acl, = site.daemon.ctl("show", "acls")
    assert acl["source"] == "ovsdb" and acl["bindings"] == [{"port": "p1", "vlan": None}] and matched(site.daemon, "web", "egress", 20) > 0
    site.server.transact({"op": "update", "table": "ACL_entry", "where": [["sequence", "==", 30]], "row": {"source_ip": "10.0.0.9"}})
    wait_until(lambda: list_fault() == [["set", []]] and entry_faults()[30] == ["set", []], lambda: f"the faults are cleared: {entry_faults()}")

    # Without the controller, after a restart, nothing passes unfiltered.
    wait_until(lambda: "filter 0 0 p1" in (site.daemon.directory / "state" / "controller-state").read_text(), "the state is saved")
    site.server.kill()
    site.daemon.stop()
    site.daemon.start()
    site.daemon.wait_ports_up()
    service.wait_reached(site.bm, 80)
    assert not service.is_reached(site.bm, 22)
    site.server.start()

    # Unbound: everything passes, and the list's row is gone with it.
    site.server.transact({"op": "update", "table": "Physical_Port", "where": [["name", "==", "p1"]], "row": {"acl_bindings": ["map", []]}},
                         {"op": "delete", "table": "ACL", "where": []}, {"op": "delete", "table": "ACL_entry", "where": []})
    service.wait_reached(site.bm, 22)
    wait_until(lambda: site.daemon.ctl("show", "acls") == [], "no list is left")

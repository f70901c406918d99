"""Incomplete bindings by the controller: what is missing is reported to the operator and the controller, and the printed remedy
works."""
import re
import shlex

import pytest

from lab import Capture, EchoStream, wait_until
from lab.controlled import ControlledSite
from lab.frames import udp_flow
from lab.namespaces import run


@pytest.fixture
def site(lab):
    return ControlledSite(lab, ports=2)


def told(site):
    return site.daemon.ovsdb()["faults"]


def port_faults(site, port="p1"):
    return site.faults("Physical_Port", "port_fault_status", port)


def test_logical_switch_without_key(site):
    site.ctl("add-ls", "ls0", "--", "bind-ls", "hv1", "p1", 0, "ls0", "--", "bind-ls", "hv1", "p2", 100, "ls0")
    text = wait_until(lambda: told(site), lambda: f"the operator gets the report:\n{site.daemon.log()[-2000:]}")[0]
    assert text.startswith("port p1: VLAN 0 is bound to logical switch 'ls0', which has no tunnel_key: bridged between local ports only")
    assert text in site.daemon.log() and text in site.daemon.table("show", "ovsdb")
    # It connects local ports, and nobody else; that is no fault: a controller stops using what has one.
    other = site.locals[1].tag(100)
    site.bm.wait_ping(other.ipv4)
    [row] = site.daemon.ctl("show", "vnis")
    assert row["logical_switch"] == "ls0" and row["flood"] == "none" and row["vni"] >= 0xF00000
    assert site.faults() == set() and port_faults(site, "p1") == set()
    assert site.local_macs() == {}
    command = re.search(r"\((vtep-ctl .*)\)", text).group(1).replace("=VNI", "=5000")
    site.ctl(*shlex.split(command)[1:])
    site.wait_vni()
    wait_until(lambda: told(site) == [], lambda: f"no reports are left: {told(site)}")
    assert "resolved: port p1" in site.daemon.log()
    site.bm.wait_ping(other.ipv4)


def test_keys_of_locators(lab):
    """The other model of vtep(5), one key per logical switch and locator: the kernel's hosts receive on 7002 and 7003, and send with ours."""
    site = ControlledSite(lab, kernels=2)
    for number, (host, guest) in enumerate(zip(site.kernels, site.guests), 2):
        # Static entries: what is learned has no VNI of its own.
        key = 7000 + number
        host.vxlan(key, options="nolearning")
        host.namespace.ip(f"link set g-{guest.name} master br{key}")
        run("bridge", "-n", host.namespace.full_name, "fdb", "append", "00:00:00:00:00:00", "dev", f"vx{key}", "dst", site.host.ipv4, "vni", 6000)
    site.ctl("add-ls", "ls0", "--", "set", "Logical_Switch", "ls0", "replication_mode=source_node", "--", "bind-ls", "hv1", "p1", 0, "ls0")
    switch = site.rows("Logical_Switch")[0]["_uuid"]

    def locator(name, ip, key):
        return {"op": "insert", "table": "Physical_Locator", "uuid-name": name,
                "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": ip, "tunnel_key": key}}

    members = [locator("own", site.host.ipv4, 6000), locator("k2", "192.0.2.2", 7002), locator("k3", "192.0.2.3", 7003)]
    site.server.transact(
        *members,
        {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "all",
         "row": {"locators": ["set", [["named-uuid", name] for name in ("own", "k2", "k3")]]}},
        {"op": "insert", "table": "Mcast_Macs_Remote",
         "row": {"MAC": "UNKNOWN-DST", "logical_switch": switch, "locator_set": ["named-uuid", "all"]}},
        *({"op": "insert", "table": "Ucast_Macs_Remote",
           "row": {"MAC": guest.mac.upper(), "logical_switch": switch, "locator": ["named-uuid", name]}}
          for guest, name in zip(site.guests, ("k2", "k3"))))
    site.wait_vni(6000)
    for guest in site.guests:
        site.wait_mac(guest.mac, vtep=f"192.0.2.{guest.number}")
        site.bm.wait_ping(guest.ipv4)
        guest.forget_neighbors()
        guest.wait_ping(site.bm.ipv4)
    site.wait_local(site.bm.mac)
    keys = {row["_uuid"][1]: row["tunnel_key"] for row in site.rows("Physical_Locator", "tunnel_key")}
    assert {keys[row["locator"][1]] for row in site.rows("Ucast_Macs_Local", "locator")} == {6000}
    assert told(site) == [] and site.faults() == set()
    # A key changes under traffic: the kernel's host receives on both, and nothing is lost, of its traffic and of the other host's.
    host = site.kernels[0]
    host.namespace.ip(f"link add vx7012 type vxlan id 7012 dstport 4789 local {host.ipv4} nolearning")
    host.namespace.ip("link set vx7012 master br7002 up")
    run("bridge", "-n", host.namespace.full_name, "link", "set", "dev", "vx7012", "learning", "off")
    capture = Capture(site.host.namespace, "u0", f"udp port 4789 and src {site.host.ipv4} and dst {host.ipv4}")
    streams = [EchoStream(site.bm, guest.mac, guest.ipv4, rate=100) for guest in site.guests]
    try:
        for key, former in ((7012, 7002), (7002, 7012), (7012, 7002)):
            site.server.transact({"op": "update", "table": "Physical_Locator", "where": [["tunnel_key", "==", former]], "row": {"tunnel_key": key}})
            for stream in streams:
                stream.wait_answers(50)
    finally:
        for stream in streams:
            stream.stop()
    assert [stream.lost(0, stream.sent[max(stream.answered)]) for stream in streams] == [0, 0]
    assert {row[0] for row in capture.fields("vxlan.vni", only="vxlan && icmp")} == {"7002", "7012"}
    # The logical switch gets a key of its own, which counts from then on.
    site.ctl("set", "Logical_Switch", "ls0", "tunnel_key=5000")
    site.wait_vni(5000)
    site.wait_vni(6000, present=False)


def test_unbound_logical_switch_is_no_fault(site):
    site.ctl("add-ls", "ls0", "--", "add-ls", "ls1", "--", "set", "Logical_Switch", "ls1", "tunnel_key=5001")
    site.wait_vni(5001)
    assert told(site) == [] and site.faults() == set()


def test_drops_name_the_controllers_remedy(site):
    site.add_switch()
    site.wait_vni()
    raw = site.bm.namespace.raw_socket("eth0", receive=False)
    frame = udp_flow(site.bm.mac, "02:00:00:00:00:99", 1)
    raw.send(frame)
    raw.send(frame[:12] + b"\x81\x00\x00\x64" + frame[12:])

    def rows():
        return {row["reason"]: row["description"] for row in site.daemon.ctl("show", "drops")}

    wait_until(lambda: {"vlan-not-bound", "untagged-not-bound"} <= set(rows()), lambda: f"both are dropped: {rows()}")
    words = {"SWITCH": "hv1", "PORT": "p1", "VLAN": "100", "LOGICAL-SWITCH": "ls0"}
    for reason in ("vlan-not-bound", "untagged-not-bound"):
        text = rows()[reason]
        assert "controller must bind it" in text and "vlans" not in text
        command = re.search(r"\(vtep-ctl (bind-ls [^)]*)\)", text).group(1)
        site.ctl(*(words.get(word, word) for word in command.split()))
    wait_until(lambda: {(row["vlan"], row["vni"]) for row in site.daemon.ctl("show", "bindings")} == {(None, 5000), (100, 5000)},
               lambda: f"both are bound: {site.daemon.ctl('show', 'bindings')}")

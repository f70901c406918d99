"""Incomplete bindings by the controller: what is missing is reported to the operator and the controller, and the printed remedy
works."""
import re
import shlex

import pytest

from lab import wait_until
from lab.controlled import ControlledSite
from lab.frames import udp_flow


@pytest.fixture
def site(lab):
    return ControlledSite(lab, ports=2)


def told(site):
    return site.daemon.ovsdb()["faults"]


def port_faults(site, port="p1"):
    return site.faults("Physical_Port", "port_fault_status", port)


def test_logical_switch_without_key(site):
    site.ctl("add-ls", "ls0", "--", "bind-ls", "hv1", "p1", 100, "ls0")
    text = wait_until(lambda: told(site), lambda: f"the operator gets the report:\n{site.daemon.log()[-2000:]}")[0]
    assert text.startswith("port p1: VLAN 100 is bound to logical switch 'ls0', which has no tunnel_key;")
    assert text in site.daemon.log() and text in site.daemon.table("show", "ovsdb")
    # Only the port concerned: a controller stops using a switch that has a fault.
    site.wait_faults({"unspecified_fault"}, "Physical_Port", "port_fault_status", "p1")
    assert site.faults() == set() and port_faults(site, "p2") == set()
    command = re.search(r"\((vtep-ctl .*)\)", text).group(1).replace("=VNI", "=5000")
    site.ctl(*shlex.split(command)[1:])
    site.wait_vni()
    wait_until(lambda: told(site) == [], lambda: f"no reports are left: {told(site)}")
    site.wait_faults(set(), "Physical_Port", "port_fault_status", "p1")
    assert "resolved: port p1" in site.daemon.log()


def test_locator_keys_do_not_replace_the_missing_key(site):
    """The other model of vtep(5), one key per logical switch and locator."""
    site.ctl("add-ls", "ls0", "--", "bind-ls", "hv1", "p1", 0, "ls0")
    switch = site.rows("Logical_Switch")[0]["_uuid"]
    site.server.transact(
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "l",
         "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.2", "tunnel_key": 7000}},
        {"op": "insert", "table": "Ucast_Macs_Remote",
         "row": {"MAC": "02:00:00:00:00:99", "logical_switch": switch, "locator": ["named-uuid", "l"]}})
    wait_until(lambda: any("locators' tunnel keys do not replace it" in text for text in told(site)), lambda: f"it is reported: {told(site)}")
    assert site.daemon.ctl("show", "vnis") == [] and site.faults() == set()
    # They count once the logical switch has a key.
    site.ctl("set", "Logical_Switch", "ls0", "tunnel_key=5000")
    site.wait_mac("02:00:00:00:00:99", vtep="192.0.2.2")
    wait_until(lambda: told(site) == [], lambda: f"no reports are left: {told(site)}")


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

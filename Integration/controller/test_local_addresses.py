"""What the switch writes: local addresses within a second, removed with their port or binding; flood sets, counters; and nothing if
nothing has changed."""
import time

from lab import Vtepd, wait_until
from lab.controlled import VNI, ControlledSite
from lab.frames import ethernet, mac_number


def test_addresses_appear_within_a_second_and_go_with_the_binding(lab):
    site = ControlledSite(lab, ports=2)
    site.connect()
    site.ctl("bind-ls", "hv1", "p2", 0, "ls0")
    site.wait_vni()
    wait_until(lambda: len(site.daemon.ctl("show", "bindings")) == 2, "both ports are bound")
    raw = site.bm.namespace.raw_socket("eth0")
    best = None
    for attempt in range(5):
        mac = mac_number(1000 + attempt)
        start = time.monotonic()
        raw.send(ethernet(mac))
        site.wait_local(mac)
        best = min(best or 99, time.monotonic() - start)
    # The required time; each look into the database starts a process, on a busy machine.
    assert best < 1.0
    # With the IP address from its ARP.
    site.locals[1].ping(site.bm.ipv4)
    wait_until(lambda: site.local_macs().get(site.locals[1].mac) == site.locals[1].ipv4,
               lambda: f"{site.locals[1].mac} with its address: {site.local_macs()}")
    rows = site.rows("Ucast_Macs_Local", "locator")
    locators = {row["_uuid"][1]: row["dst_ip"] for row in site.rows("Physical_Locator", "dst_ip")}
    assert {locators[row["locator"][1]] for row in rows} == {"192.0.2.1"}
    floods = site.rows("Mcast_Macs_Local", "MAC", "ipaddr")
    assert [(row["MAC"], row["ipaddr"]) for row in floods] == [("unknown-dst", "")]

    site.ctl("unbind-ls", "hv1", "p1", 0)
    for attempt in range(5):
        site.wait_local(mac_number(1000 + attempt), present=False)
    assert site.locals[1].mac in site.local_macs()
    site.daemon.ctl("port", "delete", "p2")
    wait_until(lambda: site.local_macs() == {}, lambda: f"no address is left: {site.local_macs()}")
    wait_until(lambda: site.ctl("list-ports", "hv1").split() == ["p1"], "the port is gone from the database")
    wait_until(lambda: site.rows("Mcast_Macs_Local") == [], "nobody floods to us any more")
    site.daemon.ctl("port", "add", "--name", "p2", "--kind", "netdev", "--device", "port2")
    wait_until(lambda: site.ctl("list-ports", "hv1").split() == ["p1", "p2"], "the port is back")


def test_configured_addresses_are_published(lab):
    """Those of a port are published as soon as the controller binds it."""
    mac = "02:00:00:00:12:34"
    site = ControlledSite(lab, start=False)
    site.daemon.config["ports"][0]["macs"] = [mac]
    site.daemon.write_config()
    site.server.start()
    site.start()
    assert site.local_macs() == {}
    site.connect()
    site.wait_local(mac)
    assert site.daemon.macs()[mac]["type"] == "static"


def test_counters_of_bindings(lab):
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    assert site.bm.ping(site.vm.ipv4, count=5) == 5

    def stats():
        """The four counters, once they exist."""
        found = site.rows("Logical_Binding_Stats", "packets_from_local", "packets_to_local", "bytes_from_local", "bytes_to_local")
        return found[0] if len(found) == 1 else None

    def expected():
        row = site.daemon.ctl("show", "bindings")[0]
        return (row["rx_packets"], row["rx_bytes"], row["tx_packets"], row["tx_bytes"])

    def published():
        row = stats()
        return row and (row["packets_from_local"], row["bytes_from_local"], row["packets_to_local"], row["bytes_to_local"])

    wait_until(lambda: published() == expected() and expected()[0] >= 5, lambda: f"{expected()}, and not {published()}")
    port = site.rows("Physical_Port", "vlan_stats")[0]
    assert port["vlan_stats"][1] == [[0, ["uuid", stats()["_uuid"][1]]]]


def test_nothing_is_written_when_nothing_changed(lab):
    """Restarting the daemon, the server or the controller changes neither the database nor forwarding."""
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    # Silence, so that counters stop and everything is written.
    site.bm.namespace.ip("link set eth0 down")
    tables = ["Global", "Physical_Switch", "Physical_Port", "Ucast_Macs_Local", "Mcast_Macs_Local", "Physical_Locator",
              "Physical_Locator_Set", "Logical_Switch", "Ucast_Macs_Remote", "Mcast_Macs_Remote"]

    def contents():
        return {table: sorted(map(str, site.rows(table, "_version"))) for table in tables}

    def settled():
        before = contents()
        time.sleep(6)
        return contents() == before

    # The port is down: its learned address is removed. Configured ones would stay.
    wait_until(settled, "the database has settled", 90)
    before = contents()
    site.daemon.stop()
    site.daemon.start()
    site.daemon.wait_ovsdb()
    time.sleep(6)
    assert contents() == before, site.daemon.ctl("ovsdb", "transactions")
    assert site.daemon.ctl("ovsdb", "transactions") == []
    site.server.stop()
    site.server.start()
    site.daemon.wait_ovsdb()
    time.sleep(6)
    after = contents()
    # The server generates row versions, which change when it starts.
    assert {table: len(rows) for table, rows in after.items()} == {table: len(rows) for table, rows in before.items()}
    written = " ".join(row["summary"] for row in site.daemon.ctl("ovsdb", "transactions"))
    assert all(table not in written for table in tables if table != "Physical_Port"), written
    assert [row["vni"] for row in site.daemon.ctl("show", "vnis")] == [VNI]


def test_earlier_lives_leave_nothing(lab):
    """A switch that comes back by another name, with fewer ports, after the controller has unbound and bound what it liked: its row
    is renamed, with the bindings, and rows of what is gone are removed at once."""
    site = ControlledSite(lab, ports=2)
    site.connect()
    site.add_switch("ls1", key=6000)
    site.ctl("bind-ls", "hv1", "p1", 7, "ls1", "--", "bind-ls", "hv1", "p2", 0, "ls1")
    site.bm.wait_ping(site.vm.ipv4)
    site.locals[1].namespace.raw_socket("eth0").send(ethernet(mac_number(8)))
    site.wait_local(site.bm.mac)
    site.wait_local(mac_number(8))
    wait_until(lambda: len(site.rows("Logical_Binding_Stats")) == 3, "all bindings have counters")
    [old] = site.rows("Physical_Switch", "name")
    [before] = site.rows("Ucast_Macs_Local", where=[["MAC", "==", site.bm.mac]])
    site.daemon.stop()
    # Nobody removed our rows from what is unbound meanwhile.
    site.ctl("unbind-ls", "hv1", "p1", 7, "--", "unbind-ls", "hv1", "p2", 0)
    site.daemon.config["name"] = "tor7"
    del site.daemon.config["ports"][1]
    site.daemon.write_config()
    site.daemon.start()
    wait_until(lambda: [row["name"] for row in site.rows("Physical_Switch", "name")] == ["tor7"],
               lambda: f"the row is renamed: {site.rows('Physical_Switch', 'name')}\n{site.daemon.log()[-2000:]}")
    assert site.rows("Physical_Switch")[0]["_uuid"] == old["_uuid"]
    site.wait_local(mac_number(8), present=False)
    wait_until(lambda: [row["name"] for row in site.rows("Physical_Port", "name")] == ["p1"], "the other port is gone")
    wait_until(lambda: len(site.rows("Logical_Binding_Stats")) == len(site.rows("Mcast_Macs_Local")) == 1, "only the binding's rows are left")
    # Its stations are not taken back meanwhile.
    assert site.rows("Ucast_Macs_Local", where=[["MAC", "==", site.bm.mac]]) == [before] and "becomes 'tor7'" in site.daemon.log()
    site.bm.wait_ping(site.vm.ipv4)
    # Somebody makes a row of the next name first: ours goes, and leaves no port behind.
    site.daemon.stop()
    site.ctl("add-ps", "tor8", "--", "add-port", "tor8", "p1", "--", "bind-ls", "tor8", "p1", 0, "ls0")
    site.daemon.config["name"] = "tor8"
    site.daemon.write_config()
    site.daemon.start()
    wait_until(lambda: [row["name"] for row in site.rows("Physical_Switch", "name")] == ["tor8"], "the row of the old name is gone")
    wait_until(lambda: len(site.rows("Physical_Port")) == 1, "and its port")
    site.bm.wait_ping(site.vm.ipv4)


def test_removing_the_section_removes_our_rows(lab):
    """Without the section there is no controller: our rows are removed, others' stay."""
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    del site.daemon.config["ovsdb"]
    site.daemon.reload("configuration reloaded")
    wait_until(lambda: site.ctl("list-ps") == "", "the switch is gone")
    assert site.local_macs() == {} and site.rows("Mcast_Macs_Local") == []
    assert site.ctl("list-ls") == "ls0" and len(site.rows("Ucast_Macs_Remote")) == 1
    assert site.daemon.ctl("show", "vnis") == []
    assert site.bm.ping(site.vm.ipv4) == 0


def test_columns_of_others_are_kept(lab):
    """What is for people or for controllers among themselves outlives all that vtepd writes, and its restart."""
    site = ControlledSite(lab)
    site.connect()
    site.server.transact({"op": "insert", "table": "Manager", "uuid-name": "m", "row": {"target": "ptcp:6699:127.0.0.1"}},
                         {"op": "mutate", "table": "Global", "where": [], "mutations": [["managers", "insert", ["named-uuid", "m"]]]},
                         {"op": "insert", "table": "Logical_Router", "row": {"name": "r0"}})
    tables = ("Global", "Manager", "Physical_Switch", "Physical_Port", "Logical_Switch", "Logical_Router")
    theirs = {"other_config": ["map", [["theirs", "1"], ["vtepd", "2"]]]}
    described = {"Logical_Switch", "Logical_Router"}
    for table in tables:
        site.server.transact({"op": "update", "table": table, "where": [], "row": {**theirs, **({"description": "words"} if table in described else {})}})
    site.server.transact({"op": "update", "table": "Mcast_Macs_Remote", "where": [], "row": {"ipaddr": "10.0.0.1"}})
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    site.daemon.ctl("port", "add", "--name", "p9", "--kind", "tap", "--device", "t9")
    wait_until(lambda: site.ctl("list-ports", "hv1").split() == ["p1", "p9"], "a port is added")
    site.daemon.ctl("port", "delete", "p9")
    site.daemon.stop()
    site.daemon.start()
    site.daemon.wait_ovsdb()
    site.ctl("unbind-ls", "hv1", "p1", 0)
    site.wait_local(site.bm.mac, present=False)
    for table in tables:
        [row] = site.rows(table, *theirs, *(["description"] if table in described else []))
        assert row["other_config"] == theirs["other_config"] and row.get("description", "words") == "words", (table, row)
    assert [row["ipaddr"] for row in site.rows("Mcast_Macs_Remote", "ipaddr")] == ["10.0.0.1"]


def test_two_switches_in_one_database(lab):
    """Neither touches the other's rows."""
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    namespace = lab.namespace("hv9")
    site.switch.connect(namespace, "u0", None, "192.0.2.9/24")
    other = Vtepd(namespace, {
        "underlay": {"addresses": ["192.0.2.9"], "device": "u0"},
        "ports": [{"name": "q1", "kind": "tap", "device": "tap-q1"}],
        "ovsdb": {"remotes": [f"unix:{site.server.socket}"]},
    }).start()
    wait_until(lambda: sorted(site.ctl("list-ps").split()) == ["hv1", "hv9"], "both are there")
    site.ctl("bind-ls", "hv9", "q1", 0, "ls0")
    wait_until(lambda: len(site.rows("Mcast_Macs_Local")) == 2, "both are in the flood sets")
    assert site.ctl("list-ports", "hv1").split() == ["p1"] and site.ctl("list-ports", "hv9").split() == ["q1"]
    assert site.bm.mac in site.local_macs()
    other.stop()
    assert sorted(site.ctl("list-ps").split()) == ["hv1", "hv9"]
    site.bm.wait_ping(site.vm.ipv4)


def test_station_that_the_controller_places_elsewhere(lab):
    """It is published: the controller's placement applies until it reconsiders."""
    site = ControlledSite(lab)
    site.connect()
    site.wait_vni()
    mac = mac_number(2000)
    site.ctl("add-ucast-remote", "ls0", mac, "192.0.2.77")
    site.wait_mac(mac, type="controller", vtep="192.0.2.77")
    raw = site.bm.namespace.raw_socket("eth0")
    raw.send(ethernet(mac))
    site.wait_local(mac)
    assert site.daemon.macs()[mac]["type"] == "controller"
    site.ctl("del-ucast-remote", "ls0", mac)
    site.wait_mac(mac)
    raw.send(ethernet(mac))
    site.wait_mac(mac, type="learned", port="p1")
    site.wait_local(mac)

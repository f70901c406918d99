"""Databases with other schema versions, invalid rows, and requests that contradict the configuration: vtepd does what it can and
reports the rest in the schema's columns, for as long as it applies."""
import json
import pathlib

from lab import OvsdbServer, wait_until
from lab.controlled import VNI, ControlledSite
from lab.daemon import Refused
from lab.frames import mac_number
from lab.namespaces import run
from lab.ovsdb import SCHEMA


def server_with(lab, edit):
    """Starts servers in a namespace with a modified schema."""
    def make(namespace):
        schema = json.loads(pathlib.Path(SCHEMA).read_text())
        edit(schema)
        schema.pop("cksum", None)
        server = OvsdbServer(namespace, create=False)
        path = server.directory / "schema"
        path.write_text(json.dumps(schema))
        run("ovsdb-tool", "create", server.database, path)
        return server

    return make


def odd_site(lab, edit, **options):
    site = ControlledSite(lab, start=False, **options)
    site.server = server_with(lab, edit)(lab.namespace("db"))
    site.daemon.config["ovsdb"]["remotes"] = [f"unix:{site.server.socket}"]
    site.daemon.write_config()
    site.server.start()
    site.start()
    return site


def make_old(schema):
    """Additions of versions after 1.3.0."""
    schema["version"] = "1.3.0"
    tables = schema["tables"]
    for table in ("ACL", "ACL_entry"):
        del tables[table]
    for table, column in (("Physical_Locator", "tunnel_key"), ("Logical_Switch", "replication_mode"), ("Physical_Port", "acl_bindings"),
                          ("Logical_Router", "acl_binding"), ("Logical_Router", "LR_fault_status")):
        del tables[table]["columns"][column]
    for table in tables.values():
        table["columns"].pop("other_config", None)
    tables["Physical_Locator"]["indexes"] = [["encapsulation_type", "dst_ip"]]


def test_schema_1_3_0(lab):
    site = odd_site(lab, make_old)
    # Today's vtep-ctl needs columns that are missing.
    site.server.transact(
        {"op": "insert", "table": "Logical_Switch", "uuid-name": "ls", "row": {"name": "ls0", "tunnel_key": VNI}},
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "l",
         "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.2"}},
        {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "s", "row": {"locators": ["named-uuid", "l"]}},
        {"op": "insert", "table": "Mcast_Macs_Remote",
         "row": {"MAC": "unknown-dst", "logical_switch": ["named-uuid", "ls"], "locator_set": ["named-uuid", "s"]}},
        {"op": "insert", "table": "Ucast_Macs_Remote",
         "row": {"MAC": site.vm.mac, "logical_switch": ["named-uuid", "ls"], "locator": ["named-uuid", "l"]}},
        {"op": "update", "table": "Physical_Port", "where": [["name", "==", "p1"]],
         "row": {"vlan_bindings": ["map", [[0, ["named-uuid", "ls"]]]]}})
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    assert {row["result"] for row in site.daemon.ctl("ovsdb", "transactions")} == {"committed"}
    assert site.faults() == set()


def test_unknown_table_and_column(lab):
    def edit(schema):
        schema["version"] = "9.0.0"
        schema["tables"]["Weather"] = {"columns": {"rain": {"type": "real"}}, "isRoot": True}
        schema["tables"]["Ucast_Macs_Remote"]["columns"]["colour"] = {"type": {"key": "string", "min": 0, "max": 3}}

    site = odd_site(lab, edit)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.wait_local(site.bm.mac)
    assert site.faults() == set()


def test_rows_that_refer_to_nothing(lab):
    def edit(schema):
        """References that the server does not enforce."""
        for table, column in (("Ucast_Macs_Remote", "locator"), ("Ucast_Macs_Remote", "logical_switch"), ("Physical_Port", "vlan_bindings")):
            kind = schema["tables"][table]["columns"][column]["type"]
            (kind.get("value") or kind["key"]).pop("refTable")

    site = odd_site(lab, edit)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    nobody = ["uuid", "01234567-89ab-4cde-8f01-23456789abcd"]
    switch = ["uuid", site.rows("Logical_Switch")[0]["_uuid"][1]]
    locator = ["uuid", site.rows("Physical_Locator", where=[["dst_ip", "==", "192.0.2.2"]])[0]["_uuid"][1]]
    port = ("Physical_Port", "port_fault_status", "p1")
    # A row's fault belongs to the ports in its logical switch; one without a logical switch concerns none, and is only told.
    for row, faults in (({"logical_switch": switch, "locator": nobody}, {"unspecified_fault"}), ({"logical_switch": nobody, "locator": locator}, set())):
        site.server.transact({"op": "insert", "table": "Ucast_Macs_Remote", "row": {"MAC": mac_number(1), **row}})
        wait_until(lambda: "unusable rows of Ucast_Macs_Remote" in " ".join(site.daemon.ovsdb()["faults"]), lambda: f"it is told: {site.daemon.ovsdb()}")
        site.wait_faults(faults, *port)
        assert site.faults() == set()
        assert site.bm.ping(site.vm.ipv4) == 1
        site.server.transact({"op": "delete", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", mac_number(1)]]})
        site.wait_faults(set(), *port)
        wait_until(lambda: site.daemon.ovsdb()["faults"] == [], "the cause is gone")
    site.server.transact({"op": "mutate", "table": "Physical_Port", "where": [], "mutations": [["vlan_bindings", "insert", ["map", [[7, nobody]]]]]})
    site.wait_faults({"invalid_vlan_map"}, *port)
    assert site.bm.ping(site.vm.ipv4) == 1
    site.server.transact({"op": "mutate", "table": "Physical_Port", "where": [], "mutations": [["vlan_bindings", "delete", ["set", [7]]]]})
    site.wait_faults(set(), *port)


def test_conflicting_rows(lab):
    """The row with the lowest UUID counts, whichever came first, also after a restart."""
    site = ControlledSite(lab)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    switch = ["uuid", site.rows("Logical_Switch")[0]["_uuid"][1]]
    for number, address in enumerate(("192.0.2.7", "192.0.2.8", "192.0.2.9")):
        site.server.transact(
            {"op": "insert", "table": "Physical_Locator", "uuid-name": "l", "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": address}},
            {"op": "insert", "table": "Ucast_Macs_Remote",
             "row": {"MAC": mac_number(5), "logical_switch": switch, "locator": ["named-uuid", "l"]}})
        if number:
            site.wait_faults({"unspecified_fault"}, "Physical_Port", "port_fault_status", "p1")
        else:
            site.wait_mac(mac_number(5), type="controller")

    def first():
        rows = sorted(site.rows("Ucast_Macs_Remote", "locator", where=[["MAC", "==", mac_number(5)]]), key=lambda row: row["_uuid"][1])
        locators = {row["_uuid"][1]: row["dst_ip"] for row in site.rows("Physical_Locator", "dst_ip")}
        return rows[0]["_uuid"], locators[rows[0]["locator"][1]]

    site.wait_mac(mac_number(5), vtep=first()[1])
    site.daemon.stop()
    site.daemon.start()
    site.daemon.wait_ovsdb()
    site.wait_mac(mac_number(5), vtep=first()[1])
    for _ in range(2):
        site.server.transact({"op": "delete", "table": "Ucast_Macs_Remote", "where": [["_uuid", "==", first()[0]]]})
        site.wait_mac(mac_number(5), vtep=first()[1])
    site.wait_faults(set(), "Physical_Port", "port_fault_status", "p1")


def test_one_tenants_contradictions_stay_with_its_port(lab):
    """networking-l2gw connects nothing to a switch with a fault, and nothing to a port with one: only the tenant's own port has it, and
    it is gone with its cause. Text is taken for what it means, whatever its spelling."""
    site = ControlledSite(lab, ports=2)
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    site.add_switch("bad", key=6000)
    site.ctl("bind-ls", "hv1", "p2", 0, "bad")
    bad = ["uuid", next(row["_uuid"][1] for row in site.rows("Logical_Switch", "name") if row["name"] == "bad")]
    locators = {row["dst_ip"]: ["uuid", row["_uuid"][1]] for row in site.rows("Physical_Locator", "dst_ip")}
    set_id = ["uuid", site.rows("Mcast_Macs_Remote", "locator_set")[0]["locator_set"][1]]
    p1, p2 = (("Physical_Port", "port_fault_status", name) for name in ("p1", "p2"))

    def insert(table, mac, **row):
        place = {"locator": locators["192.0.2.2"]} if "Ucast" in table else {"locator_set": set_id}
        return {"op": "insert", "table": table, "row": {"MAC": mac, "logical_switch": bad, **place, **row}}

    site.server.transact(insert("Mcast_Macs_Remote", "UNKNOWN-DST"), insert("Ucast_Macs_Remote", "02:00:00:00:AB:01"))
    site.wait_mac("02:00:00:00:ab:01", type="controller")
    other = site.server.transact({"op": "insert", "table": "Physical_Locator", "uuid-name": "l", "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.7"}},
                                 insert("Ucast_Macs_Remote", "02:00:00:00:AB:02", locator=["named-uuid", "l"]))[0]["uuid"]
    wait_until(lambda: [row["peers"] for row in site.daemon.ctl("show", "vnis") if row["vni"] == 6000] == [["192.0.2.2"]], "the flood set counts")
    assert site.faults(*p2) == set()
    contradictions = {
        "nonsense": insert("Ucast_Macs_Remote", "certainly not"), "a group": insert("Ucast_Macs_Remote", "01:00:5e:00:00:01"),
        "two spellings and places": insert("Ucast_Macs_Remote", "02-00-00-00-ab-01", locator=other), "a station as a group": insert("Mcast_Macs_Remote", mac_number(3)),
        "two flood sets": insert("Mcast_Macs_Remote", "unknown-dst"),
    }
    for name, operation in contradictions.items():
        result = site.server.transact(operation)
        assert "uuid" in result[0], (name, result)
        row = result[0]["uuid"]
        site.wait_faults({"unspecified_fault"}, *p2)
        assert site.faults() == set() and site.faults(*p1) == set(), name
        assert "'bad'" in " ".join(site.daemon.ctl("show", "ovsdb")[0]["faults"]), site.daemon.ctl("show", "ovsdb")
        site.server.transact({"op": "delete", "table": operation["table"], "where": [["_uuid", "==", row]]})
        site.wait_faults(set(), *p2)
    # A group that leads to no VTEP is unusable, too, and not in the way of the configuration.
    site.server.transact(
        insert("Mcast_Macs_Remote", "01-00-5E-01-01-01", locator_set=["named-uuid", "s"]),
        {"op": "insert", "table": "Physical_Locator", "uuid-name": "l", "row": {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "224.0.0.9"}},
        {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "s", "row": {"locators": ["named-uuid", "l"]}})
    site.wait_faults({"unspecified_fault"}, *p2)
    assert site.faults() == set() and site.faults(*p1) == set()
    site.server.transact({"op": "delete", "table": "Mcast_Macs_Remote", "where": [["MAC", "==", "01-00-5E-01-01-01"]]})
    site.wait_faults(set(), *p2)
    # The key of another network, and none of this world.
    for key in (VNI, 1 << 24, -5):
        site.ctl("set", "Logical_Switch", "bad", f"tunnel_key={key}")
        wait_until(lambda: site.faults(*p2) | site.faults(*p1) == {"unspecified_fault"}, lambda: f"{key}: {site.faults(*p2)}")
        assert site.faults() == set()
        site.ctl("set", "Logical_Switch", "bad", "tunnel_key=6000")
        site.wait_faults(set(), *p2)
    assert site.bm.ping(site.vm.ipv4, count=2) == 2


def test_vni_of_the_configuration(lab):
    """The configuration keeps it, and the controller gets a fault; once the configuration releases it, the controller gets it."""
    site = ControlledSite(lab, ports=2, start=False)
    site.daemon.config["vnis"] = [{"vni": VNI, "flood": "replicate", "peers": ["192.0.2.2"]}]
    site.daemon.config["ports"][0]["vni"] = VNI
    site.daemon.write_config()
    site.server.start()
    site.start()
    site.bm.wait_ping(site.vm.ipv4)
    site.add_switch()
    site.ctl("bind-ls", "hv1", "p2", 0, "ls0", "--", "add-ucast-remote", "ls0", site.vm.mac, "192.0.2.77")
    port = ("Physical_Port", "port_fault_status", "p2")
    site.wait_faults({"invalid_vlan_map"}, *port)
    assert site.faults() == set(), "the file's VNI stops no other tenant"
    assert [(row["vni"], row["source"]) for row in site.daemon.ctl("show", "vnis")] == [(VNI, "config")]
    assert site.daemon.macs()[site.vm.mac]["vtep"] == "192.0.2.2"
    assert site.bm.ping(site.vm.ipv4, count=3) == 3
    assert f"VNI {VNI}: the configuration defines it" in site.daemon.log()

    site.daemon.ctl("binding", "delete", "--port", "p1")
    site.daemon.ctl("vni", "delete", VNI)
    site.wait_vni()
    site.wait_mac(site.vm.mac, type="controller", vtep="192.0.2.77")
    site.wait_faults(set())
    site.wait_faults(set(), *port)
    # While the controller uses it, the operator cannot take it.
    try:
        site.daemon.ctl("vni", "add", "--vni", VNI, "--flood", "none")
        raise AssertionError("the daemon took a VNI from the controller")
    except Refused as refusal:
        assert "ls0" in refusal.message and refusal.status == 1


def test_more_addresses_than_the_table_holds(lab):
    site = ControlledSite(lab, start=False)
    site.daemon.config["dataplane"]["mac-table-size"] = 256
    site.daemon.write_config()
    site.server.start()
    site.start()
    site.connect()
    site.bm.wait_ping(site.vm.ipv4)
    switch = ["uuid", site.rows("Logical_Switch")[0]["_uuid"][1]]
    locator = ["uuid", site.rows("Physical_Locator", where=[["dst_ip", "==", "192.0.2.2"]])[0]["_uuid"][1]]
    rows = [{"op": "insert", "table": "Ucast_Macs_Remote", "row": {"MAC": mac_number(1000 + number), "logical_switch": switch, "locator": locator}}
            for number in range(1, 400)]
    site.server.transact(*rows)
    site.wait_faults({"mac_table_exhaustion"})
    site.server.transact(*[{"op": "delete", "table": "Ucast_Macs_Remote", "where": [["MAC", "==", mac_number(1000 + number)]]}
                           for number in range(1, 300)])
    site.wait_faults(set())
    for number in range(300, 400):
        site.wait_mac(mac_number(1000 + number), type="controller")


def test_routers_and_lists_that_cannot_be_are_reported(lab):
    """A router without an address, and a list on a reserved VLAN: in their own columns, and cleared with the cause."""
    site = ControlledSite(lab)
    site.connect()
    site.ctl("create", "Logical_Router", "name=lr0")
    switch = site.rows("Logical_Switch")[0]["_uuid"][1]
    site.server.transact({"op": "update", "table": "Logical_Router", "where": [],
                          "row": {"switch_binding": ["map", [["192.0.2.0/24", ["uuid", switch]]]]}})
    site.wait_faults({"unspecified_fault"}, "Logical_Router", "LR_fault_status", "lr0")
    assert "the number of its network" in site.daemon.log()
    assert site.faults() == set()  # a fault of the switch would concern every tenant
    site.server.transact({"op": "update", "table": "Logical_Router", "where": [],
                          "row": {"switch_binding": ["map", [["192.0.2.1/24", ["uuid", switch]]]]}})
    site.wait_faults(set(), "Logical_Router", "LR_fault_status", "lr0")
    site.server.transact({"op": "delete", "table": "Logical_Router", "where": []})

    site.server.transact(
        {"op": "insert", "table": "ACL_entry", "uuid-name": "e", "row": {"sequence": 1, "direction": "ingress", "action": "deny"}},
        {"op": "insert", "table": "ACL", "uuid-name": "a", "row": {"acl_name": "web", "acl_entries": ["named-uuid", "e"]}},
        {"op": "update", "table": "Physical_Port", "where": [["name", "==", "p1"]], "row": {"acl_bindings": ["map", [[4095, ["named-uuid", "a"]]]]}})
    port = ("Physical_Port", "port_fault_status", "p1")
    site.wait_faults({"invalid_ACL_binding"}, *port)
    assert site.rows("ACL", "acl_fault_status")[0]["acl_fault_status"] == ["set", []]
    site.server.transact({"op": "update", "table": "Physical_Port", "where": [], "row": {"acl_bindings": ["map", []]}})
    site.wait_faults(set(), *port)

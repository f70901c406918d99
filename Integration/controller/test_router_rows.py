"""Logical_Router, Arp_Sources_Local and Arp_Sources_Remote as vtep(5) describes them: rows change what is forwarded, and faults are in the
router's own row."""
from lab import wait_until
from lab.controlled import VNI, pairs, routed_site

REQUEST_MAC = "0e:77:c0:00:02:01"  # of 192.0.2.1


def update(site, **columns):
    site.server.transact({"op": "update", "table": "Logical_Router", "where": [["name", "==", "lr0"]], "row": columns})


def arp_sources(site):
    locators = {row["_uuid"][1]: row["dst_ip"] for row in site.rows("Physical_Locator", "dst_ip")}
    return [(row["src_mac"], locators[row["locator"][1]]) for row in site.rows("Arp_Sources_Local", "src_mac", "locator")]


def test_rows_make_a_router(lab):
    site = routed_site(lab)
    switches = {row["name"]: ["uuid", row["_uuid"][1]] for row in site.rows("Logical_Switch", "name")}
    bindings = {"10.0.0.254/24": switches["ls0"], "fd00::fe/64": switches["ls0"],
                "10.0.1.254/24": switches["ls1"], "fd00:1::fe/64": switches["ls1"]}
    site.server.transact({"op": "insert", "table": "Logical_Router", "row": {
        "name": "lr0", "description": "left alone", "other_config": pairs({"theirs": "1"}), "switch_binding": pairs(bindings)}})
    for guest in (site.bm, site.vm):
        for address in ("10.0.1.102", "fd00:1::66"):
            wait_until(lambda: guest.ping(address), lambda: f"{guest.name} reaches {address}:\n{site.daemon.ctl('show', 'drops')}\n"
                       f"{site.daemon.ctl('show', 'routers')}\n{site.daemon.log()[-3000:]}")
    rows = site.daemon.ctl("show", "routers")
    assert [(row["router"], row["vni"], row["source"], row["state"]) for row in rows] == [
        ("lr0", VNI, "ovsdb", "up"), ("lr0", VNI + 1, "ovsdb", "up")]
    assert site.faults("Logical_Router", "LR_fault_status", "lr0") == set() and site.faults() == set()
    kept = site.rows("Logical_Router", "description", "other_config")[0]
    assert kept["description"] == "left alone" and kept["other_config"] == pairs({"theirs": "1"})

    # Others know where the router is, and where answers to our questions go.
    wait_until(lambda: arp_sources(site) == [(REQUEST_MAC, site.host.ipv4)], lambda: f"the source is published: {arp_sources(site)}")
    site.wait_local(rows[0]["mac"])
    assert site.local_macs()[rows[0]["mac"]] in ("10.0.0.254", "10.0.1.254", "fd00::fe", "fd00:1::fe")
    site.wait_local(REQUEST_MAC)

    # Another VTEP's source: a static entry, in every logical switch with a router.
    locator = ["uuid", site.rows("Physical_Locator", where=[["dst_ip", "==", "192.0.2.2"]])[0]["_uuid"][1]]
    site.server.transact({"op": "insert", "table": "Arp_Sources_Remote", "row": {"src_mac": "0E:77:C0:00:02:02", "locator": locator}},
                         {"op": "insert", "table": "Arp_Sources_Remote", "row": {"src_mac": "nonsense", "locator": locator}})
    site.wait_mac("0e:77:c0:00:02:02", type="static", vtep="192.0.2.2")
    macs = [row["vni"] for row in site.daemon.ctl("show", "mac-table", "--mac", "0e:77:c0:00:02:02")]
    assert sorted(macs) == [VNI, VNI + 1]
    # The other row is a fault of the routers, and not of the switch: that would stop every tenant.
    site.wait_faults({"unspecified_fault"}, "Logical_Router", "LR_fault_status", "lr0")
    assert "'nonsense' is not a station's MAC address" in " ".join(site.daemon.ovsdb()["faults"]) and site.faults() == set()
    site.server.transact({"op": "delete", "table": "Arp_Sources_Remote", "where": []})
    site.wait_mac("0e:77:c0:00:02:02")
    site.wait_faults(set(), "Logical_Router", "LR_fault_status", "lr0")

    # A static route; one that leads nowhere is a fault of the router, and the rest of it goes on.
    site.locals[1].namespace.ip("address add 198.51.100.1/32 dev lo")
    update(site, static_routes=pairs({"198.51.100.0/255.255.255.0": " 10.0.1.102"}))
    wait_until(lambda: site.bm.ping("198.51.100.1"), lambda: f"the route: {site.daemon.ctl('show', 'routes')}")
    for routes in ({"198.51.100.0/24": "203.0.113.9"}, {"nonsense": "10.0.1.102"}):
        update(site, static_routes=pairs(routes))
        site.wait_faults({"unspecified_fault"}, "Logical_Router", "LR_fault_status", "lr0")
        assert site.faults() == set() and site.bm.ping("10.0.1.102", count=2) == 2
        update(site, static_routes=pairs({}))
        site.wait_faults(set(), "Logical_Router", "LR_fault_status", "lr0")

    # An access list of an interface, named by its other address: pings from ls0 are denied, those of the other end of it are not.
    def matched():
        return sum(row["packets"] for acl in site.daemon.ctl("show", "acls") for row in acl["entries"] if row["sequence"] == 10)

    site.server.transact(
        {"op": "insert", "table": "ACL_entry", "uuid-name": "e", "row": {
            "sequence": 10, "direction": "ingress", "action": "deny", "protocol": 1, "icmp_type": 8}},
        {"op": "insert", "table": "ACL_entry", "uuid-name": "f", "row": {
            "sequence": 20, "direction": "egress", "action": "deny", "protocol": 17, "source_ip": "10.0.1.102"}},
        {"op": "insert", "table": "ACL", "uuid-name": "a", "row": {
            "acl_name": "quiet", "acl_entries": ["set", [["named-uuid", "e"], ["named-uuid", "f"]]]}},
        {"op": "update", "table": "Logical_Router", "where": [["name", "==", "lr0"]],
         "row": {"acl_binding": pairs({"fd00:0::FE": ["named-uuid", "a"]})}})
    wait_until(lambda: site.daemon.ctl("show", "routers")[0]["acl"] == "quiet", lambda: f"bound: {site.daemon.log()[-3000:]}")
    before = matched()
    assert site.bm.ping("10.0.1.102", count=2) == 0 and site.bm.ping("10.0.0.254") == 0 and matched() >= before + 3
    assert site.bm.ping("fd00:1::66") == 1 and site.locals[1].ping(site.bm.ipv4) == 1
    acl, = site.daemon.ctl("show", "acls")
    assert acl["routers"] == [{"router": "lr0", "vni": VNI}] and acl["bindings"] == []
    assert {row["reason"] for row in site.daemon.ctl("show", "drops") if row["where"] == "p1"} >= {"acl-denied-ingress"}
    trace = site.daemon.ctl("trace", "--port", "p2", "--src-mac", site.locals[1].mac, "--dst-mac", rows[0]["mac"], "--ipv4",
                            f"10.0.1.102,{site.bm.ipv4}", "--udp", "4000,53")
    stages = [stage["facts"] for stage in trace["stages"] if stage["stage"] == "acl"]
    assert [(stage["acl"], stage["sequence"], stage["action"]) for stage in stages] == [("quiet", 20, "deny")]
    assert trace["drops"][0]["reason"] == "acl-denied-egress"
    row, = site.rows("ACL", "acl_name")
    update(site, acl_binding=pairs({"10.0.0.253": ["uuid", row["_uuid"][1]]}))
    site.wait_faults({"invalid_ACL_binding"}, "Logical_Router", "LR_fault_status", "lr0")
    site.bm.wait_ping("10.0.1.102")
    update(site, acl_binding=pairs({"10.0.0.254/24": ["uuid", row["_uuid"][1]]}))
    site.wait_faults(set(), "Logical_Router", "LR_fault_status", "lr0")
    wait_until(lambda: f"router-filter {VNI} 0 lr0" in (site.daemon.directory / "state" / "controller-state").read_text(), "it is saved")

    # Without the database, also in a new process, whose lists filter as before.
    site.server.stop()
    site.daemon.stop()
    site.daemon.start()
    site.bm.wait_ping("fd00:1::66")
    assert site.bm.ping("10.0.1.102") == 0
    site.server.start()
    site.wait_registered()
    update(site, acl_binding=pairs({}))
    site.bm.wait_ping("10.0.1.102")

    site.server.transact({"op": "delete", "table": "Logical_Router", "where": []})
    wait_until(lambda: site.daemon.ctl("show", "routers") == [], "the router is gone")
    wait_until(lambda: arp_sources(site) == [], lambda: f"its source is gone: {arp_sources(site)}")
    site.wait_mac(rows[0]["mac"])
    assert site.bm.ping("10.0.1.102") == 0

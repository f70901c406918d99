"""ovsdbapp and the Python IDL of Open vSwitch as the controller, for what `vtep-ctl` has no words for: routers, access lists, BFD, ARP sources,
keys of locators. Each row changes what is forwarded or published, faults come back to the IDL, and a killed controller loses nothing."""
from lab import wait_until
from lab.controlled import VNI, routed_site
from lab.json_program import JSONProgram


def mapping(**pairs):
    return {"map": [[key, value] for key, value in pairs.items()]}


def switch(name):
    return {"row": ["Logical_Switch", "name", name]}


def locator(address):
    return {"row": ["Physical_Locator", "dst_ip", address]}


def test_ovsdbapp(lab):
    site = routed_site(lab)
    controller = JSONProgram(site.host.namespace, "idl_program.py", f"unix:{site.server.socket}").start()
    bm2 = "10.0.1.102"

    def transact(*entries):
        controller("transact", *entries)

    def row(table, **conditions):
        return controller("find", table, conditions)[0]

    def wait_row(table, conditions, **expected):
        wait_until(lambda: all(row(table, **conditions)[key] == value for key, value in expected.items()),
                   lambda: f"{table} {expected}: {row(table, **conditions)}\n{site.daemon.log()[-3000:]}")

    # A router, and a route of it.
    site.locals[1].namespace.ip("address add 198.51.100.1/32 dev lo")
    transact(["create", "Logical_Router", None, {
        "name": "lr0", "static_routes": {"map": [["198.51.100.0/24", bm2]]},
        "switch_binding": {"map": [["10.0.0.254/24", switch("ls0")], ["fd00::fe/64", switch("ls0")],
                                   ["10.0.1.254/24", switch("ls1")], ["fd00:1::fe/64", switch("ls1")]]}}])
    for address in (bm2, "fd00:1::66", "198.51.100.1"):
        wait_until(lambda: site.bm.ping(address), lambda: f"{address} answers: {site.daemon.log()[-3000:]}")
    assert row("Logical_Router", name="lr0")["LR_fault_status"] == []
    wait_until(lambda: controller("find", "Arp_Sources_Local", {}), "the IDL sees what vtepd publishes")

    # A list with an entry that cannot be: its fault comes back, the rest filters; and goes once the entry is right.
    transact(["create", "ACL_entry", "good", {"sequence": 10, "direction": "ingress", "action": "deny", "protocol": 1, "icmp_type": 8}],
             ["create", "ACL_entry", "bad", {"sequence": 20, "direction": "ingress", "action": "deny", "dest_port_min": 80}],
             ["create", "ACL", "quiet", {"acl_name": "quiet", "acl_entries": [{"new": "good"}, {"new": "bad"}]}],
             ["set", "Physical_Port", "p1", {"acl_bindings": {"map": [[0, {"new": "quiet"}]]}}])
    wait_row("ACL_entry", {"sequence": 20}, acle_fault_status=["invalid_acl_entry"])
    wait_row("ACL", {"acl_name": "quiet"}, acl_fault_status=["invalid_acl"])
    wait_until(lambda: site.bm.ping(bm2) == 0, "pings are denied")
    transact(["set", "ACL_entry", row("ACL_entry", sequence=20)["_uuid"], {"protocol": 6}])
    wait_row("ACL_entry", {"sequence": 20}, acle_fault_status=[])
    wait_row("ACL", {"acl_name": "quiet"}, acl_fault_status=[])
    transact(["clear", "Physical_Port", "p1", ["acl_bindings"]])
    wait_until(lambda: site.bm.ping(bm2), "pings pass again")

    # ARP sources, BFD, and a locator with a key of its own.
    transact(["create", "Arp_Sources_Remote", None, {"src_mac": "0e:77:c0:00:02:02", "locator": locator("192.0.2.2")}])
    site.wait_mac("0e:77:c0:00:02:02", type="static", vtep="192.0.2.2")
    remote = row("Physical_Locator", dst_ip="192.0.2.2")["_uuid"]
    wait_until(lambda: controller("find", "Tunnel", {"remote": remote}), "a Tunnel row")
    tunnel = {"remote": remote}
    transact(["set", "Tunnel", row("Tunnel", **tunnel)["_uuid"], {"bfd_params": mapping(enable="true", min_tx="200")}])
    wait_until(lambda: row("Tunnel", **tunnel)["bfd_status"].get("enabled") == "true", lambda: f"BFD: {row('Tunnel', **tunnel)}")
    assert row("Tunnel", **tunnel)["bfd_status"]["state"] == "down"
    transact(["clear", "Tunnel", row("Tunnel", **tunnel)["_uuid"], ["bfd_params"]])
    wait_row("Tunnel", tunnel, bfd_status={})
    transact(["create", "Physical_Locator", "keyed", {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": "192.0.2.2", "tunnel_key": VNI + 77}],
             ["create", "Ucast_Macs_Remote", None, {
                 "MAC": "02:00:00:00:77:01", "logical_switch": switch("ls0"), "locator": {"new": "keyed"}, "ipaddr": "10.0.0.77"}])
    site.wait_mac("02:00:00:00:77:01", vtep="192.0.2.2")
    frame = (bytes.fromhex("020000007701") + bytes.fromhex(site.bm.mac.replace(":", "")) + b"\x88\xb5").ljust(60, b"\0")
    stages = site.daemon.ctl("trace", "--port", "p1", frame.hex())["stages"]
    assert any(stage["facts"].get("vni") == VNI + 77 for stage in stages), stages

    # Killed: what it has written stays in force. Another one takes all of it back at once.
    controller.kill()
    assert site.bm.ping(bm2, count=3) == 3
    controller.start()
    transact(["destroy", "Logical_Router", "lr0", {}], ["destroy", "ACL", "quiet", {}],
             *(["destroy", table, found["_uuid"], {}] for table in ("Arp_Sources_Remote", "ACL_entry")
               for found in controller("find", table, {})))
    wait_until(lambda: not site.daemon.ctl("show", "routers") and not site.daemon.ctl("show", "acls"), "all of it is gone")
    site.wait_mac("0e:77:c0:00:02:02")
    assert site.faults() == set()

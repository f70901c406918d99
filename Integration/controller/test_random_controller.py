"""After a random sequence of a controller's transactions, the data plane equals a simple model: the database, read row by row."""
import random

import pytest

from lab import wait_until
from lab.controlled import ControlledSite

STEPS = 60


class Model:
    """The expected data plane, directly from the rows."""

    def __init__(self, site):
        def rows(table, *columns):
            return sorted(site.rows(table, *columns), key=lambda row: row["_uuid"][1])

        def number(value):
            return value if isinstance(value, int) else None

        locators = {row["_uuid"][1]: row for row in rows("Physical_Locator", "dst_ip", "tunnel_key")}
        sets = {row["_uuid"][1]: row["locators"] for row in rows("Physical_Locator_Set", "locators")}
        keys = {}
        for row in rows("Logical_Switch", "tunnel_key"):
            key = number(row["tunnel_key"])
            if key and key not in keys.values():
                keys[row["_uuid"][1]] = key
        self.macs, self.flood, self.bindings = {}, {key: set() for key in keys.values()}, {}
        for row in rows("Ucast_Macs_Remote", "MAC", "logical_switch", "locator"):
            key = keys.get(row["logical_switch"][1])
            if key:
                self.macs.setdefault((key, row["MAC"]), locators[row["locator"][1]]["dst_ip"])
        seen = set()
        for row in rows("Mcast_Macs_Remote", "MAC", "logical_switch", "locator_set"):
            key = keys.get(row["logical_switch"][1])
            if key and key not in seen:
                seen.add(key)
                members = sets[row["locator_set"][1]]
                members = members[1] if members[0] == "set" else [members]
                self.flood[key] = {locators[member[1]]["dst_ip"] for member in members}
        for row in rows("Physical_Port", "name", "vlan_bindings"):
            for vlan, switch in row["vlan_bindings"][1]:
                if switch[1] in keys:
                    self.bindings[row["name"], vlan] = keys[switch[1]]

    @classmethod
    def of_data_plane(cls, daemon):
        model = cls.__new__(cls)
        model.macs = {(row["vni"], row["mac"]): row["vtep"] for row in daemon.ctl("show", "mac-table", "--type", "controller")}
        model.flood = {row["vni"]: set(row["peers"]) for row in daemon.ctl("show", "vnis")}
        model.bindings = {(row["port"], row["vlan"] or 0): row["vni"] for row in daemon.ctl("show", "bindings")}
        return model

    def __eq__(self, other):
        return vars(self) == vars(other)


def step(site, chance):
    """The operations of one transaction."""
    def uuids(table):
        return [["uuid", row["_uuid"][1]] for row in site.rows(table)]

    def locator(name, address, key):
        found = [row for row in site.rows("Physical_Locator", "dst_ip", "tunnel_key")
                 if row["dst_ip"] == address and row["tunnel_key"] == (key or ["set", []])]
        if found:
            return [], ["uuid", found[0]["_uuid"][1]]
        row = {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": address, **({"tunnel_key": key} if key else {})}
        return [{"op": "insert", "table": "Physical_Locator", "uuid-name": name, "row": row}], ["named-uuid", name]

    switches = uuids("Logical_Switch")
    address, key = f"192.0.2.{chance.randint(10, 15)}", chance.choice([None, None, 5000, 77])
    mac = f"02:00:00:00:09:0{chance.randint(1, 9)}"
    kind = chance.choice(["switch", "key", "mac", "mac", "mac", "mac", "gone", "flood", "no flood", "bind", "unbind", "move", "restart"])
    if not switches or (kind == "switch" and len(switches) < 4):
        return [{"op": "insert", "table": "Logical_Switch",
                 "row": {"name": f"ls{chance.getrandbits(40)}", "tunnel_key": chance.choice([0, 5000, 5001, 5002]),
                         "replication_mode": chance.choice(["source_node", "service_node"])}}]
    switch = chance.choice(switches)
    if kind == "key":
        return [{"op": "update", "table": "Logical_Switch", "where": [["_uuid", "==", switch]],
                 "row": {"tunnel_key": chance.choice([["set", []], 0, 5000, 5001, 5002])}}]
    if kind == "mac":
        before, reference = locator("l", address, key)
        return [*before, {"op": "insert", "table": "Ucast_Macs_Remote", "row": {"MAC": mac, "logical_switch": switch, "locator": reference}}]
    if kind in ("gone", "move") and (rows := uuids("Ucast_Macs_Remote")):
        where = [["_uuid", "==", chance.choice(rows)]]
        if kind == "gone":
            return [{"op": "delete", "table": "Ucast_Macs_Remote", "where": where}]
        before, reference = locator("l", address, key)
        return [*before, {"op": "update", "table": "Ucast_Macs_Remote", "where": where, "row": {"locator": reference}}]
    if kind == "flood":
        first, one = locator("l", address, None)
        second, two = locator("m", "192.0.2.20", None)
        return [*first, *second,
                {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "s", "row": {"locators": ["set", [one, two]]}},
                {"op": "insert", "table": "Mcast_Macs_Remote",
                 "row": {"MAC": "unknown-dst", "logical_switch": switch, "locator_set": ["named-uuid", "s"]}}]
    if kind == "no flood":
        return [{"op": "delete", "table": "Mcast_Macs_Remote", "where": [["logical_switch", "==", switch]]}]
    if kind in ("bind", "unbind"):
        pairs = [[vlan, chance.choice(switches)] for vlan in chance.sample([0, 5, 6, 4094], 2)] if kind == "bind" else []
        return [{"op": "update", "table": "Physical_Port", "where": [["name", "==", chance.choice(["p1", "p2"])]],
                 "row": {"vlan_bindings": ["map", pairs]}}]
    if kind == "restart" and chance.random() < 0.3:
        site.daemon.kill()
        site.daemon.start()
    return []


@pytest.mark.parametrize("seed", [1, 2])
def test_data_plane_equals_model(lab, seed):
    chance = random.Random(seed)
    site = ControlledSite(lab, kernels=0, ports=2, start=False)
    # An empty database is applied at once.
    site.daemon.config["ovsdb"]["stale-hold"] = 0
    site.daemon.write_config()
    site.server.start()
    site.start()
    for number in range(STEPS):
        # Several transactions may arrive before the data plane has caught up.
        for _ in range(chance.randint(1, 3)):
            operations = step(site, chance)
            if operations:
                results = site.server.transact(*operations)
                assert all(result and "error" not in result for result in results), (operations, results)
        model = Model(site)
        wait_until(
            lambda: Model.of_data_plane(site.daemon) == model,
            lambda: f"seed {seed}, step {number}: {vars(Model.of_data_plane(site.daemon))} is not {vars(model)}\n{site.daemon.log()[-3000:]}")

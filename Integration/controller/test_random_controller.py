"""After a random sequence of a controller's transactions, the data plane equals a simple model: the database, read row by row. Rows of
every other table that a controller writes, sensible ones and nonsense (Noise), disturb nothing, and their faults go with them."""
import ipaddress
import random
import re

import pytest

from lab import wait_until
from lab.controlled import FIRST_LOCAL, ControlledSite

STEPS = 60
# Beyond a VNI's 24 bits.
NO_VNI = 1 << 24


def station(text):
    """The unicast address that a text means; None: it means none."""
    text = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2})(?:\1[0-9a-f]{1,2}){4}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}|[0-9a-f]{12}", text):
        return None
    digits = "".join(part.zfill(2) for part in re.split("[:-]", text)).replace(".", "")
    return None if int(digits[1], 16) & 1 else ":".join(digits[at:at + 2] for at in range(0, 12, 2))


def spellings(mac):
    """Other texts for a MAC address."""
    digits = mac.replace(":", "")
    return [mac.upper(), mac.replace(":", "-"), ":".join(part.lstrip("0") or "0" for part in mac.split(":")),
            ".".join(digits[at:at + 4] for at in (0, 4, 8)), digits.upper(), f" {mac} "]


def spelled(vtep):
    """The address of a VTEP in its usual form."""
    address = ipaddress.ip_address(vtep.strip())
    return str(getattr(address, "ipv4_mapped", None) or address)


def members(value):
    """The elements of a column's set."""
    return value[1] if value[0] == "set" else [value]


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
        # Without a key of their own: that of our locator, or else the only one of the others.
        published, others = {}, {}
        for table, found in (("Ucast_Macs_Remote", others), ("Mcast_Macs_Remote", others), ("Mcast_Macs_Local", published)):
            for row in rows(table, "logical_switch", "locator" if table == "Ucast_Macs_Remote" else "locator_set"):
                for member in [row["locator"]] if "locator" in row else members(sets[row["locator_set"][1]]):
                    key = number(locators[member[1]]["tunnel_key"])
                    if key and key != NO_VNI:
                        found.setdefault(row["logical_switch"][1], set()).add(key)
        for row in rows("Logical_Switch", "tunnel_key"):
            uuid = row["_uuid"][1]
            if number(row["tunnel_key"]):
                continue
            choice = published.get(uuid) or others.get(uuid, set())
            key = min(choice) if choice and (uuid in published or len(choice) == 1) else None
            if key and key < FIRST_LOCAL and key not in keys.values():
                keys[uuid] = key
        self.macs, self.flood, self.bindings = {}, {key: set() for key in keys.values()}, {}

        def destination(reference):
            """None: its key is no VNI."""
            locator = locators[reference[1]]
            return None if number(locator["tunnel_key"]) == NO_VNI else spelled(locator["dst_ip"])

        for row in rows("Ucast_Macs_Remote", "MAC", "logical_switch", "locator"):
            key, mac = keys.get(row["logical_switch"][1]), station(row["MAC"])
            if key and mac:
                self.macs.setdefault((key, mac), destination(row["locator"]))
        self.macs = {place: vtep for place, vtep in self.macs.items() if vtep}
        seen = set()
        for row in rows("Mcast_Macs_Remote", "MAC", "logical_switch", "locator_set"):
            key = keys.get(row["logical_switch"][1])
            if key and key not in seen and row["MAC"].lower() == "unknown-dst":
                seen.add(key)
                self.flood[key] = {destination(member) for member in members(sets[row["locator_set"][1]])} - {None}
        for row in rows("Physical_Port", "name", "vlan_bindings"):
            for vlan, switch in row["vlan_bindings"][1]:
                if switch[1] in keys:
                    self.bindings[row["name"], vlan] = keys[switch[1]]

    @classmethod
    def settled(cls, site):
        """vtepd itself writes rows meanwhile, for instance the locator with the key that it has chosen: tables that do not fit are read again."""
        while True:
            try:
                return cls(site)
            except KeyError:
                pass

    @classmethod
    def of_data_plane(cls, daemon):
        model = cls.__new__(cls)
        def rows(*table):
            """Without what stands for networks that have no key, or for which vtepd has chosen one."""
            return [row for row in daemon.ctl("show", *table) if row["vni"] < FIRST_LOCAL]

        model.macs = {(row["vni"], row["mac"]): row["vtep"] for row in rows("mac-table", "--type", "controller")}
        model.flood = {row["vni"]: set(row["peers"]) for row in rows("vnis")}
        model.bindings = {(row["port"], row["vlan"] or 0): row["vni"] for row in rows("bindings")}
        return model

    def __eq__(self, other):
        return vars(self) == vars(other)


ADDRESSES = ["", "10.0.0.5", "10.0.0.6", "2001:DB8:0::6", "2001:db8::6", "fe80::1", "::ffff:10.0.0.5", "10.0.0.300", "0.0.0.0",
             "255.255.255.255", "ff02::1", "10.0.0.5/24", "nonsense", " 10.0.0.6", "2001:0db8:0:0::6 ", "10.0.0.5/255.255.255.0"]
PREFIXES = ["10.0.1.1/24", "10.0.2.1/24", "10.0.2.200/28", "2001:db8:1::1/64", "2001:DB8:1:0::2/64", "10.0.3.1", "10.0.4.1/33", "10.0.4.1/-1",
            "0.0.0.0/0", "::/0", "/", "", "nonsense/24", "224.0.0.1/4", " 10.0.1.1 / 24", "10.0.1.1/255.255.255.0", "2001:DB8:1::1/64", "10.0.2.1/0.0.0.255"]


def locator_of(site, name, address, key):
    """A locator: operations that insert it if there is none, and a reference."""
    found = [row for row in site.rows("Physical_Locator", "dst_ip", "tunnel_key")
             if row["dst_ip"] == address and row["tunnel_key"] == (["set", []] if key is None else key)]
    if found:
        return [], ["uuid", found[0]["_uuid"][1]]
    row = {"encapsulation_type": "vxlan_over_ipv4", "dst_ip": address, **({} if key is None else {"tunnel_key": key})}
    return [{"op": "insert", "table": "Physical_Locator", "uuid-name": name, "row": row}], ["named-uuid", name]


class Noise:
    """Rows of ACL, ACL_entry, Logical_Router, Tunnel and Arp_Sources_Remote, which change neither addresses nor flood sets nor bindings.
    Tunnels lead to VTEPs that nothing else uses: BFD takes VTEPs that do not answer out of flood sets."""

    def __init__(self, site, chance):
        self.site, self.chance, self.rows = site, chance, []

    def insert(self, table, row, *others):
        """Inserts rows; remembers the first one, and returns the reference to it."""
        results = self.site.server.transact({"op": "insert", "table": table, "uuid-name": "new", "row": row}, *others)
        assert all(result and "error" not in result for result in results), (table, row, others, results)
        self.rows.append((table, results[0]["uuid"]))
        return results[0]["uuid"]

    def some(self, **choices):
        """A row with some of these columns."""
        return {name: self.chance.choice(values) for name, values in choices.items() if self.chance.random() < 0.5}

    def of(self, table):
        return [uuid for name, uuid in self.rows if name == table]

    def switch(self):
        return self.chance.choice([["uuid", row["_uuid"][1]] for row in self.site.rows("Logical_Switch")] or [None])

    def step(self):
        kind = self.chance.choice(["acl", "acl", "bind", "bind", "router", "router", "tunnel", "arp", "gone"])
        getattr(self, f"do_{kind}")()

    def do_acl(self):
        numbers, macs = [-1, 0, 1, 6, 17, 58, 80, 255, 256, 65535, 65536, 1 << 40], [*spellings("02:00:00:00:00:ff"), "any", "02-00-00-00-00-00/FF:FF:0:0:0:0"]
        texts = [*ADDRESSES, "255.255.255.0", "255.0.255.0", "FFFF:ffff::", " 24"]
        entries = [self.insert("ACL_entry", {
            "sequence": self.chance.choice([-1, 1, 2, 2, 3, 1 << 40]), "direction": self.chance.choice(["ingress", "egress"]),
            "action": self.chance.choice(["permit", "deny"]),
            **self.some(source_mac=macs, dest_mac=macs, ethertype=["0x0800", "0x86dd", "2048", "IPv4", "nonsense", "0x10000", " 0X0806 "], source_ip=texts,
                        source_mask=texts, dest_ip=texts, dest_mask=texts, protocol=numbers, source_port_min=numbers, source_port_max=numbers,
                        dest_port_min=numbers, dest_port_max=numbers, tcp_flags=numbers, tcp_flags_mask=numbers, icmp_type=numbers,
                        icmp_code=numbers)}) for _ in range(self.chance.randint(1, 4))]
        self.insert("ACL", {"acl_name": f"acl{self.chance.getrandbits(20)}", "acl_entries": ["set", entries]})

    def do_bind(self):
        acls = self.of("ACL")
        pairs = [[vlan, self.chance.choice(acls)] for vlan in self.chance.sample([0, 5, 6, 4095], 2)] if acls else []
        self.site.server.transact({"op": "update", "table": "Physical_Port", "where": [["name", "==", self.chance.choice(["p1", "p2"])]],
                                   "row": {"acl_bindings": ["map", self.chance.choice([pairs, []])]}})

    def do_router(self):
        switch, acls = self.switch(), self.of("ACL")
        prefixes = self.chance.sample(PREFIXES, 3)
        self.insert("Logical_Router", {
            "name": self.chance.choice(["", "r", "\u00e9"]) + str(self.chance.getrandbits(30)),
            "switch_binding": ["map", [[prefix, switch] for prefix in prefixes] if switch else []],
            "static_routes": ["map", [[prefix, self.chance.choice(ADDRESSES)] for prefix in self.chance.sample(PREFIXES, 2)]],
            "acl_binding": ["map", [[prefixes[0], self.chance.choice(acls)]] if acls else []]})

    def do_tunnel(self):
        first, local = locator_of(self.site, "a", self.chance.choice(["192.0.2.1", "192.0.2.40", "nowhere"]), None)
        second, remote = locator_of(self.site, "b", self.chance.choice(["192.0.2.41", "::FFFF:192.0.2.41", "192.0.2.42 ", "192.0.2.1", "nonsense"]), self.chance.choice([None, 7]))
        if first and second and first[0]["row"] == second[0]["row"]:
            second, remote = [], local
        texts = ["true", "false", "TRUE", " False", "maybe", "", "0", "-1", "50", " 1000", "99999999999", "nonsense"]
        names = ["enable", "min_rx", "min_tx", "decay_min_rx", "forwarding_if_rx", "cpath_down", "check_tnl_key", "unheard_of"]
        parameters = {**{name: self.chance.choice(texts) for name in names}, **({"enable": self.chance.choice(["true", "True "])} if self.chance.random() < 0.5 else {})}
        ends = {"bfd_dst_mac": self.chance.choice([*spellings("00:23:20:00:00:0a"), "nonsense"]), "bfd_dst_ip": self.chance.choice(ADDRESSES)}
        self.insert("Tunnel", {"local": local, "remote": remote, "bfd_params": ["map", list(parameters.items())],
                               "bfd_config_remote": ["map", list(ends.items())]},
                    *first, *second,
                    {"op": "mutate", "table": "Physical_Switch", "where": [["name", "==", "hv1"]],
                     "mutations": [["tunnels", "insert", ["named-uuid", "new"]]]})

    def do_arp(self):
        first, locator = locator_of(self.site, "a", self.chance.choice(["192.0.2.40", "::ffff:192.0.2.40", "192.0.2.1", "nonsense"]), None)
        self.insert("Arp_Sources_Remote", {"src_mac": self.chance.choice([*spellings("02:00:00:00:00:aa"), "ff:ff:ff:ff:ff:ff", "nonsense"]),
                                           "locator": locator}, *first)

    def do_gone(self):
        free = [row for row in self.rows if row[0] in ("Logical_Router", "Arp_Sources_Remote")]
        if free:
            table, uuid = self.chance.choice(free)
            self.site.server.transact({"op": "delete", "table": table, "where": [["_uuid", "==", uuid]]})
            self.rows.remove((table, uuid))


def wipe(site):
    """The controller takes back all that it has written."""
    tables = ("Ucast_Macs_Remote", "Mcast_Macs_Remote", "Arp_Sources_Remote", "Logical_Router")
    site.server.transact(
        {"op": "update", "table": "Physical_Port", "where": [], "row": {"vlan_bindings": ["map", []], "acl_bindings": ["map", []]}},
        {"op": "update", "table": "Physical_Switch", "where": [], "row": {"tunnels": ["set", []]}},
        *({"op": "delete", "table": table, "where": []} for table in (*tables, "ACL", "ACL_entry")))
    # Our own rows in the logical switches go at once.
    wait_until(lambda: not site.rows("Mcast_Macs_Local") and not site.rows("Ucast_Macs_Local"), "our rows are withdrawn")
    site.server.transact({"op": "delete", "table": "Logical_Switch", "where": []})


def step(site, chance):
    """The operations of one transaction."""
    def uuids(table):
        return [["uuid", row["_uuid"][1]] for row in site.rows(table)]

    def locator(name, address, key):
        return locator_of(site, name, address, key)

    switches = uuids("Logical_Switch")
    address, key = f"192.0.2.{chance.randint(10, 15)}", chance.choice([None, None, 5000, 77, 0, NO_VNI])
    mac = f"02:00:00:00:0a:0{chance.randint(1, 9)}"
    mac = chance.choice([mac, mac, mac, *spellings(mac), "nonsense"])
    address = chance.choice([address, address, f"::FFFF:{address}", f" {address}"])
    ipaddr = chance.choice(ADDRESSES)
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
        return [*before, {"op": "insert", "table": "Ucast_Macs_Remote",
                 "row": {"MAC": mac, "logical_switch": switch, "locator": reference, "ipaddr": ipaddr}}]
    if kind in ("gone", "move") and (rows := uuids("Ucast_Macs_Remote")):
        where = [["_uuid", "==", chance.choice(rows)]]
        if kind == "gone":
            return [{"op": "delete", "table": "Ucast_Macs_Remote", "where": where}]
        before, reference = locator("l", address, key)
        return [*before, {"op": "update", "table": "Ucast_Macs_Remote", "where": where, "row": {"locator": reference, "ipaddr": ipaddr}}]
    if kind == "flood":
        first, one = locator("l", address, chance.choice([None, NO_VNI]))
        second, two = locator("m", "192.0.2.20", None)
        return [*first, *second,
                {"op": "insert", "table": "Physical_Locator_Set", "uuid-name": "s", "row": {"locators": ["set", [one, two]]}},
                {"op": "insert", "table": "Mcast_Macs_Remote",
                 "row": {"MAC": chance.choice(["unknown-dst", "UNKNOWN-DST", "no group"]), "logical_switch": switch, "locator_set": ["named-uuid", "s"]}}]
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
    noise = Noise(site, chance)
    for number in range(STEPS):
        if chance.random() < 0.7:
            noise.step()
        # Several transactions may arrive before the data plane has caught up.
        for _ in range(chance.randint(1, 3)):
            operations = step(site, chance)
            if operations:
                results = site.server.transact(*operations)
                assert all(result and "error" not in result for result in results), (operations, results)
        assert site.daemon.process.poll() is None, site.daemon.log()[-3000:]
        wait_until(
            lambda: Model.of_data_plane(site.daemon) == Model.settled(site),
            lambda: f"seed {seed}, step {number}: {vars(Model.of_data_plane(site.daemon))} is not {vars(Model.settled(site))}\n{site.daemon.log()[-3000:]}")
    wipe(site)
    wait_until(lambda: site.daemon.ctl("show", "vnis") == [] and site.daemon.ctl("show", "ovsdb")[0]["faults"] == [],
               lambda: f"nothing is left to complain about: {site.daemon.ctl('show', 'ovsdb')}")
    site.wait_faults(set())
    for port in ("p1", "p2"):
        site.wait_faults(set(), "Physical_Port", "port_fault_status", port)
    assert {row["result"] for row in site.daemon.ctl("ovsdb", "transactions")} == {"committed"}

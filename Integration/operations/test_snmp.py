"""SNMP: Debian's snmpd with vtepd as its sub-agent, asked by net-snmp's own programs."""
import re

from lab import wait_until
from lab.namespaces import end_process
from lab.site import VNI, Site

IF_TABLE, IF_X_TABLE = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
BASE_PORTS, FDB = "1.3.6.1.2.1.17.1.4.1.2", "1.3.6.1.2.1.17.7.1.2.2.1"
FIRST_INDEX, OVERLAY = 1_000_000, 65_535


class Managed:
    def __init__(self, lab, **keys):
        self.site = Site(lab, wait=False, **keys)
        self.daemon = self.site.daemons[0]
        self.folder = lab.directory / "snmp"
        self.folder.mkdir()
        self.socket = self.folder / "master"
        self.daemon.config["metrics"] = {"agentx": str(self.socket)}
        self.daemon.write_config()
        self.snmpd = None

    def start_snmpd(self):
        (self.folder / "snmpd.conf").write_text(
            f"rocommunity public 127.0.0.1\nmaster agentx\nagentXSocket {self.socket}\nagentAddress udp:127.0.0.1:161\npersistentDir {self.folder}\n")
        with open(self.folder / "log", "a") as log:
            self.snmpd = self.daemon.namespace.popen(
                "snmpd", "-f", "-Lo", "-C", "-c", self.folder / "snmpd.conf", "-I", "-smux", stdout=log, stderr=log)

    def walk(self, name, bulk=True):
        """{the rest of the name: value as text}"""
        done = self.daemon.namespace.run("snmpbulkwalk" if bulk else "snmpwalk", "-v2c", "-c", "public", "-On", "-Oe", "-t", "20", "-m", "",
                                         "127.0.0.1", name, check=False)
        rows = re.findall(rf"^\.{re.escape(name)}\.([\d.]+) = (?:[\w-]+: ?)?(.*)$", done.stdout, re.M)
        return {rest: value.strip('" ') for rest, value in rows}

    def column(self, table, column):
        return {int(index): value for index, value in self.walk(f"{table}.{column}").items()}

    def own_rows(self):
        return {index: name for index, name in self.column(IF_X_TABLE, 1).items() if index >= FIRST_INDEX}

    def wait_rows(self, *names):
        return wait_until(lambda: (rows := self.own_rows()) and set(rows.values()) == {*names} and rows,
                          lambda: f"rows of {names}: {self.own_rows()}\n{(self.folder / 'log').read_text()[-1500:]}\n{self.daemon.log()[-1500:]}", 60)


def test_interfaces_and_addresses(lab):
    scene = Managed(lab)
    scene.start_snmpd()
    scene.site.start()
    try:
        scene.site.wait_all_pings()
        daemon, port = scene.daemon, scene.daemon.config["ports"][0]["name"]
        rows = scene.wait_rows(port, "overlay")
        index = next(number for number, name in rows.items() if name == port)
        assert scene.column(IF_TABLE, 3)[index] == "6" and scene.column(IF_TABLE, 3)[FIRST_INDEX + OVERLAY] == "131"
        assert scene.column(IF_TABLE, 8)[index] == "1"
        assert scene.column(IF_TABLE, 6)[index].replace(" ", "").lower() == daemon.port(port)["mac"].replace(":", "")
        # The kernel's interfaces, which snmpd itself has, stand in the same tables.
        assert {"lo", "u0"} <= set(scene.column(IF_X_TABLE, 1).values())

        def counters_agree():
            before = daemon.port(port)
            seen = [int(scene.column(IF_X_TABLE, column)[index]) for column in (7, 6, 11, 10)]
            expected = [before[key] for key in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")]
            return seen == expected and before["rx_packets"] > 0

        # What is shown is some seconds old.
        wait_until(counters_agree, "nothing moves for some seconds, and the counters agree", 120, interval=1)

        def stations():
            return {(int(vni), ":".join(f"{int(octet):02x}" for octet in octets)): int(number)
                    for vni, *octets, number in ((*name.split("."), value) for name, value in scene.walk(f"{FDB}.2").items())}

        expected = {(row["vni"], row["mac"]): index - FIRST_INDEX if row["location"] == "port" else OVERLAY for row in daemon.ctl("show", "mac-table")}
        assert len(expected) >= 2
        wait_until(lambda: stations() == expected, lambda: f"{expected} are in the forwarding database: {stations()}", 60, interval=1)
        assert scene.walk(f"{FDB}.2", bulk=False) == scene.walk(f"{FDB}.2")
        assert set(scene.walk(f"{FDB}.3").values()) == {"3"}
        assert scene.walk(BASE_PORTS) == {str(number - FIRST_INDEX): str(number) for number in rows}
        assert scene.walk("1.3.6.1.2.1.17.7.1.2.1.1.2") == {str(VNI): str(len(expected))}
    finally:
        end_process(scene.snmpd)


def test_snmpd_comes_and_goes(lab):
    scene = Managed(lab, vtepd=1)
    scene.site.start()
    daemon, port = scene.daemon, scene.daemon.config["ports"][0]
    wait_until(lambda: "metrics.agentx" in daemon.log(), "the log says that there is no snmpd")
    scene.start_snmpd()
    try:
        scene.wait_rows(port["name"], "overlay")
        end_process(scene.snmpd)
        scene.start_snmpd()
        scene.wait_rows(port["name"], "overlay")
        # A port goes and comes.
        daemon.ctl("port", "delete", port["name"])
        scene.wait_rows("overlay")
        daemon.ctl("port", "add", "--name", "another", "--kind", port["kind"], "--device", port["device"], "--vni", VNI)
        scene.wait_rows("another", "overlay")
        # The daemon leaves in order.
        del daemon.config["metrics"]
        daemon.reload("configuration reloaded: ")
        wait_until(lambda: not scene.own_rows(), "its rows are gone", 60)
    finally:
        end_process(scene.snmpd)

"""A VLAN identifier has meaning on its port only: the same one in different VNIs never meets, not even by flooding."""
import pytest

from lab import Capture, wait_until
from lab.daemon import Refused, Vtepd
from lab.frames import BROADCAST, ethernet, mac_number, tagged
from lab.hosts import Guest, Switch, UnderlayHost

FIRST, SECOND = 5001, 5002


class Trunks:
    """Ports a and b with VLAN 100 in different VNIs; ports c and d show what is flooded in each VNI."""

    bindings = {"a": {"vlans": {100: FIRST}}, "b": {"vlans": {100: SECOND}}, "c": {"vni": FIRST}, "d": {"vni": SECOND}}

    def __init__(self, lab):
        switch = Switch(lab)
        host = UnderlayHost(lab, switch, 1)
        self.guests, self.raws, self.captures, ports = {}, {}, {}, []
        for number, (name, binding) in enumerate(self.bindings.items(), 1):
            guest = Guest(lab, f"host-{name}", number)
            guest.attach_veth(host.namespace, f"port{number}")
            guest.namespace.sysctl("net.ipv6.conf.eth0.disable_ipv6", 1)
            self.guests[name] = guest
            self.raws[name] = guest.namespace.raw_socket("eth0", receive=False)
            self.captures[name] = Capture(guest.namespace, "eth0", inbound=True)
            ports.append({"name": name, "kind": "netdev", "device": f"port{number}", **binding})
        self.daemon = Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0"},
            "vnis": [{"vni": vni, "flood": "none"} for vni in (FIRST, SECOND)], "ports": ports}).start()
        self.daemon.wait_ports_up()

    def flood(self, source, number):
        """One frame of each class, from and to addresses that both VNIs may know."""
        station = mac_number(0x100)
        frames = [ethernet(station, destination, b"%s %d" % (source.encode(), number) + bytes(50))
                  for destination in (BROADCAST, "01:00:5e:01:01:01", mac_number(0x99), self.guests["a"].mac, self.guests["b"].mac)]
        for frame in frames:
            self.raws[source].send(tagged(frame, 100) if source in "ab" else frame)
        return frames

    def wait(self, name, frames):
        wait_until(lambda: all(frame in self.captures[name].packets() for frame in frames), f"{name} gets all frames")

    def seen(self, name, marker):
        return [frame for frame in self.captures[name].packets() if marker in frame]


def test_same_vlan_in_different_vnis_never_meets(lab):
    trunks = Trunks(lab)
    for number in range(20):
        first, second = trunks.flood("a", number), trunks.flood("b", number)
        trunks.wait("c", first)
        trunks.wait("d", second)
    # Towards the trunks, too.
    down, other = trunks.flood("c", 0), trunks.flood("d", 0)
    trunks.wait("a", [tagged(frame, 100) for frame in down])
    trunks.wait("b", [tagged(frame, 100) for frame in other])
    for name, strangers in (("a", "bd"), ("b", "ac"), ("c", "bd"), ("d", "ac")):
        for stranger in strangers:
            assert trunks.seen(name, b"%s " % stranger.encode()) == [], f"{name} sees {stranger}"
    assert trunks.daemon.drops() == {}
    # The same station in both: each VNI has it at its own place.
    rows = [(row["vni"], row["port"], row["vlan"]) for row in trunks.daemon.ctl("show", "mac-table") if row["mac"] == mac_number(0x100)]
    assert set(rows) <= {(FIRST, "a", 100), (FIRST, "c", None), (SECOND, "b", 100), (SECOND, "d", None)} and len(rows) == 2


def test_double_tags_hop_nowhere(lab):
    """The classic attack: an outer tag that is taken off, an inner one of somebody else's VLAN."""
    trunks = Trunks(lab)
    trunks.daemon.ctl("binding", "add", "--port", "b", "--vlan", 300, "--vni", FIRST)
    for outer, tpid in ((100, 0x8100), (100, 0x88A8), (0, 0x8100), (300, 0x8100)):
        frame = ethernet(mac_number(0x100), BROADCAST, b"attack" + bytes(50))
        trunks.raws["a"].send(tagged(tagged(frame, 100), outer, tpid))
        trunks.raws["c"].send(tagged(tagged(frame, 300), outer, tpid))
        trunks.raws["c"].send(tagged(frame, 100))
    drops = {"inner-vlan": 2 + 1, "untagged-not-bound": 1, "vlan-not-bound": 1 + 3 + 4}
    wait_until(lambda: sum(trunks.daemon.drops().values()) >= sum(drops.values()), lambda: f"all are dropped: {trunks.daemon.drops()}")
    assert trunks.daemon.drops() == drops
    sound = trunks.flood("a", 1)
    trunks.wait("c", sound)
    for name in trunks.bindings:
        assert trunks.seen(name, b"attack") == []


def test_bindings_that_move_between_vnis(lab):
    trunks = Trunks(lab)
    trunks.wait("c", trunks.flood("a", 1))
    trunks.wait("d", trunks.flood("b", 1))
    with pytest.raises(Refused, match="port b binds VLAN 100 to VNI 5002 already"):
        trunks.daemon.ctl("binding", "add", "--port", "b", "--vlan", 100, "--vni", FIRST)
    # By a file that says the same place twice, neither.
    text = trunks.daemon.config_path.read_text().replace("100: 5002", "100: 5002\n    100: 5001")
    trunks.daemon.config_path.write_text(text)
    with pytest.raises(Refused, match=r"vtepd.yaml:\d+:\d+: key '100' is given twice"):
        trunks.daemon.ctl("config", "apply", trunks.daemon.config_path)
    assert [row["vni"] for row in trunks.daemon.ctl("show", "bindings")] == [FIRST, SECOND, FIRST, SECOND]

    # A reload moves it; what was learned at the place is gone, and a and b are one segment now.
    trunks.daemon.config["ports"][1]["vlans"] = {100: FIRST}
    trunks.daemon.reload("configuration")
    wait_until(lambda: trunks.daemon.ctl("show", "bindings", "--port", "b")[0]["vni"] == FIRST, "the binding has moved")
    assert [row for row in trunks.daemon.ctl("show", "mac-table", "--port", "b") if row["vni"] == SECOND] == []
    frames = trunks.flood("a", 2)
    trunks.wait("b", [tagged(frame, 100) for frame in frames[:3]])
    assert trunks.seen("d", b"a 2") == []

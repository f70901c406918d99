"""A VLAN ID has a meaning only on its port: the same ID in different VNIs never meets, not even by flooding."""
import pytest

from lab import Capture, Chatter, wait_until
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
            self.guests[name] = guest
            self.raws[name] = guest.namespace.raw_socket("eth0", receive=False)
            self.captures[name] = Capture(guest.namespace, "eth0", inbound=True)
            ports.append({"name": name, "kind": "netdev", "device": f"port{number}", **binding})
        self.daemon = Vtepd(host.namespace, {
            "underlay": {"addresses": [host.ipv4], "device": "u0"},
            "vnis": [{"vni": vni, "flood": "none"} for vni in (FIRST, SECOND)], "ports": ports}).start()
        self.daemon.wait_ports_up()
        self.watch("a", "b")

    def watch(self, *trunks):
        """From here on, counters are checked. The hosts' own frames are untagged and match no binding."""
        self.chatter = Chatter(*(self.guests[name] for name in trunks))
        self.before = self.chatter.undisturbed(self.daemon.drops)

    def wait_drops(self, expected):
        """Waits until exactly these are counted in addition."""
        def counted():
            after = self.daemon.drops()
            after["untagged-not-bound"] = after.get("untagged-not-bound", 0) - self.chatter.count()
            return {key: after[key] - self.before.get(key, 0) for key in after if after[key] != self.before.get(key, 0)}

        wait_until(lambda: counted() == expected, lambda: f"{expected} are dropped: {counted()}")

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
    # Also towards the trunks.
    down, other = trunks.flood("c", 0), trunks.flood("d", 0)
    trunks.wait("a", [tagged(frame, 100) for frame in down])
    trunks.wait("b", [tagged(frame, 100) for frame in other])
    for name, strangers in (("a", "bd"), ("b", "ac"), ("c", "bd"), ("d", "ac")):
        for stranger in strangers:
            assert trunks.seen(name, b"%s " % stranger.encode()) == [], f"{name} sees {stranger}"
    trunks.wait_drops({})
    # The same station in both: each VNI has it in its own location.
    rows = [(row["vni"], row["port"], row["vlan"]) for row in trunks.daemon.ctl("show", "mac-table") if row["mac"] == mac_number(0x100)]
    assert set(rows) <= {(FIRST, "a", 100), (FIRST, "c", None), (SECOND, "b", 100), (SECOND, "d", None)} and len(rows) == 2


def test_double_tags_hop_nowhere(lab):
    """The classic attack: an outer tag that is removed, and an inner tag with another tenant's VLAN."""
    trunks = Trunks(lab)
    trunks.daemon.ctl("binding", "add", "--port", "b", "--vlan", 300, "--vni", FIRST)
    for outer, tpid in ((100, 0x8100), (100, 0x88A8), (0, 0x8100), (300, 0x8100)):
        frame = ethernet(mac_number(0x100), BROADCAST, b"attack" + bytes(50))
        trunks.raws["a"].send(tagged(tagged(frame, 100), outer, tpid))
        trunks.raws["c"].send(tagged(tagged(frame, 300), outer, tpid))
        trunks.raws["c"].send(tagged(frame, 100))
    trunks.wait_drops({"inner-vlan": 2 + 1, "untagged-not-bound": 1, "vlan-not-bound": 1 + 3 + 4})
    sound = trunks.flood("a", 1)
    trunks.wait("c", sound)
    for name in trunks.bindings:
        assert trunks.seen(name, b"attack") == []


def test_bindings_that_move_between_vnis(lab):
    trunks = Trunks(lab)
    trunks.wait("c", trunks.flood("a", 1))
    trunks.wait("d", trunks.flood("b", 1))
    with pytest.raises(Refused, match="port b already binds VLAN 100 to VNI 5002"):
        trunks.daemon.ctl("binding", "add", "--port", "b", "--vlan", 100, "--vni", FIRST)
    # Nor does a file that names the same binding twice.
    text = trunks.daemon.config_path.read_text().replace("100: 5002", "100: 5002\n    100: 5001")
    trunks.daemon.config_path.write_text(text)
    with pytest.raises(Refused, match=r"vtepd.yaml:\d+:\d+: key '100' is given twice"):
        trunks.daemon.ctl("config", "apply", trunks.daemon.config_path)
    assert [row["vni"] for row in trunks.daemon.ctl("show", "bindings")] == [FIRST, SECOND, FIRST, SECOND]

    # A reload moves it; addresses learned there are removed, and a and b are now one segment.
    trunks.daemon.config["ports"][1]["vlans"] = {100: FIRST}
    trunks.daemon.reload("configuration reloaded")
    wait_until(lambda: trunks.daemon.ctl("show", "bindings", "--port", "b")[0]["vni"] == FIRST, "the binding has moved")
    assert [row for row in trunks.daemon.ctl("show", "mac-table", "--port", "b") if row["vni"] == SECOND] == []
    frames = trunks.flood("a", 2)
    trunks.wait("b", [tagged(frame, 100) for frame in frames[:3]])
    assert trunks.seen("d", b"a 2") == []


def test_several_bindings_of_one_port_in_one_vni(lab):
    """Untagged frames and two VLANs of one port are three bindings: each floods to the other two and reaches their stations."""
    trunks = Trunks(lab)
    for vlan in (None, 200):
        trunks.daemon.ctl("binding", "add", "--port", "a", "--vni", FIRST, *(["--vlan", vlan] if vlan else []))
    places = {None: mac_number(0x201), 100: mac_number(0x202), 200: mac_number(0x203)}
    # Frames from a's stack are flooded to its other bindings, those from c's to all three.
    own, neighbour = Chatter(trunks.guests["a"]), Chatter(trunks.guests["c"])

    def counters():
        return {row["vlan"]: (row["rx_packets"], row["tx_packets"]) for row in trunks.daemon.ctl("show", "bindings", "--port", "a")}

    before = own.undisturbed(lambda: neighbour.undisturbed(counters))

    def on(frame, vlan):
        return tagged(frame, vlan) if vlan else frame

    for vlan, station in places.items():
        frame = ethernet(station, BROADCAST, b"from %d" % (vlan or 0) + bytes(50))
        trunks.raws["a"].send(on(frame, vlan))
        trunks.wait("a", [on(frame, other) for other in places if other != vlan])
        trunks.wait("c", [frame])
        assert on(frame, vlan) not in trunks.captures["a"].packets(), "never back to the binding it came from"
    wait_until(lambda: set(places.values()) <= set(trunks.daemon.macs("--port", "a")), "the stations are known")
    for vlan, station in places.items():
        for other, target in places.items():
            if other == vlan:
                continue
            frame = ethernet(station, target, b"unicast" + bytes(50))
            trunks.raws["a"].send(on(frame, vlan))
            trunks.wait("a", [on(frame, other)])
    assert len(trunks.seen("a", b"unicast")) == 6 and trunks.seen("c", b"unicast") == []

    def ours():
        """(received, sent) of each binding, without the stacks' own frames."""
        flooded = {vlan: neighbour.count() + (own.count() if vlan else 0) for vlan in places}
        return {vlan: (received - before[vlan][0] - (0 if vlan else own.count()), sent - before[vlan][1] - flooded[vlan])
                for vlan, (received, sent) in counters().items()}

    wait_until(lambda: ours() == {vlan: (3, 4) for vlan in places}, lambda: f"three in and four out at each place: {ours()}")


def test_whole_trunk_of_full_sized_frames(lab):
    """inner-vlan: carry between two trunks: every VLAN without a binding arrives with its tag, at the full MTU."""
    trunks = Trunks(lab)
    trunks.daemon.ctl("vni", "set", FIRST, "--inner-vlan", "carry")
    trunks.daemon.ctl("binding", "add", "--port", "a", "--vni", FIRST)
    trunks.watch("b")
    frames = [tagged(ethernet(mac_number(0x300), BROADCAST, bytes([vlan & 255]) * 1500), vlan, priority=vlan % 8)
              for vlan in (1, 99, 101, 2000, 4094)]
    for frame in frames:
        trunks.raws["a"].send(frame)
    trunks.wait("c", frames)
    back = [tagged(ethernet(mac_number(0x301), mac_number(0x300), bytes([vlan & 255]) * 1500), vlan) for vlan in (1, 4094)]
    for frame in back:
        trunks.raws["c"].send(frame)
    trunks.wait("a", back)
    # VLAN 100 of port a has its own binding: frames with that tag from elsewhere must not enter it.
    trunks.raws["c"].send(tagged(ethernet(mac_number(0x301), mac_number(0x300), b"stranger" + bytes(50)), 100))
    # Flooded to that binding, the full-sized frames had no room for a second tag.
    trunks.wait_drops({"carried-vlan-bound": 1, "too-big-for-port": len(frames)})
    assert trunks.seen("a", b"stranger") == []

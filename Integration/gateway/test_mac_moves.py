"""An address claimed in two places: frozen in the first, reported, released; a single migration is not flagged."""
import time

import pytest

from lab import Site, wait_until
from lab.frames import BROADCAST, ethernet, mac_number, receive
from lab.hosts import Guest
from lab.site import VNI

CLAIMED = mac_number(0xC1A1)
HOLD = 6


VIRTUAL_ROUTER = "00:00:5e:00:01:07"


class Place:
    """A guest's raw socket, and the daemon's name for its location."""

    def __init__(self, guest, name):
        self.name, self.guest = name, guest
        self.raw = guest.namespace.raw_socket("eth0")

    def claim(self, destination=BROADCAST, mac=CLAIMED, note=b"claim"):
        self.raw.send(ethernet(mac, destination, note.ljust(46, b"\x00")))


class Scene:
    """Three daemons: ports `vm1`, `vm8` and `vm9` on the first, which is under test; `vm2`, `vm3` on the others."""

    def __init__(self, lab, **guard):
        self.site = Site(lab, vtepd=3, flood="replicate", wait=False)
        self.daemon = self.site.daemons[0]
        more = [Guest(lab, f"vm{number}", number).attach_veth(self.site.hosts[0].namespace, f"port{number}") for number in (8, 9)]
        for guest, device in zip(more, ("port8", "port9")):
            self.daemon.config["ports"].append({"name": guest.name, "kind": "netdev", "device": device, "vni": VNI})
        self.daemon.config["protection"] = {"mac-move": {"hold-seconds": HOLD, **guard}}
        for daemon in self.site.daemons:
            # What the others learn or freeze does not matter here.
            if daemon is not self.daemon:
                daemon.config["protection"] = {"mac-move": {"moves": 0}}
            daemon.write_config()
        self.site.start()
        for daemon, host in zip(self.site.daemons, self.site.hosts):
            daemon.wait_resolved(*(self.site.address(other) for other in self.site.hosts if other is not host))
        self.places = {
            "vm1": Place(self.site.guests[0], "port vm1"), "vm8": Place(more[0], "port vm8"), "vm9": Place(more[1], "port vm9"),
            "vm2": Place(self.site.guests[1], f"vtep {self.site.address(self.site.hosts[1])}"),
            "vm3": Place(self.site.guests[2], f"vtep {self.site.address(self.site.hosts[2])}"),
        }

    def moves(self, mac=CLAIMED):
        return next((row for row in self.daemon.ctl("show", "mac-moves") if row["mac"] == mac), None)

    def where(self, mac=CLAIMED):
        row = self.daemon.macs().get(mac)
        return row and (f"port {row['port']}" if row["location"] == "port" else f"vtep {row['vtep']}")

    def arrive(self, place, mac=CLAIMED):
        """The address is seen in a location, and learned there."""
        wait_until(lambda: (place.claim(mac=mac), self.where(mac) == place.name)[1],
                   lambda: f"{mac} is at {place.name}: {self.where(mac)}", interval=0.1)

    def quarrel(self, first, second):
        """Both locations claim the address in turn until it is frozen."""
        self.arrive(first)

        def frozen():
            for place in (second, first):
                place.claim()
                time.sleep(0.05)
            return (self.moves() or {}).get("state") == "frozen"

        wait_until(frozen, lambda: f"the address is frozen: {self.moves()}", interval=0.01)


@pytest.mark.parametrize("first, second", [("vm1", "vm9"), ("vm9", "vm2"), ("vm2", "vm1"), ("vm2", "vm3")])
def test_claimed_twice(lab, first, second):
    scene = Scene(lab)
    daemon, first, second = scene.daemon, scene.places[first], scene.places[second]
    observer = scene.places["vm8"]
    scene.arrive(observer, observer.guest.mac)
    scene.quarrel(first, second)

    row = scene.moves()
    assert (row["vni"], row["first"], row["second"], row["moves"]) == (VNI, first.name, second.name, 6)
    assert 0 <= row["frozen_s"] <= HOLD and row["release_s"] <= HOLD
    assert scene.where() == first.name
    line = f"VNI {VNI}: {CLAIMED} moved 6 times between {first.name} and {second.name}; frozen at {first.name} for {HOLD} s"
    wait_until(lambda: line in daemon.log(), lambda: f"the log reports it: {daemon.log()}")
    for word in (CLAIMED, "frozen", first.name, second.name):
        assert word in daemon.table("show", "mac-moves")

    # The frozen location keeps its traffic in both directions; frames from the other are dropped, and move nothing.
    dropped = lambda: sum(count for reason, count in daemon.drops().items() if reason in ("source-frozen", "inner-source-frozen"))
    before = dropped()
    for number in range(20):
        second.claim(observer.guest.mac, note=b"second %02d" % number)
        first.claim(observer.guest.mac, note=b"first %02d" % number)
        observer.raw.send(ethernet(observer.guest.mac, CLAIMED, b"answer %02d" % number + b"\x00" * 37))
    seen = []
    receive(observer.raw, lambda frame: (seen.append(frame), b"first 19" in frame)[1])
    if scene.moves()["state"] == "frozen":  # still frozen: the machine was quick enough
        assert not [frame for frame in seen if b"second" in frame]
        assert [frame[14:22] for frame in seen if frame[14:19] == b"first"] == [b"first %02d" % number for number in range(20)]
        receive(first.raw, lambda frame: b"answer 19" in frame)
        wait_until(lambda: dropped() == before + 20 or scene.moves()["state"] != "frozen", lambda: f"20 more are counted: {dropped()}")
        assert scene.where() == first.name

    # After the hold time it may move.
    wait_until(lambda: f"{CLAIMED} is no longer frozen" in daemon.log(), "it is released", 60)
    scene.arrive(second)
    row = scene.moves()
    assert (row["state"], row["first"], row["second"], row["frozen_s"], row["release_s"]) == ("moved", first.name, second.name, None, None)


def test_real_migrations_are_not_flagged(lab):
    scene = Scene(lab)
    travellers = [mac_number(0xA0 + number) for number in range(20)]
    # There, and back some time later: two moves, and then to a third host.
    for place in ("vm1", "vm2", "vm1", "vm3"):
        for mac in travellers:
            scene.arrive(scene.places[place], mac)
    rows = [row for row in scene.daemon.ctl("show", "mac-moves") if row["mac"] in travellers]
    assert {row["mac"] for row in rows} == set(travellers)
    assert {(row["state"], row["moves"], row["first"], row["second"]) for row in rows} == {
        ("moved", 3, "port vm1", scene.places["vm3"].name)}
    assert "frozen" not in scene.daemon.log()


def test_frozen_address_is_released_with_its_entry_or_place(lab):
    scene = Scene(lab, **{"hold-seconds": 3600, "moves": 2})
    daemon = scene.daemon
    one, two = scene.places["vm1"], scene.places["vm9"]
    scene.quarrel(one, two)
    daemon.ctl("mac", "flush", "--vni", VNI)
    wait_until(lambda: scene.moves() is None, "flushed, it is released")
    scene.quarrel(one, two)
    daemon.ctl("mac", "add", "--vni", VNI, "--mac", CLAIMED, "--port", "vm9")
    wait_until(lambda: scene.moves() is None, "placed by the operator, it is released")
    daemon.ctl("mac", "delete", "--vni", VNI, "--mac", CLAIMED)
    scene.quarrel(one, two)
    daemon.ctl("port", "delete", "vm1")
    wait_until(lambda: scene.moves() is None, "it is released with its port")
    scene.arrive(two)
    # A reload changes the guard.
    daemon.config["protection"]["mac-move"]["moves"] = 0
    daemon.config["ports"] = daemon.config["ports"][1:]
    daemon.reload("configuration reloaded")
    for number in range(20):
        for place in (two, scene.places["vm2"]):
            place.claim()
            time.sleep(0.01)
    assert daemon.ctl("show", "mac-moves") == []


def follow(scene, mac, places, rounds=12):
    """All locations claim the address in turn; each time it is learned there, and its frames pass."""
    observer = scene.places["vm8"]
    for number in range(rounds):
        for place in places:
            scene.arrive(place, mac)
            note = b"%s %04d" % (place.name.encode(), number)
            place.claim(mac=mac, note=note)
            receive(observer.raw, lambda frame: note in frame)
    assert scene.moves(mac)["state"] == "moved" and scene.moves(mac)["moves"] == 6
    assert not any("frozen" in reason for reason in scene.daemon.drops())


@pytest.mark.parametrize("other", ["vm9", "vm2"])
def test_two_masters_of_a_virtual_router(lab, other):
    """Each still receives the other's advertisements, so one of them steps back; then the address stays with the other."""
    scene = Scene(lab, **{"hold-seconds": 3600})
    masters = [scene.places["vm1"], scene.places[other]]
    follow(scene, VIRTUAL_ROUTER, masters)
    wait_until(lambda: "followed (the address of a virtual router)" in scene.daemon.log(), lambda: scene.daemon.log())
    assert scene.daemon.log().count(f"{VIRTUAL_ROUTER} moved") == 1
    # Any other address is frozen as before.
    scene.quarrel(*masters)


def test_report_instead_of_freezing(lab):
    scene = Scene(lab, **{"hold-seconds": 3600})
    places = [scene.places["vm1"], scene.places["vm9"]]
    scene.quarrel(*places)
    scene.daemon.ctl("vni", "set", VNI, "--mac-move-action", "report")
    wait_until(lambda: (scene.moves() or {}).get("state") != "frozen", "what is frozen is released")
    follow(scene, mac_number(0xC1A2), places)
    wait_until(lambda: "followed (mac-move action: report)" in scene.daemon.log(), lambda: scene.daemon.log())
    assert "mac-move: {action: report}" in scene.daemon.table("config", "show")
    scene.daemon.ctl("vni", "set", VNI, "--mac-move-action", "freeze")
    scene.quarrel(*places)
    # For all VNIs, in the file; the VNI's own setting overrides it.
    scene.daemon.config["protection"]["mac-move"]["action"] = "report"
    scene.daemon.config["vnis"][0]["mac-move"] = {"action": "freeze"}
    scene.daemon.reload("configuration reloaded")
    assert scene.moves()["state"] == "frozen"
    del scene.daemon.config["vnis"][0]["mac-move"]
    scene.daemon.reload("configuration reloaded")
    wait_until(lambda: (scene.moves() or {}).get("state") != "frozen", "what is frozen is released")
    follow(scene, mac_number(0xC1A3), places)

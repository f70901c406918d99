"""Storms of each class, on a port and in a whole VNI: what passes matches the limit, the rest is counted, and known unicast in the
same VNI is not affected."""
import time

import pytest

from lab import Site, wait_until
from lab.frames import BROADCAST, ethernet, mac_number
from lab.hosts import Guest
from lab.site import VNI
from lab.storm import Arrivals, Storm
from lab.streams import EchoStream

pytestmark = pytest.mark.alone

LIMITS = {"broadcast": 1000, "unknown-unicast": 600, "unknown-multicast": 300}
DESTINATIONS = {"broadcast": BROADCAST, "unknown-unicast": mac_number(0x77), "unknown-multicast": "01:00:5e:01:01:01"}
MARK = b"storm control under test".ljust(46, b"\x00")
SECONDS = 5


def classify(frame):
    """The class of a frame of our storms, whoever sent it."""
    if frame[14:14 + len(MARK)] != MARK:
        return None
    octet = frame[0]
    return "broadcast" if octet == 0xFF else "unknown-multicast" if octet & 1 else "unknown-unicast"


def storm(guest, rate):
    """A storm of all classes at once from a guest."""
    frames = [ethernet(guest.mac, destination, MARK) for destination in DESTINATIONS.values()]
    return Storm(guest.namespace.raw_socket("eth0", receive=False), frames, rate)


class Scene:
    """Two daemons: ports `vm1`, `vm8` and `vm9` on the first, `vm2` on the second; `vm8` and `vm9` have learned each other."""

    def __init__(self, lab, vnis=None, port=None):
        # Two workers, which share the limits.
        self.site = Site(lab, vtepd=2, flood="replicate", dataplane={"workers": 2}, wait=False)
        self.daemon, self.remote = self.site.daemons
        self.local, self.far = self.site.guests
        host = self.site.hosts[0].namespace
        self.quiet = [Guest(lab, f"vm{number}", number).attach_veth(host, f"port{number}") for number in (8, 9)]
        for guest, device in zip(self.quiet, ("port8", "port9")):
            self.daemon.config["ports"].append({"name": guest.name, "kind": "netdev", "device": device, "vni": VNI})
        self.daemon.config["vnis"][0].update(vnis or {})
        self.daemon.config["ports"][0].update(port or {})
        self.daemon.write_config()
        self.site.start()
        self.daemon.wait_resolved(self.site.address(self.site.hosts[1]))
        for one, other in (self.quiet, self.quiet[::-1]):
            one.namespace.ip(f"neigh add {other.ipv4} lladdr {other.mac} dev eth0")
        self.quiet[0].wait_ping(self.quiet[1].ipv4)
        wait_until(lambda: {guest.mac for guest in self.quiet} <= set(self.daemon.macs()), "both quiet guests are known")

    def rage(self, senders, rate, *places):
        """Runs storms for a while beside an echo stream; returns what arrived at each location."""
        arrivals = [Arrivals(guest.namespace, "eth0", classify) for guest in places]
        echo = EchoStream(self.quiet[0], self.quiet[1].mac, self.quiet[1].ipv4, rate=100)
        storms = [storm(guest, rate) for guest in senders]
        begin = time.time_ns()
        try:
            echo.wait_answers(20)
            enough = lambda: all(self.lasted(arrived) > SECONDS + 0.7 for arrived in arrivals)
            wait_until(enough, "the storm has lasted long enough", 60, 0.5)
        finally:
            end = time.time_ns()
            for raging in storms:
                raging.stop()
        echo.wait_answers(20)
        echo.stop()
        assert echo.lost(begin, end) == 0, "known unicast lost frames beside the storm"
        return arrivals

    @staticmethod
    def lasted(arrived):
        arrived.read()
        return min(((times[-1] - times[0]) / 1e9 for times in arrived.times.values()), default=0) if len(arrived.times) == 3 else 0


def test_limits_of_a_vni_hold_for_ports_and_overlay_together(lab):
    scene = Scene(lab, vnis={"storm-control": LIMITS})
    vni = lambda: scene.daemon.ctl("show", "vnis")[0]["storm"]
    assert {key.replace("_", "-"): value for key, value in vni().items() if key != "drops"} == LIMITS
    # Each of them alone is above every limit.
    here, = scene.rage([scene.local, scene.far], 1500, scene.quiet[1])
    for kind, limit in LIMITS.items():
        here.check_rate(kind, limit)
    # What did not pass is counted, in the VNI and by port or VTEP.
    drops = scene.daemon.drops()
    for kind in LIMITS:
        assert vni()["drops"][f"vni-storm-{kind}"] == drops[f"vni-storm-{kind}"] > 1000
    places = {row["where"] for row in scene.daemon.ctl("show", "drops") if row["reason"] == "vni-storm-broadcast"}
    assert places == {"vm1", "u0"}
    assert f"broadcast 1000 packets/s ({drops['vni-storm-broadcast']} dropped)" in scene.daemon.table("show", "vnis", "--wide")

    # Limits change during the storm; unnamed ones stay.
    scene.daemon.ctl("vni", "set", VNI, "--storm-broadcast", 200, "--storm-unknown-multicast", 0)
    wait_until(lambda: vni()["broadcast"] == 200 and vni()["unknown_unicast"] == 600, "the limits are changed")
    here, = scene.rage([scene.local], 1500, scene.quiet[1])
    here.check_rate("broadcast", 200)
    here.check_rate("unknown-unicast", 600)
    assert scene.daemon.drops()["vni-storm-unknown-multicast"] == drops["vni-storm-unknown-multicast"]


def test_limits_of_a_port_hold_towards_ports_and_overlay(lab):
    scene = Scene(lab, port={"storm-control": LIMITS})
    here, there = scene.rage([scene.local], 2000, scene.quiet[1], scene.far)
    for kind, limit in LIMITS.items():
        here.check_rate(kind, limit)
        there.check_rate(kind, limit)
        assert scene.daemon.port("vm1")["limits"]["drops"][f"storm-{kind}"] > 1000


@pytest.mark.parametrize("text, message", [
    ("storm-control: {broadcast: 1000000001}", "broadcast must be a whole number from 0 to 1000000000"),
    ("storm-control: {multicast: 1}", "unknown key 'multicast'"),
])
def test_wrong_limits_are_refused(lab, text, message):
    scene = Site(lab, vtepd=1, flood="none")
    daemon = scene.daemons[0]
    wrong = lab.directory / "wrong.yaml"
    wrong.write_text(f"underlay: {{addresses: [192.0.2.1], device: u0}}\nvnis: [{{vni: 7, flood: none, {text}}}]\n")
    with pytest.raises(AssertionError, match=message):
        daemon.ctl("config", "apply", wrong)
    with pytest.raises(AssertionError, match="storm-control broadcast must be at most 1000000000"):
        daemon.ctl("vni", "set", VNI, "--storm-broadcast", 1000000001)
    assert daemon.ctl("show", "vnis")[0]["storm"]["broadcast"] == 0

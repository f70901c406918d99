"""Limits of a port: the excess is dropped for the right reason and counted, and the neighbouring port is not affected."""
import pytest

from lab import Capture, Chatter, Site, wait_until
from lab.frames import BROADCAST, ethernet, mac_number, receive
from lab.hosts import Guest
from lab.site import VNI


class Neighbours:
    """One daemon with two ports in one VNI: `limited` and `free`; frames are sent and received on raw sockets."""

    def __init__(self, lab, **limits):
        self.site = Site(lab, vtepd=1, flood="none", wait=False)
        self.daemon, self.limited = self.site.daemons[0], self.site.guests[0]
        self.free = Guest(lab, "vm9", 9).attach_veth(self.site.hosts[0].namespace, "port9")
        self.daemon.config["ports"][0].update(limits)
        self.daemon.config["ports"].append({"name": "vm9", "kind": "netdev", "device": "port9", "vni": VNI})
        self.daemon.write_config()
        self.site.start()
        self.daemon.wait_ports_up()
        self.raw, self.free_raw = (guest.namespace.raw_socket("eth0") for guest in (self.limited, self.free))

    def drops(self):
        return self.daemon.port("vm1")["limits"]["drops"]

    def wait_drops(self, **expected):
        expected = {reason.replace("_", "-"): count for reason, count in expected.items()}
        wait_until(lambda: self.drops() == expected, lambda: f"the port has dropped {expected}, not {self.drops()}")
        shown = {row["reason"]: row["count"] for row in self.daemon.ctl("show", "drops") if row["where"] == "vm1"}
        for reason, count in expected.items():
            assert shown[reason] == count
        assert [row for row in self.daemon.ctl("show", "drops") if row["where"] == "vm9"] == []

    def marker(self, number, source=None, destination=None):
        return ethernet(source or self.limited.mac, destination or self.free.mac, b"marker %06d" % number + b"\x00" * 33)

    def check_neighbour(self):
        """The neighbour's frames go through, one for one."""
        for number in range(50):
            self.free_raw.send(self.marker(900_000 + number, self.free.mac, self.limited.mac))
        for number in range(50):
            receive(self.raw, lambda frame: b"marker %06d" % (900_000 + number) in frame)


def learn(pair):
    """Each station is known at its port."""
    for raw, guest in ((pair.raw, pair.limited), (pair.free_raw, pair.free)):
        raw.send(ethernet(guest.mac))
        wait_until(lambda: guest.mac in pair.daemon.macs(), f"{guest.name} is known")


def test_spoofed_sources(lab):
    own = [mac_number(0x101), mac_number(0x102)]
    pair = Neighbours(lab, macs=own, **{"anti-spoofing": True})
    pair.free_raw.send(ethernet(pair.free.mac))
    wait_until(lambda: pair.free.mac in pair.daemon.macs(), "the neighbour is known")
    # The interface's own address is not configured: frames from its stack are dropped too.
    chatter = Chatter(pair.limited)
    before = chatter.undisturbed(lambda: pair.drops().get("source-spoofed", 0))
    # The neighbour's address, an unknown one, and the interface's own.
    for source in (pair.free.mac, mac_number(0x103), pair.limited.mac):
        for number in range(10):
            pair.raw.send(pair.marker(number, source, BROADCAST))
    for number, source in enumerate(own):
        pair.raw.send(pair.marker(100 + number, source))
        assert receive(pair.free_raw, lambda frame: b"marker" in frame) == pair.marker(100 + number, source)
    wait_until(lambda: pair.drops() == {"source-spoofed": before + 30 + chatter.count()},
               lambda: f"30 of ours are dropped: {pair.drops()}, {before} before, {chatter.count()} of the stack")
    drops, rows, table = chatter.undisturbed(
        lambda: (pair.drops(), pair.daemon.ctl("show", "drops"), pair.daemon.table("show", "ports", "--wide")))
    assert [(row["where"], row["reason"], row["count"]) for row in rows] == [("vm1", "source-spoofed", drops["source-spoofed"])]
    assert f"anti-spoofing ({drops['source-spoofed']} dropped)" in table
    assert pair.daemon.macs()[pair.free.mac]["port"] == "vm9"
    assert mac_number(0x103) not in pair.daemon.macs()


def test_more_sources_than_allowed(lab):
    pair = Neighbours(lab, **{"mac-limit": 5})
    learn(pair)
    sources = [mac_number(0x100 + number) for number in range(20)]
    for source in sources:
        pair.raw.send(pair.marker(1, source))
    pair.wait_drops(port_mac_limit=16)
    wait_until(lambda: set(pair.daemon.macs()) == {pair.limited.mac, pair.free.mac, *sources[:4]},
               lambda: f"the first four are known: {list(pair.daemon.macs())}")
    limits = pair.daemon.port("vm1")["limits"]
    assert (limits["macs"], limits["mac_limit"]) == (5, 5)
    # Known sources continue, and a freed slot is reused.
    pair.raw.send(pair.marker(2, sources[0]))
    receive(pair.free_raw, lambda frame: frame == pair.marker(2, sources[0]))
    pair.daemon.ctl("mac", "delete", "--vni", VNI, "--mac", sources[1])
    # An address removed while it was being added keeps its slot for a second.
    passed = lambda: (pair.raw.send(pair.marker(3, sources[9])), sources[9] in pair.daemon.macs())[1]
    wait_until(passed, "a new source takes the slot", interval=0.2)
    receive(pair.free_raw, lambda frame: frame == pair.marker(3, sources[9]))
    pair.check_neighbour()
    assert pair.daemon.drops()["port-mac-limit"] >= 16


@pytest.mark.parametrize("kind, destination", [
    ("broadcast", BROADCAST), ("unknown-unicast", mac_number(0x77)), ("unknown-multicast", "01:00:5e:01:01:01")])
@pytest.mark.alone
def test_storms(lab, kind, destination):
    # One per second: of a quick burst all but the first is dropped, however long the burst takes.
    pair = Neighbours(lab, **{"storm-control": {kind: 1}})
    for guest, raw in ((pair.free, pair.free_raw), (pair.limited, pair.raw)):
        raw.send(ethernet(guest.mac, pair.limited.mac if guest is pair.free else pair.free.mac))
        wait_until(lambda: guest.mac in pair.daemon.macs(), f"{guest.name} is known")
    # Frames from the stacks are flooded too, and belong to one of the three classes.
    chatter, arrived = Chatter(pair.limited), Capture(pair.free.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    before, received = chatter.undisturbed(lambda: (pair.drops().get(f"storm-{kind}", 0), pair.daemon.port("vm1")["rx_packets"]))
    for number in range(2000):
        pair.raw.send(pair.marker(number, destination=destination))

    def dropped():
        return pair.drops().get(f"storm-{kind}", 0) - before

    wait_until(lambda: pair.daemon.port("vm1")["rx_packets"] >= received + 2000 + chatter.count(), "all have come in")
    # Every frame that was not dropped has reached the neighbour intact.
    multicast = kind == "unknown-multicast"
    wait_until(lambda: 2000 <= len(arrived.packets()) + dropped() <= 2000 + multicast * chatter.count(),
               lambda: f"the neighbour got the rest: {len(arrived.packets())}, {dropped()} were dropped")
    assert set(pair.drops()) == {f"storm-{kind}"}
    assert len(arrived.packets()) < 1000, "more than one a second passed for a quarter of an hour"
    # Known destinations, other classes and the neighbour's floods pass.
    for number in range(50):
        pair.raw.send(pair.marker(10_000 + number))
    for number in range(50):
        receive(pair.free_raw, lambda frame: b"marker %06d" % (10_000 + number) in frame)
    for number in range(50):
        pair.free_raw.send(pair.marker(20_000 + number, pair.free.mac, destination))
    for number in range(50):
        receive(pair.raw, lambda frame: b"marker %06d" % (20_000 + number) in frame)
    pair.check_neighbour()
    drops, table = chatter.undisturbed(lambda: (pair.drops(), pair.daemon.table("show", "ports", "--wide")))
    assert f"{kind} 1 packets/s ({drops[f'storm-{kind}']} dropped)" in table


@pytest.mark.alone
@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("unit", ["bits", "packets"])
def test_rates(lab, direction, unit):
    # Slow enough that nearly all of a quick burst exceeds the rate: 10 packets per second, or 64 KiB and then next to nothing.
    pair = Neighbours(lab, **{"rate-limit": {direction: {unit: 10 if unit == "packets" else 8000}}})
    learn(pair)
    sender, source, target = (pair.raw, pair.limited, pair.free) if direction == "ingress" else (pair.free_raw, pair.free, pair.limited)
    chatter = Chatter(source)

    def ports():
        return pair.drops().get(f"{direction}-rate-limit", 0), pair.daemon.port(source.name), pair.daemon.port(target.name)

    frame = ethernet(source.mac, target.mac, b"\x5a" * 1400)
    before, received, sent = chatter.undisturbed(ports)
    for _ in range(1000):
        sender.send(frame)
    wait_until(lambda: pair.daemon.port(source.name)["rx_packets"] >= received["rx_packets"] + 1000, "all have come in")

    def accounted():
        dropped, _, target_now = ports()
        return dropped - before + target_now["tx_packets"] - sent["tx_packets"] == 1000 + chatter.count() and dropped - before > 500

    wait_until(accounted, lambda: f"each frame is sent or counted: {pair.daemon.ctl('show', 'ports')}")
    assert set(pair.drops()) == {f"{direction}-rate-limit"}
    if direction == "ingress":
        pair.check_neighbour()
    else:
        for number in range(50):
            pair.raw.send(pair.marker(number))
        for number in range(50):
            receive(pair.free_raw, lambda frame: b"marker %06d" % number in frame)


def test_tap_ports_have_limits_too(lab):
    site = Site(lab, vtepd=1, flood="none", kind="tap", wait=False)
    daemon, guest = site.daemons[0], site.guests[0]
    daemon.config["ports"][0].update({"macs": [guest.mac], "anti-spoofing": True})
    daemon.write_config()
    site.start()
    raw = guest.namespace.raw_socket("tap1")
    raw.send(ethernet(guest.mac))
    wait_until(lambda: guest.mac in daemon.macs() and daemon.port("vm1")["rx_packets"], "the tap is in use")
    # The host's kernel used the tap's first address before the guest took it over.
    before = daemon.port("vm1")["limits"]["drops"].get("source-spoofed", 0)
    for number in range(10):
        raw.send(ethernet(mac_number(0x100 + number)))
    wait_until(lambda: daemon.port("vm1")["limits"]["drops"] == {"source-spoofed": before + 10},
               lambda: f"all are dropped: {before} and ten more, not {daemon.port('vm1')['limits']['drops']}")


def test_changed_profile_is_applied_to_running_ports(lab):
    pair = Neighbours(lab)
    daemon = pair.daemon
    daemon.config["profiles"] = {"tenant": {"vni": VNI, "mac-limit": 100}}
    for port in daemon.config["ports"]:
        port["profile"] = "tenant"
        del port["vni"]
    daemon.reload("configuration reloaded")
    wait_until(lambda: daemon.port("vm1")["limits"]["mac_limit"] == 100, "the profile is in force")
    learn(pair)
    log = daemon.log().count("attached")
    daemon.config["profiles"]["tenant"]["mac-limit"] = 1
    daemon.config["ports"][1]["mac-limit"] = 50
    daemon.reload("configuration reloaded")
    wait_until(lambda: [row["limits"]["mac_limit"] for row in daemon.ctl("show", "ports")] == [1, 50], "both follow")
    pair.raw.send(pair.marker(1, mac_number(7)))
    pair.wait_drops(port_mac_limit=1)
    # Neither device was re-created, nor were addresses forgotten.
    assert daemon.log().count("attached") == log
    assert set(daemon.macs()) == {pair.limited.mac, pair.free.mac}
    shown = daemon.table("config", "show")
    assert "tenant:" in shown and "profile: tenant" in shown
    daemon.config_path.write_text(shown)
    assert daemon.ctl("config", "check", daemon.config_path)["changes"] == []

    daemon.config["ports"][0]["profile"] = "nowhere"
    daemon.write_config()
    with pytest.raises(AssertionError, match=r"vtepd.yaml:\d+:\d+: there is no profile 'nowhere'"):
        daemon.ctl("config", "apply", daemon.config_path)
    assert daemon.port("vm1")["profile"] == "tenant"

"""A restart forgets nothing: learned addresses with their ages and moves, frozen ones, counters, ports that are shut, and taps, which keep
their carrier. What cannot be used is set aside."""
import os
import pathlib
import time

import pytest

from lab import wait_until
from lab.frames import ethernet, mac_bytes, mac_number
from lab.restart_site import RestartSite
from lab.site import VNI
from lab.steady_stream import Arrivals, SteadyStream, numbered

BPDU = bytes.fromhex("0180c2000000") + mac_bytes("02:00:00:00:00:02") + b"\x00\x26\x42\x42\x03" + bytes(35)
LOCAL, REMOTE, MOVER, QUARREL, OTHER = (mac_number(0xAB0000 + number) for number in range(5))


def state_file(site):
    return pathlib.Path(site.daemon.config["state-dir"]) / "restart-state"


def known(site):
    """{MAC address: (place, moves)} of what was learned."""
    rows = site.daemon.macs("--type", "learned").items()
    return {mac: (row["port"] or row["vtep"], row["vlan"], row["moves"]) for mac, row in rows}


def learn(site, count=200):
    """Addresses behind ports and VTEPs, one that has moved, one that is frozen, and one that nobody has heard of for a while."""
    daemon, (first, second) = site.daemon, site.raw[:2]
    own = site.guests[0].mac
    first.send(ethernet(site.guests[0].mac))
    second.send(ethernet(site.guests[1].mac))
    first.send(ethernet(LOCAL))
    site.from_vtep(0, ethernet(REMOTE, own))
    site.teach(count)
    site.from_vtep(0, ethernet(MOVER, own))
    wait_until(lambda: MOVER in daemon.macs(), "the mover is known")
    site.from_vtep(1, ethernet(MOVER, own))
    wait_until(lambda: daemon.macs()[MOVER]["moves"] == 1, "it has moved")

    def frozen():
        for number in (0, 1):
            site.from_vtep(number, ethernet(QUARREL, own))
            time.sleep(0.05)
        return next((row for row in daemon.ctl("show", "mac-moves") if row["mac"] == QUARREL and row["frozen_s"] is not None), None)

    return wait_until(frozen, "an address is frozen")


def counters(site):
    """Counters that must go on, by kind and name."""
    daemon, found = site.daemon, {}
    for command, key in (("ports", "name"), ("vnis", "vni"), ("vteps", "address")):
        for row in daemon.ctl("show", command):
            for name in ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes"):
                found[command, row[key], name] = row[name]
    for by in ("port", "vni", "vtep"):
        for row in daemon.ctl("show", "drops", "--by", by):
            found["drops", row["where"], row["reason"]] = row["count"]
    for acl in daemon.ctl("show", "acls"):
        for row in acl["entries"]:
            found["acl", acl["name"], row["direction"], row["sequence"]] = row["packets"]
    for row in daemon.ctl("show", "routers"):
        found["router", row["router"], row["vni"]] = row["rx_packets"]
    for row in daemon.ctl("show", "bfd"):
        found["bfd", row["address"]] = row["tx_packets"]
    for row in daemon.ctl("show", "vnis"):
        found["asked", row["vni"]] = row["neighbor_answers"]
    for row in daemon.ctl("show", "bindings"):
        found["binding", row["port"], row["vlan"]] = row["rx_packets"]
    return found


@pytest.mark.quick
def test_planned_restart(lab):
    # The second port is shut by its guard, before it is of use to anybody.
    # The first has a list; a router answers pings; BFD runs with both VTEPs, which answer nothing; requests for a known address are answered here.
    site = RestartSite(
        lab, ports=({"acl": "web"}, {}, {"bpdu-guard": True}),
        vni={"neighbor-suppression": "known", "macs": [{"mac": OTHER, "vtep": "192.0.2.2", "ip": ["10.9.9.9"]}]},
        acls=[{"name": "web", "entries": [{"sequence": 10, "direction": "ingress", "action": "deny", "ethertype": "0x88b6"}]}],
        routers=[{"name": "r1", "interfaces": [{"vni": VNI, "addresses": ["10.9.9.1/24"]}]}])
    daemon = site.daemon
    daemon.config["underlay"]["bfd"] = True
    daemon.reload("configuration reloaded")
    frozen = learn(site)
    site.raw[0].send(ethernet("01:00:00:00:00:01"))  # a drop: the source is a group
    site.raw[2].send(BPDU)
    site.raw[0].send(ethernet(site.guests[0].mac)[:12] + b"\x88\xb6" + bytes(46))
    site.guests[1].namespace.ip(f"address add 10.9.9.8/24 dev {site.guests[1].device}")
    assert site.guests[1].namespace.run("ping", "-c1", "-W5", "10.9.9.1", check=False).returncode == 0
    site.guests[1].namespace.run("ping", "-c1", "-W1", "10.9.9.9", check=False)
    wait_until(lambda: all(row["tx_packets"] for row in daemon.ctl("show", "bfd")), "BFD runs")
    wait_until(lambda: daemon.port("vm3")["state"] == "down", "the guard shuts the port")
    wait_until(lambda: daemon.drops().get("source-multicast"), "a drop is counted")
    time.sleep(3)  # so that ages and times differ from new ones
    before, counted, seen = known(site), counters(site), [site.interface(guest) for guest in site.guests]
    for key in (("acl", "web", "ingress", 10), ("acl", "web", "ingress", None), ("router", "r1", VNI), ("bfd", "192.0.2.2"), ("asked", VNI),
                ("drops", f"vni {VNI}", "acl-denied-ingress")):
        assert counted[key] > 0, (key, counted)
    start = time.monotonic()
    ages = {mac: row["age_s"] for mac, row in daemon.macs().items()}
    shut, status = daemon.port("vm3"), daemon.ctl("status")

    site.restart()
    after, now = known(site), daemon.macs()
    passed = time.monotonic() - start
    assert before.items() <= after.items()
    for mac in (LOCAL, REMOTE, MOVER):
        assert ages[mac] <= now[mac]["age_s"] <= ages[mac] + passed + 2, (mac, ages[mac], now[mac], passed)
    assert after[MOVER][2] == 1
    again = next(row for row in daemon.ctl("show", "mac-moves") if row["mac"] == QUARREL)
    assert {**again, "frozen_s": 0, "release_s": 0} == {**frozen, "frozen_s": 0, "release_s": 0}
    assert frozen["frozen_s"] + 2 <= again["frozen_s"], "the time goes on"
    assert any(row["mac"] == MOVER for row in daemon.ctl("show", "mac-moves")), "recent moves are known"

    # Counters have gone on, and say since when.
    fewer = {key: (value, later) for key, value in counted.items() if (later := counters(site).get(key, 0)) < value}
    assert not fewer, fewer
    latest = daemon.ctl("status")
    assert latest["uptime_s"] < latest["counted_s"] and latest["counted_s"] >= status["counted_s"]

    # The guard's port stays shut for the rest of its time.
    port = daemon.port("vm3")
    assert port["state"] == "down" and port["shut"] == shut["shut"]
    assert shut["shut_s"] - (time.monotonic() - start) - 2 <= port["shut_s"] <= shut["shut_s"]

    # Containers have noticed nothing: interfaces, addresses, carrier.
    assert [site.interface(guest) for guest in site.guests] == seen
    assert site.guests[0].ping(site.guests[1].ipv4, 3, 5) == 3
    assert daemon.port("vm1")["state"] == "up" and "restored" in daemon.log()

    # At the end taps go.
    daemon.stop()
    site.manager.let_go()
    wait_until(lambda: site.guests[0].namespace.ip("link show tap1", check=False) == "", "the tap is gone")


@pytest.mark.alone
def test_known_addresses_are_not_flooded(lab):
    """100,000 addresses and 10,000 frames per second across a restart; none of them reaches a VTEP that does not have the address. Frames the
    other way refresh addresses from the first round of the workers on."""
    count = 100_000
    site = RestartSite(lab, dataplane={"mac-table-size": 262_144})
    site.teach(count)
    source, raw = mac_bytes(site.guests[0].mac), site.raw[0]
    targets = [mac_bytes(mac_number(0x100000 + number)) for number in range(count)]
    before = set(site.daemon.macs())
    site.received(1)
    arrivals = Arrivals(site.sockets[0])
    stream = SteadyStream(raw.send, lambda number: targets[number * 7919 % count] + source + b"\x88\xb5" + numbered(number))
    back = SteadyStream(lambda frame: site.from_vtep(0, frame),
                        lambda number: ethernet(mac_number(0x100000 + number % count), site.guests[0].mac), 2000)
    time.sleep(1)
    site.restart()
    time.sleep(3)  # the whole table has been looked at for old entries
    sent, found = stream.stop(), arrivals.read()
    back.stop()
    print(f"restart with {count} addresses: interruption {arrivals.interruption() * 1000:.0f} ms, {sent - len(found)} of {sent} frames lost")
    missing = before - set(site.daemon.macs())
    assert not missing, f"{len(missing)} addresses are no longer known: {sorted(missing)[:5]}"
    assert max(found) > sent - 1000, "the stream goes on"
    flooded = [frame for frame in site.received(1) if frame[12:14] == b"\x88\xb5"]
    assert not flooded, f"{len(flooded)} frames to known addresses were flooded"


def test_killed(lab):
    """What is older than half a minute is known after kill -9, and taps stay."""
    site = RestartSite(lab)
    learn(site)
    before, seen = known(site), [site.interface(guest) for guest in site.guests]
    state_file(site).unlink(missing_ok=True)
    wait_until(state_file(site).exists, "the state is saved", 60)
    # It may have begun before the last of them was learned.
    first = state_file(site).stat().st_mtime_ns
    wait_until(lambda: state_file(site).stat().st_mtime_ns != first, "the state is saved again", 60)
    site.daemon.kill()
    site.start()
    assert before.items() <= known(site).items()
    assert [site.interface(guest) for guest in site.guests] == seen
    assert site.guests[0].ping(site.guests[1].ipv4, 3, 5) == 3


def test_files_that_cannot_be_used(lab):
    site = RestartSite(lab)
    site.teach(50)
    daemon, path = site.daemon, state_file(site)
    aside = pathlib.Path(f"{path}.unusable")
    site.daemon.stop()
    good = path.read_bytes()

    def flipped(offset):
        return good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1:]

    for contents, reason in (
        (b"", "it is cut off"), (good[:20], "it is cut off"), (good[:-1], "it is cut off"), (good[: len(good) // 2], "it is cut off"),
        (flipped(3), "no state that vtepd has saved"), (flipped(9), "version"), (flipped(14), "checksum"),
        (flipped(len(good) // 2), "checksum"), (good + b"\x00", "checksum"), (os.urandom(4096), "no state that vtepd has saved"),
    ):
        path.write_bytes(contents)
        aside.unlink(missing_ok=True)
        told = len(daemon.log())
        site.start()
        line = next(line for line in daemon.log()[told:].splitlines() if "cannot be used" in line)
        assert str(path) in line and reason in line and str(aside) in line, (reason, line)
        assert aside.read_bytes() == contents
        assert not [mac for mac in daemon.macs() if int(mac.replace(":", ""), 16) & 0xF00000 == 0x100000]
        assert daemon.ctl("status")["counted_s"] <= daemon.ctl("status")["uptime_s"]
        daemon.stop()

    # A file that cannot be written is told of once, and nothing else is wrong.
    path.unlink()
    path.mkdir()
    site.start()
    assert daemon.stop() == 0 and "the next run does not know them" in daemon.log()


def test_changes_meanwhile(lab):
    """The configuration counts: what it no longer has is left out; a port that is called otherwise is the same port."""
    other = VNI + 1
    site = RestartSite(lab, ports=({}, {}, {}))
    daemon, config = site.daemon, site.daemon.config
    config["vnis"].append({"vni": other, "flood": "none"})
    daemon.reload("configuration reloaded")
    learn(site, 50)
    site.from_vtep(0, ethernet(REMOTE, site.guests[0].mac), other)
    third = mac_number(0xAB00FF)
    site.raw[2].send(ethernet(third))
    wait_until(lambda: {row["vni"] for row in daemon.ctl("show", "mac-table", "--mac", REMOTE)} == {VNI, other} and third in daemon.macs(),
               "both VNIs know it")
    before = known(site)
    packets = daemon.port("vm2")["rx_packets"]

    def change():
        del config["vnis"][1], config["ports"][2]
        config["ports"][1]["name"] = "renamed"
        # The configuration says where this one is.
        config["vnis"][0]["macs"] = [{"mac": MOVER, "vtep": site.peers[0].ipv4}]
        daemon.write_config()

    site.restart(change)
    now = known(site)
    assert now[site.guests[1].mac][0] == "renamed" and daemon.port("renamed")["rx_packets"] >= packets
    assert third not in now and MOVER not in now and daemon.macs()[MOVER]["type"] == "static"
    unchanged = {mac: place for mac, place in before.items() if place[0] not in ("vm2", "vm3") and mac != MOVER}
    assert unchanged.items() <= now.items()
    line = next(line for line in daemon.log().splitlines() if "learned addresses restored" in line)
    assert "of VNIs, ports and VTEPs that are gone" in line and "1 configured elsewhere" in line, line
    # Its port is gone, and so is the tap.
    wait_until(lambda: site.guests[2].namespace.ip("link show tap3", check=False) == "", "the tap is gone")
    assert [name for name in site.manager.kept] == ["tap-tap1", "tap-tap2"]


def test_without_a_service_manager(lab):
    """Nobody keeps the taps: they go and come back, as ever; what was known is known all the same."""
    site = RestartSite(lab, managed=False)
    learn(site, 50)
    before = known(site)
    site.restart()
    assert before.items() <= known(site).items()
    assert site.host.namespace.ip("link show tap1", check=False), "the tap is here again"


def test_ages_go_on(lab):
    """An address that nobody has heard of for its age is not restored."""
    site = RestartSite(lab, vni={"ageing-seconds": 4})
    site.raw[0].send(ethernet(LOCAL))
    wait_until(lambda: LOCAL in site.daemon.macs(), "it is known")
    site.restart(lambda: time.sleep(5))
    assert LOCAL not in site.daemon.macs() and "past their age" in site.daemon.log()


def test_ports_come_and_go_with_their_taps(lab):
    """Under a service manager, too, a deleted port's tap goes at once, and its name can be used again."""
    site = RestartSite(lab)
    daemon = site.daemon
    daemon.ctl("port", "add", "--name", "extra", "--kind", "tap", "--device", "extra0", "--vni", VNI)
    for queues in (2, 1):
        daemon.ctl("port", "delete", "extra")
        daemon.ctl("port", "add", "--name", "extra", "--kind", "tap", "--device", "extra0", "--vni", VNI, "--queues", queues)
        assert daemon.port("extra")["state"] == "up"
    daemon.ctl("port", "delete", "extra")
    wait_until(lambda: not site.host.namespace.ip("link show extra0", check=False), "the tap is gone")
    # Deleted behind vtepd's back, with its namespace: made again, and that one is kept.
    site.guests[1].namespace.ip("link delete tap2")
    wait_until(lambda: site.host.namespace.ip("link show tap2", check=False), "the tap is made again")
    site.restart()
    wait_until(lambda: daemon.port("vm2")["state"] == "up", "the new tap is used")

"""`vtepctl monitor`: addresses, ports, VTEPs, groups, limits, configuration; filters, gaps, readers that stop."""
import json
import subprocess
import time

import pytest

from lab.daemon import VTEPCTL, Refused
from lab.events import Events
from lab.frames import ethernet, mac_number
from lab.namespaces import run, wait_until
from lab.site import VNI, Site


def test_addresses_ports_and_vteps(lab):
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    daemon, guest, kernel = site.daemons[0], site.guests[0], site.kernels[0]
    peer = site.address(kernel)
    # What was before the reader came is there, too.
    events = Events(daemon, "--since", 0)
    events.wait("port-attached", port="vm1")
    events.wait("port-up", port="vm1")
    events.wait("uplink-up", device="u0")
    guest.wait_ping(site.guests[1].ipv4)
    learned = events.wait("mac-learned", mac=guest.mac)
    assert learned["vni"] == VNI and learned["to"] == "port vm1" and learned["level"] == "debug"
    assert abs(learned["time"] - time.time()) < 600
    assert events.wait("mac-learned", mac=site.guests[1].mac)["to"] == f"vtep {peer}"
    events.wait("vtep-appeared", address=peer)
    events.wait("next-hop-resolved", address=peer)
    events.wait("vtep-reachable", address=peer)

    # The sequence has no gaps and never goes back.
    assert [row["seq"] for row in events.all] == list(range(1, len(events.all) + 1))

    # A move, seen by readers with filters only if they match.
    other = Events(daemon, "--type", "mac-moved", "--mac", guest.mac)
    silent = Events(daemon, "--type", "mac-moved", "--vni", 77)
    by_port = Events(daemon, "--port", "vm1", "--type", "mac")
    wait_until(lambda: (site.guests[1].namespace.raw_socket("eth0").send(ethernet(guest.mac)), events.find("mac-moved"))[1],
               "the move is seen", interval=0.2)
    moved = events.wait("mac-moved", mac=guest.mac)
    assert (moved["from"], moved["to"]) == ("port vm1", f"vtep {peer}")
    other.wait("mac-moved", mac=guest.mac)
    by_port.wait("mac-moved", mac=guest.mac)
    assert silent.all == [] and all(row["type"] == "mac-moved" for row in other.all)

    # The peer goes, and the port.
    daemon.ctl("mac", "flush", "--vni", VNI)
    assert events.wait("mac-flushed", vni=VNI)["count"] >= 1
    kernel.namespace.ip("link set u0 down")
    wait_until(lambda: (site.hosts[0].namespace.ip(f"neigh replace {peer} dev u0 nud failed", check=False), events.find("next-hop-failed"))[1],
               "the next hop is dead", interval=0.5)
    assert events.wait("next-hop-failed", address=peer)["level"] == "warning"
    events.wait("vtep-unreachable", "no next hop answers", address=peer)
    before = len(events.find("vtep-reachable"))
    kernel.namespace.ip("link set u0 up")
    wait_until(lambda: len(events.find("vtep-reachable")) > before, "the VTEP is back")
    # The journal has it, too, at its level.
    assert f"VTEP {peer}: unreachable: no next hop answers" in daemon.log()
    assert guest.mac not in daemon.log(), "a line of the log for each learned address"
    guest.namespace.ip("link set eth0 down")
    events.wait("port-down", port="vm1")
    daemon.ctl("port", "delete", "vm1")
    events.wait("config-applied", "port delete")
    events.wait("port-deleted", port="vm1")


def test_groups_limits_and_ageing(lab):
    site = Site(lab, vtepd=1, vni={"mac-limit": 3, "ageing-seconds": 2})
    daemon, guest = site.daemons[0], site.guests[0]
    events = Events(daemon, "--since", 0)
    events.wait("multicast-joined", address=site.group)
    raw = guest.namespace.raw_socket(guest.device, receive=False)
    wait_until(lambda: ([raw.send(ethernet(mac_number(number))) for number in range(1, 9)], events.find("limit-vni"))[1],
               "the limit is reached", interval=0.2)
    limited = events.wait("limit-vni", vni=VNI)
    assert limited["level"] == "warning" and f"VNI {VNI}: mac-limit reached" in daemon.log()
    events.wait("mac-aged")
    # Told once in a while, not for each frame.
    for _ in range(50):
        for number in range(1, 9):
            raw.send(ethernet(mac_number(number)))
    explained = daemon.ctl("explain", limited["mac"], "--vni", VNI)
    assert [row["type"] for row in explained["events"]].count("limit-vni") >= 1
    assert len(events.find("limit-vni")) < 10
    daemon.ctl("port", "delete", guest.name)
    events.wait("multicast-left", address=site.group)


def test_configuration_and_refusals(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    events = Events(daemon)
    wait_until(lambda: events.process.poll() is None, "the reader runs")
    daemon.ctl("vni", "add", "--vni", 6001, "--flood", "none")
    events.wait("config-applied", "vni add")
    with pytest.raises(Refused):
        daemon.ctl("port", "add", "--name", "x", "--kind", "netdev", "--device", "nowhere", "--vni", 77)
    events.wait("config-refused", "port add")
    daemon.config["vnis"].append({"vni": 6002, "flood": "none"})
    daemon.write_config()
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 60)
    events.wait("config-awaiting", "undone in")
    status = daemon.ctl("status")
    assert 0 < status["unconfirmed"]["seconds_left"] <= 60 and "config apply" in status["unconfirmed"]["action"]
    assert "unconfirmed" in daemon.table("status")
    daemon.ctl("config", "confirm")
    events.wait("config-confirmed")
    assert daemon.ctl("status")["unconfirmed"] is None
    daemon.config["vnis"].pop()
    daemon.write_config()
    daemon.ctl("config", "apply", daemon.config_path, "--confirm", 1)
    events.wait("config-rolled-back", "not confirmed")


def test_a_reader_that_stops_stops_nobody(lab):
    """It is told how much it lost; nothing else notices."""
    site = Site(lab, vtepd=1, dataplane={"mac-table-size": 200_000})
    daemon, guest = site.daemons[0], site.guests[0]
    events = Events(daemon)
    raw = guest.namespace.raw_socket(guest.device, receive=False)
    others = iter(range(1_000_000, 2_000_000))
    wait_until(lambda: (raw.send(ethernet(mac_number(next(others)))), events.find("mac-learned"))[1], "the reader reads", interval=0.1)
    events.pause()
    count = 100_000

    def learn():
        for number in range(2, count + 2):
            raw.send(ethernet(mac_number(number)))
        return daemon.ctl("status")["macs"] > count

    wait_until(learn, lambda: f"all are learned: {daemon.ctl('status')}", 120)
    events.go_on()
    # The rest comes without loss.
    latest = json.loads(run(VTEPCTL, "--socket", daemon.socket_path, "monitor", "--json", "--since", 0, "--count", 1).stdout.split("\n")[1])
    assert latest["seq"] > 1
    wait_until(lambda: events.gaps, "the reader learns of its gap", 30)
    gap = events.gaps[0]
    assert gap["count"] == gap["to"] - gap["from"] + 1 > 1000
    sequence = [row["seq"] for row in events.all if "seq" in row]
    before = [number for number in sequence if number < gap["from"]]
    after = [number for number in sequence if number > gap["to"]]
    assert before[-1] == gap["from"] - 1 and after[0] == gap["to"] + 1
    assert after == list(range(after[0], after[0] + len(after))) and not set(sequence) & set(range(gap["from"], gap["to"] + 1))
    raw.send(ethernet(mac_number(7_000_000)))
    events.wait("mac-learned", mac=mac_number(7_000_000))


def test_what_is_asked_wrongly(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    for arguments, message in [
        (["--type", "nonsense"], "docs/events.md"), (["--since", 99_999_999], "sequence numbers begin anew"), (["--mac", "02:00"], "MAC"),
        (["--vni", 1 << 24], "vni"), (["--count", 0], "1 or more"),
    ]:
        with pytest.raises(Refused, match=message):
            daemon.ctl("monitor", *arguments)
    lines = daemon.table("monitor", "--since", 0, "--count", 3).splitlines()
    assert len(lines) == 3 and lines[0].startswith("1  20")
    # The daemon ends: so does the reader, and says why.
    reader = lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "monitor", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    daemon.stop()
    assert reader.wait(30) in (1, 3) and reader.stderr.read().startswith("vtepctl: ")

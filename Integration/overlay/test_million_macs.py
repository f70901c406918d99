"""A million addresses: learned, looked up, shown, aged and flushed, while a ping runs.

    generator ── port2 ┐
                       hv1 ── switch ── hv2 ── vm2
    vm1 ────── port1 ──┘
"""
import random
import struct
import subprocess

import pytest

from lab import Capture, Guest, Site, wait_until
from lab.frames import ethernet, mac_bytes, mac_number
from lab.hosts import veth
from lab.site import VNI

COUNT = 1_000_000
BULK = 5002


def write_pcap(path, first, count, destination):
    """`count` frames of 60 bytes, each from a different address."""
    tail = struct.pack("!H", 0x88B5) + bytes(46)
    head = struct.pack("=IIII", 0, 0, 60, 60) + mac_bytes(destination)
    with open(path, "wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        file.write(b"".join(head + b"\x02\x00" + struct.pack("!I", number) + tail for number in range(first, first + count)))


@pytest.fixture
def site(lab):
    site = Site(lab, vtepd=2, flood="replicate", wait=False, dataplane={"mac-table-size": 1_048_576, "memory-mb": 256})
    generator = site.generator = Guest(lab, "gen", 1)
    veth(site.hosts[0].namespace, "port2", generator.namespace, "eth0")
    for namespace, device in ((site.hosts[0].namespace, "port2"), (generator.namespace, "eth0")):
        namespace.ip(f"link set {device} up")
    daemon = site.daemons[0]
    # Frames to the port's own pinned address are not forwarded: learning costs no flooding.
    daemon.config["vnis"].append({"vni": BULK, "flood": "none", "ageing-seconds": 0})
    daemon.config["ports"].append({"name": "gen", "kind": "netdev", "device": "port2", "vni": BULK, "macs": [mac_number(1, 0x06)]})
    daemon.write_config()
    site.start()
    site.wait_all_pings()
    return site


def bulk_count(site):
    return next(row["macs"] for row in site.daemons[0].ctl("show", "vnis", timeout=60) if row["vni"] == BULK)


def learn_all(site):
    """Sends all frames, and again those that the learner missed, until all addresses are known."""
    chunks = []
    for first in range(0, COUNT, 100_000):
        path = site.lab.directory / f"macs-{first}.pcap"
        if not path.exists():
            write_pcap(path, first, 100_000, mac_number(1, 0x06))
        chunks.append(path)

    def play():
        for path in chunks:
            site.generator.namespace.run("tcpreplay", "-q", "-K", "--pps=150000", "-i", "eth0", path, timeout=300)
        return bulk_count(site) >= COUNT + 1

    wait_until(play, lambda: f"{COUNT} addresses are learned: {bulk_count(site)}", 300)


class Pinger:
    """A ping in the background; `stop` returns how many echoes were sent and answered."""

    def __init__(self, source, target):
        self.process = source.namespace.popen("ping", "-n", "-q", "-i", "0.02", "-W", "5", target.ipv4, stdout=subprocess.PIPE, text=True)

    def stop(self):
        self.process.send_signal(subprocess.signal.SIGINT)
        summary = self.process.communicate(timeout=30)[0]
        words = next(line for line in summary.splitlines() if "transmitted" in line).split()
        return int(words[0]), int(words[3])


def test_million_addresses(site):
    daemon = site.daemons[0]
    pinger = Pinger(*site.guests)
    learn_all(site)
    sent, answered = pinger.stop()
    assert answered > sent * 0.9, f"traffic continued while learning: {answered} of {sent}"
    assert daemon.ctl("status")["macs"] >= COUNT

    # Showing all of them disturbs no traffic: no echo is lost.
    pinger = Pinger(*site.guests)
    rows = daemon.ctl("show", "mac-table", "--vni", BULK, timeout=120)
    sent, answered = pinger.stop()
    own = site.generator.namespace.mac("eth0")  # its stack sends too
    rows = [row for row in rows if row["mac"] != own]
    assert len({row["mac"] for row in rows}) == len(rows) == COUNT + 1
    assert sum(row["type"] == "learned" and row["port"] == "gen" for row in rows) == COUNT
    assert answered >= sent - 1, f"{sent - answered} of {sent} echoes were lost while the table was shown"  # the last may be in flight

    # Looked up: frames to known addresses behind the port are delivered, whatever the address. They come from a second station over
    # the underlay, so that they are looked up and not sent back.
    some = random.Random(9).sample(range(COUNT), 500)
    daemon.ctl("port", "delete", "vm1")
    daemon.ctl("port", "add", "--name", "vm1", "--kind", "netdev", "--device", "port1", "--vni", BULK)
    daemon.wait_ports_up()
    raw = site.guests[0].namespace.raw_socket("eth0", receive=False)
    capture = Capture(site.generator.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    for number in some:
        raw.send(ethernet(site.guests[0].mac, mac_number(number)))
    capture.wait(len(some))
    assert {packet[:6] for packet in capture.stop().packets()} == {mac_bytes(mac_number(number)) for number in some}


def test_million_addresses_are_flushed_and_age(site):
    daemon = site.daemons[0]
    learn_all(site)
    pinger = Pinger(*site.guests)
    daemon.ctl("mac", "flush", "--vni", BULK, timeout=60)
    wait_until(lambda: bulk_count(site) == 1, lambda: f"only the pinned address is left: {bulk_count(site)}")

    learn_all(site)
    next(vni for vni in daemon.config["vnis"] if vni["vni"] == BULK)["ageing-seconds"] = 2
    daemon.reload("configuration reloaded")
    wait_until(lambda: bulk_count(site) == 1, lambda: f"all have aged: {bulk_count(site)}", 120)
    sent, answered = pinger.stop()
    assert answered > sent * 0.9, f"traffic continued: {answered} of {sent}"
    # The rest is unaffected.
    assert site.guests[1].mac in daemon.macs("--vni", VNI)

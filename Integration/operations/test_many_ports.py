"""300 taps and 40 vhost-user guests on one vtepd: they reach each other, a broadcast reaches all, and a busy port does not starve the
others. Prints memory and idle CPU time."""
import itertools
import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from lab import Site, wait_until
from lab.frames import ethernet, mac_number
from lab.namespaces import run
from lab.site import VNI

pytestmark = pytest.mark.alone
TAPS, GUESTS, PROCESSES = 300, 40, 2
SAMPLE = [0, 1, 63, 64, 127, 128, 255, 256, TAPS - 2, TAPS - 1]
FLOOD = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw.bind((sys.argv[1], 0))
frame = bytes.fromhex(sys.argv[2])
while True:
    try:
        raw.send(frame)
    except OSError:  # no room
        pass
"""


class Taps:
    """The far ends of all taps in one namespace without an IP stack, and one socket that receives on all of them."""

    def __init__(self, lab, host, count):
        self.namespace = lab.namespace("many")
        self.namespace.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.names = [f"t{number}" for number in range(count)]
        self.macs = [mac_number(number, prefix=0x0A) for number in range(count)]  # 02:: are those of the site's guests
        self.batch(host, (f"link set {name} netns {self.namespace.full_name}" for name in self.names))
        self.batch(self.namespace, (f"link set {name} up" for name in self.names))
        with self.namespace.entered():
            self.receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        lab.on_close(self.receiver.close)
        self.receiver.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.receiver.setblocking(False)
        self.senders, self.seen = {}, set()

    @staticmethod
    def batch(namespace, commands):
        path = namespace.lab.directory / "batch"
        path.write_text("".join(f"{command}\n" for command in commands))
        run("ip", "-n", namespace.full_name, "-batch", path)

    def send(self, tap, destination, number):
        if tap not in self.senders:
            self.senders[tap] = self.namespace.raw_socket(self.names[tap], receive=False)
        self.senders[tap].send(ethernet(self.macs[tap], destination, struct.pack("!I", number).ljust(46, b"\0")))

    def read(self):
        """{(tap's name, number)} of all frames so far."""
        while True:
            try:
                frame, address = self.receiver.recvfrom(2048)
            except BlockingIOError:
                return self.seen
            self.seen.add((address[0], struct.unpack("!I", frame[14:18])[0]))

    def wait(self, expected, what, seconds=60):
        wait_until(lambda: expected <= self.read(), lambda: f"{what}: {len(expected - self.read())} of {len(expected)} are missing: "
                   f"{sorted(expected - self.seen)[:5]}", seconds)


def guest_macs():
    return [mac_number(number, prefix=0x06) for number in range(GUESTS)]


def start_guests(lab, directory, sink):
    """DPDK's virtio driver for each guest. What a guest with an even number receives, the next one sends to the one after it, with its own
    address; the last one sends to `sink`. So one frame visits every guest."""
    macs = guest_macs()
    share = GUESTS // PROCESSES
    logs = []
    for process in range(PROCESSES):
        scratch = lab.directory / f"guests{process}"
        scratch.mkdir()
        numbers = range(process * share, (process + 1) * share)
        devices = itertools.chain.from_iterable(
            ("--vdev", f"net_virtio_user{number},path={directory}/run/g{number}.sock,mac={macs[number]},queue_size=256") for number in numbers)
        peers = [f"--eth-peer={port},{macs[number + 1] if number + 1 < GUESTS else sink}" for port, number in enumerate(numbers)]
        processors = ",".join(map(str, os.sched_getaffinity(0)))
        logs.append(scratch / "log")
        with open(logs[-1], "ab") as log:
            lab.spawn("setpriv", "--pdeathsig=KILL", "prlimit", "--cpu=300", "nice", "-n", "19",
                      "dpdk-testpmd", f"--lcores=0@({processors}),1@({processors})", "--no-pci", "--no-huge", "-m", "192", "--no-telemetry",
                      *devices, "--", "--forward-mode=mac", "--port-topology=paired", "--nb-cores=1", "--total-num-mbufs=20000",
                      "--stats-period=600", "--no-flush-rx", *peers,
                      stdout=log, stderr=log, env={**os.environ, "RUNTIME_DIRECTORY": str(scratch)})
    for path in logs:
        wait_until(lambda: "start packet forwarding" in path.read_text(errors="replace"), lambda: path.read_text(errors="replace")[-3000:], 120)


def test_many_ports(lab, capsys):
    site = Site(lab, vtepd=1, flood="replicate", wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    daemon.config["ports"] += [{"name": f"t{number}", "kind": "tap", "device": f"t{number}", "vni": VNI} for number in range(TAPS)]
    daemon.config["ports"] += [{"name": f"g{number}", "kind": "vhost-user", "socket": f"g{number}.sock", "role": "server", "vni": VNI, "macs": [mac]}
                               for number, mac in enumerate(guest_macs())]
    daemon.config["dataplane"] = {"hugepages": "off"}
    daemon.write_config()
    begin = time.monotonic()
    daemon.start()
    started = time.monotonic() - begin
    taps = Taps(lab, host, TAPS)
    daemon.wait_ports_up(*(f"t{number}" for number in range(TAPS)))
    memory = daemon.resident_bytes()

    def share():
        """CPU time over elapsed time: a ratio within one run, independent of the machine."""
        cpu, clock = daemon.cpu_seconds(), time.monotonic()
        time.sleep(3)
        return (daemon.cpu_seconds() - cpu) / (time.monotonic() - clock)

    idle = min(share() for _ in range(2))
    # What comes out of the last guest must not be flooded: every guest would send it on, and so on without end.
    taps.send(0, "ff:ff:ff:ff:ff:ff", 0)
    wait_until(lambda: taps.macs[0] in daemon.macs(), "the sink is learned")
    start_guests(lab, daemon.directory, taps.macs[0])
    daemon.wait_ports_up()
    with capsys.disabled():
        print(f"\n{TAPS} taps: started in {started:.1f} s, {memory >> 20} MiB resident, {idle:.2%} of a processor when idle; "
              f"with {GUESTS} guests: {daemon.resident_bytes() >> 20} MiB", file=sys.stderr)
    assert idle < 0.05, f"an idle daemon takes {idle:.1%} of a CPU"

    # A broadcast from each kind of place reaches every other tap, and every guest.
    numbers = itertools.count(1)
    before = {row["name"]: row["tx_packets"] for row in daemon.ctl("show", "ports")}
    number = next(numbers)
    taps.send(TAPS - 1, "ff:ff:ff:ff:ff:ff", number)
    taps.wait({(name, number) for name in taps.names[:-1]}, "the broadcast reaches every tap")
    wait_until(lambda: all(row["tx_packets"] > before[row["name"]] for row in daemon.ctl("show", "ports") if row["name"][0] == "g"),
               lambda: f"it reaches every guest: {[row for row in daemon.ctl('show', 'ports') if row['name'][0] == 'g']}")

    def pairs():
        """A frame between each two taps of the sample."""
        expected = set()
        for source, target in itertools.permutations(SAMPLE, 2):
            number = next(numbers)
            taps.send(source, taps.macs[target], number)
            expected.add((taps.names[target], number))
            time.sleep(0.001)
        return expected

    def visits():
        """A frame that passes through every guest and ends at the first tap."""
        number = next(numbers)
        taps.send(SAMPLE[1], guest_macs()[0], number)
        return {(taps.names[0], number)}

    for tap in SAMPLE:  # every source is known
        taps.send(tap, "ff:ff:ff:ff:ff:ff", 0)
    wait_until(lambda: {taps.macs[tap] for tap in SAMPLE} <= set(daemon.macs()), "the sample is learned")
    taps.wait(pairs(), "taps reach each other")
    taps.wait(visits(), "guests reach each other")

    # Two taps send as fast as they can, one to a tap and one to the guests.
    floods = [taps.namespace.popen(sys.executable, "-c", FLOOD, taps.names[source],
                                   ethernet(taps.macs[source], target, ethertype=0x88B6).hex(), stdout=subprocess.DEVNULL)
              for source, target in ((10, taps.macs[20]), (11, guest_macs()[0]))]
    taps.send(20, "ff:ff:ff:ff:ff:ff", 0)
    busy = daemon.port("t10")["rx_packets"]
    wait_until(lambda: daemon.port("t10")["rx_packets"] > busy + 10_000, lambda: f"the flood runs: {daemon.port('t10')}")
    for _ in range(5):
        taps.wait(pairs(), "taps reach each other beside a busy one")
    for flood in floods:
        assert flood.poll() is None
        flood.kill()
    wait_until(lambda: visits() <= (time.sleep(0.2), taps.read())[1], "the guests recover")

"""Hundreds of vhost-user guests on one vtepd: they reach each other, none starves another, and they need little memory."""
import itertools
import os
import pathlib
import re
import resource
import struct
import threading
import time

import pytest

from lab import Site, VirtioGuest, wait_until
from lab import virtio_guest as v
from lab.frames import BROADCAST, ethernet, mac_number, udp_flow
from lab.site import VNI

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def many_descriptors():
    """This process plays all guests: eight descriptors each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """A vtepd with many ports of kind vhost-user, named after their guests, which are not booted yet."""

    def __init__(self, lab, count, role="server", **dataplane):
        self.lab = lab
        self.site = Site(lab, vtepd=1, flood="none", dataplane={"workers": 2, **dataplane}, wait=False)
        self.daemon = self.site.daemons[0]
        self.names = [f"g{number}" for number in range(count)]
        self.daemon.config["ports"] += [
            {"name": name, "kind": "vhost-user", "socket": f"{name}.sock", "role": role, "vni": VNI} for name in self.names]
        self.daemon.write_config()
        self.site.start_without_ports_up()
        self.guests = []

    def boot(self, **options):
        for name in self.names:
            path = self.daemon.directory / "run" / f"{name}.sock"
            self.guests.append(VirtioGuest(self.lab, path, listens=False, **options).boot())
        self.daemon.wait_ports_up()
        return self

    def memory(self):
        """Octets of vtepd, hugepages included, without the memory that the guests share with it."""
        total, is_shared = 0, False
        for line in pathlib.Path(f"/proc/{self.daemon.process.pid}/smaps").read_text().splitlines():
            if re.match("[0-9a-f]+-[0-9a-f]+ ", line):
                is_shared = "/memfd:guest" in line
            elif re.match("Rss:|(Private|Shared)_Hugetlb:", line) and not is_shared:
                total += int(line.split()[1]) * 1024
        return total


def address(number):
    return mac_number(0xAA0000 + number)


def introduce(crowd):
    """Everybody is known: each guest's first frame reaches all others. Returns the number of frames that were delivered."""
    for number, guest in enumerate(crowd.guests):
        guest.send(ethernet(address(number)))
    others = {index: set() for index in range(len(crowd.guests))}

    def complete():
        for index, guest in enumerate(crowd.guests):
            others[index].update(frame[6:12] for frame in guest.frames() if frame[:6] == b"\xff" * 6)
        return all(len(seen) == len(crowd.guests) - 1 for seen in others.values())

    wait_until(complete, lambda: f"all hear all: {sorted(map(len, others.values()))[:5]}, {crowd.daemon.drops()}", 120)


def exchange(source, target, frame, count=20):
    """Sends the frame often, and waits until all have arrived."""
    arrived = 0

    def found():
        nonlocal arrived
        arrived += sum(got == frame for got in target.frames())
        return arrived >= count

    for _ in range(count):
        wait_until(lambda: source.send(frame), "there is room in the ring", interval=0.001)
    wait_until(found, lambda: f"all {count} frames arrive, not {arrived}", 60, 0.002)
    assert arrived == count


@pytest.mark.alone
def test_two_hundred_and_fifty_six_guests_in_less_than_a_gigabyte(lab):
    crowd = Crowd(lab, 256, **{"memory-mb": 256})
    empty = crowd.memory()
    crowd.boot(ring_size=256)
    introduce(crowd)
    used = crowd.memory()
    print(f"vtepd: {empty / MEGABYTE:.0f} MB before the guests, {used / MEGABYTE:.0f} MB with {len(crowd.guests)}:"
          f" {(used - empty) / len(crowd.guests) / 1024:.0f} KB each")
    assert used < 1 << 30
    assert not any("memory" in note for row in crowd.daemon.ctl("show", "ports") for note in row["notes"])
    for one, other in ((0, 255), (255, 1), (128, 127)):
        exchange(crowd.guests[one], crowd.guests[other], udp_flow(address(one), address(other), one))


def test_forty_guests_reach_each_other(lab):
    crowd = Crowd(lab, 40, **{"memory-mb": 128}).boot()
    introduce(crowd)
    before = crowd.daemon.drops()
    for one, other in itertools.permutations(range(0, 40, 5), 2):
        exchange(crowd.guests[one], crowd.guests[other], udp_flow(address(one), address(other), one), 3)
    assert crowd.daemon.drops() == before


def test_busy_and_hostile_guests_starve_nobody(lab):
    """Two guests send as fast as they can, and two send frames as large as all memory."""
    crowd = Crowd(lab, 40, **{"memory-mb": 128}).boot()
    introduce(crowd)
    stops = threading.Event()

    def be_busy(guest, frame):
        while not stops.is_set():
            if not guest.send(frame):
                time.sleep(0.0005)

    def be_hostile(guest):
        ring = guest.rings[1]
        for index in range(ring.size):
            ring.write("<QIHH", ring.descriptors + 16 * index, ring.buffers, ring.size * ring.buffer_bytes,
                       1 if index + 1 < ring.size else 0, index + 1)
        while not stops.is_set():
            ring.returned()
            while (ring.next - ring.seen) & 0xFFFF < 64:
                ring.offer(0)
            os.eventfd_write(ring.kick, 1)
            time.sleep(0.001)

    threads = [threading.Thread(target=be_busy, args=(crowd.guests[number], udp_flow(address(number), address(number + 1), number)))
               for number in (0, 2)]
    threads += [threading.Thread(target=be_hostile, args=(crowd.guests[number],)) for number in (4, 5)]
    before = {row["name"]: row["rx_packets"] for row in crowd.daemon.ctl("show", "ports")}
    for thread in threads:
        thread.start()
    try:
        for one, other in itertools.pairwise([*range(6, 40), 6]):
            exchange(crowd.guests[one], crowd.guests[other], udp_flow(address(one), address(other), one))
    finally:
        stops.set()
        for thread in threads:
            thread.join()
    rows = {row["name"]: row for row in crowd.daemon.ctl("show", "ports")}
    assert all(rows[f"g{number}"]["rx_packets"] - before[f"g{number}"] > 100 for number in (0, 2)), "they were busy"
    assert not [row for row in crowd.daemon.ctl("show", "drops") if row["reason"] == "no-buffers" and row["where"] not in ("g4", "g5")]


def test_every_kick_wakes_a_sleeping_worker(lab):
    """Frames one at a time, each after a pause in which the worker stops polling: none is forgotten."""
    crowd = Crowd(lab, 4).boot()
    introduce(crowd)
    for number in range(300):
        one, other = crowd.guests[number % 4], crowd.guests[(number + 1) % 4]
        time.sleep(number % 7 / 2000)
        exchange(one, other, udp_flow(address(number % 4), address((number + 1) % 4), number), 1)


def test_hypervisors_that_die_under_traffic(lab):
    """The library frees rings and memory that workers have just used, awake or asleep. What others send to each other arrives."""
    crowd = Crowd(lab, 3).boot()
    introduce(crowd)
    steady, peer = crowd.guests[:2]
    victim_path = crowd.guests[2].path
    crowd.guests[2].disconnect()
    for number in range(50):
        wait_until(lambda: crowd.daemon.port("g2")["state"] == "waiting", "the port waits")
        victim = VirtioGuest(lab, victim_path, listens=False).boot()
        wait_until(lambda: crowd.daemon.port("g2")["state"] == "up", "the port is up")
        if number % 2:  # else the workers sleep
            for frame in range(200):
                victim.send(ethernet(address(2), payload=struct.pack("!H", frame) + bytes(44)))
                steady.send(ethernet(address(0), address(2)))
        victim.close()
        lab.undo.remove(victim.close)
        exchange(steady, peer, udp_flow(address(0), address(1), number), 5)
    assert crowd.daemon.process.poll() is None, crowd.daemon.log()[-3000:]


def test_guests_that_come_back_at_once_or_change_their_kicks(lab):
    """What is there looks the same as before: other rings, or other descriptors to wait for."""
    crowd = Crowd(lab, 2).boot()
    introduce(crowd)
    one, other = crowd.guests
    for number in range(20):
        one.disconnect()
        one.boot()
        crowd.daemon.wait_ports_up()
        wait_until(lambda: one.send(ethernet(address(0))) and address(0) in crowd.daemon.macs(), "it is heard")
        exchange(one, other, udp_flow(address(0), address(1), number), 3)
        exchange(other, one, udp_flow(address(1), address(0), number), 3)
    for number in range(20):
        ring, kick = one.rings[1], os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        one.send_message(v.SET_VRING_KICK, struct.pack("<Q", 1), [kick])
        os.close(ring.kick)
        ring.kick = kick
        for pause in (0, 0.01):
            time.sleep(pause)
            exchange(one, other, udp_flow(address(0), address(1), number), 1)


def test_second_hypervisor_takes_the_place_of_the_first(lab):
    crowd = Crowd(lab, 2).boot()
    first, other = crowd.guests
    second = VirtioGuest(lab, first.path, listens=False).boot()
    wait_until(lambda: second.send(ethernet(address(7))) and address(7) in crowd.daemon.macs(), "the second is heard", interval=0.2)
    first.disconnect()
    other.frames()
    exchange(second, other, ethernet(address(7), BROADCAST, b"\x07" * 46), 3)
    assert crowd.daemon.port("g0")["state"] == "up"


def test_limits_of_the_vhost_library(lab):
    """Its table has 1,024 descriptors, one of them its own: a listening port with its guest needs two."""
    crowd = Crowd(lab, 512)

    def noted():
        return [row["name"] for row in crowd.daemon.ctl("show", "ports")
                if any("at most 1023 sockets and connections" in note for note in row["notes"])]

    wait_until(lambda: len(noted()) == 1, lambda: f"the port beyond says so: {noted()}")
    # The remedy as printed, or one port less.
    crowd.daemon.ctl("port", "delete", noted()[0])
    assert noted() == []
    crowd.daemon.ctl("port", "add", "--name", "more", "--kind", "vhost-user", "--socket", "more.sock", "--role", "client", "--vni", VNI)
    assert noted() == []


def test_announcement_after_migration_reaches_a_sleeping_worker(lab):
    """A hypervisor asks for a RARP frame on behalf of a guest that cannot announce itself (SEND_RARP)."""
    crowd = Crowd(lab, 2).boot()
    one, other = crowd.guests
    introduce(crowd)
    time.sleep(0.5)
    one.send_message(19, struct.pack("<Q", int.from_bytes(bytes.fromhex(address(0).replace(":", "")), "little")))
    other.wait_frame(lambda frame: frame[12:14] == b"\x80\x35")

"""Guests and hypervisors that break the rules of vhost-user affect only their own port."""
import os
import random
import struct
import time

import pytest

from lab import Capture, Guest, Site, VirtioGuest, wait_until
from lab import virtio_guest as v
from lab.frames import ethernet, udp_flow
from lab.site import VNI

GUEST = "02:00:00:00:aa:01"


@pytest.fixture
def site(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    return site


def add_vm(daemon, name="bad", role="server"):
    daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock", "--role", role, "--vni", VNI)
    return daemon.directory / "run" / f"{name}.sock"


def wait_state(daemon, name, state, seconds=30):
    wait_until(lambda: daemon.port(name)["state"] == state, lambda: f"{name} is {state}: {daemon.port(name)}\n{daemon.log()[-3000:]}", seconds)
    return daemon.port(name)


def still_serves(lab, site, path):
    """The daemon lives, its other port forwards, and the same socket accepts a well-behaved guest."""
    assert site.daemons[0].process.poll() is None, site.daemons[0].log()[-3000:]
    assert site.guests[0].ping(site.guests[1].ipv4, 3) == 3
    wait_until(lambda: site.daemons[0].port("bad")["state"] == "waiting", lambda: f"it waits: {site.daemons[0].port('bad')}")
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(site.daemons[0], "bad", "up")
    assert guest.send(udp_flow(GUEST, site.guests[1].mac, 1))
    wait_until(lambda: GUEST in site.daemons[0].macs(), "the good guest's address is learned")
    guest.close()


class Messages(VirtioGuest):
    """Records the messages of a booting guest, and sends something else instead."""

    def __init__(self, *arguments, **options):
        self.change = lambda number, request, payload, descriptors: (request, payload, descriptors, None)
        self.count = 0
        super().__init__(*arguments, **options)

    def send_message(self, request, payload=b"", descriptors=(), flags=1, size=None):
        request, payload, descriptors, size = self.change(self.count, request, payload, descriptors)
        self.count += 1
        super().send_message(request, payload, descriptors, flags, size)


def attack(lab, path, change):
    guest = Messages(lab, path, listens=False)
    guest.change = change
    try:
        guest.boot()
        for number in range(4):
            guest.send(udp_flow(GUEST, "ff:ff:ff:ff:ff:ff", number))
    except (OSError, struct.error, ValueError, KeyError, IndexError):
        pass  # the daemon closed the connection or did not answer: both are fine
    finally:
        guest.lab.undo.remove(guest.close)
        guest.close()
    return guest.count


def test_truncated_messages(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon)
    messages = attack(lab, path, lambda number, *message: (*message, None))
    assert messages >= 14
    for target in range(messages):
        for keep in (0, 1, 7):
            def cut(number, request, payload, descriptors):
                return request, payload[:keep] if number == target else payload, descriptors, None
            attack(lab, path, cut)

        def announce_more(number, request, payload, descriptors):
            return request, payload, descriptors, len(payload) + 100_000 if number == target else None
        attack(lab, path, announce_more)
    still_serves(lab, site, path)


def test_changed_messages(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon)
    # The same sequence in every run.
    rng = random.Random(20261121)
    for _ in range(150):
        target, kind = rng.randrange(16), rng.randrange(5)

        def change(number, request, payload, descriptors):
            if number != target:
                return request, payload, descriptors, None
            if kind == 0:
                return rng.randrange(0, 45), payload, descriptors, None
            if kind == 1 and payload:
                place = rng.randrange(len(payload))
                return request, payload[:place] + bytes([rng.randrange(256)]) + payload[place + 1:], descriptors, None
            if kind == 2:
                return request, rng.randbytes(len(payload)), descriptors, None
            if kind == 3:
                return request, payload, [] if descriptors else [0], None
            return request, rng.randbytes(rng.randrange(64)), list(descriptors) * 3, None
        attack(lab, path, change)
        assert daemon.process.poll() is None, daemon.log()[-3000:]
    still_serves(lab, site, path)


def test_noise_instead_of_messages(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon)
    rng = random.Random(7)
    for size in (1, 11, 12, 13, 100, 4096, 65536):
        guest = VirtioGuest(lab, path, listens=False).connect()
        try:
            guest.connection.sendall(rng.randbytes(size))
        except OSError:
            pass
        guest.close()
    still_serves(lab, site, path)


def poison_available_index(guest, ring):
    ring.write("<H", ring.available + 2, (ring.next + 30_000) & 0xFFFF)


def poison_heads(guest, ring):
    for index in range(ring.size):
        ring.write("<H", ring.available + 4 + 2 * index, 0xFFF0)
    ring.write("<H", ring.available + 2, (ring.next + 3) & 0xFFFF)


def poison_addresses(guest, ring):
    for index in range(ring.size):
        ring.write("<QIHH", ring.descriptors + 16 * index, 0xFFFF_FFFF_F000, 0xFFFF_FFFF, 0, 0)
        ring.write("<H", ring.available + 4 + 2 * index, index)
    ring.write("<H", ring.available + 2, (ring.next + 3) & 0xFFFF)


def poison_chains(guest, ring):
    for index in range(ring.size):  # each descriptor points to itself
        ring.write("<QIHH", ring.descriptors + 16 * index, ring.buffers, 64, 1, index)
        ring.write("<H", ring.available + 4 + 2 * index, index)
    ring.write("<H", ring.available + 2, (ring.next + 3) & 0xFFFF)


def poison_indirect(guest, ring):
    for index in range(ring.size):
        ring.write("<QIHH", ring.descriptors + 16 * index, 8, 0xFFFF_FFF0, 4, 0)
        ring.write("<H", ring.available + 4 + 2 * index, index)
    ring.write("<H", ring.available + 2, (ring.next + 3) & 0xFFFF)


@pytest.mark.parametrize("poison", [
    poison_available_index, poison_heads, poison_addresses, poison_chains, poison_indirect], ids=lambda poison: poison.__name__)
def test_garbage_in_the_ring(lab, site, poison):
    daemon = site.daemons[0]
    path = add_vm(daemon)
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "bad", "up")
    assert guest.send(udp_flow(GUEST, "ff:ff:ff:ff:ff:ff", 1))
    wait_until(lambda: daemon.port("bad")["rx_packets"] == 1, "the guest was well-behaved")
    poison(guest, guest.rings[1])
    os.eventfd_write(guest.rings[1].kick, 1)
    row = wait_state(daemon, "bad", "down")
    assert "taken down" in "".join(row["notes"]) and "port bad: taken down for 5 s: ring 1 of the guest" in daemon.log()
    assert site.guests[0].ping(site.guests[1].ipv4, 3) == 3
    guest.close()
    # After its hold time, the port accepts a guest again.
    still_serves(lab, site, path)


def test_garbage_in_the_receive_ring(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon)
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "bad", "up")
    poison_available_index(guest, guest.rings[0])
    row = wait_state(daemon, "bad", "down")
    assert "ring 0 of the guest claims" in "".join(row["notes"])
    guest.close()
    still_serves(lab, site, path)


def test_memory_that_disappears(lab, site):
    """The hypervisor truncates the file that contains the rings."""
    daemon = site.daemons[0]
    path = add_vm(daemon)
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "bad", "up")
    os.ftruncate(guest.file, 0)
    os.eventfd_write(guest.rings[1].kick, 1)
    time.sleep(1)
    guest.rings, guest.memory = [], None  # our mapping is gone too
    guest.close()
    still_serves(lab, site, path)


def giant_frames(guest, ring):
    """All descriptors in one chain, each as long as all buffers together: a frame of 128 MB."""
    for index in range(ring.size):
        ring.write("<QIHH", ring.descriptors + 16 * index, ring.buffers, ring.size * ring.buffer_bytes,
                   1 if index + 1 < ring.size else 0, index + 1)


def test_frames_larger_than_all_memory(lab):
    """They use only their own port's buffers: the neighbours' floods, which also need buffers, all arrive."""
    site = Site(lab, vtepd=1, flood="none", dataplane={"workers": 2}, wait=False)
    daemon, one = site.daemons[0], site.guests[0]
    other = Guest(lab, "vm9", 9).attach_veth(site.hosts[0].namespace, "port9")
    daemon.config["ports"].append({"name": "vm9", "kind": "netdev", "device": "port9", "vni": VNI})
    daemon.write_config()
    site.start()
    path = add_vm(daemon)
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "bad", "up")
    assert guest.send(udp_flow(GUEST, one.mac, 1))
    wait_until(lambda: GUEST in daemon.macs(), "the guest was well-behaved")

    # The same worker serves the sender's queue and the hostile guest's: the time spent on giant frames would show too.
    seen = Capture(one.namespace, "eth0", "ether proto 0x88b5", inbound=True)
    ring = guest.rings[1]
    giant_frames(guest, ring)
    raw, sent, end = other.namespace.raw_socket("eth0", receive=False), 0, time.monotonic() + 5
    while time.monotonic() < end:
        ring.returned()
        while (ring.next - ring.seen) & 0xFFFF < 64:
            ring.offer(0)
        os.eventfd_write(ring.kick, 1)
        for _ in range(4):
            raw.send(ethernet(other.mac))
            sent += 1
        time.sleep(0.001)
    assert daemon.process.poll() is None, daemon.log()[-3000:]
    wait_until(lambda: len(seen.packets()) >= sent, lambda: f"all {sent} broadcasts arrive, not {len(seen.packets())}: {daemon.drops()}")
    assert "no-buffers" not in {row["reason"] for row in daemon.ctl("show", "drops") if row["where"] != "bad"}
    guest.close()
    wait_until(lambda: daemon.port("bad")["state"] == "waiting", lambda: f"it waits: {daemon.port('bad')}", 60)
    # Its buffers are released: ports come and go, and each has its own again.
    for number in range(20):
        daemon.ctl("port", "delete", "bad")
        add_vm(daemon)
        guest = VirtioGuest(lab, path, listens=False).boot()
        wait_state(daemon, "bad", "up")
        assert guest.send(udp_flow(GUEST, "ff:ff:ff:ff:ff:ff", number))
        wait_until(lambda: daemon.port("bad")["rx_packets"] == 1, "it is heard")
        assert daemon.port("bad")["notes"] == []
        guest.close()

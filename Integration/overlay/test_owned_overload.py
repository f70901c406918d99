"""An uplink that DPDK drives, and more packets than vtepd can process: control protocols go on, and what is lost has a reason."""
import contextlib
import socket
import sys
import threading
import time

import pytest

from lab import wait_until
from lab.frames import BROADCAST, arp_request, ethernet, mac_bytes, vxlan4
from lab.namespaces import end_process
from lab.owned_site import OwnedSite
from lab.site import VNI

# Sends frames on an interface, so many per second; 0: as fast as it can.
FLOOD = """
import contextlib, itertools, socket, sys, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
raw.bind((sys.argv[1], 0))
rate = int(sys.argv[2])
frames = itertools.cycle(bytes.fromhex(text) for text in sys.argv[3:])
last = time.monotonic()
while True:
    count = 64
    if rate:
        # What is due, but no more than for 5 ms, however long others had the processor.
        time.sleep(0.0005)
        now = time.monotonic()
        count = int(min(now - last, 0.005) * rate)
        last = max(last + count / rate, now - 0.005)
    for _ in range(count):
        with contextlib.suppress(OSError):
            raw.send(next(frames))
"""
# A copy of each flooded packet goes to each of them: vtepd manages a fraction of what the sender does.
PORTS = 24


class Overload:
    """The host of `OwnedSite` with many ports, and a sender on its wire."""

    def __init__(self, lab):
        self.site = OwnedSite(lab, flood="replicate")
        self.host, self.switch = self.site.host.namespace, self.site.switch.namespace
        self.daemon = self.site.daemon
        self.host.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.daemon.config["ports"] += [{"name": f"p{n}", "kind": "tap", "device": f"p{n}", "vni": VNI} for n in range(PORTS)]
        self.daemon.write_config()
        self.daemon.start()
        for number in range(PORTS):
            self.host.ip(f"link set p{number} up")
        self.daemon.wait_ports_up()
        self.site.wait_all_pings()

    @contextlib.contextmanager
    def flood(self, *frames, rate=0):
        flood = self.switch.popen(sys.executable, "-c", FLOOD, "hv1", rate, *(frame.hex() for frame in frames))
        try:
            yield
        finally:
            end_process(flood)

    def packet(self):
        site = self.site
        inner = ethernet("02:00:00:00:99:01", BROADCAST, b"flood".ljust(46, b"\x00"))
        return vxlan4(site.peer.namespace.mac("u0"), site.host.mac, site.peer.ipv4, site.host.ipv4, inner, vni=VNI)

    def counts(self):
        """Packets that were sent to the host, and those that it processed."""
        sent = self.switch.run("cat", "/sys/class/net/hv1/statistics/tx_packets").stdout
        return int(sent), self.daemon.ctl("show", "vnis")[0]["rx_packets"]

    def find_rate(self, factor):
        """Packets per second that are about `factor` times what the host processes of them."""
        rate, tries = 0, []

        def fits():
            nonlocal rate
            with self.flood(self.packet(), rate=rate):
                time.sleep(0.5)
                before, begin = self.counts(), time.monotonic()
                time.sleep(1)
                sent, processed = [after - early for after, early in zip(self.counts(), before)]
                seconds = time.monotonic() - begin
            tries.append((sent, processed))
            if rate and factor * 0.8 < sent / processed < factor * 1.5:
                return True
            rate = int(factor * processed / seconds)
            return False

        wait_until(fits, lambda: f"{factor} times the capacity: sent and processed {tries}", 90)
        return rate

    def classes(self):
        return {row["class"]: row for row in self.site.underlay()["classes"]}

    def answered_requests(self, count=100):
        """ARP requests that the host answers, of so many on the wire within a second or so."""
        raw = self.switch.raw_socket("hv1")
        asker = "02:00:00:00:99:02"
        request = arp_request(asker, "192.0.2.99", self.site.host.ipv4)
        raw.settimeout(0.01)
        answers = 0

        def read():
            nonlocal answers
            with contextlib.suppress(TimeoutError):
                while True:
                    frame = raw.recv(100)
                    answers += frame[12:14] == b"\x08\x06" and frame[:6] == mac_bytes(asker) and frame[20:22] == b"\x00\x02"

        for _ in range(count):
            raw.send(request)
            read()
        end = time.monotonic() + 1
        while answers < count and time.monotonic() < end:
            read()
        raw.close()
        return answers


class Session:
    """A TCP connection between the peer and the host that exchanges a BGP speaker's KEEPALIVE messages (RFC 4271 section 4.4)."""

    KEEPALIVE = b"\xff" * 16 + b"\x00\x13\x04"

    def __init__(self, server, client, address):
        with server.entered():
            self.listener = socket.create_server((address, 179))
        self.server = threading.Thread(target=self.serve, daemon=True)
        self.server.start()
        with client.entered():
            self.socket = socket.create_connection((address, 179), 60)

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    def exchange(self):
        """The time that a message takes there and back, in seconds."""
        begin = time.monotonic()
        self.socket.sendall(self.KEEPALIVE)
        got = b""
        while len(got) < len(self.KEEPALIVE):
            part = self.socket.recv(100)
            assert part, "the session has ended"
            got += part
        assert got == self.KEEPALIVE
        return time.monotonic() - begin

    def close(self):
        self.socket.close()
        self.server.join()
        self.listener.close()


@pytest.mark.alone
def test_twice_the_capacity(lab, capsys):
    scene = Overload(lab)
    site, daemon = scene.site, scene.daemon
    session = Session(scene.host, site.peer.namespace, site.host.ipv4)
    session.exchange()
    rate = scene.find_rate(2)
    before, early = daemon.drops(), scene.counts()
    with scene.flood(scene.packet(), rate=rate):
        wait_until(lambda: daemon.drops().get("receive-full", 0) > before.get("receive-full", 0) + 1000, lambda: f"overload: {daemon.drops()}")
        # Without preference half of them would be answered. On a busy machine vtepd pauses, and the NIC's queue runs full.
        answers = []
        wait_until(lambda: answers.append(scene.answered_requests()) or answers[-1] >= 95, lambda: f"of 100 requests each: {answers}", 90)
        times = sorted(session.exchange() for _ in range(100))
        classes, drops = scene.classes(), daemon.drops()
        sent, processed = [late - count for late, count in zip(scene.counts(), early)]
    session.exchange()
    session.close()
    new = {name: count - before.get(name, 0) for name, count in drops.items() if count != before.get(name, 0)}
    assert set(new) <= {"receive-full", "host-rate-limit", "port-down", "transmit-full"}, new
    assert classes["neighbor"]["to_host"] > 0 and classes["routing"]["to_host"] > 100 and classes["routing"]["from_host"] > 100
    assert [classes[name]["dropped"] for name in ("link", "neighbor", "membership", "routing")] == [0, 0, 0, 0], classes
    with capsys.disabled():
        print(f"\n{rate} packets per second; {sent} sent, {processed} processed; ARP answered, of 100: {answers}; "
              f"TCP there and back: median {times[50] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms; "
              f"drops: {new}; missed by the NIC: {site.underlay()['missed']}")
    assert processed > 0 and new["receive-full"] > 0
    # All is well when it is over.
    site.wait_all_pings()


@pytest.mark.alone
def test_flood_of_control_frames(lab):
    """More ARP than a segment ever has: guests go on, and so do other control protocols and the host."""
    scene = Overload(lab)
    site, daemon = scene.site, scene.daemon
    session = Session(scene.host, site.peer.namespace, site.host.ipv4)
    requests = [arp_request(f"02:00:00:01:00:{n:02x}", f"192.0.2.{n}", "192.0.2.200") for n in range(100, 200)]
    with scene.flood(*requests):
        wait_until(lambda: daemon.drops().get("control-rate-limit", 0) > 10_000, lambda: f"too many: {daemon.drops()}", 90)
        vm1, vm2 = site.guests
        wait_until(lambda: vm1.ping(vm2.ipv4, 20, 10) >= 18, "guests reach each other", 90)
        for _ in range(50):
            session.exchange()
        rows = scene.classes()
        assert rows["neighbor"]["dropped"] > 0 and [rows[name]["dropped"] for name in ("link", "membership", "routing", "host")] == [0] * 4
    session.close()
    site.wait_all_pings()

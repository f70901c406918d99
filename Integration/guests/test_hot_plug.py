"""Ports come and go a thousand times while another port carries traffic: it loses nothing, and nothing is left behind."""
import json
import os
import pathlib
import socket
import threading
import time

import pytest

from lab import Capture, Site, VirtioGuest, wait_until
from lab.daemon import Refused
from lab.frames import udp_flow
from lab.site import VNI

ROUNDS = 1000
FRAMES_PER_SECOND = 500


class ControlConnection:
    """Requests one after the other, without one process each."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(daemon.socket_path))
        self.socket.settimeout(60)
        self.answers = self.socket.makefile()

    def ask(self, method, **parameters):
        self.socket.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).encode() + b"\n")
        answer = json.loads(self.answers.readline())
        assert "error" not in answer, answer
        return answer["result"]

    def add_port(self, name, **settings):
        return self.ask("port.add", name=name, settings=settings)


def attachments(site):
    """One of each kind. (DPDK's memif driver never closes the socket it listened on, so memif is a client here.)"""
    site.hosts[0].namespace.ip("link add spare type veth peer name peer")
    site.hosts[0].namespace.ip("link set spare up")
    return [
        {"kind": "vhost-user", "socket": "plug.sock"},
        {"kind": "vhost-user", "socket": "plug.sock", "role": "server", "queues": 2},
        {"kind": "memif", "socket": "plug-memif.sock"},
        {"kind": "tap", "device": "plug"},
        {"kind": "netdev", "device": "spare"},
    ]


def descriptors(daemon):
    """The daemon's open descriptors, by kind."""
    found = []
    for entry in pathlib.Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        try:
            found.append(os.readlink(entry).split(":")[0])
        except FileNotFoundError:
            continue
    return sorted(found)


def settled_descriptors(daemon):
    """The daemon's open descriptors, once they have not changed for half a second."""
    found = descriptors(daemon)
    time.sleep(0.5)
    return found if descriptors(daemon) == found else None


class Stream:
    """Frames at a steady rate from one guest to another, and a capture of what arrives."""

    def __init__(self, site):
        self.sender, self.receiver = site.guests[0], site.guests[1]
        self.capture = Capture(self.receiver.namespace, "eth0", "udp dst port 7", inbound=True)
        self.raw = self.sender.namespace.raw_socket("eth0", receive=False)
        self.sent, self.stops = 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        start = time.monotonic()
        while not self.stops:
            due = int((time.monotonic() - start) * FRAMES_PER_SECOND)
            while self.sent < due:
                self.raw.send(udp_flow(self.sender.mac, self.receiver.mac, self.sent % 60000))
                self.sent += 1
            time.sleep(0.002)

    def stop(self):
        self.stops = True
        self.thread.join()
        return self.sent


@pytest.mark.alone
def test_a_thousand_rounds(lab):
    site = Site(lab, vtepd=2, flood="replicate")
    site.wait_all_pings()
    daemon = site.daemons[0]
    run_directory = daemon.directory / "run"
    ports = attachments(site)
    control = ControlConnection(daemon)

    # In the kernel a tap or packet socket takes thirty times as long as the others: fewer of those.
    order = [0, 1, 2, 0, 1, 3, 2, 0, 1, 2, 0, 1, 3, 2, 0, 1, 2, 0, 1, 4]

    def plug(number):
        control.add_port(name="plug", vni=VNI, macs=["02:00:00:00:99:01"], **ports[order[number % len(order)]])
        control.ask("port.delete", name="plug")

    # Wait until everything that is created once and kept (threads, pools of the libraries) exists before counting.
    for number in range(100):
        plug(number)
    before, resident = descriptors(daemon), daemon.resident_bytes()

    stream = Stream(site)
    times = {}
    for number in range(ROUNDS):
        start = time.monotonic()
        plug(number)
        times.setdefault(order[number % len(order)], []).append(time.monotonic() - start)
    sent = stream.stop()
    for index, taken in times.items():
        print(f"{ports[index]}: {1000 * sum(taken) / len(taken):.1f} ms a round, {1000 * max(taken):.1f} at most")
    assert sent > 1000
    wait_until(lambda: len(stream.capture.packets()) >= sent, lambda: f"{sent} frames arrive, not {len(stream.capture.packets())}")
    assert len(stream.capture.stop().packets()) == sent
    assert not {"transmit-full", "no-buffers"} & set(daemon.drops())

    assert [row["name"] for row in daemon.ctl("show", "ports")] == ["vm1"]
    wait_until(lambda: descriptors(daemon) == before, lambda: f"descriptors are as before: {descriptors(daemon)}, {before}\n{daemon.log()}")
    assert not [path.name for path in run_directory.iterdir() if path.name.startswith("plug")]
    assert "02:00:00:00:99:01" not in daemon.macs()
    # A thousand rounds at 4 KiB each would be 4 MiB.
    assert daemon.resident_bytes() - resident < 2 << 20
    # All device slots are free again.
    for number in range(29):
        control.add_port(name=f"s{number}", kind="vhost-user", socket=f"s{number}.sock", vni=VNI)


def test_rounds_with_a_guest_that_talks(lab):
    """Deletes a port under a guest that sends and receives: the worker never touches freed memory."""
    site = Site(lab, vtepd=1, flood="replicate")
    daemon = site.daemons[0]
    control = ControlConnection(daemon)
    path = daemon.directory / "run/plug.sock"
    before = None
    for number in range(30):
        control.add_port(name="plug", kind="vhost-user", socket="plug.sock", role="server", vni=VNI)
        guest = VirtioGuest(lab, path, listens=False).boot()
        for frame in range(200):
            guest.send(udp_flow("02:00:00:00:99:01", "ff:ff:ff:ff:ff:ff", frame))
        wait_until(lambda: daemon.port("plug")["rx_packets"] > 0, lambda: f"frames arrive: {daemon.port('plug')}\n{daemon.log()}")
        for frame in range(200):
            guest.send(udp_flow("02:00:00:00:99:01", "ff:ff:ff:ff:ff:ff", frame))
        control.ask("port.delete", name="plug")
        guest.close()
        if number == 4:
            # The last command's connection closes a moment later.
            before = wait_until(lambda: settled_descriptors(daemon), "no descriptor comes or goes")
    wait_until(lambda: descriptors(daemon) == before, lambda: f"descriptors are as before: {descriptors(daemon)}, {before}\n{daemon.log()}")
    assert not path.exists()


def test_adding_and_deleting_again(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    site.wait_joined()
    for attachment in attachments(site):
        control = ControlConnection(daemon)
        assert control.add_port(name="plug", vni=VNI, **attachment) == {"changed": True}
        assert control.add_port(name="plug", vni=VNI, **attachment) == {"changed": False}
        other = {"kind": "tap", "device": "plug2"}
        with pytest.raises(Refused, match="port plug exists already, as"):
            daemon.ctl("port", "add", "--name", "plug", "--kind", other["kind"], "--device", other["device"], "--vni", VNI)
        with pytest.raises(Refused, match="VNI 4242 is not defined"):
            daemon.ctl("port", "add", "--name", "plug2", "--kind", "tap", "--device", "plug2", "--vni", 4242)
        control.ask("port.delete", name="plug")
        with pytest.raises(Refused, match="there is no port 'plug'"):
            daemon.ctl("port", "delete", "plug")
    # The group is left with the last port of its VNI.
    daemon.ctl("port", "delete", "vm1")
    wait_until(lambda: site.switch.members(site.group) == set(), "the group is left")


def test_changed_attachment_in_the_file_replaces_the_device(lab):
    site = Site(lab, vtepd=1, flood="replicate")
    daemon = site.daemons[0]
    daemon.config["ports"].append({"name": "g", "kind": "vhost-user", "socket": "g.sock", "role": "server", "vni": VNI})
    daemon.reload("configuration reloaded")
    VirtioGuest(lab, daemon.directory / "run/g.sock", listens=False).boot()
    daemon.wait_ports_up()
    daemon.config["ports"][-1]["queues"] = 2
    daemon.reload("configuration reloaded")
    VirtioGuest(lab, daemon.directory / "run/g.sock", listens=False, queues=2).boot()
    wait_until(lambda: daemon.port("g")["queues"] == 2, lambda: f"two queues are used: {daemon.port('g')}\n{daemon.log()}")

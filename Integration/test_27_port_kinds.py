"""Kinds of ports: how each is opened, followed and refused."""
import os
import socket
import struct
import time

import pytest

from lab import Site, VirtioGuest, wait_until
from lab.daemon import Refused
from lab.frames import mac_bytes, udp_flow
from lab.namespaces import run
from lab.site import VNI

GUEST, OTHER = "02:00:00:00:aa:01", "02:00:00:00:aa:02"


@pytest.fixture
def site(lab):
    return Site(lab, vtepd=1, flood="replicate")


def add_vm(daemon, name="g1", *options):
    daemon.ctl("port", "add", "--name", name, "--kind", "vhost-user", "--socket", f"{name}.sock", "--vni", VNI, *options)
    return daemon.directory / "run" / f"{name}.sock"


def wait_state(daemon, name, state):
    wait_until(lambda: daemon.port(name)["state"] == state, lambda: f"{name} is {state}: {daemon.port(name)}\n{daemon.log()}", 20)
    return daemon.port(name)


def exchange(first, second, first_mac, second_mac, number=1):
    """A frame each way."""
    sent = udp_flow(first_mac, second_mac, number)
    assert first.send(sent)
    assert second.wait_frame(lambda frame: frame == sent)
    back = udp_flow(second_mac, first_mac, number)
    assert second.send(back)
    assert first.wait_frame(lambda frame: frame == back)


def test_vhost_user_client_follows_the_guest(lab, site):
    daemon = site.daemons[0]
    paths = [add_vm(daemon, name) for name in ("g1", "g2")]
    assert daemon.port("g1")["state"] == "waiting" and daemon.port("g1")["features"] == []
    first, second = (VirtioGuest(lab, path, mtu=1400) for path in paths)
    first.boot()
    row = wait_state(daemon, "g1", "up")
    assert {"version-1", "mrg-rxbuf", "mtu"} <= set(row["features"])
    assert row["queues"] == 1 and row["guest_mtu"] == 1400 and row["kind"] == "vhost-user"
    second.boot()
    wait_state(daemon, "g2", "up")
    exchange(first, second, GUEST, OTHER)
    assert daemon.macs()[GUEST]["port"] == "g1"

    first.stop_driver()
    wait_state(daemon, "g1", "waiting")
    assert GUEST not in daemon.macs()
    first.disconnect()
    first.boot()
    wait_state(daemon, "g1", "up")
    exchange(first, second, GUEST, OTHER)

    first.disconnect()
    row = wait_state(daemon, "g1", "waiting")
    assert row["features"] == [] and row["guest_mtu"] is None
    first.boot()
    wait_state(daemon, "g1", "up")
    exchange(first, second, GUEST, OTHER)


def test_vhost_user_server(lab, site):
    daemon = site.daemons[0]
    path = add_vm(daemon, "g1", "--role", "server")
    guest = VirtioGuest(lab, path, listens=False)
    for _ in range(3):
        guest.boot()
        wait_state(daemon, "g1", "up")
        guest.disconnect()
        wait_state(daemon, "g1", "waiting")
    daemon.ctl("port", "delete", "g1")
    assert not path.exists()


def test_stale_socket_is_removed_and_a_living_one_is_not(lab, site):
    daemon = site.daemons[0]
    path = daemon.directory / "run/g1.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        with pytest.raises(Refused, match="somebody listens there already"):
            add_vm(daemon, "g1", "--role", "server")
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert path.exists()
    add_vm(daemon, "g1", "--role", "server")
    guest = VirtioGuest(lab, path, listens=False).boot()
    wait_state(daemon, "g1", "up")
    with pytest.raises(Refused, match="socket g1.sock belongs to port g1 already"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", "g1.sock", "--vni", VNI)
    with pytest.raises(Refused, match="already"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", path, "--role", "server", "--vni", VNI)
    (daemon.directory / "run/file").write_text("")
    with pytest.raises(Refused, match="no socket is there"):
        daemon.ctl("port", "add", "--name", "g2", "--kind", "vhost-user", "--socket", "file", "--vni", VNI)
    assert guest.send(udp_flow(GUEST, OTHER, 1))


def test_guest_with_fewer_queues_than_offered(lab, site):
    daemon = site.daemons[0]
    guests = [VirtioGuest(lab, add_vm(daemon, name, "--queues", 4), queues=4) for name in ("g1", "g2")]
    for guest in guests:
        guest.boot(use_queues=2)
    for name in ("g1", "g2"):
        wait_until(lambda: daemon.port(name)["queues"] == 2, lambda: f"two queues are used: {daemon.port(name)}")
    exchange(*guests, GUEST, OTHER)
    frame = udp_flow(GUEST, OTHER, 7)
    assert guests[0].send(frame, queue=1)
    assert guests[1].wait_frame(lambda got: got == frame)
    for number in range(4):
        guests[0].enable_ring(4 + number)
    wait_until(lambda: daemon.port("g1")["queues"] == 4, lambda: f"four queues are used: {daemon.port('g1')}")
    frame = udp_flow(GUEST, OTHER, 8)
    assert guests[0].send(frame, queue=3)
    assert guests[1].wait_frame(lambda got: got == frame)


def test_guest_with_more_queues_than_the_port(lab, site):
    daemon = site.daemons[0]
    guests = [VirtioGuest(lab, add_vm(daemon, name), queues=3).boot() for name in ("g1", "g2")]
    wait_until(lambda: "raise queues" in "".join(daemon.port("g1")["notes"]), lambda: f"the port says so: {daemon.port('g1')}")
    wait_state(daemon, "g2", "up")
    assert daemon.port("g1")["queues"] == 1
    exchange(*guests, GUEST, OTHER)


def test_idle_ports_cost_nothing_and_wake_at_once(lab, site):
    daemon = site.daemons[0]
    add_vm(daemon, "nobody")
    guests = [VirtioGuest(lab, add_vm(daemon, name)).boot() for name in ("g1", "g2")]
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    exchange(*guests, GUEST, OTHER)
    before = daemon.cpu_seconds()
    time.sleep(3)
    assert daemon.cpu_seconds() - before < 0.15
    # A worker that misses a guest's kick sleeps for 250 ms.
    waits = []
    for number in range(20):
        time.sleep(0.02)
        frame = udp_flow(GUEST, OTHER, number)
        start = time.monotonic()
        assert guests[0].send(frame)
        guests[1].wait_frame(lambda got: got == frame)
        waits.append(time.monotonic() - start)
    assert sorted(waits)[10] < 0.1, waits


def test_daemon_restart_under_running_guests(lab, site):
    daemon = site.daemons[0]
    paths = [add_vm(daemon, name) for name in ("g1", "g2")]
    daemon.config["ports"] += [
        {"name": name, "kind": "vhost-user", "socket": f"{name}.sock", "vni": VNI} for name in ("g1", "g2")]
    daemon.write_config()
    guests = [VirtioGuest(lab, path).boot() for path in paths]
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    daemon.kill()
    daemon.start()
    # The hypervisor accepts the daemon that comes again.
    for guest in guests:
        guest.disconnect()
        guest.boot()
    for name in ("g1", "g2"):
        wait_state(daemon, name, "up")
    exchange(*guests, GUEST, OTHER)
    shown = daemon.ctl("config", "show")
    text = shown["text"] if isinstance(shown, dict) else shown
    assert "kind: vhost-user\n" in text and "socket: g1.sock\n" in text and "role: client\n" in text

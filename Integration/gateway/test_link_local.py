"""Link-local protocols: dropped by default, tunnelled unchanged, or punted to a tap on which a real lldpd works; and the BPDU
guard. The other side is lldpd and the kernel's spanning tree."""
import json
import os
import pathlib
import struct

import pytest

from lab import Capture, Site, VirtioGuest, wait_until
from lab.capture import is_chatter
from lab.daemon import Refused
from lab.frames import BROADCAST, ethernet, mac_bytes, receive, tagged
from lab.hosts import Guest
from lab.namespaces import end_process, run
from lab.site import VNI

STP, PAUSE, LACP, EAPOL, LLDP = (f"01:80:c2:00:00:{last}" for last in ("00", "01", "02", "03", "0e"))


def llc(destination, source, payload):
    return mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", len(payload)) + payload + b"\x00" * (46 - len(payload))


def bpdu(source, destination=STP):
    """A configuration BPDU (IEEE 802.1D-2004 9.3.1)."""
    return llc(destination, source, b"\x42\x42\x03" + bytes(35))


def control_frames(source):
    return [bpdu(source), ethernet(source, LACP, b"\x01\x01" + bytes(108), 0x8809), ethernet(source, EAPOL, b"\x02\x01" + bytes(44), 0x888E),
            ethernet(source, LLDP, b"\x02\x07\x04" + mac_bytes(source) + bytes(40), 0x88CC)]


def pause(source):
    return ethernet(source, PAUSE, b"\x00\x01\xff\xff" + bytes(42), 0x8808)


class Pair:
    """Guest 1 behind the first daemon; guests 2 and 9 behind the second. Frames are sent on raw sockets."""

    def __init__(self, lab, first=None, second=None, third=None, **options):
        self.site = Site(lab, vtepd=2, flood="replicate", wait=False, **options)
        self.near, self.far = self.site.daemons
        self.guests = [*self.site.guests, Guest(lab, "vm9", 9).attach_veth(self.site.hosts[1].namespace, "port9")]
        self.near.config["ports"][0].update(first or {})
        self.far.config["ports"][0].update(second or {})
        self.far.config["ports"].append({"name": "vm9", "kind": "netdev", "device": "port9", "vni": VNI, **(third or {})})
        for daemon in (self.near, self.far):
            daemon.write_config()
        self.site.start()
        self.near.wait_resolved("192.0.2.2")
        self.macs = [guest.mac for guest in self.guests]
        self.raws = [guest.namespace.raw_socket("eth0") for guest in self.guests]

    def received_before_marker(self, number, sender=0):
        """What a guest received before a final broadcast, except frames that stacks send on their own."""
        marker = ethernet(self.macs[sender], BROADCAST, b"marker" + os.urandom(8) + bytes(32))
        self.raws[sender].send(marker)
        frames = []
        receive(self.raws[number], lambda frame: frame == marker or frames.append(frame))
        return [frame for frame in frames if b"marker" not in frame and not is_chatter(frame)]

    def expect_drops(self, daemon, reason, count):
        wait_until(lambda: daemon.drops().get(reason) == count, lambda: f"{count} frames are dropped as {reason}: {daemon.drops()}")


def test_nothing_crosses_by_default(lab):
    pair = Pair(lab)
    sent = [*control_frames(pair.macs[0]), pause(pair.macs[0])]
    for frame in sent:
        pair.raws[0].send(frame)
    for number in (1, 2):
        assert pair.received_before_marker(number) == []
    pair.expect_drops(pair.near, "link-local-control", len(sent))
    # Nor between two ports of one daemon.
    pair.raws[1].send(bpdu(pair.macs[1]))
    assert pair.received_before_marker(2, sender=1) == []
    pair.expect_drops(pair.far, "link-local-control", 1)


def test_tunnel_delivers_unchanged_and_only_to_tunnels(lab):
    # With one worker the marker comes last, whatever its flow.
    pair = Pair(lab, {"l2-protocols": "tunnel"}, {"l2-protocols": "tunnel"}, dataplane={"workers": 1})
    sent = control_frames(pair.macs[0])
    for frame in [pause(pair.macs[0]), *sent]:
        pair.raws[0].send(frame)
    assert pair.received_before_marker(1) == sent
    assert pair.received_before_marker(2) == []
    pair.expect_drops(pair.near, "link-local-control", 1)
    back = control_frames(pair.macs[1])
    for frame in back:
        pair.raws[1].send(frame)
    assert pair.received_before_marker(0, sender=1) == back
    # The far end accepts none once no port there tunnels any more.
    pair.far.ctl("port", "set", "vm2", "--l2-protocols", "drop")
    for frame in sent:
        pair.raws[0].send(frame)
    assert pair.received_before_marker(1) == []
    pair.expect_drops(pair.far, "inner-link-local-control", len(sent))


def test_tunnel_keeps_to_the_binding(lab):
    """A tagged control frame enters its VLAN's VNI, and leaves with the tag of the far end's binding."""
    pair = Pair(lab, {"l2-protocols": "tunnel"}, {"l2-protocols": "tunnel"}, {"l2-protocols": "tunnel"})
    for daemon, peer in ((pair.near, "192.0.2.2"), (pair.far, "192.0.2.1")):
        daemon.ctl("vni", "add", "--vni", 77, "--flood", "replicate", "--peer", peer)
    pair.near.ctl("port", "set", "vm1", "--vlan", "100:77")
    pair.far.ctl("port", "set", "vm2", "--vlan", "200:77")
    capture = Capture(pair.guests[1].namespace, "eth0", "not ip6", inbound=True)
    frame = bpdu(pair.macs[0])
    pair.raws[0].send(tagged(frame, 100))
    wait_until(capture.packets, "the frame arrives")
    assert capture.packets() == [tagged(frame, 200)]
    assert pair.received_before_marker(2) == []


# -- punt ---------------------------------------------------------------------------------------------------------------

class LLDPDaemon:
    """A real lldpd on one interface of a namespace."""

    def __init__(self, namespace, interface, name):
        # Where its unprivileged process can reach it too.
        self.namespace, self.control = namespace, pathlib.Path(f"/tmp/vt{os.getpid()}-{name}.lldpd")
        namespace.lab.on_close(lambda: self.control.unlink(missing_ok=True))
        log = open(namespace.lab.directory / f"{name}.lldpd.log", "ab")
        self.process = namespace.popen("lldpd", "-d", "-u", self.control, "-I", interface, "-S", name, stdout=log, stderr=log)

    def neighbours(self):
        """System descriptions of the neighbours."""
        done = self.namespace.run("lldpctl", "-u", self.control, "-f", "json0", check=False)
        if done.returncode != 0 or not done.stdout.strip():
            return []
        found = json.loads(done.stdout)["lldp"]
        return [chassis["descr"][0]["value"] for part in found for interface in part.get("interface", [])
                for chassis in interface.get("chassis", [])]

    def stop(self):
        end_process(self.process)


@pytest.fixture
def site(lab):
    # The port's worker differs from the one that sends for the control side.
    made = Site(lab, vtepd=1, flood="none", wait=False, dataplane={"workers": 2})
    made.daemons[0].config["ports"][0]["l2-protocols"] = "punt"
    made.daemons[0].write_config()
    made.start()
    return made


def link(namespace, name):
    found = run("ip", "-n", namespace.full_name, "-j", "link", "show", name, check=False)
    return json.loads(found.stdout)[0] if found.returncode == 0 else None


def test_lldpd_works_on_the_tap(lab, site):
    host, guest = site.hosts[0].namespace, site.guests[0].namespace
    switch, station = LLDPDaemon(host, "punt-vm1", "switch"), LLDPDaemon(guest, "eth0", "station")
    try:
        wait_until(lambda: switch.neighbours() == ["station"], lambda: f"the switch sees the station: {switch.neighbours()}", 90)
        wait_until(lambda: station.neighbours() == ["switch"], lambda: f"the station sees the switch: {station.neighbours()}", 90)
    finally:
        switch.stop()
        station.stop()


def test_punt_tap_follows_its_port(lab, site):
    daemon, host, guest = site.daemons[0], site.hosts[0].namespace, site.guests[0].namespace
    row = daemon.port("vm1")
    assert row["l2_protocols"] == "punt" and row["punt_tap"] == "punt-vm1"

    def tap():
        return link(host, "punt-vm1")

    wait_until(lambda: tap() and tap()["address"] == row["mac"] and tap()["mtu"] == row["mtu"] and "LOWER_UP" in tap()["flags"],
               lambda: f"the tap is like the port: {tap()}, {row}")
    host.ip("link set port1 mtu 1400")
    wait_until(lambda: tap()["mtu"] == 1400, lambda: f"the tap has the port's MTU: {tap()}")
    host.ip("link set port1 down")
    wait_until(lambda: "LOWER_UP" not in tap()["flags"], lambda: f"the tap has lost its carrier: {tap()}")
    host.ip("link set port1 up")
    wait_until(lambda: "LOWER_UP" in tap()["flags"], lambda: f"the tap has its carrier again: {tap()}")

    # Re-created if somebody deletes it; removed and restored with the setting, and with the port.
    index = tap()["ifindex"]
    host.ip("link delete punt-vm1")
    wait_until(lambda: tap() and tap()["ifindex"] != index and tap()["address"] == row["mac"], lambda: f"a new tap: {tap()}")
    for _ in range(3):
        daemon.ctl("port", "set", "vm1", "--unset", "l2-protocols")
        assert tap() is None and daemon.port("vm1")["punt_tap"] is None
        daemon.ctl("port", "set", "vm1", "--l2-protocols", "punt")
        assert tap()
    # Kinds other than netdev have taps too; long names are cut.
    daemon.ctl("port", "add", "--name", "rack1-server01", "--kind", "tap", "--device", "t2", "--vni", VNI, "--l2-protocols", "punt")
    name = daemon.port("rack1-server01")["punt_tap"]
    assert name.startswith("punt-rack1-") and len(name) == 15
    assert link(host, name)["address"] == daemon.port("rack1-server01")["mac"]
    daemon.ctl("port", "delete", "rack1-server01")
    assert link(host, name) is None

    host.ip("link add punt-x type dummy", check=False) or host.ip("link add punt-x type veth peer name punt-y")
    with pytest.raises(Refused, match="punt-x"):
        daemon.ctl("port", "add", "--name", "x", "--kind", "tap", "--device", "t3", "--vni", VNI, "--l2-protocols", "punt")
    assert not [row for row in daemon.ctl("show", "ports") if row["name"] == "x"] and link(host, "t3") is None

    daemon.kill()
    wait_until(lambda: tap() is None, "the tap is gone with the daemon")
    daemon.start()
    wait_until(tap, "the tap is there again")
    assert daemon.stop() == 0 and tap() is None
    assert link(guest, "eth0")


def test_only_control_frames_pass(lab, site):
    daemon, host, guest = site.daemons[0], site.hosts[0].namespace, site.guests[0]
    wire, tap = guest.namespace.raw_socket("eth0"), host.raw_socket("punt-vm1")
    seen = Capture(host, "punt-vm1", inbound=True)
    out = Capture(guest.namespace, "eth0", inbound=True)
    frames = control_frames(guest.mac)
    lldp = frames[-1]
    for frame in [ethernet(guest.mac), ethernet(guest.mac, row_mac(daemon)), pause(guest.mac), *frames, tagged(lldp, 7), tagged(lldp, 0)]:
        wire.send(frame)
    expected = [*frames, tagged(lldp, 7), tagged(lldp, 0)]
    wait_until(lambda: len(seen.packets()) >= len(expected), lambda: f"control frames at the tap: {seen.packets()}")
    assert seen.packets() == expected

    # The other way: frames from a protocol daemon are sent unchanged, frames from a host's stack are not sent.
    mine = row_mac(daemon)
    sent = [*control_frames(mine), ethernet(mine, guest.mac, b"\x02\x00" + bytes(44), 0x888E), tagged(control_frames(mine)[0], 9)]
    for frame in [ethernet(mine, BROADCAST, bytes(46), 0x0806), ethernet(mine, guest.mac, bytes(46), 0x0800), *sent]:
        tap.send(frame)
    wait_until(lambda: len(out.packets()) >= len(sent), lambda: f"the daemon's frames on the wire: {out.packets()}")
    assert out.packets() == sent
    assert daemon.drops()["punt-not-control"] == 2


def row_mac(daemon):
    return daemon.port("vm1")["mac"]


def test_flood_of_control_frames_hurts_nobody(lab, site):
    daemon, host, guest = site.daemons[0], site.hosts[0].namespace, site.guests[0]
    daemon.ctl("port", "add", "--name", "t", "--kind", "tap", "--device", "tap5", "--vni", VNI)
    other = Guest(lab, "vm5", 5).attach_tap(host, "tap5")
    other.wait_ping(guest.ipv4)
    wire = guest.namespace.raw_socket("eth0", receive=False)
    flood = bpdu(guest.mac)
    for round_number in range(20):
        for _ in range(500):
            wire.send(flood)
        assert other.ping(guest.ipv4, 1, 5) == 1, f"round {round_number}"
    wait_until(lambda: daemon.drops().get("punt-rate-limit", 0) > 1000, lambda: f"most are dropped: {daemon.drops()}")
    # Nothing is left in the queue: the next one gets through.
    tap = host.raw_socket("punt-vm1")
    marker = control_frames(guest.mac)[-1]
    wait_until(lambda: wire.send(marker) and marker in waiting(tap), "control frames are punted again", interval=0.3)


def waiting(raw):
    """What is in a raw socket's queue."""
    raw.setblocking(False)
    frames = []
    try:
        while True:
            frames.append(raw.recv(65535))
    except BlockingIOError:
        return frames


# -- the guard against bridges -----------------------------------------------------------------------------------------

def test_bpdu_guard_shuts_the_port_for_a_while(lab):
    pair = Pair(lab, {"bpdu-guard": True})
    daemon, guest = pair.near, pair.guests[0].namespace
    daemon.config["protection"] = {"bpdu-guard": {"hold-seconds": 6}}
    daemon.reload("configuration reloaded")
    assert daemon.port("vm1")["bpdu_guard"] and daemon.port("vm1")["shut"] is None and daemon.port("vm1")["shut_s"] is None
    # Other control frames do not trigger the guard.
    pair.raws[0].send(control_frames(pair.macs[0])[-1])
    assert pair.received_before_marker(1) == [] and daemon.port("vm1")["state"] == "up"

    # Somebody connects a bridge that runs spanning tree.
    guest.ip("link add br0 type bridge stp_state 1 forward_delay 200 hello_time 100")
    guest.ip("link set br0 up")
    guest.ip("link set eth0 master br0")

    def shut():
        row = daemon.port("vm1")
        return row["state"] == "down" and row["shut"] == "a BPDU came in" and 0 < row["shut_s"] <= 6

    wait_until(shut, lambda: f"the port is shut: {daemon.port('vm1')}\n{daemon.log()}")
    assert "port vm1: shut for 6 s: a BPDU came in" in daemon.log()
    assert "shut" in daemon.table("show", "ports")
    guest.ip("link delete br0")
    late = "02:00:00:00:99:99"
    before = daemon.drops().get("port-disabled", 0)
    pair.raws[0].send(ethernet(late))
    wait_until(lambda: daemon.drops().get("port-disabled", 0) > before, lambda: f"nothing of it is forwarded: {daemon.drops()}")
    assert daemon.port("vm1")["state"] == "down" and late not in daemon.macs() and late not in pair.far.macs()

    wait_until(lambda: daemon.port("vm1")["state"] == "up", lambda: f"the port is back: {daemon.port('vm1')}", 60)
    assert "port vm1: no longer shut, up" in daemon.log() and daemon.port("vm1")["shut"] is None
    assert pair.received_before_marker(1) == []


@pytest.mark.parametrize("remedy", ["enabled", "guard off", "re-created"])
def test_operator_brings_a_shut_port_back(lab, remedy):
    pair = Pair(lab, {"bpdu-guard": True})
    daemon = pair.near
    pair.raws[0].send(bpdu(pair.macs[0]))
    wait_until(lambda: daemon.port("vm1")["shut"], lambda: f"the port is shut: {daemon.port('vm1')}")
    assert 200 < daemon.port("vm1")["shut_s"] <= 300
    # A reload does not change it.
    daemon.reload("configuration reloaded")
    assert daemon.port("vm1")["state"] == "down"
    if remedy == "enabled":
        assert daemon.ctl("port", "set", "vm1", "--enabled") == {"changed": True}
    elif remedy == "guard off":
        daemon.ctl("port", "set", "vm1", "--no-bpdu-guard")
    else:
        daemon.ctl("port", "delete", "vm1")
        daemon.ctl("port", "add", "--name", "vm1", "--kind", "netdev", "--device", "port1", "--vni", VNI, "--bpdu-guard")
    wait_until(lambda: daemon.port("vm1")["state"] == "up" and not daemon.port("vm1")["shut"],
               lambda: f"the port is up: {daemon.port('vm1')}")
    assert pair.received_before_marker(1) == []


def test_guard_on_a_tap_takes_the_carrier_away(lab):
    site = Site(lab, vtepd=1, flood="none", kind="tap", wait=False)
    daemon, guest = site.daemons[0], site.guests[0]
    daemon.config["ports"][0]["bpdu-guard"] = True
    daemon.config["protection"] = {"bpdu-guard": {"hold-seconds": 4}}
    daemon.write_config()
    site.start()
    guest.namespace.raw_socket("tap1").send(bpdu(guest.mac))
    wait_until(lambda: "NO-CARRIER" in guest.namespace.ip("link show tap1"), "the carrier is gone")
    assert daemon.port("vm1")["shut"] == "a BPDU came in"
    wait_until(lambda: daemon.port("vm1")["state"] == "up" and "NO-CARRIER" not in guest.namespace.ip("link show tap1"),
               lambda: f"the port is back: {daemon.port('vm1')}", 60)


def test_guard_on_a_guests_port_takes_the_link_away(lab):
    """A port that is disconnected when disabled is disconnected, and reconnects afterwards."""
    daemon = Site(lab, vtepd=1, flood="none").daemons[0]
    daemon.config["protection"] = {"bpdu-guard": {"hold-seconds": 3}}
    daemon.reload("configuration reloaded")
    daemon.ctl("port", "add", "--name", "g1", "--kind", "vhost-user", "--socket", "g1.sock", "--vni", VNI, "--bpdu-guard", "--l2-protocols", "punt")
    guest = VirtioGuest(lab, daemon.directory / "run/g1.sock").boot()
    wait_until(lambda: daemon.port("g1")["state"] == "up", lambda: f"the guest is there: {daemon.port('g1')}")
    lldp = control_frames("02:00:00:00:00:77")[-1]
    seen = Capture(daemon.namespace, "punt-g1", inbound=True)
    assert guest.send(lldp)
    wait_until(lambda: seen.packets() == [lldp], lambda: f"its LLDP frame is punted: {seen.packets()}")
    assert guest.send(bpdu("02:00:00:00:00:77"))
    wait_until(lambda: daemon.port("g1")["shut"] == "a BPDU came in", lambda: f"the port is shut: {daemon.port('g1')}\n{daemon.log()}")
    assert guest.connection.recv(1) == b"" and daemon.port("g1")["state"] == "down"
    wait_until(lambda: daemon.port("g1")["shut"] is None, lambda: f"the time is over: {daemon.port('g1')}", 60)
    guest.disconnect()
    guest.boot()
    wait_until(lambda: daemon.port("g1")["state"] == "up", lambda: f"the guest is there again: {daemon.port('g1')}\n{daemon.log()}")
    assert guest.send(lldp)
    wait_until(lambda: seen.packets() == [lldp, lldp], lambda: f"its LLDP frame is punted: {seen.packets()}")

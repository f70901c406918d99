"""Taps: offloads, MTUs of any size, and where they go: into containers' namespaces, and out of the world with them."""
import socket
import struct
import time

import pytest

from lab import Capture, EchoStream, Guest, KernelVXLANHost, Switch, UnderlayHost, Vtepd, tcp_stream, wait_until
from lab.daemon import VTEPD, Refused
from lab.frames import internet_checksum, mac_bytes, udp_flow
from lab.hosts import like_a_wire
from lab.namespaces import run
from lab.owned import needs_room
from lab.site import VNI

# Within this many seconds what happened to a tap is noticed; a tick of the daemon is a fifth of a second.
SOON = 10


class WithoutForeignEvents(Vtepd):
    """Without CAP_NET_BROADCAST."""

    def start(self, wait=True, *arguments):
        with open(self.log_path, "a") as log:
            self.process = self.namespace.popen("setpriv", "--bounding-set", "-net_broadcast", VTEPD, "--config", self.config_path,
                                                *arguments, stdout=log, stderr=log)
        self.wait_running()
        return self


def hypervisor(lab, switch, number, ports, peers, dataplane=None, daemon=Vtepd):
    host = UnderlayHost(lab, switch, number)
    return host, daemon(host.namespace, {
        "underlay": {"addresses": [host.ipv4], "device": "u0"},
        "dataplane": {"memory-mb": 64, "hugepages": "off", **(dataplane or {})},
        "vnis": [{"vni": VNI, "flood": "replicate", "peers": peers}],
        "ports": [{"kind": "tap", "vni": VNI, **port} for port in ports],
    })


class Pair:
    """Two hosts with vtepd and a tap each, whose guests are containers; `others` further taps of the first."""

    def __init__(self, lab, mtu=1600, others=(), daemon=Vtepd, **tap):
        self.lab, self.switch = lab, Switch(lab, mtu=mtu)
        names = ["vm1", *others]
        self.hosts, self.daemons, self.guests, macs = [], [], [], []
        for number, ports in ((1, names), (2, ["vm9"])):
            rows = [{"name": name, "device": f"tap-{name}", **tap} for name in ports]
            host, started = hypervisor(lab, self.switch, number, rows, [f"192.0.2.{3 - number}"], daemon=daemon)
            self.hosts.append(host)
            self.daemons.append(started.start())
            for name in ports:
                macs.append(host.namespace.mac(f"tap-{name}"))
                self.guests.append(Guest(lab, name, int(name[2:])).attach_tap(host.namespace, f"tap-{name}"))
        # As vtepd gave it.
        self.first_mac = macs[0]
        self.host, self.daemon, self.far = self.hosts[0].namespace, self.daemons[0], self.guests[-1]
        for each in self.daemons:
            each.wait_ports_up()

    def port(self):
        return self.daemon.port("vm1")

    def wait_port(self, **values):
        wait_until(lambda: all(self.port().get(key) == value for key, value in values.items()),
                   lambda: f"vm1 has {values}: {self.port()}\n{self.daemon.log()[-2000:]}", SOON)

    def wait_tap_here(self, device="tap-vm1"):
        wait_until(lambda: self.host.ip(f"link show {device}", check=False), f"{device} is there again", SOON)


def stream_both_ways(first, second, kilobytes=4096):
    first.wait_ping(second.ipv6)  # addresses of both ends are tentative at first
    for source, target in ((first, second), (second, first)):
        for address in (target.ipv4, target.ipv6):
            tcp_stream(source, target, address, kilobytes)


# -- offloads and sizes -------------------------------------------------------------------------------------------------------

def features(guest, device):
    out = guest.namespace.run("ethtool", "-k", device).stdout
    return {line.split(":")[0].strip(): line.split(":")[1].split()[0] for line in out.splitlines()[1:]}


def test_kernel_defaults_between_taps(lab):
    """The far end's kernel leaves checksums and segments to vtepd, and the other way round; nothing was set with ethtool."""
    pair = Pair(lab)
    assert features(pair.guests[0], "tap-vm1")["tcp-segmentation-offload"] == "on"
    assert {"csum", "host-tso4", "guest-tso6"} <= set(pair.port()["features"])
    stream_both_ways(*pair.guests, kilobytes=16384)
    assert not pair.daemon.drops()


def test_offloads_off(lab):
    """The setting acts on the open device: the container keeps its interface."""
    pair = Pair(lab)
    pair.daemon.ctl("port", "set", "vm1", "--offloads", "off")
    wait_until(lambda: features(pair.guests[0], "tap-vm1")["tcp-segmentation-offload"] == "off", "the guest cuts segments itself", SOON)
    assert not pair.port()["features"]
    stream_both_ways(*pair.guests)
    pair.daemon.ctl("port", "set", "vm1", "--offloads", "auto")
    wait_until(lambda: features(pair.guests[0], "tap-vm1")["tcp-segmentation-offload"] == "on", "the guest leaves segments to us", SOON)
    stream_both_ways(*pair.guests)


def test_kernel_without_offloads(lab, monkeypatch):
    monkeypatch.setenv("VTEPD_WITHOUT", "tap-offloads")
    pair = Pair(lab)
    assert features(pair.guests[0], "tap-vm1")["tx-checksumming"] == "off" and not pair.port()["features"]
    stream_both_ways(*pair.guests)


def test_jumbo(lab):
    """MTU 9000 below, so 8950 above, by itself and in a container's namespace."""
    needs_room()
    pair = Pair(lab, mtu=9000)
    assert "mtu 8950" in pair.guests[0].namespace.ip("link show tap-vm1") and pair.port()["mtu"] == 8950
    for source, target in (pair.guests, pair.guests[::-1]):
        source.wait_ping(target.ipv6)  # addresses of both ends are tentative at first
        assert source.ping(target.ipv4, 3, 2, 8950 - 28, "-M", "do") == 3
        assert source.ping(target.ipv6, 3, 2, 8950 - 48, "-M", "do") == 3
    stream_both_ways(*pair.guests, kilobytes=16384)
    assert not pair.daemon.drops()


def test_largest_mtu(lab):
    """Between two taps of one host the underlay's MTU is no limit."""
    pair = Pair(lab, others=["vm2"], mtu=1600)
    for name in ("vm1", "vm2"):
        pair.daemon.ctl("port", "set", name, "--mtu", 65521)
    first, second = pair.guests[:2]
    for guest in (first, second):
        guest.namespace.ip(f"link set {guest.device} mtu 65521")
    for name in ("vm1", "vm2"):
        wait_until(lambda name=name: pair.daemon.port(name)["mtu"] == 65521, lambda name=name: f"{pair.daemon.port(name)}", SOON)
    assert first.ping(second.ipv4, 3, 2, 65521 - 28, "-M", "do") == 3
    stream_both_ways(first, second)
    with pytest.raises(Refused, match="from 68 to 65521"):
        pair.daemon.ctl("port", "set", "vm1", "--mtu", 65522)


@pytest.mark.parametrize("mtu", [1600, 9000])
def test_kernel_peer(lab, mtu):
    """A container behind vtepd and one behind the kernel's VXLAN device."""
    switch = Switch(lab, mtu=mtu)
    host, daemon = hypervisor(lab, switch, 1, [{"name": "vm1", "device": "tap1"}], ["192.0.2.2"])
    kernel, far = KernelVXLANHost(lab, switch, 2), Guest(lab, "vm2", 2)
    kernel.vxlan(VNI, remotes=[host.ipv4])
    kernel.namespace.ip(f"link set vx{VNI} mtu {mtu - 50}")
    kernel.add_guest(far, VNI, mtu=mtu - 50)
    kernel.namespace.ip(f"link set g-vm2 mtu {mtu - 50}")
    daemon.start()
    guest = Guest(lab, "vm1", 1).attach_tap(host.namespace, "tap1")
    daemon.wait_ports_up()
    guest.wait_ping(far.ipv4)
    stream_both_ways(guest, far)


def tcp_segment(source, target, tags, payload):
    """A TCP segment that is left to hardware, checksum and cutting, as a kernel sends it on a VLAN device; with its virtio-net header."""
    tagging = b"".join(struct.pack("!HH", tpid, tag) for tpid, tag in tags)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 1, 0x4000, 64, 6, 0, *map(socket.inet_aton, (source.ipv4, target.ipv4)))
    ip = ip[:10] + struct.pack("!H", internet_checksum(ip)) + ip[12:]
    pseudo = ip[12:20] + struct.pack("!HH", 6, 20 + len(payload))
    tcp = struct.pack("!HHIIBBHHH", 5001, 5002, 1000, 2000, 0x50, 0x10, 500, 0xFFFF ^ internet_checksum(pseudo), 0)
    start = 14 + len(tagging) + 20
    header = struct.pack("=BBHHHH", 1, 1, start + 20, 1200, start, 16)
    return header + mac_bytes(target.mac) + mac_bytes(source.mac) + tagging + b"\x08\x00" + ip + tcp + payload


@pytest.mark.parametrize("tags", [[(0x8100, 300)], [(0x88A8, 300)], [(0x88A8, 300), (0x8100, 200)], [(0x8100, 0x6000)], []])
def test_tagged_segments(lab, tags):
    """Segments with tags of either type are cut behind them; a priority tag goes, the others are carried unchanged."""
    pair = Pair(lab)
    for daemon in pair.daemons:
        daemon.ctl("vni", "set", VNI, "--inner-vlan", "carry")
    source, target = pair.guests
    source.wait_ping(target.ipv4)
    like_a_wire(pair.hosts[0].namespace, "u0")
    wire = Capture(pair.hosts[1].namespace, "u0", "udp port 4789", inbound=True)
    inside = Capture(target.namespace, "tap-vm9", inbound=True)
    with source.namespace.entered():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    lab.on_close(raw.close)
    raw.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
    raw.bind(("tap-vm1", 0))
    payload = bytes(range(256)) * 20
    raw.send(tcp_segment(source, target, tags, payload))
    carried = b"".join(struct.pack("!HH", tpid, tag) for tpid, tag in tags if tag & 0xFFF)
    head = mac_bytes(target.mac) + mac_bytes(source.mac) + carried + b"\x08\x00\x45"

    def received():
        found = [packet[len(head) - 1:] for packet in inside.packets() if packet.startswith(head) and packet[len(head) + 8] == 6]
        return b"".join(packet[40:struct.unpack("!H", packet[2:4])[0]] for packet in found if packet[20:24] == b"\x13\x89\x13\x8a")

    wait_until(lambda: received() == payload, lambda: f"the segment arrives: {len(received())} octets, drops {pair.daemon.drops()}", SOON)
    states = wire.stop().fields("tcp.checksum.status", "tcp.len", only="tcp.dstport == 5002")
    assert {status for status, _ in states} == {"1"} and sum(int(count) for _, count in states) == len(payload)


# -- queues and persistent taps -----------------------------------------------------------------------------------------------

def test_two_queues(lab):
    pair = Pair(lab, queues=2)
    assert pair.port()["queues"] == 2
    assert "numtxqueues 256" in run("ip", "-d", "-n", pair.guests[0].namespace.full_name, "link", "show", "tap-vm1").stdout
    stream_both_ways(*pair.guests)


def test_persistent_tap_of_one_queue(lab):
    """As `ip tuntap add` makes it. It stays when the port goes, as its next user expects it."""
    switch = Switch(lab)
    host, daemon = hypervisor(lab, switch, 1, [], [])
    daemon.start()
    host.namespace.ip("tuntap add dev tap1 mode tap")
    with pytest.raises(Refused, match="it was created for one queue, not 2"):
        daemon.ctl("port", "add", "--name", "vm1", "--kind", "tap", "--device", "tap1", "--queues", 2, "--vni", VNI)
    daemon.ctl("port", "add", "--name", "vm1", "--kind", "tap", "--device", "tap1", "--vni", VNI)
    daemon.ctl("port", "add", "--name", "vm2", "--kind", "tap", "--device", "tap2", "--vni", VNI)
    first, second = Guest(lab, "vm1", 1).attach_tap(host.namespace, "tap1"), Guest(lab, "vm2", 2).attach_tap(host.namespace, "tap2")
    daemon.wait_ports_up()
    stream_both_ways(first, second)
    daemon.ctl("port", "delete", "vm1")
    assert features(first, "tap1")["tcp-segmentation-offload"] == "off"
    assert not second.namespace.ip("link show tap2", check=False) == ""


# -- elsewhere ----------------------------------------------------------------------------------------------------------------

def test_followed_in_another_namespace(lab):
    """What is changed in the container is seen: MTU, down and up, name; also when it is moved on to a third namespace and home."""
    pair = Pair(lab)
    inside = pair.guests[0].namespace
    inside.ip("link set tap-vm1 mtu 1300")
    pair.wait_port(mtu=1300)
    raw = pair.far.namespace.raw_socket("tap-vm9", receive=False)
    pair.guests[0].wait_ping(pair.far.ipv4)
    before = pair.daemon.drops().get("too-big-for-port", 0)
    raw.send(udp_flow(pair.far.mac, pair.guests[0].mac, 1, size=1315))
    wait_until(lambda: pair.daemon.drops().get("too-big-for-port", 0) > before, lambda: f"too big: {pair.daemon.drops()}", SOON)
    inside.ip("link set tap-vm1 down")
    pair.wait_port(state="down")
    inside.ip("link set tap-vm1 name eth7")
    inside.ip("link set eth7 mtu 1400 up")
    pair.wait_port(state="up", mtu=1400)
    pair.guests[0].wait_ping(pair.far.ipv4)
    third = lab.namespace("third")
    inside.ip(f"link set eth7 netns {third.full_name}")
    pair.wait_port(state="down", mtu=1400)
    third.ip("link set eth7 mtu 1250 up")
    pair.wait_port(state="up", mtu=1250)
    # The host is kept off it again.
    third.ip(f"link set eth7 netns {pair.host.full_name}")
    wait_until(lambda: "clsact" in run("tc", "-n", pair.host.full_name, "qdisc", "show", "dev", "eth7", check=False).stdout,
               lambda: f"eth7 is guarded: {pair.daemon.log()[-2000:]}", SOON)
    pair.host.ip("link set eth7 mtu 1350 up")
    pair.wait_port(state="up", mtu=1350)
    # A name of old means nothing: this is another interface.
    pair.host.ip("link add tap-vm1 mtu 1111 up type veth peer name other")
    pair.host.ip("link set eth7 mtu 1360")
    pair.wait_port(state="up", mtu=1360)


def test_followed_without_events(lab):
    """vtepd asks from time to time."""
    pair = Pair(lab, daemon=WithoutForeignEvents)
    pair.guests[0].namespace.ip("link set tap-vm1 mtu 1300")
    pair.wait_port(mtu=1300)
    pair.guests[0].namespace.ip("link set tap-vm1 down")
    pair.wait_port(state="down")


@pytest.mark.parametrize("how", ["namespace", "inside", "host"])
def test_deleted_tap_is_made_again(lab, how):
    """With its namespace, or alone, under traffic: another port loses nothing, and a second later a container can have the new one."""
    needs_room()
    pair = Pair(lab, others=["vm2"], mtu=1600)
    guest, other = pair.guests[:2]
    guest.wait_ping(pair.far.ipv4)
    other.wait_ping(pair.far.ipv4)
    stream = EchoStream(other, pair.far.mac, pair.far.ipv4, 200)
    stream.wait_answers(100)
    begin = time.time_ns()
    for round in range(3):
        inside = guest.namespace
        if how == "namespace":
            run("ip", "netns", "delete", inside.full_name)
            inside = lab.namespace(f"again{round}")
        elif how == "inside":
            inside.ip("link delete tap-vm1")
        else:
            inside.ip(f"link set tap-vm1 netns {pair.host.full_name}")
            pair.host.ip("link delete tap-vm1")
        pair.wait_tap_here()
        assert "mtu 1550" in pair.host.ip("link show tap-vm1")
        assert pair.first_mac in pair.host.ip("link show tap-vm1")
        assert "clsact" in run("tc", "-n", pair.host.full_name, "qdisc", "show", "dev", "tap-vm1").stdout
        pair.wait_port(state="up")
        if round == 1:
            # What an operator may have tried before.
            pair.daemon.ctl("port", "set", "vm1", "--no-enabled")
            pair.daemon.ctl("port", "set", "vm1", "--enabled")
            pair.daemon.reload("configuration reloaded")
        guest.namespace = inside
        guest.attach_tap(pair.host, "tap-vm1")
        pair.wait_port(state="up")
        guest.wait_ping(pair.far.ipv4)
    stream.wait_answers(200)
    end = time.time_ns() - 200_000_000
    time.sleep(0.5)
    stream.stop()
    assert stream.lost(begin, end) == 0
    tcp_stream(guest, pair.far, pair.far.ipv4)


def test_deleted_namespace_of_a_disabled_port(lab):
    pair = Pair(lab)
    pair.daemon.ctl("port", "set", "vm1", "--no-enabled")
    run("ip", "netns", "delete", pair.guests[0].namespace.full_name)
    pair.wait_tap_here()
    guest = pair.guests[0]
    guest.namespace = lab.namespace("again")
    guest.attach_tap(pair.host, "tap-vm1")
    assert "NO-CARRIER" in guest.namespace.ip("link show tap-vm1")
    pair.daemon.ctl("port", "set", "vm1", "--enabled")
    pair.wait_port(state="up")
    guest.wait_ping(pair.far.ipv4)


def test_name_is_taken_when_the_tap_is_deleted(lab):
    """The port waits until its name is free."""
    pair = Pair(lab)
    pair.host.ip("link add tap-vm1 type veth peer name other")
    run("ip", "netns", "delete", pair.guests[0].namespace.full_name)
    wait_until(lambda: "not a tap but of kind veth" in str(pair.port()["notes"]),
               lambda: f"the port says why: {pair.port()}", SOON)
    pair.host.ip("link delete tap-vm1")
    wait_until(lambda: "tun" in run("ip", "-d", "-n", pair.host.full_name, "link", "show", "tap-vm1", check=False).stdout,
               lambda: f"the tap is made again: {pair.daemon.log()[-2000:]}", 30)


def test_many_taps_come_and_go(lab):
    """300 taps, some of them in a container that is deleted with all of them, and the daemon ends without leaving any."""
    switch = Switch(lab)
    names = [f"t{number}" for number in range(300)]
    host, daemon = hypervisor(lab, switch, 1, [{"name": name, "device": name} for name in names], [], {"memory-mb": 128})
    daemon.start()
    inside = lab.namespace("inside")
    with open(lab.directory / "moves", "w") as moves:
        moves.writelines(f"link set {name} netns {inside.full_name}\n" for name in names[:100])
    host.namespace.ip(f"-batch {lab.directory / 'moves'}")

    def states():
        rows = daemon.ctl("show", "ports")
        return [sum(row["state"] == state for row in rows) for state in ("up", "down")]

    # An interface that moves goes down.
    wait_until(lambda: states() == [200, 100], lambda: f"100 taps are down: {states()}", 30)
    run("ip", "netns", "delete", inside.full_name)
    wait_until(lambda: states() == [300, 0], lambda: f"all taps are up again: {states()}", 60)
    assert all(f" {name}: " in host.namespace.ip("link show") for name in ("t0", "t99", "t299"))
    daemon.config["ports"] = daemon.config["ports"][:50]
    daemon.write_config()
    daemon.reload("configuration reloaded")
    wait_until(lambda: len(daemon.ctl("show", "ports")) == 50, "50 ports are left", 60)
    assert daemon.stop() == 0
    assert "t0" not in host.namespace.ip("link show")

"""A memif between two daemons: frames that a buffer of the ring does not hold, and a peer that leaves while frames pass."""
import json
import sys
import time

import pytest

from lab import Guest, UnderlayHost, Vtepd, wait_until
from lab.daemon import Refused
from lab.exchange import exchange
from lab.hosts import Switch
from lab.site import VNI

FLOOD = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for _ in range(200):
        try: s.sendto(bytes(int(sys.argv[2])), (sys.argv[1], 9))
        except OSError: pass
    time.sleep(0.001)
"""


class Cable:
    """Two daemons, each with a guest of MTU 9000 on a netdev port, and the port m of both: 1 is the server, 2 the client."""

    def __init__(self, lab):
        switch, path = Switch(lab), lab.directory / "cable.sock"
        self.daemons, self.guests, self.hosts = [], [], []
        for number, role in ((1, "server"), (2, "client")):
            host = UnderlayHost(lab, switch, number)
            self.hosts.append(host)
            self.guests.append(Guest(lab, f"g{number}", number, 1).attach_veth(host.namespace, "port1", 9000))
            self.daemons.append(Vtepd(host.namespace, {
                "underlay": {"addresses": [host.ipv4], "device": "u0"}, "vnis": [{"vni": VNI, "flood": "none"}],
                "ports": [{"name": "n", "kind": "netdev", "device": "port1", "vni": VNI},
                          {"name": "m", "kind": "memif", "socket": str(path), "role": role, "vni": VNI}]}).start())
        self.wait()

    def wait(self):
        for daemon in self.daemons:
            daemon.wait_ports_up("m")
        self.guests[0].wait_ping(self.guests[1].ipv4)

    def received(self):
        return [daemon.port("m")["rx_packets"] for daemon in self.daemons]

    def assert_quiet(self):
        """Nobody sends: a ring that is replayed delivers hundreds of thousands of frames."""
        before = self.received()
        time.sleep(1)
        assert [after - old < 500 for old, after in zip(before, self.received())] == [True, True], (before, self.received())


def test_frames_longer_than_a_buffer(lab):
    cable = Cable(lab)
    (server, client), (one, two) = cable.daemons, cable.guests
    # The underlay's MTU, of which an owned device may take less than was asked for, less the overhead.
    mtu = int(json.loads(cable.hosts[0].namespace.ip("-j link show u0"))[0]["mtu"]) - 50
    assert [daemon.port("m")["mtu"] for daemon in cable.daemons] == [mtu, mtu]
    for source, target, daemon in ((one, two, server), (two, one, client)):
        assert source.ping(target.ipv4, 3, 1, 5000) == 0
        assert daemon.drops()["too-big-for-port"] == 3
        assert source.ping(target.ipv4, 3, 1, mtu - 28) == 3 and source.ping(target.ipv4, 1, 1, mtu - 27) == 0
    cable.assert_quiet()
    # Segments of 64 KiB are cut.
    for guest in cable.guests:
        guest.namespace.ip(f"link set eth0 mtu {mtu}")
    exchange(one, two, two.ipv4, 1 << 20)
    for guest in cable.guests:
        guest.namespace.ip("link set eth0 mtu 9000")

    # The client makes the buffers.
    with pytest.raises(Refused, match="port m: mtu 2027: .* role: server has at most 2026; set a smaller one, or use role: client"):
        server.ctl("port", "set", "m", "--mtu", 2027)
    with pytest.raises(Refused, match="port m: mtu 16363: .* role: client has at most 16362; set a smaller one"):
        client.ctl("port", "set", "m", "--mtu", 16363)
    assert [daemon.port("m")["mtu"] for daemon in cable.daemons] == [mtu, mtu]
    server.ctl("port", "set", "m", "--mtu", 2026)
    client.ctl("port", "set", "m", "--mtu", 9000)
    wait_until(lambda: [daemon.port("m")["mtu"] for daemon in cable.daemons] == [2026, 9000], "both have their MTU")
    cable.wait()
    assert one.ping(two.ipv4, 3, 1, 1998) == 3 and one.ping(two.ipv4, 1, 1, 1999) == 0
    before = server.port("m")["rx_bytes"]
    two.ping(one.ipv4, 3, 1, 8972)
    assert server.port("m")["rx_bytes"] - before >= 3 * 9014, "long frames reach the server"
    cable.assert_quiet()
    assert one.ping(two.ipv4, 3) == 3


def test_a_peer_leaves_while_frames_pass(lab):
    cable = Cable(lab)
    server, client = cable.daemons
    client.ctl("port", "set", "m", "--mtu", 9000)
    cable.wait()
    for source, target, size in zip(cable.guests, reversed(cable.guests), (1400, 8900)):
        source.namespace.popen("nice", sys.executable, "-c", FLOOD, target.ipv4, size)
    for number in range(40):
        leaving = client if number % 4 else server
        leaving.ctl("port", "set", "m", "--no-enabled")
        leaving.ctl("port", "set", "m", "--enabled")
        if number == 20:
            client.kill()
            client.start(wait=False)
            client.wait_running()
        for daemon in cable.daemons:
            daemon.wait_ports_up("m")
            assert daemon.process.poll() is None and "crashed" not in daemon.log(), daemon.log()[-3000:]
    before = cable.received()
    wait_until(lambda: all(after > old for old, after in zip(before, cable.received())), "frames pass both ways")

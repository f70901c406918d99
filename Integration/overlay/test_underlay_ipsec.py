"""The host's IPsec policies do not apply to packet sockets: vtepd reports this, or refuses to start."""
import re

import pytest

from lab import Capture, Site, wait_until


class Tunnel:
    def __init__(self, lab, mode, ipv6=False):
        underlay = {"ipsec-policy": mode} if mode else {}
        self.site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, underlay=underlay, wait=False)
        self.host, self.daemon = self.site.hosts[0].namespace, self.site.daemons[0]
        self.own, self.far = self.site.address(self.site.hosts[0]), self.site.address(self.site.kernels[0])
        self.length = 128 if ipv6 else 32

    def selector(self, direction, more="proto udp dport 4789"):
        source, destination = (self.own, self.far) if direction == "out" else (self.far, self.own)
        return f"dir {direction} src {source}/{self.length} dst {destination}/{self.length} {more}"

    def add(self, direction="out", more="proto udp dport 4789", priority=100):
        source, destination = (self.own, self.far) if direction == "out" else (self.far, self.own)
        self.host.ip(f"xfrm policy add {self.selector(direction, more)} priority {priority} "
                     f"tmpl src {source} dst {destination} proto esp mode transport")

    def delete(self, direction="out", more="proto udp dport 4789"):
        self.host.ip(f"xfrm policy delete {self.selector(direction, more)}")

    def index(self):
        return int(re.search(r"index (\d+)", self.host.ip("-s xfrm policy"))[1])

    def problems(self):
        return self.daemon.ctl("status")["problems"]


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_policy_is_reported(lab, ipv6):
    tunnel = Tunnel(lab, None, ipv6)
    tunnel.add()
    index = tunnel.index()
    wire = Capture(tunnel.site.switch.namespace, "hv1", "", inbound=True)
    tunnel.site.start()
    vm1, vm2 = tunnel.site.guests
    vm1.wait_ping(vm2.ipv4)
    # The fact behind the warning: the packet went in the clear, and no ESP was sent.
    ways = wire.fields("udp.dstport", "esp.spi", only="vxlan or esp")
    assert ways and all(way == ("4789", "") or way[0].startswith("4789") and not way[1] for way in ways)
    line = f"the IPsec policy dir out src {tunnel.own}/{tunnel.length} dst {tunnel.far}/{tunnel.length} proto udp dport 4789 index {index}"
    assert line in tunnel.daemon.log() and "unprotected" in tunnel.daemon.log()
    assert [line in problem for problem in tunnel.problems()] == [True]
    tunnel.delete()
    wait_until(lambda: tunnel.problems() == [], lambda: f"{tunnel.problems()}")

    # Policies that appear later, in either direction; others do not concern us.
    for more in ("proto tcp dport 4789", "proto udp dport 4790", "proto udp sport 4789 dport 4790"):
        tunnel.add(more=more)
    tunnel.add("in")
    wait_until(lambda: len(tunnel.problems()) == 1, lambda: f"{tunnel.problems()}")
    assert "dir in" in tunnel.problems()[0]
    tunnel.delete("in")
    tunnel.add(more="")
    wait_until(lambda: len(tunnel.problems()) == 1 and "dir out" in tunnel.problems()[0], lambda: f"{tunnel.problems()}")
    # An exception takes precedence.
    tunnel.host.ip(f"xfrm policy add {tunnel.selector('out')} priority 10 action allow")
    wait_until(lambda: tunnel.problems() == [], lambda: f"{tunnel.problems()}")
    vm1.wait_ping(vm2.ipv4)


def test_policy_is_refused(lab):
    tunnel = Tunnel(lab, "refuse")
    tunnel.add()
    tunnel.daemon.start(wait=False)
    assert tunnel.daemon.process.wait(60) == 2
    text = tunnel.daemon.log()
    assert "underlay.ipsec-policy: refuse: the IPsec policy dir out" in text
    # The remedy as printed.
    command = re.search(r"\((ip xfrm policy delete dir out index \d+)\)", text)[1]
    tunnel.host.ip(command.removeprefix("ip "))
    tunnel.site.start()
    vm1, vm2 = tunnel.site.guests
    vm1.wait_ping(vm2.ipv4)

    tunnel.add()
    wait_until(lambda: (tunnel.daemon.vtep(tunnel.far)["reason"] or "").startswith("an IPsec policy of this host matches: dir out"),
               lambda: f"{tunnel.daemon.vtep(tunnel.far)}")
    wire = Capture(tunnel.host, "u0", "udp dst port 4789")
    assert vm1.ping(vm2.ipv4) == 0
    wait_until(lambda: tunnel.daemon.drops().get("ipsec-policy", 0) > 0, lambda: f"{tunnel.daemon.drops()}")
    mac = tunnel.host.mac("u0").replace(":", "")
    assert not [packet for packet in wire.packets() if packet[6:12].hex() == mac]
    tunnel.delete()
    vm1.wait_ping(vm2.ipv4)

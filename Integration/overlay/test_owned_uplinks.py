"""Two uplinks that DPDK drives, by two routers.

    vm1 ── hv1: t0, t1 (taps) ══ w0, w1 (the NICs) ══ r1, r2 ══ u0, u1: hv2 ── vm2        VTEP addresses on lo: 10.255.0.1 and 10.255.0.2

The NICs are those of DPDK's tap driver, whose link is that of its interface; nftables is the cable between each and its router.
"""
import threading
import time

import pytest

from lab import Guest, Router, Vtepd, wait_until
from lab.frames import udp_flow
from lab.site import VNI

FLOWS = 100
ADDRESSES = ("10.255.0.1", "10.255.0.2")


class TwoUplinks:
    def __init__(self, lab):
        self.routers = [Router(lab, f"r{number}") for number in (1, 2)]
        self.host, self.far = [lab.namespace(f"hv{number}") for number in (1, 2)]
        for router in self.routers:
            router.namespace.sysctl("net.ipv4.conf.all.rp_filter", 0)
        for namespace, address in zip((self.host, self.far), ADDRESSES):
            namespace.ip(f"address add {address}/32 dev lo")
            # One link may carry what the other one has asked for.
            for key in ("all", "default"):
                namespace.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
        for index, router in enumerate(self.routers):
            number = index + 1
            router.connect(self.far, f"u{index}", "to2", [f"10.{number}.2.1/24"], [f"10.{number}.2.2/24"])
            router.namespace.ip(f"route add {ADDRESSES[1]}/32 via 10.{number}.2.2")
            router.connect(self.host, f"c{index}", "to1", [f"10.{number}.1.1/24"], [])
            router.namespace.run("ethtool", "-K", "to1", "tx", "off", "gro", "off")
            router.namespace.ip(f"route add {ADDRESSES[0]}/32 via 10.{number}.1.2")
            self.host.sysctl(f"net.ipv6.conf.c{index}.disable_ipv6", 1)
            self.host.run("ethtool", "-K", f"c{index}", "gro", "off", "tx", "off")
            self.host.ip(f"tuntap add t{index} mode tap")
            self.host.ip(f"link set t{index} up")
            self.host.ip(f"address add 10.{number}.1.2/24 dev t{index}")
        self.host.ip(f"route add {ADDRESSES[1]}/32 src {ADDRESSES[0]} " + self.hops(1, "t"))
        self.far.ip(f"route add {ADDRESSES[0]}/32 src {ADDRESSES[1]} " + self.hops(2, "u"))
        self.guests = [Guest(lab, f"vm{number}", number).attach_veth(namespace, "port1", 1400)
                       for number, namespace in enumerate((self.host, self.far), 1)]
        underlays = [
            {"dpdk": ["net_tap0,iface=w0", "net_tap1,iface=w1"], "tap": ["t0", "t1"]},
            {"device": ["u0", "u1"]},
        ]
        self.daemons = [
            Vtepd(namespace, {
                "underlay": {"addresses": [ADDRESSES[index]], **underlays[index]},
                "vnis": [{"vni": VNI, "flood": "replicate", "peers": [ADDRESSES[1 - index]]}],
                "ports": [{"name": guest.name, "kind": "netdev", "device": "port1", "vni": VNI}],
            })
            for index, (namespace, guest) in enumerate(zip((self.host, self.far), self.guests))
        ]
        for daemon in self.daemons:
            daemon.start()
        for index in range(2):
            self.host.sysctl(f"net.ipv6.conf.w{index}.disable_ipv6", 1)
            for one, other in ((f"c{index}", f"w{index}"), (f"w{index}", f"c{index}")):
                self.host.run("nft", f"add table netdev {one}; add chain netdev {one} in {{ type filter hook ingress device {one} priority 0; }}; "
                                     f"add rule netdev {one} in fwd to {other}")
        for daemon in self.daemons:
            daemon.wait_ports_up()

    @staticmethod
    def hops(number, device):
        return "".join(f" nexthop via 10.{index + 1}.{number}.1 dev {device}{index}" for index in range(2))

    def wait_both(self):
        for daemon, address in zip(self.daemons, reversed(ADDRESSES)):
            wait_until(lambda: [hop["state"] for hop in daemon.vtep(address)["next_hops"]] == ["resolved"] * 2,
                       lambda: f"both next hops: {daemon.vtep(address)}\n{daemon.log()}", 90)

    def fail(self):
        """The first router dies, and with it all its links at the same time."""
        router = self.routers[0].namespace
        downs = [namespace.popen("ip", "link", "set", link, "down") for namespace, link in ((self.host, "w0"), (router, "to1"), (router, "to2"))]
        assert [down.wait() for down in downs] == [0] * 3

    def repair(self):
        for port in ("to1", "to2"):
            self.routers[0].namespace.ip(f"link set {port} up")
        self.routers[0].namespace.ip(f"route add {ADDRESSES[1]}/32 via 10.1.2.2")
        self.routers[0].namespace.ip(f"route add {ADDRESSES[0]}/32 via 10.1.1.2")
        self.host.ip("link set w0 up")


class Flows:
    """Packets of 100 flows from one guest to another, in turn, from construction to `stop`."""

    def __init__(self, source, target):
        self.sender, self.receiver = source.namespace.raw_socket("eth0", receive=False), target.namespace.raw_socket("eth0")
        self.receiver.settimeout(0.2)
        self.frames = [udp_flow(source.mac, target.mac, number) for number in range(FLOWS)]
        self.sent, self.got, self.ended = 0, [[] for _ in range(FLOWS)], threading.Event()
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]
        for thread in self.threads:
            thread.start()

    def send(self):
        while not self.ended.wait(0.02):
            for frame in self.frames:
                self.sender.send(frame)
            self.sent += FLOWS

    def receive(self):
        while True:
            try:
                frame = self.receiver.recv(2048)
            except TimeoutError:
                if self.ended.is_set():
                    return
                continue
            if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\x00\x07":
                self.got[int.from_bytes(frame[34:36], "big") - 1024].append(time.monotonic())

    def silent_since(self, moment):
        return [number for number, times in enumerate(self.got) if not times or times[-1] < moment]

    def stop(self):
        """How many packets were lost."""
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.sent - sum(map(len, self.got))


@pytest.mark.alone
def test_uplink_fails_under_traffic(lab, capsys):
    site = TwoUplinks(lab)
    site.wait_both()
    vm1, vm2 = site.guests
    vm1.wait_ping(vm2.ipv4)
    used = {row["address"] for row in site.daemons[0].ctl("show", "underlay")}
    assert used == {ADDRESSES[0]}
    flows = [Flows(vm1, vm2), Flows(vm2, vm1)]
    for flow in flows:
        wait_until(lambda: not flow.silent_since(0), lambda: f"flows that have not arrived: {flow.silent_since(0)}")
    # Both uplinks carry some of them.
    sent = [site.host.run("cat", f"/sys/class/net/w{index}/statistics/rx_packets").stdout for index in range(2)]
    wait_until(lambda: all(
        int(site.host.run("cat", f"/sys/class/net/w{index}/statistics/rx_packets").stdout) > int(sent[index]) + 20 for index in range(2)),
        "both NICs send")
    site.fail()
    failed = time.monotonic()
    for flow in flows:
        wait_until(lambda: not flow.silent_since(failed), lambda: f"flows that have ended: {flow.silent_since(failed)}")
    gaps = [max(after - before for times in flow.got for before, after in zip(times, times[1:])) for flow in flows]
    site.repair()
    site.wait_both()
    repaired = time.monotonic()
    for flow in flows:
        wait_until(lambda: not flow.silent_since(repaired), lambda: f"flows that have ended: {flow.silent_since(repaired)}")
    lost = [flow.stop() for flow in flows]
    with capsys.disabled():
        for name, flow, count, gap in zip(("DPDK", "the kernel"), flows, lost, gaps):
            print(f"\n{FLOWS} flows over uplinks of {name}, {flow.sent} packets, every 20 ms: {count} lost, longest gap {gap * 1000:.0f} ms", end="")
    assert sum(lost) < sum(flow.sent for flow in flows) / 2

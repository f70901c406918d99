"""The host's own IP stack on the interfaces of ports: it receives nothing from the tenant and sends nothing to it."""
import pathlib
import socket

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from lab import Guest, UnderlayHost, Vtepd, wait_until
from lab.daemon import Refused
from lab.frames import arp_request, ethernet, mac_number, receive, vxlan4
from lab.hosts import Switch, veth
from lab.namespaces import run
from lab.site import VNI

VTEP = "192.0.2.1"
TENANT = mac_number(7)
LLDP = "01:80:c2:00:00:0e"


class Scene:
    """A host whose port1 leads to a tenant, with the kernel's defaults: up, with IPv6. Its port2 leads to another one."""

    def __init__(self, lab, ports=1, **keys):
        self.lab = lab
        self.switch = Switch(lab)
        self.host = UnderlayHost(lab, self.switch, 1)
        self.ns = self.host.namespace
        self.tenants = [lab.namespace(f"tenant{number}") for number in range(1, ports + 1)]
        for number, tenant in enumerate(self.tenants, 1):
            veth(self.ns, f"port{number}", tenant, "eth0")
            self.ns.sysctl(f"net.ipv6.conf.port{number}.accept_ra", 1)
            self.ns.ip(f"link set port{number} up")
            tenant.ip(f"link set eth0 address {mac_number(6 + number)} up")
        self.raw = self.tenants[0].raw_socket("eth0")
        self.daemon = Vtepd(self.ns, {
            "underlay": {"addresses": [VTEP], "device": "u0"}, "vnis": [{"vni": VNI, "flood": "none"}],
            "ports": [{"name": f"p{number}", "kind": "netdev", "device": f"port{number}", "vni": VNI, **keys}
                      for number in range(1, ports + 1)],
        })

    def hears_arp(self):
        """Whether the host answers the tenant's ARP request for the VTEP address."""
        while self.received():
            pass
        self.raw.send(arp_request(TENANT, "192.0.2.77", VTEP))
        return any(frame[12:14] == b"\x08\x06" and ARP(frame[14:]).op == 2 for frame in self.received(1.5))

    def received(self, seconds=0.05):
        frames = []
        self.raw.settimeout(seconds)
        try:
            while len(frames) < 1000:
                frames.append(self.raw.recv(65535))
        except TimeoutError:
            pass
        return frames

    def hears_udp(self, device="port1"):
        with self.ns.entered():
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with listener:
            listener.bind(("0.0.0.0", 7777))
            listener.settimeout(1.5)
            frame = Ether(src=TENANT, dst=self.ns.mac(device)) / IP(src="192.0.2.77", dst=VTEP) / UDP(sport=1, dport=7777) / Raw(b"in")
            self.raw.send(bytes(frame))
            try:
                return listener.recv(100) == b"in"
            except TimeoutError:
                return False

    def advertise(self):
        advertisement = (Ether(src=TENANT, dst="33:33:00:00:00:01") / IPv6(src="fe80::7", dst="ff02::1", hlim=255)
                         / ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64))
        self.raw.send(bytes(advertisement))

    def is_configured(self):
        return "2001:db8:bad:" in self.ns.ip("-6 address") or "default via fe80::7" in self.ns.ip("-6 route")

    def has_ipv6(self, device="port1"):
        with self.ns.entered():
            return pathlib.Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").read_text().strip() == "0"

    def tc(self, words, check=True):
        return run("tc", "-n", self.ns.full_name, *words.split(), check=check).stdout

    def qdiscs(self, device="port1"):
        return self.tc(f"qdisc show dev {device}")


def test_host_hears_nothing_on_an_access_port(lab):
    scene = Scene(lab)
    # The problem: without the daemon the host answers.
    assert scene.hears_arp() and scene.hears_udp()
    scene.daemon.start().wait_ports_up()
    assert not scene.hears_arp()
    assert not scene.hears_udp()
    scene.advertise()
    assert not scene.hears_arp(), "the advertisement had time to arrive"
    assert not scene.is_configured() and not scene.has_ipv6()
    assert scene.daemon.port("p1")["rx_packets"] >= 4, "the port must receive everything"
    # A disabled port still leads to the tenant.
    scene.daemon.ctl("port", "set", "p1", "--no-enabled")
    assert not scene.hears_arp()
    scene.daemon.ctl("port", "delete", "p1")
    assert scene.hears_arp() and scene.hears_udp() and scene.has_ipv6()
    assert "clsact" not in scene.qdiscs()


def test_advertisement_received_before_the_start(lab):
    """Nobody configured an address from the tenant's router: it does not prevent the port from attaching, and is removed."""
    scene = Scene(lab)
    wait_until(lambda: scene.advertise() or scene.is_configured(), "the host takes the tenant's prefix", interval=0.5)
    scene.daemon.start().wait_ports_up()
    assert not scene.is_configured()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_operator_state_is_restored(lab, end):
    scene = Scene(lab, ports=2)
    scene.tc("qdisc add dev port1 clsact")
    # A filter that passes frames to the next one.
    run("tc", "-n", scene.ns.full_name, *"filter add dev port1 ingress pref 5 protocol ip bpf da bytecode".split(), "1,6 0 0 4294967295")
    scene.ns.sysctl("net.ipv6.conf.port2.disable_ipv6", 1)
    before = scene.tc("filter show dev port1 ingress")
    assert "pref 5" in before
    scene.daemon.start().wait_ports_up()
    assert not scene.hears_arp()
    if end == "kill":
        scene.daemon.kill()
        assert "clsact" in scene.qdiscs("port2"), "kill -9 must leave the filter for this test"
        scene.daemon.start().wait_ports_up()
        assert scene.tc("filter show dev port1 ingress").count("pref 65535 bpf chain 0 handle") == 1
    assert scene.daemon.stop() == 0
    assert scene.tc("filter show dev port1 ingress") == before and "clsact" in scene.qdiscs("port1")
    assert "clsact" not in scene.qdiscs("port2")
    assert scene.has_ipv6("port1") and not scene.has_ipv6("port2")
    assert scene.hears_arp()


def test_an_mtu_below_that_of_ipv6(lab):
    """The kernel forgets an interface's IPv6 below 1280, settings included, and makes it anew with the next larger MTU."""
    scene = Scene(lab, ports=2)
    scene.ns.ip("link set port2 mtu 1000")
    scene.daemon.config["ports"].append({"name": "t", "kind": "tap", "device": "tap1", "vni": VNI})
    scene.daemon.write_config()
    scene.daemon.start().wait_ports_up()
    scene.ns.ip("link set port1 mtu 1000")
    scene.daemon.ctl("port", "set", "t", "--mtu", 1000)
    for device in ("port1", "port2"):
        scene.ns.ip(f"link set {device} mtu 1500")
    scene.daemon.ctl("port", "set", "t", "--mtu", 1450)
    for device in ("port1", "port2", "tap1"):
        wait_until(lambda: not scene.has_ipv6(device), lambda: f"the host is kept off {device}: {scene.daemon.log()}")
    assert scene.daemon.stop() == 0
    assert scene.has_ipv6("port1") and scene.has_ipv6("port2") and "clsact" not in scene.qdiscs("port1")


def test_port_that_is_gone_when_a_killed_daemon_starts_again(lab):
    """The host gets its interface back; interfaces guarded by another daemon stay guarded."""
    scene = Scene(lab, ports=2)
    scene.daemon.start().wait_ports_up()
    scene.daemon.kill()
    assert not scene.hears_arp(), "kill -9 must leave the filter for this test"
    del scene.daemon.config["ports"][0]
    scene.daemon.write_config()
    scene.daemon.start().wait_ports_up()
    assert scene.hears_arp() and scene.has_ipv6("port1") and "clsact" not in scene.qdiscs("port1")
    assert "clsact" in scene.qdiscs("port2")


def test_frames_of_the_host_never_enter_the_vni(lab):
    """Frames that the host itself sends on the interface go to the tenant there and nowhere else."""
    scene = Scene(lab, ports=2, **{"l2-protocols": "tunnel"})
    scene.daemon.start().wait_ports_up()
    far = scene.tenants[1].raw_socket("eth0")
    own = scene.ns.raw_socket("port1", receive=False)
    lldp, shout, marker = ethernet(mac_number(90), LLDP, ethertype=0x88CC), ethernet(mac_number(91)), ethernet(TENANT)
    for frame in (lldp, shout):
        own.send(frame)
        receive(scene.raw, lambda got: got == frame)  # the tenant receives them as before
    scene.raw.send(marker)
    seen = []
    receive(far, lambda frame: seen.append(frame) or frame == marker)
    assert lldp not in seen and shout not in seen
    assert set(scene.daemon.macs()) <= {TENANT, mac_number(8)}, "the tenants' own"
    # The tenant's own frames are tunnelled.
    tenants = ethernet(TENANT, LLDP, ethertype=0x88CC)
    scene.raw.send(tenants)
    receive(far, lambda frame: frame == tenants)


def test_packets_that_the_host_sends_on_the_underlay_are_not_received(lab):
    scene = Scene(lab)
    scene.daemon.config["vnis"] = [{"vni": VNI, "flood": "replicate", "peers": ["192.0.2.9"]}]
    scene.daemon.write_config()
    scene.daemon.start().wait_ports_up()
    own, mac = scene.ns.raw_socket("u0", receive=False), scene.ns.mac("u0")
    echoed, marker = ethernet(mac_number(92)), ethernet(mac_number(93))
    own.send(vxlan4(mac, mac, "192.0.2.9", VTEP, echoed))
    raw = scene.switch.namespace.raw_socket(scene.host.switch_port, receive=False)
    raw.send(vxlan4("02:00:00:00:99:01", mac, "192.0.2.9", VTEP, marker))
    seen = []
    receive(scene.raw, lambda frame: seen.append(frame) or frame == marker)
    assert echoed not in seen


# What makes the host use an interface, and the text of the refusal.
USES = {
    "address": ("address add 10.9.9.1/24 dev port1", "it has the address 10.9.9.1/24 of the host's own"),
    "ipv6 address": ("address add 2001:db8:9::1/64 dev port1 nodad", "it has the address 2001:db8:9::1/64 of the host's own"),
    "bridge": ("link set port1 master br7", "it is a member of br7"),
    "macvlan": ("link add mv7 link port1 type macvlan", "it has mv7, of kind macvlan, on top of it"),
}


@pytest.mark.parametrize("use", USES)
def test_interface_that_the_host_uses(lab, use):
    scene = Scene(lab)
    command, reason = USES[use]
    scene.ns.ip("link add br7 type bridge")
    scene.daemon.config["ports"] = []
    scene.daemon.write_config()
    scene.daemon.start()
    scene.ns.ip(command)
    add = ("port", "add", "--name", "p1", "--kind", "netdev", "--device", "port1", "--vni", VNI)
    with pytest.raises(Refused) as refusal:
        scene.daemon.ctl(*add)
    assert f"port p1: interface port1: {reason}" in refusal.value.message
    assert "clsact" not in scene.qdiscs() and scene.has_ipv6() and (use == "bridge" or scene.hears_arp())
    # The printed remedy.
    remedy = refusal.value.message.split("; ")[-1].split(", or ")[0]
    assert remedy.startswith("ip ")
    scene.ns.ip(remedy.removeprefix("ip "))
    scene.daemon.ctl(*add)
    scene.daemon.wait_ports_up("p1")
    assert not scene.hears_arp()


def test_later_address_is_reported(lab):
    scene = Scene(lab)
    scene.daemon.start().wait_ports_up()
    scene.ns.ip("address add 10.9.9.1/24 dev port1")
    wait_until(lambda: any("port1 has the address 10.9.9.1/24" in note for note in scene.daemon.port("p1")["notes"]),
               lambda: f"the port reports it: {scene.daemon.port('p1')}")
    scene.ns.ip("address delete 10.9.9.1/24 dev port1")
    wait_until(lambda: not any("10.9.9.1" in note for note in scene.daemon.port("p1")["notes"]), "and no longer")


def test_tap_before_it_is_moved(lab):
    """Until somebody takes the tap, the host is not its far end; afterwards it is whoever took it."""
    scene = Scene(lab)
    scene.daemon.config["ports"].append({"name": "t", "kind": "tap", "device": "tap1", "vni": VNI})
    scene.daemon.write_config()
    scene.ns.sysctl("net.ipv6.conf.default.accept_ra", 1)
    scene.daemon.start().wait_ports_up()
    assert not scene.has_ipv6("tap1") and "clsact" in scene.qdiscs("tap1")
    assert not scene.hears_arp() and not scene.hears_udp("tap1")
    scene.advertise()
    assert not scene.hears_arp() and not scene.is_configured()
    assert scene.daemon.port("t")["rx_packets"] == 0, "the host has said nothing"

    # The operator gives the tap to the host: it gets an address and answers.
    scene.ns.ip("address add 10.0.0.254/24 dev tap1")
    wait_until(lambda: "clsact" not in scene.qdiscs("tap1"), lambda: f"the tap is the host's: {scene.daemon.log()[-2000:]}")
    scene.raw.send(arp_request(TENANT, "10.0.0.7", "10.0.0.254"))
    assert receive(scene.raw, lambda frame: frame[12:14] == b"\x08\x06" and ARP(frame[14:]).op == 2)
    scene.ns.ip("address delete 10.0.0.254/24 dev tap1")
    wait_until(lambda: "clsact" in scene.qdiscs("tap1") and not scene.has_ipv6("tap1"), "the host is kept off it again")

    # A container takes it: none of these settings go with it.
    guest = Guest(lab, "vm9", 9).attach_tap(scene.ns, "tap1")
    assert "clsact" not in run("tc", "-n", guest.namespace.full_name, "qdisc", "show", "dev", "tap1").stdout
    scene.daemon.wait_ports_up("t")
    scene.raw.send(arp_request(TENANT, "10.0.0.7", guest.ipv4))
    assert receive(scene.raw, lambda frame: frame[12:14] == b"\x08\x06" and ARP(frame[14:]).op == 2)
    assert "fd00::9/64" in guest.namespace.ip("-6 address show dev tap1")


def test_punt_tap(lab):
    """ARP and IP do not pass a punt tap in either direction."""
    scene = Scene(lab, **{"l2-protocols": "punt"})
    scene.daemon.start().wait_ports_up()
    wait_until(lambda: "punt-p1" in scene.ns.ip("link"), "the tap is there")
    assert not scene.has_ipv6("punt-p1")
    assert not scene.hears_arp() and not scene.hears_udp("punt-p1")
    lldp = ethernet(TENANT, LLDP, ethertype=0x88CC)
    punted = scene.ns.raw_socket("punt-p1")
    scene.raw.send(lldp)
    receive(punted, lambda frame: frame == lldp)
    punted.send(arp_request(mac_number(80), VTEP, "192.0.2.77"))
    back = ethernet(mac_number(80), LLDP, ethertype=0x88CC)
    punted.send(back)
    seen = []
    receive(scene.raw, lambda frame: seen.append(frame) or frame == back)
    assert not any(frame[12:14] == b"\x08\x06" for frame in seen)
    for mtu in (1000, 1500):
        scene.ns.ip(f"link set port1 mtu {mtu}")
        wait_until(lambda: scene.daemon.port("p1")["mtu"] == mtu, "the port has its MTU")
        scene.daemon.ctl("port", "set", "p1", "--isolated" if mtu == 1000 else "--no-isolated")
        wait_until(lambda: f" mtu {mtu} " in scene.ns.ip("link show punt-p1"), "the tap follows its port")
    wait_until(lambda: not scene.has_ipv6("punt-p1"), "the kernel has made its IPv6 anew, and it is off again")

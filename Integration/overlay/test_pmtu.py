"""Path MTU: what a guest is told about packets that do not fit (RFC 1191, RFC 4443, RFC 8201), and what routers of the underlay tell us."""
import hashlib
import re
import socket
import threading
import time

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from lab import wait_until
from lab.capture import Capture
from lab.frames import tagged
from lab.probe import Probe
from lab.routed import Routed
from lab.site import VNI, Site

OVERHEAD = {False: 50, True: 70}  # IPv4, IPv6 outside


def set_mtu(site, mtu):
    """Both ends of each guest's cable."""
    for host, guest in zip(site.hosts, site.guests):
        host.namespace.ip(f"link set port1 mtu {mtu}")
        guest.namespace.ip(f"link set eth0 mtu {mtu}")


def make_site(lab, ipv6=False, kind="netdev", mtu=1500, **options):
    """Two hosts; the guests' MTU is that of the underlay."""
    # The virtual drivers of DPDK carry no more than 1500.
    underlay = {"driver": "af_packet"} if mtu > 1500 else None
    site = Site(lab, flood="replicate", ipv6=ipv6, kind=kind, underlay_mtu=mtu, underlay=underlay, wait=False, **options)
    for daemon in site.daemons:
        daemon.config["ports"][0]["mtu"] = mtu
        if mtu > 1500:
            daemon.config["dataplane"]["memory-mb"] = 256
        daemon.write_config()
    if kind == "netdev":
        set_mtu(site, mtu)
    site.start()
    vm1, vm2 = site.guests
    vm1.wait_ping(vm2.ipv4)
    vm1.wait_ping(vm2.ipv6)
    return site


def drops(daemon):
    return daemon.drops().get("too-big-for-underlay", 0)


# -- what the guest is told ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mtu", [1500, 9000])
@pytest.mark.parametrize("kind", ["netdev", "tap"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_every_size(lab, ipv6, kind, mtu):
    site = make_site(lab, ipv6, kind, mtu)
    vm1, vm2 = site.guests
    fits = mtu - OVERHEAD[ipv6]
    first = 1372 if mtu == 1500 else 8900
    before = drops(site.daemons[0])
    for target in (vm2.ipv4, vm2.ipv6):
        probe = Probe(vm1, target)
        answers = {size: probe.answer(size) for size in range(first, mtu + 1)}
        assert answers == {size: True if size <= fits else (fits, True) for size in answers}
        time.sleep(0.5)  # for tokens
    assert drops(site.daemons[0]) - before >= 2 * (mtu - fits)


def test_the_answer_on_the_wire(lab):
    site = make_site(lab)
    vm1, vm2 = site.guests
    before = site.daemons[0].macs()
    capture = Capture(vm1.namespace, "eth0", "(icmp[0] == 3 or ip6[40] == 2)", inbound=True)
    raw = vm1.namespace.raw_socket("eth0")
    ipv4 = Ether(src=vm1.mac, dst=vm2.mac) / IP(src=vm1.ipv4, dst=vm2.ipv4, flags="DF", id=77, tos=8) / UDP(sport=1, dport=2) / Raw(b"x" * 1450)
    ipv6 = Ether(src=vm1.mac, dst=vm2.mac) / IPv6(src=vm1.ipv6, dst=vm2.ipv6) / TCP(sport=1, dport=2, seq=9) / Raw(b"y" * 1440)
    for frame in (ipv4, ipv6):
        raw.send(bytes(frame))
    capture.wait(2)
    for sent, answer in zip((ipv4, ipv6), sorted(capture.stop().packets(), key=len)):
        sent, answer = Ether(bytes(sent)), Ether(answer)
        assert (answer.src, answer.dst) == (vm2.mac, vm1.mac)
        network = IP if IP in sent else IPv6
        assert (answer[network].src, answer[network].dst) == (sent[network].dst, sent[network].src)
        if network is IP:
            assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu, answer[IP].tos >> 5) == (3, 4, 1450, 6)
            assert len(answer[IP]) == 576 and bytes(answer[ICMP])[8:] == bytes(sent[IP])[:548]
        else:
            assert answer[ICMPv6PacketTooBig].mtu == 1450
            assert len(answer[IPv6]) == 1280 and bytes(answer[IPv6])[48:] == bytes(sent[IPv6])[:1232]
    # Its checksums are verified by tshark; and nobody has learned anything from it.
    assert capture.fields("icmp.checksum.status", only="icmp") == [("1",)]
    assert capture.fields("icmpv6.checksum.status", only="icmpv6") == [("1",)]
    assert {mac: (row["location"], row["vtep"], row["port"]) for mac, row in site.daemons[0].macs().items()} == {
        mac: (row["location"], row["vtep"], row["port"]) for mac, row in before.items()}


def test_tags(lab):
    """The answer goes back in the VLAN that the frame came in; a tag that the VNI carries counts, and the answer has it, too."""
    site = make_site(lab, vnis=[{"vni": 5002, "flood": "none", "inner-vlan": "carry"}])
    daemon = site.daemons[0]
    vm1, vm2 = site.guests
    daemon.config["vnis"][1].update({"flood": "replicate", "peers": [site.hosts[1].ipv4]})
    daemon.config["ports"] = [{"name": "vm1", "kind": "netdev", "device": "port1", "vni": 5002, "vlans": {7: VNI, 8: VNI}}]
    daemon.reload("configuration reloaded")
    daemon.wait_ports_up()
    raw = vm1.namespace.raw_socket("eth0")
    capture = Capture(vm1.namespace, "eth0", inbound=True)

    def frame_of(size, vlan):
        packet = IP(src=vm1.ipv4, dst=vm2.ipv4, flags="DF", id=vlan) / UDP() / Raw(b"x" * (size - 28))
        frame = bytes(Ether(src=vm1.mac, dst=vm2.mac) / packet)
        return tagged(frame, vlan) if vlan else frame

    def answers():
        """{(VLAN of the question, VLAN of the answer, MTU)}"""
        return {(frame[IPerror].id, frame[Dot1Q].vlan if Dot1Q in frame else 0, frame[ICMP].nexthopmtu)
                for frame in map(Ether, capture.packets()) if ICMP in frame and (frame[ICMP].type, frame[ICMP].code) == (3, 4)}

    for vlan, size, mtu in ((7, 1451, 1450), (8, 1451, 1450), (0, 1451, 1450), (9, 1447, 1446)):
        # The first teaches the VLAN that the station is in.
        raw.send(frame_of(100, vlan))
        place = (VNI, vlan) if vlan in (7, 8) else (5002, None)
        wait_until(lambda: any((row["vni"], row["vlan"], row["mac"]) == (*place, vm1.mac) for row in daemon.ctl("show", "mac-table")),
                   lambda: f"the station is at {place}: {daemon.macs()}")
        raw.send(frame_of(size, vlan))
        wait_until(lambda: (vlan, vlan, mtu) in answers(), lambda: f"an answer in VLAN {vlan}: {answers()}")
    assert len(answers()) == 4


def test_what_is_not_answered(lab):
    site = make_site(lab, kind="tap")
    vm1, vm2 = site.guests
    raw = vm1.namespace.raw_socket("tap1")
    capture = Capture(vm1.namespace, "tap1", "(icmp[0] == 3 or ip6[40] == 2)", inbound=True)
    big = Raw(b"x" * 1440)
    there = Ether(src=vm1.mac, dst=vm2.mac)
    ipv4 = {"src": vm1.ipv4, "dst": vm2.ipv4, "flags": "DF"}
    ipv6 = {"src": vm1.ipv6, "dst": vm2.ipv6}
    packets = {
        "without DF": there / IP(**{**ipv4, "flags": 0}) / UDP() / big,
        "broadcast": Ether(src=vm1.mac, dst="ff:ff:ff:ff:ff:ff") / IP(**{**ipv4, "dst": "10.0.0.255"}) / UDP() / big,
        "limited broadcast to one MAC address": there / IP(**{**ipv4, "dst": "255.255.255.255"}) / UDP() / big,
        "multicast": Ether(src=vm1.mac, dst="01:00:5e:01:01:01") / IP(**{**ipv4, "dst": "239.1.1.1"}) / UDP() / big,
        "from nowhere": there / IP(**{**ipv4, "src": "0.0.0.0"}) / UDP() / big,
        "a later fragment": there / IP(**ipv4, frag=100, proto=17) / big,
        "an ICMP error": there / IP(**ipv4) / ICMP(type=3, code=1) / big,
        "a bad header checksum": there / IP(**ipv4, chksum=1) / UDP() / big,
        "padding": there / Raw(bytes(IP(**ipv4) / UDP() / Raw(b"x" * 100)) + bytes(1340)),
        "IPv6 multicast": Ether(src=vm1.mac, dst="33:33:00:00:00:99") / IPv6(**{**ipv6, "dst": "ff02::99"}) / UDP() / big,
        "a later IPv6 fragment": there / IPv6(**ipv6) / IPv6ExtHdrFragment(offset=10, nh=17) / big,
        "an ICMPv6 error": there / IPv6(**ipv6) / ICMPv6TimeExceeded() / big,
        "no IP": Ether(src=vm1.mac, dst=vm2.mac, type=0x88B5) / Raw(b"x" * 1480),
    }
    before = drops(site.daemons[0])
    packets["padding"][Ether].type = 0x0800
    for packet in packets.values():
        raw.send(bytes(packet))
    raw.send(bytes(there / IPv6(**ipv6) / ICMPv6EchoRequest() / big))
    raw.send(bytes(there / IP(**{**ipv4, "flags": "DF+MF"}, proto=17) / Raw(b"x" * 1456)))
    capture.wait(2)
    wait_until(lambda: drops(site.daemons[0]) - before == len(packets) + 2, lambda: site.daemons[0].drops())
    assert len(capture.stop().packets()) == 2


def test_rate_limit_and_drop(lab):
    site = make_site(lab)
    daemon = site.daemons[0]
    vm1, vm2 = site.guests
    raw = vm1.namespace.raw_socket("eth0")
    frame = bytes(Ether(src=vm1.mac, dst=vm2.mac) / IP(src=vm1.ipv4, dst=vm2.ipv4, flags="DF") / UDP() / Raw(b"x" * 1460))
    capture = Capture(vm1.namespace, "eth0", "icmp[0] == 3", inbound=True)

    def send(count):
        before = drops(daemon)
        for _ in range(count):
            raw.send(frame)
        wait_until(lambda: drops(daemon) - before == count, lambda: f"{count} drops: {daemon.drops()}")

    start = time.monotonic()
    send(2000)
    answered = len(capture.packets())
    assert 100 <= answered <= 100 + 100 * (time.monotonic() - start) + 1
    daemon.config["underlay"]["pmtu"] = "drop"
    daemon.reload("configuration reloaded")
    assert "pmtu: drop" in daemon.table("config", "show")
    send(20)
    assert len(capture.packets()) == answered
    daemon.config["underlay"]["pmtu"] = "reply"
    daemon.reload("configuration reloaded")
    send(1)
    capture.wait(answered + 1)


def transfer(sender, receiver, address, byte_count=4 << 20):
    """Sends bytes by TCP; returns whether they arrived as they were."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with receiver.namespace.entered():
        listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((address, 7777))
    listener.listen()
    digest = hashlib.sha256()

    def receive():
        connection, _ = listener.accept()
        while data := connection.recv(1 << 16):
            digest.update(data)
        connection.close()

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    with sender.namespace.entered():
        connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(60)
    data = hashlib.shake_128(address.encode()).digest(byte_count)
    connection.connect((address, 7777))
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    thread.join(60)
    connection.close()
    listener.close()
    return digest.digest() == hashlib.sha256(data).digest()


def path_mtu(guest, target):
    """As the guest's kernel knows it; None: that of the interface."""
    found = re.search(r" mtu (\d+)", guest.namespace.ip(f"route get {target}"))
    return found and int(found[1])


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_kernel_guests(lab, ipv6):
    """TCP with the interface's MTU works, and tracepath finds what fits."""
    site = make_site(lab, ipv6, kind="tap")
    fits = 1500 - OVERHEAD[ipv6]
    vm1, vm2 = site.guests

    def forget():
        for guest in (vm1, vm2):
            guest.namespace.ip("route flush cache")
            guest.namespace.ip("-6 route flush cache")

    for sender, receiver in ((vm1, vm2), (vm2, vm1)):
        for address in (receiver.ipv4, receiver.ipv6):
            forget()
            assert path_mtu(sender, address) is None
            assert transfer(sender, receiver, address)
            assert path_mtu(sender, address) == fits
    forget()
    for address in (vm2.ipv4, vm2.ipv6):
        report = vm1.namespace.run("tracepath", "-n", "-m", 3, address, timeout=90).stdout
        assert f"pmtu {fits}" in report, report


# -- what routers tell us --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_smaller_link_behind_a_router(lab, ipv6):
    site = Routed(lab, ipv6, routers=1)
    host, daemon, router = site.hosts[0], site.daemons[0], site.routers[0].namespace
    vm1, vm2 = site.guests
    family = "ipv6" if ipv6 else "ipv4"
    far = site.addresses[1]
    host.sysctl(f"net.{family}.route.mtu_expires", 4)
    # Nothing may go back another way: the guest's frames are as large as its MTU.
    for namespace, interfaces in ((host, ["port1"]), (vm1.namespace, ["eth0"])):
        for interface in interfaces:
            namespace.ip(f"link set {interface} mtu 1500")
    vm1.wait_ping(vm2.ipv4)
    assert daemon.vtep(far)["path_mtu"] is None
    wide = daemon.vtep(far)["mtu"]
    probe = Probe(vm1, vm2.ipv4, tries=1)
    wait_until(lambda: probe.answer(1400) is True, "the link is wide")
    for mtu in (1400, 1360):
        router.ip(f"link set to2 mtu {mtu}")
        fits = mtu - OVERHEAD[ipv6]
        wait_until(lambda: probe.answer(1400, 0.3) == (fits, True), lambda: f"{fits} fits: {daemon.ctl('show', 'vteps')}")
        row = daemon.vtep(far)
        assert row["mtu"] == mtu == row["path_mtu"]["mtu"]
        assert row["path_mtu"]["origin"] == "icmp" and 0 <= row["path_mtu"]["expires_s"] <= 4
        assert row["path_mtu"]["reporter"] == ("fd10:1:1::1" if ipv6 else "10.1.1.1")
        assert re.search(rf" {mtu} \(icmp, \d s\) ", daemon.table("show", "vteps"))
        assert probe.answer(fits) is True
    assert daemon.log().count("path MTU 1360, reported by") == 1
    # The far end has its own path.
    assert site.daemons[1].vtep(site.addresses[0])["path_mtu"] is None
    router.ip("link set to2 mtu 1600")
    wait_until(lambda: daemon.vtep(far)["path_mtu"] is None, lambda: f"it expires: {daemon.vtep(far)}")
    assert daemon.vtep(far)["mtu"] == wide
    wait_until(lambda: probe.answer(1400) is True, "the link is wide again")


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_route_with_an_mtu(lab, ipv6):
    site = make_site(lab, ipv6)
    host, daemon = site.hosts[0].namespace, site.daemons[0]
    vm1, vm2 = site.guests
    far = site.address(site.hosts[1])
    length = 128 if ipv6 else 32
    fits = 1400 - OVERHEAD[ipv6]
    probe = Probe(vm1, vm2.ipv4)
    assert probe.answer(fits + 1) is True
    for lock in ("", "lock "):
        host.ip(f"route replace {far}/{length} dev u0 mtu {lock}1400")
        wait_until(lambda: daemon.vtep(far)["mtu"] == 1400, lambda: daemon.vtep(far))
        assert daemon.vtep(far)["path_mtu"] == {"mtu": 1400, "origin": "route", "reporter": None, "expires_s": None}
        assert " 1400 (route) " in daemon.table("show", "vteps")
        wait_until(lambda: probe.answer(fits + 1) == (fits, True), "the guest is told")
        assert probe.answer(fits) is True
        host.ip(f"route delete {far}/{length}")
        wait_until(lambda: daemon.vtep(far)["mtu"] == 1500 and daemon.vtep(far)["path_mtu"] is None, lambda: daemon.vtep(far))


class Forger:
    """Sends the first host ICMP errors about packets to VTEPs."""

    def __init__(self, lab, site):
        self.namespace = lab.namespace("forger")
        site.switch.connect(self.namespace, "u0", None, "192.0.2.77/24", "2001:db8::77/64")
        self.raw = self.namespace.raw_socket("u0", receive=False)
        self.ipv6 = site.ipv6
        self.ours, self.peer = (site.address(host) for host in site.hosts)
        self.mac = site.hosts[0].namespace.mac("u0")

    def send(self, mtu, size=1500, source=None, destination=None, port=4789, source_port=50000, **icmp):
        quoted = {"src": source or self.ours, "dst": destination or self.peer}
        udp = UDP(sport=source_port, dport=port, len=size - 20, chksum=0) / Raw(b"\x08" + bytes(39))
        frame = Ether(src=self.namespace.mac("u0"), dst=self.mac)
        if self.ipv6:
            packet = IPv6(src="2001:db8::77", dst=self.ours) / ICMPv6PacketTooBig(mtu=mtu, **icmp) / IPv6(plen=size - 40, nh=17, **quoted) / udp
        else:
            error = ICMP(type=3, code=4, nexthopmtu=mtu, **icmp)
            packet = IP(src="192.0.2.77", dst=self.ours) / error / IP(len=size, flags="DF", id=0, proto=17, **quoted) / udp
        self.raw.send(bytes(frame / packet))


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_forged_errors(lab, ipv6):
    site = make_site(lab, ipv6)
    daemon, forger = site.daemons[0], Forger(lab, site)
    unknown = "2001:db8::99" if ipv6 else "192.0.2.99"
    group = "ff05::100" if ipv6 else "239.1.1.1"

    def path():
        return daemon.vtep(forger.peer)["path_mtu"]

    def untouched():
        return [row for row in daemon.ctl("show", "vteps") if row["path_mtu"] or row["mtu"] != 1500] == []

    forger.send(1400, destination=unknown)
    forger.send(1400, destination=group)
    forger.send(1400, source=unknown)
    forger.send(1400, port=4790)
    forger.send(1400, source_port=4789)
    forger.send(1500)
    forger.send(1600, size=1700)
    forger.send(1400, size=1400)
    forger.send(1400, **({"cksum": 1} if ipv6 else {"chksum": 1}))
    if ipv6:
        forger.send(1279)
    assert untouched()
    # What comes after them was heard, so they were, too.
    forger.send(1450)
    wait_until(lambda: path() and path()["mtu"] == 1450, lambda: daemon.ctl("show", "vteps"))
    assert [row["address"] for row in daemon.ctl("show", "vteps") if row["path_mtu"]] == [forger.peer]
    assert path()["reporter"] == ("2001:db8::77" if ipv6 else "192.0.2.77") and 590 < path()["expires_s"] <= 600
    # Never more than before, and never less than the least.
    forger.send(1480)
    forger.send(1280 if ipv6 else 68)
    wait_until(lambda: path()["mtu"] == (1280 if ipv6 else 552), path)
    assert daemon.log().count("reported by") == 2
    if not ipv6:
        # A new route is another path. Then: a router that does not know RFC 1191 reports 0.
        site.hosts[0].namespace.ip(f"route replace {forger.peer}/32 dev u0")
        site.hosts[0].namespace.ip(f"route replace {forger.peer}/32 dev u0 mtu 1499")
        wait_until(lambda: path()["origin"] == "route", path)
        forger.send(0)
        wait_until(lambda: path()["mtu"] == 1492, path)

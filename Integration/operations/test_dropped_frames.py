"""`vtepctl show drops --frames REASON`: the frames that were dropped, for each place in which frames are dropped; scapy is the judge."""
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from lab import Site, wait_until
from lab.daemon import Refused
from lab.frames import ethernet, tagged, udp_flow
from lab.hosts import Guest
from lab.site import VNI


def frames(daemon, reason, *arguments):
    return daemon.ctl("show", "drops", "--frames", reason, *arguments)["frames"]


def wait_frames(daemon, reason, count=1):
    wait_until(lambda: len(frames(daemon, reason)) >= count, lambda: f"frames dropped as {reason}: {daemon.drops()}\n{daemon.log()}")
    return frames(daemon, reason)


def octets(row):
    return bytes.fromhex(row["octets"])


def layers(row):
    return {layer["name"]: layer["fields"] for layer in row["layers"]}


def test_from_a_port(lab):
    site = Site(lab, vtepd=1)
    daemon, guest = site.daemons[0], site.guests[0]
    raw = guest.namespace.raw_socket(guest.device, receive=False)
    before = time.time()
    sent = [
        bytes(Ether(src=guest.mac, dst="02:00:00:00:00:77") / Dot1Q(vlan=77, prio=3) / IP(src="10.9.0.1", dst="10.9.0.2", ttl=9)
              / TCP(sport=1234, dport=80, flags="S", seq=7) / Raw(bytes(range(200)))),
        bytes(Ether(src=guest.mac, dst="02:00:00:00:00:77") / Dot1Q(vlan=78) / IPv6(src="fd00::1", dst="fd00::2", fl=5)
              / UDP(sport=1, dport=2) / Raw(b"x" * 30)),
        bytes(Ether(src=guest.mac, dst="ff:ff:ff:ff:ff:ff") / Dot1Q(vlan=79) / ARP(psrc="10.9.0.1", pdst="10.9.0.2", hwsrc=guest.mac)),
    ]
    for frame in sent:
        raw.send(frame)
    rows = wait_frames(daemon, "vlan-not-bound", 3)
    assert [(row["length"], octets(row)) for row in rows] == [(len(frame), frame[:160]) for frame in sent]
    for row, frame in zip(rows, sent):
        assert row["port"] == guest.name and row["vni"] is None and row["vtep"] is None
        assert before - 1 < row["time_us"] / 1e6 < time.time() + 1
        seen, judge = layers(row), Ether(frame)
        assert (seen["Ethernet"]["source"], seen["Ethernet"]["destination"]) == (judge.src, judge.dst)
        assert (seen["VLAN"]["vlan"], seen["VLAN"]["priority"]) == (str(judge[Dot1Q].vlan), str(judge[Dot1Q].prio))
        for name, layer in (("IPv4", IP), ("IPv6", IPv6)):
            assert (name in seen) == (layer in judge)
            if name in seen:
                assert (seen[name]["source"], seen[name]["destination"]) == (judge[layer].src, judge[layer].dst)
        for name, layer in (("TCP", TCP), ("UDP", UDP)):
            if layer in judge:
                assert (seen[name]["source_port"], seen[name]["destination_port"]) == (str(judge[layer].sport), str(judge[layer].dport))
    assert layers(rows[2])["ARP"]["target"] == "10.9.0.2"
    # The last ones.
    (again,) = frames(daemon, "vlan-not-bound", "--count", "1")
    # Times are made from the cycle counter, whose rate is measured ever better.
    assert abs(again.pop("time_us") - rows[2].pop("time_us")) < 1000 and again == rows[2]
    text = daemon.table("show", "drops", "--frames", "vlan-not-bound")
    assert "77, priority 3" in text and "10.9.0.1 > 10.9.0.2, TCP, TTL 9" in text and "1234 > 80, SYN" in text
    assert "258 octets, of which 160 are kept" in text and "3 dropped since the start, 3 shown" in text
    # A hundred are counted, the last 64 kept.
    for number in range(100):
        raw.send(tagged(ethernet(guest.mac, payload=bytes([number]) * 46), 80))
        if number % 16 == 15:
            time.sleep(0.01)
    wait_until(lambda: daemon.drops()["vlan-not-bound"] == 103, lambda: f"{daemon.drops()}")
    rows = frames(daemon, "vlan-not-bound")
    assert len(rows) == 64 and [octets(row)[-1] for row in rows] == list(range(36, 100))

    # Counted by VNI, where it is known.
    daemon.ctl("port", "set", guest.name, "--mac", guest.mac, "--anti-spoofing")
    raw.send(ethernet("02:00:00:00:00:99"))
    assert wait_frames(daemon, "source-spoofed")[0]["vni"] == VNI
    assert [(row["where"], row["count"]) for row in daemon.ctl("show", "drops", "--by", "vni") if row["reason"] == "source-spoofed"] == [
        (f"vni {VNI}", 1)]


def test_from_the_wire(lab):
    site = Site(lab, vtepd=1, kernel=1)
    daemon, peer = site.daemons[0], site.kernels[0]
    wire = peer.namespace.raw_socket("u0", receive=False)
    inner = Ether(src="02:00:00:00:00:55", dst="02:00:00:00:00:56") / IP(src="10.9.0.5", dst="10.9.0.6") / UDP(sport=5, dport=6)
    destination = site.hosts[0].namespace.mac("u0")
    packet = bytes(Ether(src=peer.namespace.mac("u0"), dst=destination) / IP(src=peer.ipv4, dst=site.hosts[0].ipv4) / UDP(sport=50000, dport=4789, chksum=0)
                   / VXLAN(vni=777, flags=8) / inner)
    wire.send(packet)
    row = wait_frames(daemon, "unknown-vni")[-1]
    assert (row["port"], row["vni"], row["vtep"], row["length"]) == ("u0", 777, peer.ipv4, len(packet))
    assert octets(row) == packet[:160]
    names = [layer["name"] for layer in row["layers"]]
    assert names == ["Ethernet", "IPv4", "UDP", "VXLAN", "Ethernet, inner", "IPv4", "UDP"]
    assert row["layers"][3]["fields"]["vni"] == "777" and row["layers"][5]["fields"]["source"] == "10.9.0.5"


def test_refused_by_the_kernel(lab):
    """In place of a frame that the far end of a veth is too small for."""
    site = Site(lab, vtepd=1, flood="none", wait=False)
    daemon, host, one = site.daemons[0], site.hosts[0].namespace, site.guests[0]
    two = Guest(lab, "vm8", 8).attach_veth(host, "port8", 1500)
    daemon.config["ports"].append({"name": "vm8", "kind": "netdev", "device": "port8", "vni": VNI})
    daemon.write_config()
    site.start()
    raw_one, raw_two = (guest.namespace.raw_socket("eth0") for guest in (one, two))
    wait_until(lambda: (raw_two.send(ethernet(two.mac)), two.mac in daemon.macs())[1], "the station is known")
    two.namespace.ip("link set eth0 mtu 600")
    frame = udp_flow(one.mac, two.mac, 1, size=1400)
    before = daemon.drops().get("refused-by-kernel", 0)
    raw_one.send(frame)
    row = wait_frames(daemon, "refused-by-kernel")[-1]
    assert (row["port"], row["vni"], row["length"], octets(row)) == ("vm8", VNI, len(frame), frame[:160])
    assert daemon.drops()["refused-by-kernel"] == before + 1


def test_general_traffic_on_a_punt_tap(lab):
    site = Site(lab, vtepd=1, wait=False)
    daemon, host = site.daemons[0], site.hosts[0].namespace
    daemon.config["ports"][0]["l2-protocols"] = "punt"
    daemon.write_config()
    site.start()
    wait_until(lambda: host.run("ip", "link", "set", "punt-vm1", "up", check=False).returncode == 0, "the punt tap is there")
    frame = bytes(Ether(src=daemon.port("vm1")["mac"], dst="02:00:00:00:00:07") / IP(src="10.9.0.1", dst="10.9.0.2") / Raw(bytes(40)))
    host.raw_socket("punt-vm1", receive=False).send(frame)
    row = wait_frames(daemon, "punt-not-control")[-1]
    assert (row["port"], octets(row)) == ("vm1", frame)
    assert daemon.drops()["punt-not-control"] == 1


def test_what_cannot_be_shown(lab):
    site = Site(lab, vtepd=1)
    daemon = site.daemons[0]
    answer = daemon.ctl("show", "drops", "--frames", "ecn-forbidden")
    assert (answer["count"], answer["frames"], answer["note"]) == (0, [], None)
    assert "no frame has been dropped for this reason" in daemon.table("show", "drops", "--frames", "ecn-forbidden")
    with pytest.raises(Refused, match="no drop reason 'ecn'; vtepctl show drops --all lists them"):
        daemon.ctl("show", "drops", "--frames", "ecn")
    with pytest.raises(Refused, match="from 1 to 64"):
        daemon.ctl("show", "drops", "--frames", "ecn-forbidden", "--count", "65")
    with pytest.raises(Refused, match="leave out"):
        daemon.ctl("show", "drops", "--frames", "ecn-forbidden", "--watch")

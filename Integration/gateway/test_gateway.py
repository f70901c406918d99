"""A ToR gateway: bare-metal hosts, untagged and on VLANs, in one segment with a hypervisor's guest and a host behind the kernel's
VXLAN device. Every host sees exactly its binding's tag, octet for octet."""
import pytest

from lab import Capture, wait_until
from lab.daemon import Refused, Vtepd
from lab.frames import BROADCAST, ethernet, tagged
from lab.hosts import Guest, KernelVXLANHost, Switch, UnderlayHost
from lab.site import VNI


class Gateway:
    """bm1 (untagged), bm2 (VLAN 100) and bm3 (VLAN 200) on the gateway; vm4 on a hypervisor; vm5 behind the kernel."""

    tags = {"bm1": None, "bm2": 100, "bm3": 200, "vm4": None, "vm5": None}

    def __init__(self, lab, **keys):
        """`keys`: further keys of the gateway's ports, by port."""
        self.switch = Switch(lab)
        self.gateway, self.hypervisor = [UnderlayHost(lab, self.switch, number) for number in (1, 2)]
        self.kernel = KernelVXLANHost(lab, self.switch, 3)
        hosts = [self.gateway, self.hypervisor, self.kernel]
        self.guests = {name: Guest(lab, name, number) for number, name in enumerate(self.tags, 1)}
        ports = []
        for number, name in enumerate(("bm1", "bm2", "bm3"), 1):
            guest, vlan = self.guests[name], self.tags[name]
            guest.attach_veth(self.gateway.namespace, f"port{number}")
            if vlan:
                guest.tag(vlan)
            binding = {"vlans": {vlan: VNI}} if vlan else {"vni": VNI}
            ports.append({"name": name, "kind": "netdev", "device": f"port{number}", **binding, **keys.get(name, {})})
        self.guests["vm4"].attach_veth(self.hypervisor.namespace, "port4", mtu=1450)
        self.kernel.vxlan(VNI, remotes=[self.gateway.ipv4, self.hypervisor.ipv4])
        self.kernel.add_guest(self.guests["vm5"], VNI)

        def daemon(host, ports, **more):
            peers = [other.ipv4 for other in hosts if other is not host]
            return Vtepd(host.namespace, {
                "underlay": {"addresses": [host.ipv4], "device": "u0"},
                "vnis": [{"vni": VNI, "flood": "replicate", "peers": peers}], "ports": ports, **more}).start()

        self.daemon = daemon(self.gateway, ports, mode="gateway")
        self.other = daemon(self.hypervisor, [{"name": "vm4", "kind": "netdev", "device": "port4", "vni": VNI}])
        for each in (self.daemon, self.other):
            each.wait_ports_up()
        self.daemon.wait_resolved(self.hypervisor.ipv4, self.kernel.ipv4)
        self.other.wait_resolved(self.gateway.ipv4, self.kernel.ipv4)

    def on_wire(self, frame, name):
        return tagged(frame, self.tags[name]) if self.tags[name] else frame

    def wait_all_pings(self):
        for source in self.guests.values():
            for target in self.guests.values():
                if source is not target:
                    source.wait_ping(target.ipv4)
                    source.wait_ping(target.ipv6)


@pytest.mark.quick
def test_everybody_reaches_everybody_with_the_right_tag(lab):
    site = Gateway(lab)
    captures = {name: Capture(guest.namespace, "eth0", inbound=True) for name, guest in site.guests.items()}
    site.wait_all_pings()
    # No frame has any other tag.
    for name, capture in captures.items():
        frames = list(capture.packets())
        assert len(frames) >= 8
        for frame in frames:
            tag = frame[12:16] if frame[12:14] in (b"\x81\x00", b"\x88\xa8") else None
            expected = site.tags[name] and b"\x81\x00" + site.tags[name].to_bytes(2, "big")
            assert tag == expected, f"{name} got {frame.hex()}"
            inner = frame[16:18] if tag else frame[12:14]
            # A gateway probes for loops by default.
            assert inner in (b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x90\x00"), f"{name} got {frame.hex()}"

    raws = {name: guest.namespace.raw_socket("eth0", receive=False) for name, guest in site.guests.items()}
    # Complete frames, from each to each, and from each to all.
    for number, (source, raw) in enumerate(raws.items()):
        for target, guest in [*site.guests.items(), (None, None)]:
            if target == source:
                continue
            frame = ethernet(site.guests[source].mac, guest.mac if guest else BROADCAST, b"frame %03d" % number + bytes(range(200)))
            receivers = [target] if target else [name for name in raws if name != source]
            before = {name: captures[name].packets().count(site.on_wire(frame, name)) for name in raws}
            raw.send(site.on_wire(frame, source))
            for name in receivers:
                wait_until(lambda: captures[name].packets().count(site.on_wire(frame, name)) == before[name] + 1,
                           f"{name} gets the frame of {source} with its own tag")
    for capture in captures.values():
        frames = [frame for frame in capture.stop().packets() if b"frame 00" in frame[14:40]]
        assert len(frames) == len(set(frames)) == 8, "four unicasts and four broadcasts, each once"
    # Frames that the kernel floods before it has learned also reach other hosts. And the trunks of bm2 and bm3 have stacks of their
    # own, which send untagged frames.
    dropped = {(row["reason"], row["where"]) for row in site.daemon.ctl("show", "drops") if row["count"]}
    assert {reason for reason, where in dropped if (reason, where) not in {("untagged-not-bound", "bm2"), ("untagged-not-bound", "bm3")}} \
        <= {"split-horizon"}


def test_bindings_are_shown_and_changed_while_traffic_flows(lab):
    site = Gateway(lab)
    site.wait_all_pings()
    rows = {(row["port"], row["vlan"]): row for row in site.daemon.ctl("show", "bindings")}
    assert list(rows) == [("bm1", None), ("bm2", 100), ("bm3", 200)]
    for row in rows.values():
        assert (row["vni"], row["source"]) == (VNI, "config")
        for direction in ("rx", "tx"):
            assert row[f"{direction}_packets"] >= 8
            # All frames of these ports belong to that binding.
            port = site.daemon.port(row["port"])
            assert row[f"{direction}_packets"] <= port[f"{direction}_packets"]
            assert 60 <= row[f"{direction}_bytes"] / row[f"{direction}_packets"] <= 1518
    assert site.daemon.ctl("show", "bindings", "--port", "bm2")[0]["vlan"] == 100
    assert site.daemon.ctl("show", "bindings", "--vni", 9) == []
    assert "bm3    200  5001  config" in site.daemon.table("show", "bindings")

    with pytest.raises(Refused, match="port bm2 already binds VLAN 100 to VNI 5001; delete that binding first"):
        site.daemon.ctl("vni", "add", "--vni", 5002, "--flood", "none")
        site.daemon.ctl("binding", "add", "--port", "bm2", "--vlan", 100, "--vni", 5002)
    # What others have learned stays; the binding's own addresses are removed.
    known = site.daemon.macs()
    assert site.daemon.ctl("binding", "delete", "--port", "bm2", "--vlan", 100) == {"changed": True}
    assert {mac for mac, row in known.items() if row["port"] == "bm2"} == set(known) - set(site.daemon.macs())
    assert site.guests["bm2"].ping(site.guests["vm4"].ipv4) == 0
    assert site.guests["bm1"].ping(site.guests["vm4"].ipv4, 3) == 3
    assert site.daemon.drops()["vlan-not-bound"] > 0
    assert site.daemon.ctl("binding", "add", "--port", "bm2", "--vlan", 100, "--vni", VNI) == {"changed": True}
    assert site.daemon.ctl("binding", "add", "--port", "bm2", "--vlan", 100, "--vni", VNI) == {"changed": False}
    # A new binding counts from zero.
    assert site.daemon.ctl("show", "bindings", "--port", "bm2")[0]["rx_packets"] < rows["bm2", 100]["rx_packets"]
    site.guests["bm2"].wait_ping(site.guests["vm4"].ipv4)
    site.guests["bm2"].wait_ping(site.guests["bm3"].ipv6)


def test_isolated_ports(lab):
    site = Gateway(lab, bm1={"isolated": True}, bm2={"isolated": True})
    guests = site.guests
    # To the overlay and to the port that is not isolated, both ways ...
    for name in ("bm1", "bm2"):
        for target in ("bm3", "vm4", "vm5"):
            guests[name].wait_ping(guests[target].ipv4)
            guests[target].wait_ping(guests[name].ipv6)
    # ... and not to each other, not even by flooding.
    capture = Capture(guests["bm2"].namespace, "eth0", f"ether src {guests['bm1'].mac} or (vlan and ether src {guests['bm1'].mac})", inbound=True)
    assert guests["bm1"].ping(guests["bm2"].ipv4, 2) == 0
    raw = guests["bm1"].namespace.raw_socket("eth0", receive=False)
    raw.send(ethernet(guests["bm1"].mac))
    raw.send(ethernet(guests["bm1"].mac, guests["bm2"].mac))
    wait_until(lambda: site.daemon.drops().get("port-isolated", 0) >= 1, "unicasts are dropped and counted")
    guests["bm1"].wait_ping(guests["bm3"].ipv4)
    assert capture.stop().packets() == []
    site.daemon.ctl("port", "set", "bm2", "--no-isolated")
    guests["bm1"].wait_ping(guests["bm2"].ipv4)

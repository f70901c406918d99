"""vtepd's packets, dissected by tshark: no warnings, and every field as in RFC 7348 and RFC 6040."""
import pytest

from lab import Capture, Site
from lab.frames import arp_request, echo_request, tagged, udp_flow
from lab.hosts import like_a_wire
from lab.site import VNI

WARNINGS = "_ws.expert.severity >= 6291456"  # Warn is 0x600000, Error 0x800000


def outer(field):
    """tshark returns every occurrence of a field, outermost first."""
    return field.split(",")[0]


@pytest.mark.parametrize("checksum", ["auto", "on"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_no_warning_and_right_fields(lab, ipv6, checksum):
    site = Site(lab, vtepd=2, flood="replicate", ipv6=ipv6, underlay={"udp-checksum": checksum, "ttl": 61, "dscp": "inherit"})
    like_a_wire(site.hosts[0].namespace, "u0")
    site.daemons[0].wait_resolved(site.address(site.hosts[1]))
    site.wait_all_pings()
    vm1, vm2 = site.guests
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    raw = vm1.namespace.raw_socket("eth0", receive=False)
    frames = [udp_flow(vm1.mac, vm2.mac, number, size) for number, size in enumerate((60, 61, 128, 1000, 1444))]
    frames.append(arp_request(vm1.mac, vm1.ipv4, vm2.ipv4))
    frames.append(echo_request(vm1.mac, vm2.mac, vm1.ipv4, vm2.ipv4, tos=0xB8 | 2))  # EF, ECT(0)
    for frame in frames:
        raw.send(frame)
    capture.wait(len(frames))
    vm1.ping(vm2.ipv4, 2, 2)
    vm1.ping(vm2.ipv6, 2, 2)
    capture.stop()

    assert capture.fields("frame.number", "_ws.expert.message", only=WARNINGS) == []
    version = "ipv6" if ipv6 else "ip"
    ttl = "ipv6.hlim" if ipv6 else "ip.ttl"
    names = ["frame.len", "udp.length", "udp.dstport", "udp.srcport", "udp.checksum.status", "vxlan.vni", "vxlan.flags",
             ttl, f"{version}.src", f"{version}.dst", "eth.dst"]
    names.append("ipv6.flow" if ipv6 else "ip.flags.df")
    rows = capture.fields(*names, only="vxlan")
    assert len(rows) >= len(frames)
    next_hop = site.hosts[1].namespace.mac("u0")
    for row in rows:
        length, udp_length, port, source_port, status, vni, flags, hops, source, destination, ethernet, last = map(outer, row)
        assert int(udp_length) == int(length) - (54 if ipv6 else 34)
        assert port == "4789" and 49152 <= int(source_port) <= 65535
        # 1: good, 3: not computed. Two of a kind may have left together, and have one then.
        assert status == "1" or status == "3" and not ipv6 and checksum == "auto"
        assert (int(vni), int(flags, 16)) == (VNI, 0x0800)
        assert hops == "61" and ethernet == next_hop
        assert (source, destination) == (site.address(site.hosts[0]), site.address(site.hosts[1]))
        assert int(last, 16 if ipv6 else 10) != 0, "flow label, or DF"
    # The outer header has the inner packet's DSCP and ECN.
    mark = "ipv6.tclass" if ipv6 else "ip.dsfield"
    marked = capture.fields(mark, only="icmp && ip.dsfield == 0xba")
    assert marked and all(int(outer(field), 16) == 0xBA for field, in marked)


def test_ipv6_checksum_off(lab):
    """RFC 6935: a zero checksum in IPv6, sent and accepted if both sides are configured for it."""
    site = Site(lab, vtepd=2, flood="replicate", ipv6=True, underlay={"udp-checksum": "off", "udp6-zero-checksum-rx": True})
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    site.wait_all_pings()
    assert {outer(field) for field, in capture.stop().fields("udp.checksum", only="vxlan")} == {"0x0000"}


def test_multicast_ttl_and_address(lab):
    site = Site(lab, vtepd=2)
    site.wait_joined()
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    site.guests[0].forget_neighbors()
    site.guests[0].wait_ping(site.guests[1].ipv4)
    rows = capture.stop().fields("ip.ttl", "eth.dst", only=f"ip.dst == {site.group}")
    assert {tuple(map(outer, row)) for row in rows} == {("1", "01:00:5e:01:01:01")}
    assert capture.fields("frame.number", only=WARNINGS) == []


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_source_ports_spread_flows_and_keep_each(lab, ipv6):
    site = Site(lab, vtepd=2, flood="replicate", ipv6=ipv6)
    like_a_wire(site.hosts[0].namespace, "u0")
    site.wait_all_pings()
    vm1, vm2 = site.guests
    raw = vm1.namespace.raw_socket("eth0", receive=False)

    def ports(frames, burst=100):
        capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
        for first in range(0, len(frames), burst):
            for frame in frames[first:first + burst]:
                raw.send(frame)
            capture.wait(first + len(frames[first:first + burst]))
        return [int(outer(port)) for port, in capture.stop().fields("udp.srcport", only="udp.dstport == 7")]

    flows = [udp_flow(vm1.mac, vm2.mac, number) for number in range(1000)]
    seen = ports(flows)
    assert len(seen) == 1000 and min(seen) >= 49152
    assert len(set(seen)) >= 900
    assert len(set(ports(flows[:1] * 100))) == 1
    # The same flows use the same ports again.
    assert ports(flows) == seen


def test_consumed_tag_is_not_carried(lab):
    site = Site(lab, vtepd=2, flood="replicate", wait=False)
    site.daemons[0].config["ports"][0]["vlans"] = {100: VNI}
    del site.daemons[0].config["ports"][0]["vni"]
    site.daemons[0].write_config()
    site.start()
    vm1, vm2 = site.guests
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    vm1.namespace.raw_socket("eth0", receive=False).send(tagged(udp_flow(vm1.mac, vm2.mac, 1, 100), 100))
    capture.wait(1)
    rows = capture.stop().fields("vxlan.vni", "frame.len", only="udp.dstport == 7 && not vlan")
    assert rows == [(str(VNI), str(100 + 50))]

"""`vtepctl trace`: what it says of a frame is what the wire shows when the same frame is sent, and it leaves nothing behind."""
import json
import struct
import subprocess

import pytest

from lab import Capture, ControlSession, Site, wait_until
from lab.daemon import VTEPCTL, Refused
from lab.frames import arp_request, tagged, udp_flow, vxlan4
from lab.hosts import like_a_wire
from lab.namespaces import end_process
from lab.site import VNI


def trace(daemon, *arguments):
    """The answer, and its stages by name."""
    answer = daemon.ctl("trace", *arguments)
    stages = {}
    for stage in answer["stages"]:
        stages.setdefault(stage["stage"], stage)
    return answer, stages


def pcap(path, *packets, kind=1, cut=0):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, kind))
        for packet in packets:
            file.write(struct.pack("<IIII", 0, 0, len(packet) - cut, len(packet)) + packet[:len(packet) - cut])
    return path


def pcapng(path, *packets):
    def block(kind, body):
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)

    with open(path, "wb") as file:
        file.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0)))
        for packet in packets:
            body = struct.pack("<IIIII", 0, 0, 0, len(packet), len(packet)) + packet + b"\x00" * (-len(packet) % 4)
            file.write(block(6, body))
    return path


def is_armed(session):
    try:
        session("trace.live.next", stop=True, trace=session("trace.live.start", filter="ether src 02:00:00:00:99:98", count=1)["trace"])
        return False
    except AssertionError as error:
        assert "another one is running" in str(error)
        return True


def counters(daemon):
    return daemon.ctl("show", "ports"), daemon.ctl("show", "vteps"), daemon.ctl("show", "drops", "--all")


@pytest.mark.quick
@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_what_is_told_is_on_the_wire(lab, ipv6):
    """To a kernel VTEP: the outer header that trace prints is the one that tshark sees, field by field and octet by octet."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", ipv6=ipv6, underlay={"dscp": "inherit", "udp-checksum": "on"})
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    like_a_wire(site.hosts[0].namespace, "u0")
    remote = site.address(site.kernels[0])
    site.wait_all_pings()
    daemon.wait_resolved(remote)
    frame = udp_flow(vm1.mac, vm2.mac, 7, 300, tos=0xB8)

    answer, stages = trace(daemon, "--port", "vm1", frame.hex())
    assert answer["outcome"] == "sent" and answer["sent_count"] == 1 and answer["drops"] == []
    assert list(stages) == ["parse", "bind", "checks", "learn", "look-up", "verdict", "vtep", "next-hop", "header", "result"]
    assert stages["bind"]["facts"] == {"port": "vm1", "vlan": None, "vni": VNI, "vtep": None, "port_up": True}
    assert (stages["learn"]["facts"]["found"], stages["learn"]["facts"]["location"]) == (True, "port vm1")
    assert stages["look-up"]["facts"]["location"] == f"vtep {remote}" and stages["look-up"]["facts"]["type"] == "learned"
    hop = stages["next-hop"]["facts"]
    assert (hop["address"], hop["device"], hop["resolved"], hop["mtu"]) == (remote, "u0", True, 1600)
    assert hop["mac"] == site.kernels[0].namespace.mac("u0")
    told = bytes.fromhex(answer["sent"][0]["octets"])
    assert (answer["sent"][0]["port"], answer["sent"][0]["vtep"], answer["sent"][0]["vni"]) == ("u0", remote, VNI)

    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    vm1.namespace.raw_socket("eth0", receive=False).send(frame)
    wait_until(lambda: told in capture.packets(), lambda: f"{told.hex()} is on the wire: {[seen.hex() for seen in capture.packets()]}")
    header, network = stages["header"]["facts"], "ipv6" if ipv6 else "ip"
    names = ["eth.src", "eth.dst", f"{network}.src", f"{network}.dst", "ipv6.hlim" if ipv6 else "ip.ttl", "udp.srcport", "udp.dstport",
             "udp.length", "udp.checksum", "vxlan.vni", "ipv6.tclass" if ipv6 else "ip.dsfield"]
    (row,) = capture.stop().fields(*names, only=f"frame.len == {len(told)} && udp.dstport == 7")
    row = [field.split(",")[0] for field in row]
    assert row[:4] == [header["source_mac"], header["destination_mac"], header["source"], header["destination"]]
    assert [int(field) for field in row[4:8]] == [header["ttl"], header["udp_source"], header["udp_destination"], header["udp_length"]]
    assert int(row[8], 16) == header["udp_checksum"] != 0 and int(row[9]) == header["vni"] == VNI
    assert int(row[10], 16) == header["dscp"] << 2 | header["ecn"] == 0xB8
    assert told.hex().startswith(header["octets"])


def test_nothing_is_left_behind(lab):
    """Counters, MAC table and wire are as if nobody had asked; also of a new source, of floods and of drops."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate", wait=False)
    site.start()
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    vm1.namespace.ip("link set eth0 down")
    wait_until(lambda: daemon.port("vm1")["state"] != "up", "the port is down: no frames come from it")
    site.kernels[0].namespace.ip("link set vx5001 down")
    capture = Capture(site.switch.namespace, "hv1", "udp port 4789", inbound=True)
    before, macs = counters(daemon), daemon.macs()
    for _ in range(20):
        answer, stages = trace(daemon, "--port", "vm1", udp_flow("02:00:00:00:77:77", "02:00:00:00:66:66", 1).hex())
        assert answer["outcome"] == "sent" and "new" in stages["learn"]["text"] and "the port is down" in stages["bind"]["text"]
        assert stages["flood"]["facts"]["vteps"] == [site.kernels[0].ipv4]
        answer, stages = trace(daemon, "--port", "vm1", tagged(udp_flow(vm1.mac, vm2.mac, 1), 77).hex())
        assert answer["outcome"] == "dropped" and [row["reason"] for row in answer["drops"]] == ["vlan-not-bound"]
        assert "not bound to a VNI on this port" in answer["drops"][0]["description"]
        answer, _ = trace(daemon, "--from-vtep", site.kernels[0].ipv4, "--vni", VNI, udp_flow("02:00:00:00:77:78", vm1.mac, 1).hex())
    assert counters(daemon) == before and capture.stop().packets() == []
    after = daemon.macs()
    # Seconds pass; an address that was seen again would be younger.
    assert all(after[mac].pop("age_s") >= row.pop("age_s") for mac, row in macs.items()) and after == macs


def test_from_a_vtep(lab):
    """A packet from a VTEP is delivered as trace says; one in an unknown VNI is not."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    daemon, (vm1, vm2), kernel = site.daemons[0], site.guests, site.kernels[0]
    site.wait_all_pings()
    frame = udp_flow(vm2.mac, vm1.mac, 3, 200)
    answer, stages = trace(daemon, "--from-vtep", kernel.ipv4, "--vni", VNI, frame.hex())
    assert (answer["outcome"], answer["sent"]) == (
        "sent", [{"port": "vm1", "uplink": False, "vtep": None, "vni": None, "length": 200, "octets": frame.hex()}])
    assert list(stages) == ["outer", "parse", "bind", "learn", "look-up", "verdict", "deliver", "result"]
    assert stages["outer"]["facts"]["source"] == kernel.ipv4 and stages["learn"]["facts"]["location"] == f"vtep {kernel.ipv4}"
    capture = Capture(vm1.namespace, "eth0", "udp port 7", inbound=True)
    vm2.namespace.raw_socket("eth0", receive=False).send(frame)
    assert capture.wait(1) == [frame]

    # The whole packet, as the wire has it: the same; and one in a VNI that is none of ours.
    def outer(vni):
        return vxlan4(kernel.namespace.mac("u0"), site.hosts[0].namespace.mac("u0"), kernel.ipv4, site.hosts[0].ipv4, frame, vni).hex()

    again, _ = trace(daemon, "--outer", outer(VNI))
    assert again["sent"] == answer["sent"]
    answer, stages = trace(daemon, "--outer", outer(77))
    assert [row["reason"] for row in answer["drops"]] == ["unknown-vni"] and stages["bind"]["facts"]["vni"] == 77
    # What the kernel hands over of a packet that is not for the uplink's MAC address.
    mac = site.hosts[0].namespace.mac("u0")
    for other, reason in [("02:00:00:00:99:99", "outer-mac-other-host"), ("01:00:5e:01:01:01", "outer-mac-group")]:
        answer, _ = trace(daemon, "--outer", outer(VNI).replace(mac.replace(":", ""), other.replace(":", ""), 1))
        assert [row["reason"] for row in answer["drops"]] == [reason]
    answer, _ = trace(daemon, "--from-vtep", kernel.ipv4, "--vni", 77, frame.hex())
    assert [row["reason"] for row in answer["drops"]] == ["unknown-vni"]
    answer, _ = trace(daemon, "--from-vtep", kernel.ipv4, "--vni", VNI, udp_flow(vm1.mac, vm2.mac, 3).hex())
    assert [row["reason"] for row in answer["drops"]] == ["split-horizon"]


def test_frames_that_are_built_and_files(lab, tmp_path):
    """What is built is what scapy and tshark call by the same names; pcap and pcapng are read."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    daemon, (vm1, vm2) = site.daemons[0], site.guests
    site.wait_all_pings()

    def built(*arguments):
        answer, stages = trace(daemon, "--port", "vm1", *arguments)
        return bytes.fromhex(answer["sent"][0]["octets"])[50:], stages

    frame, _ = built("--src-mac", vm1.mac, "--arp", f"{vm1.ipv4},{vm2.ipv4}")
    assert frame[:42] == arp_request(vm1.mac, vm1.ipv4, vm2.ipv4) and len(frame) == 60
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether
    for options, layers in (
            (("--ipv4", "10.0.0.1,10.0.0.2", "--udp", "4000,53", "--dscp", "46", "--ttl", "9", "--length", "100"),
             IP(src="10.0.0.1", dst="10.0.0.2", tos=0xB8, ttl=9, flags="DF", id=0) / UDP(sport=4000, dport=53) / (b"\x00" * 58)),
            (("--ipv6", "fd00::1,fd00::2", "--tcp", "4000,443", "--length", "90"),
             IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=4000, dport=443, flags="A", window=0xFFFF) / (b"\x00" * 16))):
        frame, stages = built("--dst-mac", vm2.mac, *options)
        assert frame == bytes(Ether(src=vm1.mac, dst=vm2.mac) / layers), stages
    packets = [udp_flow(vm1.mac, vm2.mac, number, 100 + number) for number in range(3)]
    for path in (pcap(tmp_path / "a.pcap", *packets), pcapng(tmp_path / "a.pcapng", *packets)):
        assert built(path)[0] == packets[0] and built(path, "--packet", "3")[0] == packets[2]
    text = daemon.table("trace", "--port", "vm1", packets[0].hex())
    assert "look-up   destination" in text and f"sent to {site.kernels[0].ipv4}" in text and packets[0][:4].hex(" ") not in text
    # An everyday frame of this path, and one octet more than fits.
    answer, _ = trace(daemon, "--port", "vm1", udp_flow(vm1.mac, vm2.mac, 1, 1565).hex())
    assert [row["reason"] for row in answer["drops"]] == ["too-big-for-underlay"]


def test_bad_input_names_place_cause_and_remedy(lab, tmp_path):
    site = Site(lab, vtepd=1, flood="replicate")
    daemon, frame = site.daemons[0], udp_flow("02:00:00:00:00:01", "02:00:00:00:00:02", 1)
    mac = ("--src-mac", "02:00:00:00:00:01", "--dst-mac", "02:00:00:00:00:02")

    def refused(status, *arguments):
        with pytest.raises(Refused) as caught:
            daemon.ctl("trace", *arguments)
        assert caught.value.status == status, caught.value.message
        return caught.value.message

    assert "port 'vm7': there is no such port; vtepctl show ports lists them" in refused(1, "--port", "vm7", frame.hex())
    assert "3 hex digits are no whole number of octets" in refused(1, "--port", "vm1", "abc")
    assert "'g' at position 3 is no hex digit" in refused(1, "--port", "vm1", "00gg")
    assert "it is empty" in refused(1, "--port", "vm1", "")
    assert "at most 65553" in refused(1, "--port", "vm1", pcap(tmp_path / "long.pcap", bytes(65554)))
    assert "at most 65485" in refused(
        1, "--from-vtep", "192.0.2.9", "--vni", VNI, pcap(tmp_path / "long.pcap", bytes(65500)))
    assert "vni 16777216 is not from 0 to 16777215" in refused(1, "--from-vtep", "192.0.2.9", "--vni", 16777216, frame.hex())
    assert "has no IPv6 address" in refused(1, "--from-vtep", "2001:db8::9", "--vni", VNI, frame.hex())
    assert "no address of a host" in refused(1, "--from-vtep", "239.1.1.1", "--vni", VNI, frame.hex())
    assert "uplink 'u7': there is no such uplink; choose from u0" in refused(1, "--outer", "--uplink", "u7", frame.hex())
    assert "give its octets or what to build it from" in refused(1, "--port", "vm1", "--vlan", "5", frame.hex())
    assert "--src-mac is missing" in refused(1, "--port", "vm1", "--vlan", "9", "--dst-mac", "02:00:00:00:00:02")
    assert "--dst-mac is missing" in refused(1, "--port", "vm1", "--src-mac", "02:00:00:00:00:01")
    assert "both addresses must be IPv4" in refused(1, "--port", "vm1", *mac, "--ipv4", "10.0.0.1,fd00::1")
    assert "ports from 0 to 65535" in refused(1, "--port", "vm1", *mac, "--ipv4", "10.0.0.1,10.0.0.2", "--udp", "1,70000")
    assert "a frame has from 42 to 65549 octets" in refused(
        1, "--port", "vm1", *mac, "--ipv4", "10.0.0.1,10.0.0.2", "--udp", "1,2", "--length", "41")
    assert "Where does the frame come from?" in refused(2, frame.hex())
    assert "--from-vtep needs --vni" in refused(2, "--from-vtep", "192.0.2.9", frame.hex())
    assert "no such file" in refused(2, "--port", "vm1", "nothing.pcap")
    (tmp_path / "noise.pcap").write_bytes(b"noise" * 9)
    assert "neither pcap nor pcapng" in refused(2, "--port", "vm1", tmp_path / "noise.pcap")
    assert "link type 113 is not Ethernet" in refused(2, "--port", "vm1", pcap(tmp_path / "any.pcap", frame, kind=113))
    assert "there is no packet 2: it has 1" in refused(2, "--port", "vm1", pcap(tmp_path / "one.pcap", frame), "--packet", "2")
    assert "60 of 64 octets were captured" in refused(2, "--port", "vm1", pcap(tmp_path / "cut.pcap", frame, cut=4))
    # Every remedy was to no effect on the daemon: it still answers.
    assert trace(daemon, "--port", "vm1", frame.hex())[0]["outcome"] in ("sent", "dropped")


def test_live_frames(lab):
    """The next frames that match, in both directions: what really happened, and that a copy came to the same."""
    site = Site(lab, vtepd=1, kernel=1, flood="replicate")
    daemon, (vm1, vm2), kernel = site.daemons[0], site.guests, site.kernels[0]
    site.wait_all_pings()
    raw = vm1.namespace.raw_socket("eth0", receive=False)

    def live(send, *arguments, count=3):
        process = lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "trace", "--live", "--count", count, *arguments,
                            stdout=subprocess.PIPE, text=True)
        try:
            # Those that come before the trace is armed are not seen.
            wait_until(lambda: (send(), process.poll())[1] is not None, "the trace ends")
            assert process.returncode == 0
            rows = [json.loads(line) for line in process.stdout]
            assert len(rows) == count
            return rows
        finally:
            end_process(process)

    known = udp_flow(vm1.mac, vm2.mac, 7, 200)
    for row in live(lambda: raw.send(known), "--port", "vm1", "--dst-mac", vm2.mac):
        assert row["happened"] == "sent 1 by u0" and row["agrees"] and row["trace"]["outcome"] == "sent"
        assert row["trace"]["stages"][0]["facts"]["port_destination"] == 7
    # By libpcap's language, beside frames that do not match it; a packet matches by what is inside.
    other = udp_flow(vm1.mac, vm2.mac, 9, 200)
    for row in live(lambda: (raw.send(known), raw.send(other)), "udp", "src", "port", "1033", "--port", "vm1"):
        assert row["trace"]["stages"][0]["facts"]["port_source"] == 1033
    back = vm2.namespace.raw_socket("eth0", receive=False)
    for row in live(lambda: back.send(udp_flow(vm2.mac, vm1.mac, 8, 90)), "udp src port 1032", "--port", "u0", count=2):
        assert row["happened"] == "sent 1 by vm1"
    with pytest.raises(Refused, match=r"filter: .*syntax error.*pcap-filter"):
        daemon.ctl("trace", "--live", "udp", "prot", "9")
    # Dropped: a VLAN that is not bound.
    lost = tagged(known, 77)
    for row in live(lambda: raw.send(lost), "--port", "vm1", "--src-mac", vm1.mac):
        assert row["happened"] == "dropped: vlan-not-bound" and row["agrees"]
        assert [drop["reason"] for drop in row["trace"]["drops"]] == ["vlan-not-bound"]
    # From the overlay.
    for row in live(lambda: back.send(udp_flow(vm2.mac, vm1.mac, 8, 90)), "--vni", VNI, "--src-mac", vm2.mac):
        assert row["happened"] == "sent 1 by vm1" and row["agrees"] and row["trace"]["stages"][0]["stage"] == "outer"
    assert vm1.ping(vm2.ipv4, 10) == 10
    ping = vm1.namespace.popen("ping", "-n", "-q", "-i", "0.1", vm2.ipv4, stdout=subprocess.DEVNULL)
    try:
        text = daemon.table("trace", "--live", "--port", "u0", "--seconds", "30")
        assert text.startswith("frame 1, worker 0: ") and "  result" in text
    finally:
        end_process(ping)
    # One at a time; one that nobody asks for any more ends by itself.
    session = ControlSession(daemon)
    number = session("trace.live.start", filter="ether src 02:00:00:00:99:99", count=1)["trace"]
    with pytest.raises(Refused, match="another one is running"):
        daemon.ctl("trace", "--live")
    assert session("trace.live.next", trace=number) == {"frames": [], "done": False}
    wait_until(lambda: not is_armed(session), "the trace has ended")
    with pytest.raises(Refused, match="there is no such VNI; vtepctl show vnis lists them"):
        daemon.ctl("trace", "--live", "--vni", 77)
    with pytest.raises(Refused, match="no such port"):
        daemon.ctl("trace", "--live", "--port", "vm7")

"""`vtepctl capture`: what passes ports and uplinks, with tshark as the reader of its files."""
import signal
import subprocess

import pytest

from lab import Site, wait_until
from lab.daemon import VTEPCTL, Refused
from lab.frames import ethernet, tagged, udp_flow
from lab.namespaces import run
from lab.site import VNI

FIELDS = ["frame.comment", "frame.interface_name", "frame.packet_flags_direction", "frame.len", "vxlan.vni", "eth.src"]


def read(path, display=""):
    """The packets of a file: a dict of FIELDS each."""
    words = ["tshark", "-r", path, "-T", "fields", *(word for field in FIELDS for word in ("-e", field)), *(["-Y", display] if display else [])]
    done = run(*words)
    return [dict(zip(FIELDS, line.split("\t"))) for line in done.stdout.splitlines()]


def comment(row):
    return dict(word.split("=", 1) for word in row["frame.comment"].split())


class Recording:
    def __init__(self, lab, daemon, *arguments, name="c.pcapng"):
        self.path = daemon.directory / name
        self.path.unlink(missing_ok=True)
        self.process = lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "capture", "-w", self.path, *map(str, arguments),
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # The head of the file is written once the capture runs.
        wait_until(lambda: self.path.exists() and self.path.stat().st_size > 0 or self.process.poll() is not None, "the capture runs")

    def size(self):
        return self.path.stat().st_size

    def end(self, with_signal=signal.SIGINT):
        if self.process.poll() is None and with_signal:
            self.process.send_signal(with_signal)
        output = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == 0, output
        return output


@pytest.fixture
def pair(lab):
    return Site(lab, vtepd=2, flood="replicate")


def test_both_directions_with_comments(lab, pair):
    one, two = pair.guests
    first, second = pair.daemons
    recording = Recording(lab, first)
    assert run("stat", "-c", "%a", recording.path).stdout.strip() == "600"
    raw = {guest: guest.namespace.raw_socket("eth0", receive=False) for guest in pair.guests}
    wait_until(lambda: (raw[two].send(ethernet(two.mac)), two.mac in first.macs())[1], "the station is known")
    there, back = udp_flow(one.mac, two.mac, 1, size=300), udp_flow(two.mac, one.mac, 2, size=301)
    raw[one].send(there)
    wait_until(lambda: one.mac in second.macs(), "the station is known")
    raw[two].send(back)
    raw[one].send(tagged(there, 77))
    wait_until(lambda: first.drops().get("vlan-not-bound") == 1, "dropped")
    wait_until(lambda: len(read(recording.path, "frame.comment contains \"vlan-not-bound\"")) == 1, "the dropped frame is in the file")
    assert "captured" in recording.end()

    def found(display):
        return [(comment(row), row) for row in read(recording.path, display)]

    mine = found("udp.srcport == 1025")
    far = pair.address(pair.hosts[1])
    assert [(words["direction"], words["port"], words.get("vni"), words.get("vtep")) for words, _ in mine if "drop" not in words][:2] == [
        ("from-port", one.name, str(VNI), None), ("to-underlay", "u0", str(VNI), far)]
    assert [row["frame.interface_name"] for _, row in mine][:2] == [one.name, "u0"]
    assert mine[0][1]["frame.len"] == "300" and mine[1][1]["frame.len"] == "350" and mine[1][1]["vxlan.vni"] == str(VNI)
    theirs = found("udp.srcport == 1026")
    assert [(words["direction"], words["port"], words["vni"], words.get("vtep")) for words, _ in theirs] == [
        ("from-underlay", "u0", str(VNI), far), ("to-port", one.name, str(VNI), None)]
    # Inbound is 1, outbound 2.
    assert [int(row["frame.packet_flags_direction"], 0) for _, row in theirs] == [1, 2]
    assert found("frame.comment contains \"vlan-not-bound\"")[0][0] == {
        "direction": "dropped", "port": one.name, "drop": "vlan-not-bound"}
    audit = [line for line in first.log().splitlines() if "audit" in line and "capture.start" in line]
    assert len(audit) == 1, first.log()


def test_filter_port_vni_drops_count_and_duration(lab, pair):
    one, two = pair.guests
    daemon = pair.daemons[0]
    raw = one.namespace.raw_socket("eth0", receive=False)

    def send():
        for number in range(3):
            raw.send(udp_flow(one.mac, two.mac, number))
        raw.send(tagged(ethernet(one.mac), 77))

    recordings = {
        "filter": Recording(lab, daemon, "udp", "src", "port", "1025", name="f.pcapng"),
        "port": Recording(lab, daemon, "--port", one.name, "ether src " + one.mac, name="p.pcapng"),
        "drops": Recording(lab, daemon, "--drops", name="d.pcapng"),
        "vni": Recording(lab, daemon, "--vni", "77", name="v.pcapng"),
        "count": Recording(lab, daemon, "--count", 3, "--snaplen", 20, "ether src " + one.mac, name="c.pcapng"),
        "duration": Recording(lab, daemon, "--duration", 1, name="t.pcapng"),
    }
    send()
    # Ends by itself.
    assert "3 packets captured" in recordings["count"].end(None)
    recordings["duration"].end(None)
    wait_until(lambda: len(read(recordings["drops"].path)) >= 1, "dropped")
    wait_until(lambda: len(read(recordings["filter"].path)) >= 2, "filtered")
    for name, recording in recordings.items():
        if name not in ("count", "duration"):
            recording.end()
    rows = {name: read(recording.path) for name, recording in recordings.items()}
    assert {comment(row)["direction"] for row in rows["filter"]} == {"from-port", "to-underlay"}
    assert all(comment(row)["port"] == one.name for row in rows["port"]) and len(rows["port"]) >= 5
    assert {comment(row)["direction"] for row in rows["drops"]} == {"dropped"}
    assert [comment(row)["drop"] for row in rows["drops"]].count("vlan-not-bound") == 1
    assert rows["vni"] == []
    assert len(rows["count"]) == 3 and all(int(row["frame.len"]) > 20 for row in rows["count"])


def test_to_standard_output(lab, pair):
    daemon, one = pair.daemons[0], pair.guests[0]
    raw = one.namespace.raw_socket("eth0", receive=False)
    capture = lab.spawn(VTEPCTL, "--socket", daemon.socket_path, "capture", "--count", "1", "-w", "-", "ether proto 0x88b5", stdout=subprocess.PIPE)
    reader = lab.spawn("tshark", "-r", "-", "-T", "fields", "-e", "frame.comment", stdin=capture.stdout, stdout=subprocess.PIPE, text=True)
    capture.stdout.close()
    wait_until(lambda: (raw.send(ethernet(one.mac)), capture.poll() is not None)[1], "one packet is captured")
    assert reader.communicate(timeout=60)[0].split() == ["direction=from-port", f"port={one.name}", f"vni={VNI}"]


def test_a_reader_that_stops_does_not_stop_a_worker(lab, pair):
    one, two = pair.guests
    daemon = pair.daemons[0]
    recording = Recording(lab, daemon)
    raw = one.namespace.raw_socket("eth0", receive=False)
    recording.process.send_signal(signal.SIGSTOP)
    frame = udp_flow(one.mac, two.mac, 1, size=1400)
    before = daemon.port(one.name)["rx_packets"]
    # The buffer of one worker is 4 MiB; an answer that waits for the reader is at most a little more than one.
    sent = 0
    while sent < 12_000:
        for _ in range(100):
            raw.send(frame)
        sent += 100
    wait_until(lambda: daemon.port(one.name)["rx_packets"] + daemon.drops().get("receive-full", 0) >= before + sent, lambda: f"{daemon.drops()}")
    # Meanwhile the daemon answers others, and forwards.
    one.namespace.run("ping", "-c", "3", "-W", "5", "10.0.0.2")
    recording.process.send_signal(signal.SIGCONT)
    output = recording.end()
    assert " missed: vtepctl did not read them in time" in output, output
    captured = int(output.split(" packets captured")[0].split()[-1])
    assert captured == len(read(recording.path)) > 1000


def test_a_client_that_is_gone_ends_its_capture(lab, pair):
    daemon = pair.daemons[0]
    # More than there can be at a time.
    for round_ in range(3):
        recordings = [Recording(lab, daemon, name=f"{number}.pcapng") for number in range(8)]
        with pytest.raises(Refused, match="8 captures are running; end one of them"):
            daemon.ctl("capture", "-w", daemon.directory / "x.pcapng")
        assert not (daemon.directory / "x.pcapng").exists()
        for recording in recordings:
            recording.process.kill()
            recording.process.wait()

        def free():
            try:
                probe = Recording(lab, daemon, "--duration", "0.1", name="probe.pcapng")
                probe.end(None)
                return True
            except AssertionError:
                return False

        wait_until(free, "a place is free")


def test_mistakes(lab, pair):
    daemon, file = pair.daemons[0], pair.daemons[0].directory / "m.pcapng"
    file.write_text("keep")
    for arguments, message in [
        (["udp", "port"], "filter: .*syntax error"),
        (["--port", "nowhere"], "no port or uplink 'nowhere'; vtepctl show ports"),
        (["--vni", "16777216"], "vni"),
        (["--count", "0"], "--count must be 1 or more"),
        (["--snaplen", "0"], "--snaplen must be from 1 to 262144"),
        (["--duration", "0"], "--duration must be more than 0"),
    ]:
        with pytest.raises(Refused, match=message):
            daemon.ctl("capture", "-w", file, *arguments)
    assert file.read_text() == "keep"
    with pytest.raises(Refused, match="/no/such/folder/c.pcapng: No such file or directory"):
        daemon.ctl("capture", "-w", "/no/such/folder/c.pcapng")

"""What a switch sends, compared with what it must send: a benchmark of dropped or broken frames is worthless."""
import os
import struct
import sys
import threading

from lab import wait_until
from lab.namespaces import run
from traffic import FIRST_VNI, write_capture

FRAMES = 4000


class Sampler:
    """Reads the capture that a switch writes to a pipe; keeps some frames once `begin` is called, and throws away the rest."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path, self.frames, self.keeps = path, [], threading.Event()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with open(self.path, "rb", buffering=1 << 20) as file:
            file.read(24)
            while len(header := file.read(16)) == 16:
                frame = file.read(struct.unpack("=IIII", header)[2])
                if self.keeps.is_set() and len(self.frames) < FRAMES:
                    self.frames.append(frame)

    def begin(self):
        self.keeps.set()

    def is_complete(self):
        return len(self.frames) == FRAMES


def check_sample(lab, kind, line, file, processors):
    """Raises AssertionError unless each frame of the sample is right, and each frame of a short file is in it."""
    expected = sum(line.length_out(index) <= kind.longest_sample for index in range(line.frame_count)) * max(1, len(line.peers))
    if not expected:
        print(f"{line.name}: what {kind.title} sends is too long for net_pcap's MTU, and is only counted", file=sys.stderr)
        return
    path = lab.directory / f"{line.name}.out"
    sampler = Sampler(path)
    contestant = kind(lab, line, f"net_pcap0,rx_pcap={file},infinite_rx=1", f"net_pcap1,tx_pcap={path}", processors)
    sampler.begin()
    wait_until(sampler.is_complete, f"{kind.title} sends frames", 60)
    contestant.stop()
    path.unlink()
    found = {line.explain(frame) for frame in sampler.frames}
    assert len(found) == min(expected, FRAMES), f"{kind.title}: {len(found)} different frames among {FRAMES}, not {expected}"
    if line.direction != "local":
        dissect(lab, line, file if line.direction == "decapsulation" else sampler.frames)


def dissect(lab, line, frames):
    """tshark finds valid VXLAN, and no wrong checksum. `frames`: those that came out, or the file of those that went in."""
    path = frames
    if isinstance(frames, list):
        path = lab.directory / f"{line.name}.sample"
        write_capture(path, frames)
    fields = ["vxlan.vni", "vxlan.flags", "ip.checksum.status", "udp.checksum.status", "_ws.malformed"]
    done = run("tshark", "-r", path, "-c", FRAMES, "--disable-protocol", "ldss", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields",
               *(word for field in fields for word in ("-e", field)))
    rows = [text.split("\t") for text in done.stdout.splitlines()]
    assert len(rows) == min(FRAMES, len(frames) if isinstance(frames, list) else line.frame_count), f"tshark shows {len(rows)} packets"
    for vni, flags, ip, udp, malformed in rows:
        statuses = f"{ip},{udp}".split(",")
        assert FIRST_VNI <= int(vni) < FIRST_VNI + line.vnis and int(flags, 0) == 0x0800 and not malformed, (vni, flags, malformed)
        assert "0" not in statuses, f"tshark: wrong checksum: {statuses}"
        assert not line.is_ipv6 or udp.startswith("1"), f"tshark: no outer checksum: {udp}"

"""tcpdump in a namespace, surely listening when the constructor returns; and what tshark makes of the file."""
import os
import re
import signal
import subprocess

from scapy.utils import RawPcapReader

from .namespaces import run, wait_until


class Capture:
    def __init__(self, namespace, interface, expression="", name=None, inbound=False):
        self.path = namespace.lab.directory / f"{name or namespace.name + '-' + interface}-{os.urandom(3).hex()}.pcap"
        words = ["tcpdump", "-i", interface, "-n", "-s", "0", "-U", "-B", "65536", "--immediate-mode", "-w", str(self.path), "-Z", "root"]
        # `inbound` in the kernel's filter, not -Q: packets of the other direction must not be counted as received.
        terms = (["inbound"] if inbound else []) + ([f"({expression})"] if expression else [])
        words += [" and ".join(terms)] if terms else []
        messages = self.messages = self.path.with_suffix(".log")
        with open(messages, "w") as log:
            self.process = namespace.popen(*words, stdout=subprocess.DEVNULL, stderr=log)
        wait_until(lambda: "listening on" in messages.read_text() or self.process.poll() is not None,
                   lambda: f"tcpdump listens: {messages.read_text()}")
        assert self.process.poll() is None, messages.read_text()

    def packets(self):
        """The packets so far, as bytes."""
        if not self.path.exists() or self.path.stat().st_size < 24:
            return []
        packets, reader = [], RawPcapReader(str(self.path))
        try:
            for packet, _ in reader:
                packets.append(packet)
        except EOFError:
            pass
        finally:
            reader.close()
        return packets

    def wait(self, count, seconds=30):
        """Waits for at least so many packets, and returns those there are."""
        wait_until(lambda: len(self.packets()) >= count, lambda: f"{count} packets were captured, not {len(self.packets())}", seconds)
        return self.packets()

    def has_written_everything(self):
        """Asks tcpdump how many packets the kernel gave it, and how many it has written."""
        self.process.send_signal(signal.SIGUSR1)
        counts = re.findall(r"(\d+) packets? captured, (\d+) packets? received", self.messages.read_text())
        return bool(counts) and counts[-1][0] == counts[-1][1]

    def stop(self):
        """Ends the capture when all that has come so far is in the file."""
        if self.process.poll() is None:
            wait_until(self.has_written_everything, lambda: f"tcpdump has written all: {self.messages.read_text()[-300:]}")
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        return self

    def fields(self, *names, only=""):
        """One tuple of tshark fields for each packet that passes the display filter. Checksums are verified."""
        options = []
        for layer in ("ip", "udp", "tcp"):
            options += ["-o", f"{layer}.check_checksum:TRUE"]
        for name in names:
            options += ["-e", name]
        done = run("tshark", "-r", self.path, "-n", *options, "-T", "fields", "-E", "separator=;", "-Y", only or "frame", timeout=300)
        return [tuple(line.split(";")) for line in done.stdout.splitlines()]

"""Virtual machines: QEMU with Debian's kernel and a busybox; the only NIC is a vhost-user port of vtepd.

The guest's kernel log goes to a file, and commands go through the second serial port; see scripts/guest-image.
"""
import functools
import json
import os
import pathlib
import re
import shlex
import socket
import time

from .daemon import REPOSITORY
from .namespaces import run, wait_until

IMAGE = REPOSITORY / ".build/guest-image"
# Command of another QEMU than the one on PATH, e.g. one in its own root that shares /tmp.
QEMU = shlex.split(os.environ.get("VTEPD_QEMU", "qemu-system-x86_64"))
SEPARATOR = re.compile(rb"\x1e(\d+)\n")


def acceleration():
    """KVM if the processor supports virtualisation. Elsewhere /dev/kvm may open too, and then emulates slower than TCG."""
    processor = set(re.findall(r"\w+", pathlib.Path("/proc/cpuinfo").read_text()))
    return "kvm" if {"vmx", "svm"} & processor and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg,thread=single"


@functools.cache
def reconnect_option():
    """QEMU 9.2 introduced milliseconds for the reconnect interval, and 11 removed seconds."""
    version = re.search(r"version (\d+)\.(\d+)", run(*QEMU, "--version").stdout)
    return "reconnect-ms=1000" if (int(version[1]), int(version[2])) >= (9, 2) else "reconnect=1"


class VirtualMachine:
    """A guest with the addresses 10.0.0.N and fd00::N on eth0, as Guest has them.

    `socket_path` is the vhost-user socket and `role` is vtepd's: "client" connects to a listening QEMU; "server" listens, and QEMU
    connects, again and again. `features` are properties of QEMU's virtio-net-pci.
    """

    scratch = "/tmp"

    def __init__(self, lab, name, number, socket_path, role="client", queues=1, mtu=None, subnet=0, **features):
        self.lab, self.name, self.number, self.socket_path = lab, name, number, pathlib.Path(socket_path)
        self.ipv4, self.ipv6 = f"10.0.{subnet}.{number}", f"fd00:{subnet:x}::{number:x}"
        self.mac = f"52:54:00:00:{subnet:02x}:{number:02x}"
        self.role, self.queues, self.mtu = role, queues, mtu
        self.features = {"mac": self.mac, "romfile": "", **features}
        self.directory = lab.directory / f"{name}-{os.urandom(3).hex()}"
        self.directory.mkdir()
        self.process = self.console = None
        self.unread = b""
        # The console answers in order, also what nobody waits for any more.
        self.unanswered = 0

    # -- its life -----------------------------------------------------------------------------------------------------

    def start(self, incoming=None):
        """Starts QEMU, which continues once vtepd is at the other end of the socket; see `wait_booted`.

        `incoming` is the path of a socket for a live migration from another host.
        """
        run(REPOSITORY / "scripts/guest-image", timeout=300)
        console_path = self.directory / "console"
        console_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(console_path))
            listener.listen()
            with open(self.directory / "qemu.log", "ab") as log:
                self.process = self.lab.spawn(*self.command(console_path, incoming), stdout=log, stderr=log)
            self.lab.on_close(self.kill)
            listener.settimeout(1)
            wait_until(lambda: self.accept_console(listener), lambda: f"QEMU of {self.name} connects its console", 60)
        self.unanswered = 0 if incoming else 1  # its shell says first that it is there
        return self

    def accept_console(self, listener):
        self.check_alive()
        try:
            self.console, self.unread = listener.accept()[0], b""
        except TimeoutError:
            return False
        return True

    def command(self, console_path, incoming):
        role = {"client": "server=on,wait=off", "server": reconnect_option()}[self.role]
        queues = self.queues
        device = {**self.features, **({"mq": "on"} if queues > 1 else {})}
        properties = "".join(f",{key}={value}" for key, value in device.items())
        # In emulation, "rep movsb" copies octet by octet; without erms and fsrm the guest's kernel copies words, much faster.
        return [
            "setpriv", "--pdeathsig=KILL", "nice", "-n", "5", *QEMU, "-accel", acceleration(),
            "-machine", "pc", "-cpu", "max,erms=off,fsrm=off", "-smp", str(queues), "-nodefaults", "-display", "none", "-no-reboot", "-m", "128",
            "-object", "memory-backend-memfd,id=memory,size=128M,share=on", "-numa", "node,memdev=memory",
            "-chardev", f"socket,id=port,path={self.socket_path},{role}",
            "-netdev", f"vhost-user,id=net,chardev=port,queues={queues}",
            # Without interrupt vectors: Debian 12's QEMU 7.2 crashes with a segmentation fault when a vhost-user device of an
            # emulated guest starts with MSI-X.
            "-device", f"virtio-net-pci,netdev=net,vectors=0{properties}",
            "-serial", f"file:{self.directory / 'kernel.log'}",
            "-chardev", f"socket,id=console,path={console_path}", "-serial", "chardev:console",
            # The kernel's timer check is unreliable on an emulated machine that shares processors.
            "-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(IMAGE / "initrd"),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check",
            "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off",
            *(["-incoming", f"unix:{incoming}"] if incoming else []),
        ]

    def wait_booted(self, seconds=120):
        """Waits for the guest's shell and configures the guest's addresses."""
        self.read_answer(seconds, "its shell answers")
        return self.configure()

    def configure(self):
        """Configures the addresses of a new eth0."""
        self.shell(f"ip link set eth0 up {f'mtu {self.mtu}' if self.mtu else ''} && ip address add {self.ipv4}/24 dev eth0"
                 f" && ip address add {self.ipv6}/64 dev eth0")
        return self

    def migrate(self, target, seconds=60):
        """Migrates the running guest to another VirtualMachine of the same kind, which takes its place."""
        path = target.directory / "incoming"
        target.start(incoming=path)
        wait_until(path.exists, lambda: f"{target.name} is ready for the guest:\n{target.log()}", seconds)
        self.qmp("migrate", uri=f"unix:{path}")

        def moved():
            status = self.qmp("query-migrate").get("status")
            assert status not in ("failed", "cancelled"), f"migration of {self.name}: {status}\n{self.log()}\n{target.log()}"
            return status == "completed"

        wait_until(moved, f"{self.name} has moved", seconds)

    def qmp(self, command, **arguments):
        """Sends a QMP command to QEMU; returns the answer."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(30)
            monitor.connect(str(self.directory / "qmp"))
            lines = monitor.makefile("rw")
            lines.readline()  # the greeting
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                lines.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                lines.flush()
                answer = {}
                while not {"return", "error"} & answer.keys():  # skip events
                    answer = json.loads(lines.readline())
                assert "return" in answer, f"{self.name}: {name}: {answer}"
            return answer["return"]

    def kill(self):
        """Kills QEMU, like a crash."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.console:
            self.console.close()
            self.console = None

    def check_alive(self):
        status = self.process.poll()
        assert status is None, f"QEMU of {self.name} ended with status {status}:\n{self.log()}"

    def log(self):
        """The output of QEMU and of the guest's kernel."""
        return "".join((self.directory / name).read_text(errors="replace") for name in ("qemu.log", "kernel.log")
                       if (self.directory / name).exists())

    # -- commands -----------------------------------------------------------------------------------------------------

    def shell(self, command, check=True, seconds=60):
        """Runs a shell command in the guest and returns its output; (status, output) without `check`.

        One at a time; after a time-out the next one waits until the guest has finished. Background processes must close their input and
        output.
        """
        assert "\n" not in command
        while self.unanswered:
            self.read_answer(seconds, f"finishes an earlier command before {command}")
        self.console.sendall(command.encode() + b"\n")
        self.unanswered += 1
        status, output = self.read_answer(seconds, command)
        if not check:
            return status, output
        assert status == 0, f"{self.name}: {command}: exit status {status}\n{output}"
        return output

    def read_answer(self, seconds, what):
        end = time.monotonic() + seconds
        self.console.settimeout(1)
        while not (found := SEPARATOR.search(self.unread)):
            self.check_alive()
            assert time.monotonic() < end, f"{self.name}: {what}: no answer in {seconds} s: {self.unread}\n{self.log()[-2000:]}"
            try:
                self.unread += self.console.recv(65536)
            except TimeoutError:
                continue
        output, self.unread = self.unread[:found.start()], self.unread[found.end():]
        self.unanswered -= 1
        return int(found[1]), output.decode(errors="replace")

    # -- questions that many tests ask --------------------------------------------------------------------------------

    def ping(self, target, count=1, seconds=1, size=56):
        """Returns how many of `count` echo requests were answered."""
        _, output = self.shell(f"ping -q -c {count} -i 0.2 -W {seconds} -s {size} {target}", check=False, seconds=count + seconds + 60)
        found = re.search(r"(\d+) packets received", output)
        assert found, f"ping {target} in {self.name}: {output}"
        return int(found[1])

    def wait_ping(self, target, seconds=60):
        wait_until(lambda: self.ping(target), f"{self.name} reaches {target}", seconds)

    def carrier(self):
        """Whether its link is up."""
        return self.shell("cat /sys/class/net/eth0/carrier").strip() == "1"

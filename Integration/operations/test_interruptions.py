"""`make demo`, interrupted at any step and by any signal, leaves nothing behind: no process, namespace, interface or file."""
import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lab.daemon import REPOSITORY
from lab.namespaces import run, wait_until

DEMO = REPOSITORY / "scripts/demo"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# As many as the demo prints, except the last, when everything is over.
STEPS = range(1, 15)


class Machine:
    """A network, a /run and a temporary folder of its own: anything found there afterwards was left behind."""

    def __init__(self, lab):
        self.lab, self.mark = lab, f"VTEPD_TEST_MARK={os.urandom(8).hex()}"
        # Other tests' mounts below /run disappear with them: none of them here.
        script = ("sort -r /proc/self/mountinfo | while read -r _ _ _ _ path _; do case $path in /run/*) umount -l $path; esac; done 2>/dev/null; "
                  "mount -t tmpfs none /run && mkdir /run/tmp /run/dpdk && ip link set lo up && ip netns add x && ip netns delete x"
                  " && echo ready && exec sleep infinity")
        self.holder = lab.spawn("unshare", "--mount", "--net", "--propagation=private", "sh", "-c", script, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.before = self.state()

    def start(self, *words, **options):
        name, value = self.mark.split("=")
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if "stdout" not in options else {}
        return self.lab.spawn("nsenter", "-t", self.holder.pid, "-m", "-n", *words,
                              env={**os.environ, name: value, "TMPDIR": "/run/tmp"}, **output, **options)

    def state(self):
        proc = pathlib.Path(f"/proc/{self.holder.pid}")
        files = sorted(str(path.relative_to(proc / "root")) for path in (proc / "root/run").rglob("*"))
        return {
            "files": [path for path in files if not path.startswith("run/dpdk/")],
            "mounts": self.mounts((proc / "mountinfo").read_text()),
            "links": run("nsenter", "-t", self.holder.pid, "-n", "ip", "-br", "link").stdout,
            "processes": self.processes(),
        }

    @staticmethod
    def mounts(table):
        """Our /run and the mounts below it. Mounts of earlier tests come and go with them."""
        lines = [line.split() for line in table.splitlines()]
        inside, more = set(), {[words[0] for words in lines if words[4] == "/run"][-1]}
        while more - inside:
            inside |= more
            more = {words[0] for words in lines if words[1] in inside}
        return sorted(" ".join(words) for words in lines if words[0] in inside)

    def processes(self):
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def check(self):
        # A namespace's interfaces disappear a moment after its name.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self.state() == self.before, "nothing is left", 5)
        assert self.state() == self.before


@pytest.fixture
def machine(lab):
    return Machine(lab)


def read_until(process, accept):
    """Reads lines until one is accepted."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if accept(line):
            return
    raise AssertionError("it ended before:\n" + "".join(lines))


def read_steps(process, count):
    for _ in range(count):
        read_until(process, lambda line: line.startswith("["))


@pytest.mark.parametrize("step", STEPS)
def test_at_each_step(machine, step):
    number = SIGNALS[step % 3]
    demo = machine.start(DEMO)
    read_steps(demo, step)
    demo.send_signal(number)
    output = demo.communicate(timeout=120)[0]
    assert demo.returncode == 128 + number, output
    assert "Traceback" not in output and "cleaning up: " not in output, output
    machine.check()


@pytest.mark.parametrize("run_number", range(8))
def test_at_any_moment_and_again(machine, run_number):
    """Also during start and cleanup; ^C goes to all processes of the terminal."""
    demo = machine.start(DEMO)
    if run_number:
        read_steps(demo, random.choice(STEPS))
    pauses = [random.uniform(0, 0.5), *(random.uniform(0, 0.2) for _ in range(3))]
    for pause in pauses:
        time.sleep(pause)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(demo.pid, random.choice(SIGNALS))
    output = demo.communicate(timeout=120)[0]
    assert demo.returncode != 0, f"pauses {pauses}:\n{output}"
    machine.check()


@pytest.mark.parametrize("step", [1, 4])
def test_the_terminal_goes_away(machine, step):
    ours, theirs = os.openpty()
    words = [sys.executable, "-c", "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"]
    demo = machine.start(*words, DEMO, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    while output.count(b"\n[") < step:
        output += os.read(ours, 4096)
    os.close(ours)
    demo.wait(120)
    assert demo.returncode != 0
    machine.check()


# -- make ---------------------------------------------------------------------------------------------------------------

def to_all(make, number):
    """Like the terminal."""
    os.killpg(make.pid, number)


def to_make(make, number):
    make.send_signal(number)


# An interrupted build may relink the programs, while other tests run them.
@pytest.mark.alone
@pytest.mark.skipif(not (shutil.which("swift") and shutil.which("make")), reason="nothing can be built here")
@pytest.mark.parametrize("seen, number, send", [
    ("Building for production", signal.SIGINT, to_all),
    ("Building for production", signal.SIGTERM, to_make),
    ("Building for production", signal.SIGHUP, to_all),
    ("[", signal.SIGINT, to_all),
    ("[", signal.SIGTERM, to_make),
], ids=["build-INT", "build-TERM", "build-HUP", "demo-INT", "demo-TERM"])
def test_make(machine, seen, number, send):
    make = machine.start("make", "-C", REPOSITORY, "demo")
    read_until(make, lambda line: line.startswith(seen) and not line.startswith("[1/") and "/" not in line.split("]")[0])
    send(make, number)
    make.communicate(timeout=120)
    assert make.returncode != 0
    machine.check()

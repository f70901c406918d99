"""Network namespaces with unique names, and cleanup of everything created, however the run ends."""
import atexit
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from . import owned
from .interrupts import held, ignore, take_over

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
ETH_P_ALL = 3


def wait_until(condition, what, seconds=30, interval=0.05):
    """Polls until the condition holds and returns its value; on failure reports the condition and the last value seen."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(interval)


def run(*arguments, check=True, timeout=60, **options):
    """Runs a command; on failure the exception contains its output."""
    words = [str(word) for word in arguments]
    process = None
    try:
        with held():
            process = start(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        if process:
            with held():
                kill_session(process)
        raise
    done = subprocess.CompletedProcess(words, process.returncode, output, errors)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def start(words, **options):
    """A process in its own session: signals from the terminal (^C, hang-up) reach only us, and we stop it in order."""
    return subprocess.Popen([str(word) for word in words], **{"stdin": subprocess.DEVNULL, "start_new_session": True, **options})


def kill_session(process):
    """Kills a process of `start` and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Namespace:
    """A network namespace. `name` is short and descriptive; `full_name` is unique on the machine."""

    def __init__(self, lab, name):
        self.lab, self.name, self.full_name = lab, name, f"vt{os.getpid()}-{name}"
        self.cables = {}  # interface → namespace and interface at the other end
        self.redirected = set()  # uplinks whose packets packet sockets here do not see: AF_XDP, by VTEPD_TEST_DRIVER
        self.owned = {}  # uplinks that belong to DPDK (lab/owned.py): device → its wire, its NIC, its MAC address
        with held():
            lab.on_close(self.remove)
            run("ip", "netns", "add", self.full_name)
        self.ip("link set lo up")

    def remove(self):
        run("ip", "netns", "delete", self.full_name, check=False)

    def ip(self, command, check=True):
        """`ip` inside the namespace; the command is split at spaces."""
        return run("ip", "-n", self.full_name, *command.split(), check=check).stdout

    def flush_neighbors(self):
        """Flushes the underlay's neighbours. vtepd asks for its neighbours again at once, so for `ip` the table never becomes
        empty, and it complains."""
        self.ip("neigh flush dev u0", check=False)

    def run(self, *arguments, **options):
        return run("ip", "netns", "exec", self.full_name, *arguments, **options)

    def popen(self, *arguments, **options):
        """Starts a process that ends with the lab at the latest. `ip netns exec` becomes the command: same process."""
        return self.lab.spawn("ip", "netns", "exec", self.full_name, *arguments, **options)

    def sysctl(self, key, value):
        with self.entered():
            pathlib.Path("/proc/sys", *key.split(".")).write_text(str(value))

    @contextlib.contextmanager
    def entered(self):
        """Inside, this thread is in the namespace. Sockets opened there stay there."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.full_name}") as inside:
            try:
                enter(inside)
                yield
            finally:
                enter(before)

    def raw_socket(self, interface, receive=True):
        """An AF_PACKET socket for whole frames; it does not receive frames it sends."""
        with self.entered():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL) if receive else 0)
        if receive:
            raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        raw.bind((owned.wire(self, interface), ETH_P_ALL if receive else 0))
        raw.settimeout(10)
        self.lab.on_close(raw.close)
        return raw

    def mac(self, interface):
        with self.entered():
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as probe:
                probe.bind((interface, 0))
                return ":".join(f"{octet:02x}" for octet in probe.getsockname()[4])


def enter(descriptor):
    if LIBC.setns(descriptor.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def end_process(process, seconds=20):
    """SIGTERM, then SIGKILL if that has no effect. Returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


class Lab:
    """Owns namespaces, processes and files; removes them in reverse order, also after an exception or a signal."""

    open_labs = []

    def __init__(self):
        take_over()
        self.undo = []
        with held():
            Lab.open_labs.append(self)
            self.directory = pathlib.Path(tempfile.mkdtemp(prefix="vtepd-lab-"))
            self.on_close(lambda: shutil.rmtree(self.directory, ignore_errors=True))

    def namespace(self, name):
        return Namespace(self, name)

    def on_close(self, action):
        self.undo.append(action)

    def spawn(self, *words, **options):
        """Starts a process that ends with the lab at the latest."""
        with held():
            process = start(words, **options)
            self.on_close(lambda: end_process(process))
        return process

    def close(self):
        with held():
            while self.undo:
                action = self.undo.pop()
                try:
                    action()
                except Exception as error:  # the rest must be removed too
                    with contextlib.suppress(OSError):  # the terminal may be gone
                        print(f"cleaning up: {error}", file=sys.stderr)
            if self in Lab.open_labs:
                Lab.open_labs.remove(self)

    @staticmethod
    @atexit.register
    def close_all():
        ignore()
        for lab in list(Lab.open_labs):
            lab.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""A site under fire: guests exchange numbered frames while faults strike at random, then everything is healed and judged, round after round.

    t1 (tap), v1 (veth) ──────── hv1: vtepd, 2 workers ──────────────┐
    t2 (tap), s2 (vhost-user) ── hv2: vtepd, 1 worker ───────────────┤
    b3 (veth), c3 (VLAN 100) ─── gw3: vtepd, gateway, OVSDB ─────────┼─ bridge
    k4 ───────────────────────── hv4: kernel ────────────────────────┘

VNI 5001 is replicated head-end and has t1, t2, b3, c3 and k4; VNI 5002 is flooded to a group and has v1 and s2. The controller of gw3 is
vtep-ctl.
"""
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import urllib.request

from . import frames
from .daemon import VTEPCTL, Vtepd
from .hosts import Guest, KernelVXLANHost, Switch, UnderlayHost
from .namespaces import run, wait_until
from .ovsdb import OvsdbServer
from .stand_in import StandIn

GROUP = "239.5.0.2"
MAGIC = b"vtepsoak"
VLAN = 100


class Station:
    """A guest as sender and receiver of numbered frames."""

    def __init__(self, guest, number, vni):
        self.guest, self.number, self.vni = guest, number, vni
        self.raw = None
        self.sent = collections.Counter()  # by receiver
        self.received = collections.Counter()  # (sender, sequence number) → how often, of the latest
        self.arrived = 0  # how many there were before these

    def open(self):
        """The interface may be gone, or be another one since the last time."""
        self.close()
        try:
            self.raw = self.guest.namespace.raw_socket(self.guest.device)
            self.raw.setblocking(False)
        except OSError:
            self.raw = None

    def close(self):
        if self.raw:
            self.raw.close()
        self.raw = None

    def send(self, frame):
        try:
            self.raw.send(frame)
            return True
        except (OSError, AttributeError):
            return False

    def send_number(self, other):
        number = self.sent[other.number]
        payload = MAGIC + bytes([self.number]) + number.to_bytes(8, "big") + bytes(40)
        if self.send(frames.ethernet(self.guest.mac, other.guest.mac, payload)):
            self.sent[other.number] += 1

    def take(self):
        own = frames.mac_bytes(self.guest.mac)
        for _ in range(2000):
            try:
                frame = self.raw.recv(2048)
            except (OSError, AttributeError):
                return
            if frame[:6] == own and frame[14:22] == MAGIC:
                self.received[frame[22], int.from_bytes(frame[23:31], "big")] += 1


    def forget(self, first):
        """Only counts frames before `first` (by sender) from now on."""
        recent = {key: times for key, times in self.received.items() if key[1] >= first[key[0]]}
        self.arrived += len(self.received) - len(recent)
        self.received = collections.Counter(recent)


class Traffic(threading.Thread):
    """All stations send to all others of their VNI, and from made-up addresses, until `stop`. `chaos`: with made-up addresses."""

    def __init__(self, stations, seed):
        super().__init__(daemon=True)
        self.stations, self.chance = stations, random.Random(seed)
        self.lock, self.ended, self.chaos, self.paused = threading.Lock(), threading.Event(), True, False
        for station in stations:
            station.open()

    def run(self):
        while not self.ended.wait(0.01):
            with self.lock:
                for station in self.stations:
                    station.take()
                    if self.paused:
                        continue
                    for other in self.peers(station):
                        station.send_number(other)
                    if self.chaos and self.chance.random() < 0.5:
                        self.make_up(station)

    def peers(self, station):
        return [other for other in self.stations if other is not station and other.vni == station.vni]

    def make_up(self, station):
        """Addresses that nobody has: learned, moved, aged, evicted; unknown destinations; and octets that are no frame at all."""
        chance = self.chance
        for _ in range(chance.randrange(20)):
            source = frames.mac_number(chance.randrange(4000), prefix=0x0A)
            target = chance.choice([frames.BROADCAST, frames.mac_number(chance.randrange(4000), prefix=0x0A), "01:00:5e:01:01:01"])
            frame = frames.ethernet(source, target, chance.randbytes(chance.choice([46, 200, 1000])))
            if chance.random() < 0.05:
                frame = frame[:14] + chance.randbytes(chance.randrange(60))
            station.send(frame)

    def stop(self):
        self.ended.set()
        self.join()
        for station in self.stations:
            station.close()


class SoakSite:
    def __init__(self, lab, seed):
        self.lab, self.chance = lab, random.Random(seed)
        self.switch = Switch(lab)
        self.hosts = [UnderlayHost(lab, self.switch, number, name) for number, name in ((1, "hv1"), (2, "hv2"), (3, "gw3"))]
        self.kernel = KernelVXLANHost(lab, self.switch, 4)
        names = ["t1", "v1", "t2", "s2", "b3", "c3", "k4"]
        self.guests = {name: Guest(lab, name, number) for number, name in enumerate(names, 1) if name != "s2"}
        StandIn.CPU_SECONDS = 100_000
        self.guests["s2"] = StandIn(lab, "s2", 4, lab.directory / "hv2/run/s2.sock")
        self.make_kernel_host()
        self.server = OvsdbServer(self.hosts[2].namespace).start()
        self.daemons = [self.make_daemon(index) for index in range(3)]
        for daemon in self.daemons:
            daemon.start(wait=False)
        for daemon in self.daemons:
            daemon.wait_running()
        self.make_controller()
        self.heal_guests()
        vnis = {"v1": 5002, "s2": 5002}
        self.stations = [Station(self.guests[name], number, vnis.get(name, 5001)) for number, name in enumerate(names, 1)]

    def make_kernel_host(self):
        self.kernel.vxlan(5001, remotes=[host.ipv4 for host in self.hosts])
        self.kernel.add_guest(self.guests["k4"], 5001)

    def make_daemon(self, index):
        host = self.hosts[index]
        config = {"underlay": {"addresses": [host.ipv4], "device": "u0"}, "metrics": {"listen": "127.0.0.1:9478"},
                  "protection": {"mac-move": {"moves": 0}}}
        if index == 2:
            self.attach_veth("b3")
            self.guests["c3"].attach_veth(host.namespace, "port2")
            self.guests["c3"].tag(VLAN)
            config |= {"mode": "gateway", "ovsdb": {"remotes": [f"unix:{self.server.socket}"]}}
            ports = [{"name": "p1", "kind": "netdev", "device": "port1"}, {"name": "p2", "kind": "netdev", "device": "port2"}]
        else:
            peers = [other.ipv4 for other in (*self.hosts, self.kernel) if other is not host]
            config["vnis"] = [{"vni": 5001, "flood": "replicate", "peers": peers}, {"vni": 5002, "flood": "multicast", "group": GROUP}]
            if index == 0:
                self.attach_veth("v1")
                second = {"name": "v1", "kind": "netdev", "device": "veth1", "vni": 5002}
            else:
                second = {"name": "s2", "kind": "vhost-user", "socket": "s2.sock", "vni": 5002}
            ports = [{"name": f"t{index + 1}", "kind": "tap", "device": f"tap{index + 1}", "vni": 5001}, second]
        daemon = Vtepd(host.namespace, {**config, "ports": ports})
        daemon.config["dataplane"] |= {"workers": 2 if index == 0 else 1, "mac-table-size": 2048}
        daemon.write_config()
        return daemon

    def make_controller(self):
        """The controller's part: bindings, where everybody is, and where to flood."""
        wait_until(lambda: "gw3" in self.server.vtep_ctl("list-ps") and {"p1", "p2"} <= set(self.server.vtep_ctl("list-ports", "gw3").split()),
                   lambda: f"the switch is in the database:\n{self.daemons[2].log()[-2000:]}")
        self.server.vtep_ctl("add-ls", "ls0", "--", "set", "Logical_Switch", "ls0", "tunnel_key=5001", "replication_mode=source_node",
                             "--", "bind-ls", "gw3", "p1", 0, "ls0", "--", "bind-ls", "gw3", "p2", VLAN, "ls0")
        for host, name in ((self.hosts[0], "t1"), (self.hosts[1], "t2"), (self.kernel, "k4")):
            self.server.vtep_ctl("add-ucast-remote", "ls0", self.guests[name].mac, host.ipv4,
                                 "--", "add-mcast-remote", "ls0", "unknown-dst", host.ipv4)

    # -- guests -------------------------------------------------------------------------------------------------------

    VETHS = {"v1": (0, "veth1"), "b3": (2, "port1")}
    TAPS = {"t1": (0, "tap1"), "t2": (1, "tap2")}

    def attach_veth(self, name):
        """The veth pair of a netdev port, anew."""
        index, device = self.VETHS[name]
        guest = self.guests[name]
        self.hosts[index].namespace.ip(f"link delete {device}", check=False)
        guest.attach_veth(self.hosts[index].namespace, device, mtu=1450)

    def heal_guests(self):
        """Whoever has lost its interface gets it again."""
        for name, (index, device) in self.VETHS.items():
            if self.hosts[index].namespace.run("ip", "link", "show", device, check=False).returncode:
                self.attach_veth(name)
        for name, (index, device) in self.TAPS.items():
            guest, host = self.guests[name], self.hosts[index].namespace
            if guest.namespace.run("ip", "link", "show", device, check=False).returncode:
                wait_until(lambda: host.run("ip", "link", "show", device, check=False).returncode == 0,
                           lambda: f"{device} is there:\n{self.daemons[index].log()[-3000:]}")
                guest.attach_tap(host, device)
        stand_in = self.guests["s2"]
        if stand_in.process is None or stand_in.process.poll() is not None:
            stand_in.start().wait_booted()


class Faults:
    """What can happen. Each method is one fault; `heal` undoes what does not end by itself."""

    def __init__(self, site, traffic, chance):
        self.site, self.traffic, self.chance = site, traffic, chance
        self.done = collections.Counter()
        self.stopped = []

    def strike(self):
        kinds = [name for name in dir(self) if name.startswith("fault_")]
        name = self.chance.choice(kinds)
        getattr(self, name)()
        self.done[name.removeprefix("fault_")] += 1

    def daemon(self):
        return self.chance.choice([daemon for daemon in self.site.daemons if daemon.process.poll() is None])

    def ask(self, daemon, *words):
        """A change that may be refused: its port may just be gone, or the daemon be starting."""
        run(VTEPCTL, "--socket", daemon.socket_path, "--timeout", 30, *words, check=False, timeout=60)

    def reopen(self, *names):
        with self.traffic.lock:
            for station in self.traffic.stations:
                if not names or station.guest.name in names:
                    station.open()

    def fault_link(self):
        """An interface goes down and up: an underlay's, or the switch's end of it."""
        host = self.chance.choice(self.site.hosts)
        space, device = self.chance.choice([(host.namespace, "u0"), (self.site.switch.namespace, host.switch_port)])
        space.ip(f"link set {device} down")
        time.sleep(self.chance.random())
        space.ip(f"link set {device} up")

    def fault_mtu(self):
        host = self.chance.choice(self.site.hosts)
        host.namespace.ip(f"link set u0 mtu {self.chance.choice([1400, 1500, 1600])}")

    def fault_neighbors(self):
        self.chance.choice(self.site.hosts).namespace.flush_neighbors()

    def fault_veth(self):
        name = self.chance.choice(list(self.site.VETHS))
        self.site.attach_veth(name)
        self.reopen(name)

    def fault_guest(self):
        self.site.guests["s2"].kill()

    def fault_port(self):
        daemon = self.chance.choice(self.site.daemons[:2])
        port = self.chance.choice(daemon.config["ports"])
        self.ask(daemon, "port", "delete", port["name"])
        if port["kind"] == "netdev" and self.chance.random() < 0.5:
            self.ask(daemon, "port", "add", "--name", port["name"], "--kind", "netdev", "--device", port["device"], "--vni", port["vni"])

    def fault_vnis(self):
        daemon = self.chance.choice(self.site.daemons[:2])
        for _ in range(5):
            vni = self.chance.randrange(6000, 6050)
            self.ask(daemon, "vni", "add", "--vni", vni, "--flood", "replicate")
            self.ask(daemon, "peer", "add", "--vni", vni, f"192.0.2.{self.chance.randrange(50, 100)}")
            self.ask(daemon, "vni", "delete", self.chance.randrange(6000, 6050))

    def fault_flush(self):
        self.ask(self.daemon(), "mac", "flush")

    def fault_reload(self):
        self.daemon().process.send_signal(signal.SIGHUP)

    def fault_refused_configuration(self):
        """A VNI twice."""
        daemon = self.daemon()
        bad = daemon.directory / "bad.yaml"
        bad.write_text(daemon.config_path.read_text() + "\nvnis: [{vni: 1}, {vni: 1}]\n")
        done = run(VTEPCTL, "--socket", daemon.socket_path, "config", "apply", bad, check=False)
        assert done.returncode != 0, "a configuration with mistakes was applied"

    def fault_unconfirmed_configuration(self):
        daemon = self.chance.choice(self.site.daemons[:2])
        other = daemon.directory / "other.yaml"
        other.write_text(daemon.config_path.read_text().replace("vnis:\n", "vnis:\n- {vni: 6100, flood: none}\n", 1))
        self.ask(daemon, "config", "apply", other, "--confirm", 1)

    def fault_controller_restart(self):
        server = self.site.server
        server.kill() if self.chance.random() < 0.5 else server.stop()
        time.sleep(self.chance.random())
        server.start()

    def fault_controller_changes(self):
        words = []
        for _ in range(20):
            mac, host = frames.mac_number(self.chance.randrange(200), prefix=0x0E), self.chance.choice([*self.site.hosts[:2], self.site.kernel])
            words += ["--", "del-ucast-remote", "ls0", mac, "--", "add-ucast-remote", "ls0", mac, host.ipv4]
        self.site.server.vtep_ctl(*words[1:])

    def fault_kill(self):
        daemon = self.daemon()
        daemon.kill()
        daemon.start(wait=False)

    def fault_restart(self):
        daemon = self.daemon()
        status = daemon.stop()
        assert status == 0, f"{daemon.namespace.name} ended with status {status}:\n{daemon.log()[-3000:]}"
        daemon.start(wait=False)

    def fault_reader_stops(self):
        """A client of the control socket that reads nothing any more."""
        daemon = self.daemon()
        process = subprocess.Popen([VTEPCTL, "--socket", daemon.socket_path, "show", "drops", "--watch"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.site.lab.on_close(process.kill)
        process.send_signal(signal.SIGSTOP)
        self.stopped.append(process)

    def heal(self):
        for process in self.stopped:
            process.kill()
            process.wait()
        self.stopped.clear()
        site = self.site
        if site.server.process.poll() is not None:
            site.server.start()
        for host in site.hosts:
            host.namespace.ip("link set u0 mtu 1600 up")
        for daemon in site.daemons:
            daemon.wait_running()
        for daemon in site.daemons:
            wait_until(lambda: daemon.ctl("config", "history").get("confirm_s") is None, "nothing waits for confirmation")
            daemon.write_config()
            daemon.ctl("config", "apply", daemon.config_path, "--replace", timeout=60)
        site.heal_guests()
        self.reopen()


class Soak:
    """Rounds of faults and judgement for `seconds`, from `seed`."""

    def __init__(self, lab, seed, say=print):
        self.lab, self.seed, self.say = lab, seed, say
        self.site = SoakSite(lab, seed)
        self.traffic = Traffic(self.site.stations, seed)
        self.faults = Faults(self.site, self.traffic, random.Random(seed + 1))
        self.first_descriptors, self.first_memory, self.lives = {}, {}, {}
        self.rounds = 0

    def run(self, seconds):
        end = time.monotonic() + seconds
        self.traffic.start()
        try:
            self.judge()
            while time.monotonic() < end:
                until = min(end, time.monotonic() + self.faults.chance.uniform(3, 10))
                while time.monotonic() < until:
                    self.faults.strike()
                    time.sleep(self.faults.chance.uniform(0, 0.5))
                self.judge()
                self.rounds += 1
        finally:
            self.traffic.stop()
        for daemon in self.site.daemons:
            status = daemon.stop()
            assert status == 0, f"{daemon.namespace.name} ended with status {status}:\n{daemon.log()[-3000:]}"
        sent = sum(sum(station.sent.values()) for station in self.site.stations)
        received = sum(station.arrived + len(station.received) for station in self.site.stations)
        self.say(f"seed {self.seed}: {self.rounds} rounds, {sum(self.faults.done.values())} faults, {sent} numbered frames, "
                 f"{sent - received} of them lost while faults struck; faults: {dict(sorted(self.faults.done.items()))}")

    # -- judgement ----------------------------------------------------------------------------------------------------

    def judge(self):
        """Heals everything. Then nothing is broken, lost, doubled, leaked or stuck."""
        self.traffic.chaos = False
        self.faults.heal()
        for daemon in self.site.daemons:
            daemon.wait_ports_up()
            wait_until(lambda: not daemon.ctl("status")["problems"],
                       lambda: f"{daemon.namespace.name} reports no problems: {daemon.ctl('status')['problems']}\n{daemon.log()[-3000:]}", 90)
            wait_until(lambda: not self.differences(daemon),
                       lambda: f"verify finds nothing on {daemon.namespace.name}: {self.differences(daemon)}\n{daemon.log()[-3000:]}", 90)
        self.check_delivery()
        self.check_balance()
        for daemon in self.site.daemons:
            self.check_leaks(daemon)
        self.traffic.chaos = True

    @staticmethod
    def differences(daemon):
        done = run(VTEPCTL, "--socket", daemon.socket_path, "--format", "json", "--timeout", 60, "verify", check=False)
        return json.loads(done.stdout)

    def check_delivery(self, count=50):
        """Everybody can reach everybody; from then on every numbered frame arrives, once, and nothing is dropped but what the reasons say."""
        stations = self.site.stations
        pairs = [(a, b) for a in stations for b in stations if a is not b and a.vni == b.vni]

        def missing(marks):
            return {f"{a.guest.name} → {b.guest.name}": lost for a, b in pairs
                    if (lost := [n for n in range(marks[a, b], marks[a, b] + count) if not b.received[a.number, n]])}

        def settled():
            marks = {(a, b): max(0, a.sent[b.number] - count) for a, b in pairs}
            time.sleep(0.5)
            return all(a.sent[b.number] > count for a, b in pairs) and not missing(marks)

        def drops():
            """Without what the trunk of c3 sends by itself."""
            return {daemon.namespace.name: {reason: count for reason, count in daemon.drops().items() if reason != "untagged-not-bound"}
                    for daemon in self.site.daemons}

        wait_until(settled, lambda: f"everybody reaches everybody; drops: {drops()}", 60)
        before = drops()
        marks = {(a, b): a.sent[b.number] for a, b in pairs}
        wait_until(lambda: all(a.sent[b.number] >= marks[a, b] + count for a, b in pairs), "stations send", 60)
        wait_until(lambda: not missing(marks), lambda: f"every frame arrives: {missing(marks)}; drops: {before}, now {drops()}", 30)
        assert drops() == before, f"nothing was lost, but drops were {before} and are {drops()}"
        with self.traffic.lock:
            for station in stations:
                twice = [key for key, times in station.received.items() if times > 1]
                assert not twice, f"{station.guest.name} received frames more than once: {twice[:10]}"
                station.forget({other.number: other.sent[station.number] - 10 * count for other in stations})

    # What goes in and out by the counters of a daemon. Frames for which no worker had time were never received.
    FLOWS = {"in": ["vtepd_port_receive_packets_total", "vtepd_underlay_receive_packets_total"],
             "out": ["vtepd_port_transmit_packets_total", "vtepd_underlay_transmit_packets_total"],
             "ignored": ["vtepd_underlay_ignored_packets_total"], "dropped": ["vtepd_drops_by_reason_total"],
             "flooded": ["vtepd_vni_flooded_frames_total"], "arrived": ["vtepd_underlay_receive_packets_total"]}
    COPIES = 4  # Of a frame that is flooded from a port there are no more in this site; of one from a tunnel, 2.
    NOISE = 20  # What kernels flood by themselves through tunnels, and loop probes of gw3.

    def flows(self):
        """{daemon: {flow: frames}} when nothing is on its way."""
        def sums(daemon):
            values = self.metrics(daemon)
            return {flow: int(sum(value for (name, labels), value in values.items() if name in names and "receive-full" not in labels))
                    for flow, names in self.FLOWS.items()}

        found = [{}]

        def is_still():
            found.append({daemon.namespace.name: sums(daemon) for daemon in self.site.daemons})
            still = [{name: {**flows, "out": 0 if name == "gw3" else flows["out"]} for name, flows in look.items()} for look in found[-2:]]
            return still[0] == still[1]

        wait_until(is_still, lambda: f"traffic comes to rest: {found[-2:]}", 30, interval=0.3)
        return found[-1]

    def check_balance(self, count=50):
        """Every frame that a daemon has received was delivered, tunnelled, left to the kernel or dropped for one reason: its counters say so.
        First known addresses only, then all kinds of frames. A flooded one leaves several times, so that more may leave than came: never less."""
        for chaos in (False, True):
            self.traffic.paused = True
            before = self.flows()
            marks = {station: sum(station.sent.values()) for station in self.site.stations}
            self.traffic.chaos, self.traffic.paused = chaos, False
            wait_until(lambda: all(sum(station.sent.values()) >= marks[station] + count for station in self.site.stations), "stations send", 60)
            self.traffic.paused, self.traffic.chaos = True, False
            after = self.flows()
            for name, flows in after.items():
                new = {flow: number - before[name][flow] for flow, number in flows.items()}
                surplus = new["out"] + new["ignored"] + new["dropped"] - new["in"]
                most = new["flooded"] * (self.COPIES - 1) + (new["arrived"] if chaos else 0) + self.NOISE
                assert new["in"] >= count and 0 <= surplus <= most, f"counters of {name} do not balance ({surplus}, at most {most}): {new}"
        self.traffic.paused = False

    def check_leaks(self, daemon):
        name, life = daemon.namespace.name, daemon.process.pid
        with self.traffic.lock:  # nothing is on its way
            wait_until(lambda: not self.missing_buffers(daemon), lambda: f"all packet buffers of {name} are free but {self.missing_buffers(daemon)}", 30)
        descriptors = self.descriptors(daemon)
        first = self.first_descriptors.setdefault(name, descriptors)
        more = {kind: (first[kind], number) for kind, number in descriptors.items() if number > first[kind] + 3}
        assert not more, f"descriptors of {name} (at first, now): {more}"
        memory = daemon.resident_bytes() >> 20
        if self.lives.get(name) != life:
            self.lives[name], self.first_memory[name] = life, memory
        assert memory <= self.first_memory[name] * 1.25 + 48, f"memory of {name}: {self.first_memory[name]} MiB at first, now {memory} MiB"

    def missing_buffers(self, daemon):
        """{pool: buffers in use}, beyond those that wait in rings of devices."""
        values = self.metrics(daemon)
        return {labels: limit - free for (metric, labels), limit in values.items() if metric == "vtepd_packet_buffers_limit"
                and (free := values["vtepd_packet_buffers_free", labels]) < limit - 64}

    @staticmethod
    def metrics(daemon):
        """{(metric, labels): value}"""
        with daemon.namespace.entered():
            text = urllib.request.urlopen("http://127.0.0.1:9478/metrics", timeout=30).read().decode()
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                metric, value = line.rsplit(" ", 1)
                name, _, labels = metric.partition("{")
                values[name, labels.rstrip("}")] = float(value)
        return values

    @staticmethod
    def descriptors(daemon):
        """How many of each kind."""
        kinds = collections.Counter()
        for link in pathlib.Path(f"/proc/{daemon.process.pid}/fd").iterdir():
            try:
                kinds[os.readlink(link).split(":")[0].split(" ")[0]] += 1
            except OSError:
                pass
        return kinds

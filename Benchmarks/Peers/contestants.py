"""The switches of scripts/bench-peers: dpdk-testpmd, the real vtepd, Open vSwitch with DPDK. Each has one forwarding thread on the same
processor, receives from the same virtual device and sends to the same."""
import json
import os
import pathlib
import re
import subprocess
import typing

from lab import ControlSession, Vtepd, wait_until
from lab.daemon import VTEPD
from ovs_dpdk import WORKERS, SwitchWithDPDK
from traffic import FIRST_VNI, NEXT_HOP_MAC, UNDERLAY_MAC, text

IDLE = "net_null{},no-rx=1"  # sends into nothing, receives nothing
FLOWS = "1000000"  # of Open vSwitch, at most
EXACT_MATCHES = 8192  # entries of its exact-match cache
ACCESS, TUNNEL, OTHER = 1, 2, 3  # OpenFlow ports; the NIC of the other bridge is 1 too
MTU = 1600  # of the underlay, where its driver lets it be set
SPARE_BUFFERS = 16_384  # besides those that hold the file


class Counters(typing.NamedTuple):
    """Frames so far, on the access port and on the other side. Where they cannot be read together, the access port's are read twice."""

    first: int
    other: int
    last: int
    dropped: int


class Contestant:
    """A running switch. `source` and `sink` are devargs; `queues` are receive queues of the source, one for each worker."""

    title = ""
    is_lossy = False  # it may drop what it cannot process
    longest_sample = 65535  # octets of a frame that it sends to net_pcap, whose MTU is fixed

    @classmethod
    def can(cls, line):
        """Whether it is measured on this line."""
        return True

    def __init__(self, lab, line, source, sink, processors):
        self.lab, self.line, self.source, self.sink = lab, line, source, sink
        self.rest, self.workers = processors[0], processors[1:]
        self.namespace = lab.namespace(f"peers{len(lab.undo)}")
        self.directory = lab.directory / self.namespace.name
        self.directory.mkdir(exist_ok=True)
        self.threads = []
        self.start()
        self.wait_ready()

    @property
    def access_and_underlay(self):
        """Their devargs; a device of the same driver needs another number."""
        return (self.sink, self.source) if self.line.direction == "decapsulation" else (self.source, self.sink)

    def find_threads(self, process, prefix, others=0):
        """The statistics of the threads whose names begin so: workers and `others`."""
        tasks = list(pathlib.Path(f"/proc/{process.pid}/task").iterdir())
        self.threads = [task / "schedstat" for task in tasks if (task / "comm").read_text().startswith(prefix)]
        assert len(self.threads) == len(self.workers) + others, f"{self.title}: threads {[(task / 'comm').read_text().strip() for task in tasks]}"

    def processor_seconds(self):
        return sum(int(thread.read_text().split()[0]) for thread in self.threads) / 1e9

    def addresses(self, device):
        """What the kernel has to know of the underlay."""
        ns, line = self.namespace, self.line
        nodad = " nodad" if line.is_ipv6 else ""
        ns.ip(f"address add {line.own_address}/{line.prefix_length} dev {device}{nodad}")
        ns.ip(f"link set {device} up")
        ns.ip(f"route add {line.vtep_network} via {line.next_hop} dev {device}")


class Testpmd(Contestant):
    """Receives and sends, with nothing in between: the bound."""

    title = "testpmd io"
    megabytes = 1024

    @classmethod
    def can(cls, line):
        return not line.floods

    @classmethod
    def memory(cls, line, workers=1):
        return cls.megabytes + (workers * line.frame_count * 2500 >> 20)

    def start(self):
        self.output = self.directory / "testpmd.log"
        lcores = ",".join(f"{number}@{processor}" for number, processor in enumerate([self.rest, *self.workers]))
        queues = str(len(self.workers))
        with open(self.output, "wb") as log:
            self.process = self.namespace.popen(
                "stdbuf", "-oL", "dpdk-testpmd", f"--lcores={lcores}", "--no-pci", "--in-memory", "--no-telemetry",
                "--file-prefix", self.namespace.full_name, "--vdev", self.source, "--vdev", self.sink, "--", "-i", "--forward-mode=io",
                f"--nb-cores={queues}", f"--rxq={queues}", f"--txq={queues}", "--rxd=512", "--txd=512", "--burst=32", "--no-flush-rx",
                f"--total-num-mbufs={len(self.workers) * self.line.frame_count + SPARE_BUFFERS}",
                stdin=subprocess.PIPE, stdout=log, stderr=log, env={**os.environ, "RUNTIME_DIRECTORY": str(self.directory)})

    def text(self):
        return self.output.read_text(errors="replace")

    def say(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()

    def wait_ready(self):
        wait_until(lambda: "testpmd>" in self.text() or self.process.poll() is not None, lambda: f"testpmd is ready:\n{self.text()}", 120)
        self.say("start")
        self.find_threads(self.process, "rte-worker")

    def counters(self):
        before = self.text().count("TX-bytes:")
        self.say("show port stats all")
        wait_until(lambda: self.text().count("TX-bytes:") == before + 2, lambda: f"testpmd counts:\n{self.text()[-2000:]}", 30, 0.002)
        received, sent = (re.findall(rf"{way}-packets: (\d+)", self.text())[-2:] for way in ("RX", "TX"))
        lost = re.findall(r"(?:RX-missed|RX-errors|RX-nombuf|TX-errors): +(\d+)", self.text()[self.text().rindex("NIC statistics for port 0"):])
        return Counters(int(received[0]), int(sent[1]), int(received[0]), sum(map(int, lost)))

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(30)


class VtepdProcess(Contestant):
    """vtepd as it is shipped: it learns, ages, counts and checks."""

    title = "vtepd"
    io_cores = 0

    @staticmethod
    def memory(line, workers=1):
        # Half of it is for packet buffers.
        return max(256, 2 * ((workers * line.frame_count + SPARE_BUFFERS) * 2560 >> 20))

    def macs_of_domains(self):
        """Static addresses of the local stations: [[MAC]] by domain."""
        line = self.line
        if line.vnis == 1:
            return [[text(line.local_mac(index)) for index in range(line.locals)]]
        return [[text(line.local_mac(index))] for index in range(line.vnis)]

    def config(self):
        """Without `vnis`."""
        line = self.line
        access, underlay = self.access_and_underlay
        ports = [{"name": "access", "kind": "dpdk", "devargs": access, "queues": len(self.workers)}]
        if line.vnis == 1:
            ports[0].update(vni=FIRST_VNI, macs=self.macs_of_domains()[0])
        else:
            ports[0]["vlans"] = {1 + number: FIRST_VNI + number for number in range(line.vnis)}
            ports[0]["vlan-macs"] = {1 + number: macs for number, macs in enumerate(self.macs_of_domains())}
        if line.direction == "local":
            ports.append({"name": "other", "kind": "dpdk", "devargs": underlay, "queues": len(self.workers), "vni": FIRST_VNI,
                          "macs": [text(line.remote_mac(index)) for index in range(line.remotes)]})
            underlay = IDLE.format(7)
        return {
            "underlay": {"addresses": [str(line.own_address)], "dpdk": underlay, "tap": "vtep0"}, "ports": ports,
            "dataplane": {"workers": len(self.workers), "cores": self.workers, "hugepages": "required", "memory-mb": self.memory(line, len(self.workers)),
                          "mac-table-size": max(65_536, 2 * line.macs)},
        }

    def vnis(self):
        """The section of the configuration, as text: a YAML library takes minutes for a million addresses."""
        line = self.line
        macs = [[] for _ in range(line.vnis)]
        if line.direction == "encapsulation":
            for index in range(line.remotes):
                macs[line.domain(index)].append(f'{{mac: "{text(line.remote_mac(index))}", vtep: "{line.vtep(index)}"}}')
        if line.floods:
            return f"vnis:\n  - {{vni: {FIRST_VNI}, flood: replicate, peers: [{', '.join(map(str, line.peers))}]}}\n"
        return "vnis:\n" + "".join(f"  - {{vni: {FIRST_VNI + number}, flood: none, macs: [{', '.join(found)}]}}\n" for number, found in enumerate(macs))

    def start(self):
        self.namespace.ip("tuntap add vtep0 mode tap" + (" multi_queue" if len(self.workers) > 1 else ""))
        if self.line.direction == "encapsulation":
            self.namespace.ip(f"link set vtep0 mtu {MTU}")
        self.addresses("vtep0")
        self.daemon = Vtepd(self.namespace, self.config())
        with open(self.daemon.config_path, "a") as file:
            file.write(self.vnis())
        self.daemon.start(wait=False)

    def wait_ready(self):
        daemon, line = self.daemon, self.line
        wait_until(lambda: daemon.socket_path.exists() or daemon.process.poll() is not None, daemon.log, 300)
        daemon.wait_running()
        daemon.wait_ports_up()
        self.session = ControlSession(daemon)
        if line.direction == "decapsulation":
            assert bytes.fromhex(self.namespace.mac("vtep0").replace(":", "")) == UNDERLAY_MAC, self.namespace.mac("vtep0")
        else:
            # Not before: with the NIC's address, which vtepd gives the tap, the kernel forgets all neighbours.
            self.namespace.ip(f"neigh replace {line.next_hop} lladdr {text(NEXT_HOP_MAC)} dev vtep0 nud permanent")
            wait_until(lambda: all(row["state"] == "resolved" for row in self.tunnels()), lambda: f"VTEPs are resolved: {self.tunnels()[0]}")
        wait_until(lambda: self.session("status")["macs"] >= line.known,
                   lambda: f"addresses are known: {self.session('status')}", 120)
        self.find_threads(daemon.process, "rte-worker", self.io_cores)

    def tunnels(self):
        page = self.session("show.vteps")
        rows = page["rows"]
        while page["next"] is not None:
            page = self.session("show.vteps", cursor=page["next"])
            rows += page["rows"]
        return rows

    def access_count(self):
        port = next(row for row in self.session("show.ports") if row["name"] == "access")
        return port["tx_packets" if self.line.direction == "decapsulation" else "rx_packets"]

    def counters(self):
        first = self.access_count()
        if self.line.direction == "local":
            other = next(row["tx_packets"] for row in self.session("show.ports") if row["name"] == "other")
        else:
            way = "rx_packets" if self.line.direction == "decapsulation" else "tx_packets"
            other = sum(row[way] for row in self.tunnels())
        last = self.access_count()
        return Counters(first, other, last, sum(row["count"] for row in self.session("show.drops", all=False)))

    def stop(self):
        status = self.daemon.stop()
        assert status == 0, f"vtepd ended with {status}:\n{self.daemon.log()}"


class VtepdWithIOCore(VtepdProcess):
    """The same with an io-core on the processor that has everything else. What a worker does not manage is dropped, as by a NIC."""

    title = "vtepd, io-core"
    is_lossy = True
    io_cores = 1

    def config(self):
        config = super().config()
        config["dataplane"]["io-cores"] = [self.rest]
        return config


class OpenVSwitch(Contestant):
    """Open vSwitch with flows by VNI and destination, which is what a controller gives a hypervisor; it need not learn."""

    title = "Open vSwitch"
    longest_sample = 1518

    @classmethod
    def can(cls, line):
        # It makes at most 262,144 packet buffers, and they have to hold the file.
        return line.frame_count < 200_000

    @classmethod
    def memory(cls, line, workers=1):
        return 1536

    def flows(self):
        """One for each remote station (encapsulation, local), or for each local one."""
        line = self.line
        if line.direction == "decapsulation":
            for index in range(line.locals):
                tag = f"mod_vlan_vid:{line.vlan(index)}," if line.vlan(index) else ""
                yield f"in_port={TUNNEL},tun_id={line.vni(index)},dl_dst={text(line.local_mac(index))},actions={tag}output:{ACCESS}"
            return
        if line.floods:
            copies = ",".join(f"set_field:{peer}->tun_dst,output:{TUNNEL}" for peer in line.peers)
            yield f"in_port={ACCESS},actions=set_field:{FIRST_VNI}->tun_id,{copies}"
        for index in range(line.remotes):
            match = f"in_port={ACCESS},dl_dst={text(line.remote_mac(index))}"
            if line.direction == "local":
                yield f"{match},actions=output:{OTHER}"
                continue
            tag = f",dl_vlan={line.vlan(index)}" if line.vlan(index) else ""
            strip = "strip_vlan," if tag else ""
            field = "tun_ipv6_dst" if line.is_ipv6 else "tun_dst"
            yield f"{match}{tag},actions={strip}set_field:{line.vni(index)}->tun_id,set_field:{line.vtep(index)}->{field},output:{TUNNEL}"

    def start(self):
        settings = {"flow_limit": FLOWS}
        if self.line.macs > EXACT_MATCHES:
            settings["emc_insert_inv_prob"] = "0"  # the exact-match cache would only be in the way
        self.switch = SwitchWithDPDK(self.namespace, self.workers, self.rest, **settings)
        self.switch.add_bridge("br-phy", "secure", f'other_config:hwaddr="{text(UNDERLAY_MAC)}"')
        self.switch.add_bridge("br-int", "secure")
        self.namespace.ip(f"link set br-phy mtu {MTU}")
        self.addresses("br-phy")
        self.switch.appctl("tnl/arp/set", "br-phy", str(self.line.next_hop), text(NEXT_HOP_MAC))  # it does not take the kernel's
        self.switch.appctl("upcall/set-flow-limit", FLOWS)  # or it begins with 10,000 and adds 1,000 with each round of its revalidators
        self.add_flows("br-int", self.flows())
        self.add_flows("br-phy", (f"in_port={ACCESS},actions=LOCAL", f"in_port=LOCAL,actions=output:{ACCESS}"))

    def add_flows(self, bridge, flows):
        file = self.directory / f"{bridge}.flows"
        file.write_text("".join(f"{flow}\n" for flow in flows))
        self.switch.run("ovs-ofctl", "--timeout=120", "add-flows", f"{self.switch.directory}/{bridge}.mgmt", file, timeout=120)

    def add_port(self, bridge, name, number, *settings):
        self.switch.add_port(bridge, name, f"ofport_request={number}", *settings)

    def add_device(self, bridge, name, number, devargs):
        settings = [f"mtu_request={MTU}"] if devargs.startswith("net_null") else []
        if len(self.workers) > 1:
            settings.append(f"options:n_rxq={len(self.workers)}")
        self.add_port(bridge, name, number, "type=dpdk", f'options:dpdk-devargs="{devargs}"', *settings)

    def wait_ready(self):
        access, underlay = self.access_and_underlay
        devices = [("br-int", "access", ACCESS, access), ("br-int", "other", OTHER, underlay)]
        if self.line.direction != "local":
            devices[1] = "br-phy", "nic", ACCESS, underlay
            checksum = ["options:csum=true"] if self.line.is_ipv6 else []
            self.add_port("br-int", "tunnel", TUNNEL, "type=vxlan", "options:remote_ip=flow", f'options:local_ip="{self.line.own_address}"',
                          "options:key=flow", *checksum)
        # The source is the last: then everything else is there.
        for device in sorted(devices, key=lambda device: device[3] == self.source):
            self.add_device(*device)
        self.find_threads(self.switch.process, WORKERS)
        self.wait_quiet()

    def upcalls(self, end="success|failed"):
        return sum(int(count) for count in re.findall(rf"miss with (?:{end}) upcall: (\d+)", self.switch.appctl("dpif-netdev/pmd-stats-show")))

    def wait_quiet(self):
        """Until no frame needs the slow path any more."""
        def is_quiet():
            before = self.upcalls(), self.counters()
            wait_until(lambda: self.counters().first > before[1].first + 2 * self.line.frame_count, "frames go through", 60, 0.1)
            return self.upcalls() == before[0]

        wait_until(is_quiet, lambda: f"no more upcalls:\n{self.switch.appctl('dpif-netdev/pmd-stats-show')}", 120, 0.2)

    def counters(self):
        found = {name: (int(received), int(sent)) for name, received, sent in
                 re.findall(r"port \d+: (\S+) .*\n\s+RX packets:(\d+).*\n\s+TX packets:(\d+)", self.switch.appctl("dpctl/show", "-s"))}
        access = found["access"][self.line.direction == "decapsulation"]
        other = found["nic"][0] if self.line.direction == "decapsulation" else found["other" if self.line.direction == "local" else "nic"][1]
        return Counters(access, other, access, self.upcalls("failed"))

    def stop(self):
        self.switch.stop()


ALL = {"testpmd": Testpmd, "vtepd": VtepdProcess, "ovs": OpenVSwitch}
ON_REQUEST = {"io-core": VtepdWithIOCore}

"""A virtual machine with vtepd inside and an emulated PCI card, which DPDK can drive: QEMU's IOMMU lets vfio-pci have it."""
import gzip
import importlib.machinery
import importlib.util
import json
import pathlib
import re
import stat

from .daemon import BUILD, REPOSITORY
from .guest import IMAGE, QEMU, VirtualMachine
from .namespaces import run

LIBRARIES = pathlib.Path("usr/lib/x86_64-linux-gnu")
DRIVERS = ["bus_pci", "bus_vdev", "mempool_ring", "net_virtio", "net_e1000"]


class PCIMachine(VirtualMachine):
    """Its card's other end is the tap `wire` of a namespace, which this creates. The machine runs one vtepd at a time."""

    def __init__(self, lab, name, namespace, card, macs, wire="wire0", qemu=QEMU):
        """Several `macs`: as many cards on one wire, a hub, on which frames are as they would be on a real one: complete and cut."""
        super().__init__(lab, name, 1, "")
        self.namespace, self.card, self.macs, self.wire, self.qemu = namespace, card, macs, wire, qemu
        # Every other place: the virtual functions of an igb card take more than one.
        self.addresses = [f"0000:00:{4 + 2 * number:02x}.0" for number in range(len(macs))]
        self.make_wire()

    def make_wire(self):
        self.namespace.ip(f"tuntap add {self.wire} mode tap {'vnet_hdr' if len(self.macs) == 1 else ''}")
        self.namespace.ip(f"link set {self.wire} up")

    # Where the kernel and the initramfs are.
    image = IMAGE

    def wires(self):
        tap = f"tap,id=wire,ifname={self.wire},script=no,downscript=no,vhost=off"
        if len(self.macs) == 1:
            return ["-netdev", tap]
        hub = ["-netdev", f"{tap},vnet_hdr=off".replace("id=wire", "id=tap"), "-netdev", "hubport,id=hub,hubid=0,netdev=tap"]
        for number in range(len(self.macs)):
            hub += ["-netdev", f"hubport,id=wire{number or ''},hubid=0"]
        return hub

    def cards(self):
        for number, mac in enumerate(self.macs):
            yield from ["-device", f"{self.card},id=nic{number or ''},netdev=wire{number or ''},mac={mac},romfile=,addr={4 + 2 * number}"]

    def command(self, console_path, incoming):
        initrd = self.directory / "initrd"
        initrd.write_bytes((self.image / "initrd").read_bytes() + gzip.compress(programs(self.directory), 1))
        # In a namespace with the wire: `ip netns exec` becomes QEMU.
        return [
            "ip", "netns", "exec", self.namespace.full_name, "setpriv", "--pdeathsig=KILL", "nice", "-n", "5", *self.qemu,
            "-accel", "tcg,thread=single", "-machine", "q35", "-cpu", "max,erms=off,fsrm=off", "-smp", "1", "-m", "512", "-nodefaults",
            "-display", "none", "-no-reboot", "-device", "intel-iommu,intremap=on,caching-mode=on",
            *self.wires(), *self.cards(),
            "-serial", f"file:{self.directory / 'kernel.log'}",
            "-chardev", f"socket,id=console,path={console_path}", "-serial", "chardev:console",
            "-kernel", str(self.image / "vmlinuz"), "-initrd", str(initrd),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check intel_iommu=on",
            "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off",
        ]

    def configure(self):
        """Gives the cards to vfio-pci."""
        self.prepare()
        for address in self.addresses:
            self.take(address)
        return self

    def prepare(self):
        self.shell("chmod 755 / && mkdir -p /run && mount -t tmpfs none /run && echo 48 >/proc/sys/vm/nr_hugepages")
        self.shell("for module in $(cat /modules/others); do insmod /modules/$module.ko || exit 1; done")

    def take(self, address):
        self.shell(f"vtepctl underlay take {address}")

    # -- vtepd -------------------------------------------------------------------------------------------------------------

    def start_vtepd(self, config):
        config = {"name": self.name, "run-dir": "/run/vtepd", "state-dir": "/tmp/state", **config,
                  "dataplane": {"memory-mb": 64, "hugepages": "required"}}
        text = json.dumps(config)
        assert "'" not in text
        self.shell(f"echo '{text}' >/tmp/vtepd.yaml; vtepd --config /tmp/vtepd.yaml >>/tmp/log 2>&1 </dev/null & echo $! >/tmp/pid")
        status, output = self.shell("vtepctl status --wait 120", check=False, seconds=150)
        assert status == 0, f"{output}\n{self.shell('cat /tmp/log')}"

    def stop_vtepd(self, signal="TERM"):
        self.shell(f"kill -{signal} $(cat /tmp/pid); while kill -0 $(cat /tmp/pid) 2>/dev/null; do usleep 100000; done")

    def ctl(self, *words):
        return json.loads(self.shell("vtepctl --format json " + " ".join(map(str, words))))

    def set_link(self, is_up):
        self.qmp("set_link", name="nic", up=is_up)


class BridgedMachine(PCIMachine):
    """Each card is on a tap of its own that takes unfinished checksums and large segments, on a bridge named `wire`."""

    def make_wire(self):
        self.namespace.ip(f"link add {self.wire} type bridge mcast_snooping 0")
        self.namespace.ip(f"link set {self.wire} up")
        for number in range(len(self.macs)):
            self.namespace.ip(f"tuntap add {self.wire}-{number} mode tap vnet_hdr")
            self.namespace.ip(f"link set {self.wire}-{number} master {self.wire} up")

    def wires(self):
        return [word for number in range(len(self.macs)) for word in (
            "-netdev", f"tap,id=wire{number or ''},ifname={self.wire}-{number},script=no,downscript=no,vhost=off")]


class SRIOVMachine(PCIMachine):
    """The kernel keeps an igb card, as eth0, and vfio-pci has its virtual function."""

    image = IMAGE.with_name("guest-image-igb")

    def start(self, incoming=None):
        run(REPOSITORY / "scripts/guest-image", self.image, "igb", timeout=300)
        return super().start(incoming)

    def cards(self):
        # Behind a PCIe port, as SR-IOV needs it.
        return ["-device", "pcie-root-port,id=slot1,chassis=1,slot=1,addr=4", "-device", "igb,id=nic,netdev=wire,bus=slot1,romfile="]

    def configure(self):
        self.prepare()
        card = "/sys/bus/pci/devices/0000:01:00.0"
        self.shell(f"ip link set eth0 up && echo 1 >{card}/sriov_numvfs")
        self.addresses = [self.shell(f"basename $(readlink {card}/virtfn0)").strip()]
        self.take(self.addresses[0])
        return self


def programs(scratch):
    """An archive with vtepd, vtepctl, their libraries and DPDK's drivers."""
    loader = importlib.machinery.SourceFileLoader("guest_image", str(REPOSITORY / "scripts/guest-image"))
    image = importlib.util.module_from_spec(importlib.util.spec_from_loader("guest_image", loader))
    loader.exec_module(image)
    files, links = {}, {}
    release = next(iter(sorted(pathlib.Path("/", LIBRARIES, "dpdk").glob("pmds-*"))))
    version = release.name.split("-")[1]
    for driver in DRIVERS:
        name = f"librte_{driver}.so.{version.split('.')[0]}"
        files[LIBRARIES / "dpdk" / release.name / f"{name}.0"] = (release / f"{name}.0").read_bytes()
        # What is a dependency, too, must be the same file, or it registers twice.
        links[LIBRARIES / name] = f"dpdk/{release.name}/{name}.0"
    needed = {}
    for program in [BUILD / "vtepd", BUILD / "vtepctl", *(release / pathlib.Path(name).name for name in files)]:
        needed.update(re.findall(r"(?m)^\t(\S+) => (/\S+)", run("ldd", program).stdout))
    for name, path in needed.items():
        if LIBRARIES / name not in links:
            files[LIBRARIES / name] = pathlib.Path(path).read_bytes()
    files[pathlib.Path("lib64/ld-linux-x86-64.so.2")] = pathlib.Path("/lib64/ld-linux-x86-64.so.2").read_bytes()
    for program in ("vtepd", "vtepctl"):
        run("strip", "-o", scratch / program, BUILD / program)
        files[pathlib.Path("bin") / program] = (scratch / program).read_bytes()
    folders = {parent for path in [*files, *links] for parent in path.parents} - {pathlib.Path(".")}
    return image.cpio([
        *((str(path), stat.S_IFDIR | 0o755, b"") for path in sorted(folders)),
        *((str(path), stat.S_IFREG | 0o755, content) for path, content in files.items()),
        *((str(path), stat.S_IFLNK | 0o777, target.encode()) for path, target in links.items()),
        ("lib", stat.S_IFLNK | 0o777, b"usr/lib"),
        ("var", stat.S_IFDIR | 0o755, b""), ("var/run", stat.S_IFLNK | 0o777, b"../run"),
    ])

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

    address = "0000:00:04.0"

    def __init__(self, lab, name, namespace, card, mac, wire="wire0"):
        super().__init__(lab, name, 1, "")
        self.namespace, self.card, self.mac, self.wire = namespace, card, mac, wire
        namespace.ip(f"tuntap add {wire} mode tap vnet_hdr")
        namespace.ip(f"link set {wire} up")

    def command(self, console_path, incoming):
        initrd = self.directory / "initrd"
        initrd.write_bytes((IMAGE / "initrd").read_bytes() + gzip.compress(programs(self.directory), 1))
        # In a namespace with the wire: `ip netns exec` becomes QEMU.
        return [
            "ip", "netns", "exec", self.namespace.full_name, "setpriv", "--pdeathsig=KILL", "nice", "-n", "5", *QEMU,
            "-accel", "tcg,thread=single", "-machine", "q35", "-cpu", "max,erms=off,fsrm=off", "-smp", "1", "-m", "512", "-nodefaults",
            "-display", "none", "-no-reboot", "-device", "intel-iommu,intremap=on,caching-mode=on",
            "-netdev", f"tap,id=wire,ifname={self.wire},script=no,downscript=no,vhost=off",
            "-device", f"{self.card},id=nic,netdev=wire,mac={self.mac},romfile=,addr=4",
            "-serial", f"file:{self.directory / 'kernel.log'}",
            "-chardev", f"socket,id=console,path={console_path}", "-serial", "chardev:console",
            "-kernel", str(IMAGE / "vmlinuz"), "-initrd", str(initrd),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check intel_iommu=on",
            "-qmp", f"unix:{self.directory / 'qmp'},server=on,wait=off",
        ]

    def configure(self):
        """Gives the card to vfio-pci."""
        self.shell("chmod 755 / && mkdir -p /run && mount -t tmpfs none /run && echo 48 >/proc/sys/vm/nr_hugepages")
        self.shell("for module in $(cat /modules/others); do insmod /modules/$module.ko || exit 1; done")
        self.take_card()
        return self

    def take_card(self):
        self.shell(f"vtepctl underlay take {self.address}")

    # -- vtepd -------------------------------------------------------------------------------------------------------------

    def start_vtepd(self, config):
        config = {"name": self.name, "run-dir": "/run/vtepd", "state-dir": "/tmp/state", **config,
                  "dataplane": {"memory-mb": 64, "hugepages": "required"}}
        text = json.dumps(config)
        assert "'" not in text
        self.shell(f"echo '{text}' >/tmp/vtepd.yaml; vtepd --config /tmp/vtepd.yaml >>/tmp/log 2>&1 </dev/null & echo $! >/tmp/pid")
        status, output = self.shell("vtepctl status --wait 60", check=False, seconds=90)
        assert status == 0, f"{output}\n{self.shell('cat /tmp/log')}"

    def stop_vtepd(self, signal="TERM"):
        self.shell(f"kill -{signal} $(cat /tmp/pid); while kill -0 $(cat /tmp/pid) 2>/dev/null; do usleep 100000; done")

    def ctl(self, *words):
        return json.loads(self.shell("vtepctl --format json " + " ".join(map(str, words))))

    def set_link(self, is_up):
        self.qmp("set_link", name="nic", up=is_up)


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

"""One daemon that is restarted, with containers on taps, and two VTEPs that are sockets: what they receive is what the daemon sends.

    vm1 ── tap ┐
               hv1 ── switch ──┬── hv2
    vm2 ── tap ┘               └── hv3: sees only what is flooded
"""
import socket
import struct

from .daemon import Vtepd
from .frames import ethernet, mac_number
from .hosts import Guest, Switch, UnderlayHost
from .namespaces import wait_until
from .service_manager import ServiceManager
from .site import VNI


class RestartSite:
    def __init__(self, lab, managed=True, vni=None, dataplane=None, ports=({}, {}), **config):
        """`managed`: a service manager keeps the taps. `ports`: further keys of the ports vm1 and vm2."""
        self.lab, self.switch = lab, Switch(lab)
        self.host, *self.peers = [UnderlayHost(lab, self.switch, number) for number in (1, 2, 3)]
        self.daemon = Vtepd(self.host.namespace, {
            "underlay": {"addresses": [self.host.ipv4], "device": "u0"},
            "vnis": [{"vni": VNI, "flood": "replicate", "peers": [peer.ipv4 for peer in self.peers], **(vni or {})}],
            "ports": [{"name": f"vm{number}", "kind": "tap", "device": f"tap{number}", "vni": VNI, **keys}
                      for number, keys in enumerate(ports, 1)],
            **config,
        })
        self.daemon.config["dataplane"].update(dataplane or {})
        self.daemon.write_config()
        self.manager = ServiceManager(lab) if managed else None
        self.start()
        self.guests = [Guest(lab, f"vm{number}", number).attach_tap(self.host.namespace, f"tap{number}")
                       for number in range(1, len(ports) + 1)]
        self.daemon.wait_ports_up()
        self.daemon.wait_resolved(*(peer.ipv4 for peer in self.peers))
        self.sockets = [self.vtep_socket(peer) for peer in self.peers]
        self.raw = [guest.namespace.raw_socket(guest.device) for guest in self.guests]

    def vtep_socket(self, peer):
        with peer.namespace.entered():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        made.bind((peer.ipv4, 4789))
        self.lab.on_close(made.close)
        return made

    # -- the daemon ---------------------------------------------------------------------------------------------------

    def start(self, wait=True):
        return self.manager.start(self.daemon, wait) if self.manager else self.daemon.start(wait)

    def restart(self, meanwhile=lambda: None, wait=True):
        status = self.daemon.stop()
        assert status == 0, f"exit status {status}:\n{self.daemon.log()}"
        meanwhile()
        self.start(wait)

    # -- frames -------------------------------------------------------------------------------------------------------

    def from_vtep(self, number, frame, vni=VNI):
        """A frame in VXLAN from the first or second of the VTEPs."""
        self.sockets[number].sendto(struct.pack("!II", 0x08000000, vni << 8) + frame, (self.host.ipv4, 4789))

    def received(self, number):
        """The frames that a VTEP has received since the last call."""
        frames, listener = [], self.sockets[number]
        listener.setblocking(False)
        while True:
            try:
                frames.append(listener.recv(65535)[8:])
            except BlockingIOError:
                return frames

    def teach(self, count, number=0, first=0x100000):
        """The daemon learns addresses behind a VTEP. Frames to a station's own address are not flooded."""
        own = self.guests[0].mac

        def learned():
            for value in range(first, first + count):
                self.from_vtep(number, ethernet(mac_number(value), own))
            return self.daemon.ctl("status")["macs"] >= count

        wait_until(learned, lambda: f"{count} addresses are learned: {self.daemon.ctl('status')['macs']}", 120)

    # -- containers ---------------------------------------------------------------------------------------------------

    def interface(self, guest):
        """What a container sees of its tap: index, changes of carrier, addresses."""
        def read(name):
            return guest.namespace.run("cat", f"/sys/class/net/{guest.device}/{name}").stdout.strip()
        return {"ifindex": read("ifindex"), "carrier_changes": read("carrier_changes"), "carrier": read("carrier"),
                "addresses": guest.namespace.ip(f"-o address show dev {guest.device}").replace(" tentative", "")}

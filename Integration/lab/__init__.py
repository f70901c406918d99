"""Building blocks of the integration tests and the demo: hosts, switches and guests in network namespaces, the daemon under test,
the kernel's own VXLAN device as its peer, raw frames and captures."""
from .capture import Capture, Chatter
from .certificates import Certificates
from .control import ControlSession
from .daemon import Vtepd
from .exchange import exchange
from .guest import VirtualMachine
from .hosts import Guest, KernelVXLANHost, Router, Switch, UnderlayHost
from .mixed_site import MixedSite
from .namespaces import Lab, Namespace, wait_until
from .ovsdb import OvsdbServer, transact, vtep_ctl
from .site import Site
from .stand_in import StandIn
from .streams import Announcements, EchoStream, tcp_stream
from .virtio_guest import VirtioGuest

__all__ = [
    "Announcements", "Capture", "Certificates", "Chatter", "ControlSession", "EchoStream", "Guest", "KernelVXLANHost", "Lab", "MixedSite",
    "Namespace", "OvsdbServer", "Router", "Site", "StandIn", "Switch", "UnderlayHost", "VirtioGuest", "VirtualMachine", "Vtepd", "exchange",
    "tcp_stream", "transact", "vtep_ctl", "wait_until",
]

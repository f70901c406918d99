"""What the integration tests and the demo are built from: hosts, switches and guests in network namespaces, the daemon
under test, the kernel's own VXLAN device as its peer, raw frames and captures."""
from .capture import Capture
from .control import ControlSession
from .daemon import Vtepd
from .guest import VirtualMachine
from .hosts import Guest, KernelVXLANHost, Router, Switch, UnderlayHost
from .namespaces import Lab, Namespace, wait_until
from .site import Site
from .stand_in import StandIn
from .streams import Announcements, EchoStream, tcp_stream
from .virtio_guest import VirtioGuest

__all__ = [
    "Announcements", "Capture", "ControlSession", "EchoStream", "Guest", "KernelVXLANHost", "Lab", "Namespace", "Router", "Site", "StandIn", "Switch",
    "UnderlayHost", "VirtioGuest", "VirtualMachine", "Vtepd", "tcp_stream", "wait_until",
]

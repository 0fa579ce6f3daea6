"""Runs a command in network and mount namespaces that were just made, and makes them fit for a cluster's tests.

The loopback interface, which is down at first and all that there is, comes up with 10.77.0.0/16 beside 127.0.0.0/8: on
a loopback interface every address of a range can be listened on, so that pods can have addresses that an API server
takes. By ioctl, as iproute2 may not be installed. /var/run is empty, so that a test can put there what a kubelet mounts
into a pod.

    unshare --net --mount python3 private-namespaces.py COMMAND [ARGUMENT...]
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP, IFF_RUNNING = 0x1, 0x40

control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
libc = ctypes.CDLL(None, use_errno=True)


def set_address(interface: bytes, request: int, address: str) -> None:
    packed = struct.pack("16sHH4s8x", interface, socket.AF_INET, 0, socket.inet_aton(address))
    fcntl.ioctl(control, request, packed)


fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))
set_address(b"lo:1", SIOCSIFADDR, "10.77.0.1")
set_address(b"lo:1", SIOCSIFNETMASK, "255.255.0.0")
if libc.mount(b"tmpfs", os.path.realpath("/var/run").encode(), b"tmpfs", 0, None) != 0:
    sys.exit(f"cannot mount an empty /var/run: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])

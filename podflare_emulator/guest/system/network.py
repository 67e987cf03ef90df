"""Sets up a network namespace through ioctls that Python does not offer. Each raises OSError."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct

# The defaults of slirp4netns.
INTERFACE = "eth0"
ADDRESS, PREFIX, NETMASK = "10.0.2.100", 24, "255.255.255.0"
GATEWAY, NAMESERVER = "10.0.2.2", "10.0.2.3"
MTU = 65520

_SWALLOWED = "172.16.0.2"  # the address of a sandbox that only appears to have a network

_TUN = "/dev/net/tun"
_TUNSETIFF, _TUNSETPERSIST, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x400454CB, 2, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFMTU, _SIOCADDRT, _SIOCDARP = 0x8916, 0x891C, 0x8922, 0x890B, 0x8953
_RTF_UP, _RTF_GATEWAY = 1, 2
_LARGEST_FRAME = 1 << 17


def raise_loopback() -> None:
    """A new network namespace has one interface, which is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _raise(sock, "lo")


def make_way_out() -> int:
    """Makes an interface with an address and a default route. The descriptor yields the frames that leave by it.

    The kernel sends nothing by itself (no IPv6). So the first frame that arrives is an ARP request for the first packet
    of a connection. Until that is answered the kernel keeps this and further packets (some 200 KB, for 3 seconds): none
    is lost while a program for the other end starts.
    """
    tap = attach()
    try:
        # Otherwise each close of a descriptor removes its interface, and waits 50 ms for that. The kernel removes those
        # that are left with their namespaces, all at once, and nobody waits.
        fcntl.ioctl(tap, _TUNSETPERSIST, 1)
        _configure("ipv6", "disable_ipv6", b"1")
        with contextlib.suppress(OSError):  # only a loss of packets in rare cases
            _configure("ipv4", "arp_evict_nocarrier", b"0")  # it keeps those packets while nobody is attached
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, NETMASK)):
                fcntl.ioctl(
                    sock, request, struct.pack("16s16s8x", INTERFACE.encode(), _socket_address(address))
                )
            fcntl.ioctl(sock, _SIOCSIFMTU, struct.pack("16si20x", INTERFACE.encode(), MTU))
            _raise(sock, INTERFACE)
            _route(sock, _RTF_UP | _RTF_GATEWAY, GATEWAY)
    except OSError:
        os.close(tap)
        raise
    return tap


def swallow_packets() -> None:
    """Gives a namespace without a network an address; packets to other addresses get no answer at all.

    Loopback has the address and the default route. Packets sent there come back addressed to somebody else, and the
    kernel drops them.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for request, value in ((_SIOCSIFADDR, _SWALLOWED), (_SIOCSIFNETMASK, "255.255.255.255")):
            fcntl.ioctl(sock, request, struct.pack("16s16s8x", b"lo:1", _socket_address(value)))
        _route(sock, _RTF_UP, "0.0.0.0", b"lo")


def attach() -> int:
    """Attaches to the interface of `make_way_out`, which it creates if need be; frames are read from the descriptor."""
    tap = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", INTERFACE.encode(), _IFF_TAP | _IFF_NO_PI))
    except OSError:
        os.close(tap)
        raise
    return tap


def forget_neighbours() -> None:
    """Makes the kernel ask for the other end's hardware addresses again, before it sends anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for address in (GATEWAY, NAMESERVER):
            with contextlib.suppress(OSError):  # it does not know it
                fcntl.ioctl(sock, _SIOCDARP, _neighbour(address))


def hand_over(tap: int) -> list[bytes]:
    """Detaches from the interface of `make_way_out`, so that another process can attach; returns the queued frames."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frames.append(os.read(tap, _LARGEST_FRAME))
    os.close(tap)
    return frames


def packet_socket() -> socket.socket:
    """A socket whose frames leave by the interface unchanged."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((INTERFACE, 0))
    return sock


def sockets() -> int:
    """How many sockets this namespace has, including those in TIME_WAIT; a way out has one itself."""
    with open("/proc/self/net/sockstat", encoding="ascii") as file:
        words = file.read().split()
    return sum(int(words[words.index(kind) + 1]) for kind in ("used", "tw"))


def _configure(family: str, name: str, value: bytes) -> None:
    """Sets a variable of the interface's, if this kernel has it."""
    with contextlib.suppress(FileNotFoundError):
        number = os.open(f"/proc/sys/net/{family}/conf/{INTERFACE}/{name}", os.O_WRONLY)
        os.write(number, value)
        os.close(number)


def _route(sock: socket.socket, flags: int, gateway: str, interface: bytes = b"") -> None:
    """Sets the default route; without `interface`, through the interface that reaches the gateway."""
    everywhere = _socket_address("0.0.0.0")
    ends = everywhere, _socket_address(gateway), everywhere
    name = ctypes.create_string_buffer(interface)
    device = ctypes.addressof(name) if interface else 0
    fcntl.ioctl(
        sock, _SIOCADDRT, struct.pack("@L16s16s16sHhLPhPLLH", 0, *ends, flags, 0, 0, 0, 0, device, 0, 0, 0)
    )


def _raise(sock: socket.socket, interface: str) -> None:
    request = bytearray(struct.pack("16sH22x", interface.encode(), 0))
    fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
    (flags,) = struct.unpack_from("H", request, 16)
    struct.pack_into("H", request, 16, flags | _IFF_UP)
    fcntl.ioctl(sock, _SIOCSIFFLAGS, request)


def _socket_address(address: str) -> bytes:
    return struct.pack("=H2x4s8x", socket.AF_INET, socket.inet_aton(address))


def _neighbour(address: str) -> bytes:
    """A struct arpreq."""
    return struct.pack("16s36x16s", _socket_address(address), INTERFACE.encode())

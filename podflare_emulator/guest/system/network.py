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
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFMTU, _SIOCADDRT, _SIOCSARP = 0x8916, 0x891C, 0x8922, 0x890B, 0x8955
_RTF_UP, _RTF_GATEWAY, _ATF_COMPLETE, _ATF_PERMANENT, _ARPHRD_ETHER = 1, 2, 2, 4, 1
_LARGEST_FRAME = 1 << 17


def raise_loopback() -> None:
    """A new network namespace has one interface, which is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _raise(sock, "lo")


def make_way_out() -> int:
    """Makes an interface with an address and a default route. The descriptor yields the frames that leave by it.

    The kernel sends nothing by itself (no IPv6, no ARP for the addresses at the other end). So the first frame that
    arrives belongs to a connection.
    """
    tap = attach()
    try:
        # Otherwise each close of a descriptor removes its interface, and waits 50 ms for that. The kernel removes those
        # that are left with their namespaces, all at once, and nobody waits.
        fcntl.ioctl(tap, _TUNSETPERSIST, 1)
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            number = os.open(f"/proc/sys/net/ipv6/conf/{INTERFACE}/disable_ipv6", os.O_WRONLY)
            os.write(number, b"1")
            os.close(number)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, NETMASK)):
                fcntl.ioctl(
                    sock, request, struct.pack("16s16s8x", INTERFACE.encode(), _socket_address(address))
                )
            fcntl.ioctl(sock, _SIOCSIFMTU, struct.pack("16si20x", INTERFACE.encode(), MTU))
            _raise(sock, INTERFACE)
            _route(sock, _RTF_UP | _RTF_GATEWAY, GATEWAY)
            for address in (GATEWAY, NAMESERVER):
                fcntl.ioctl(sock, _SIOCSARP, _neighbour(address))
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


def hardware_address(address: str) -> bytes:
    """The MAC address that slirp has at this IP address."""
    return b"\x52\x55" + socket.inet_aton(address)


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
    hardware = struct.pack("=H14s", _ARPHRD_ETHER, hardware_address(address))
    flags = struct.pack("=i", _ATF_COMPLETE | _ATF_PERMANENT)
    return _socket_address(address) + hardware + flags + bytes(16) + struct.pack("16s", INTERFACE.encode())

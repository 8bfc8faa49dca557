"""The address that the server listens at: resolved, checked and bound before the run's source is opened."""

import errno
import ipaddress
import os
import socket
from typing import NamedTuple

from fer_edge.errors import ConnectError

# Windows' SO_REUSEADDR would let a second program listen at the same port.
REUSE: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
BACKLOG = 128  # connections that may wait to be accepted


SOMEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # for documentation: RFC 5737, RFC 3849


class Address(NamedTuple):
    """An address that can be bound. host: its IP address. loopback: only this machine can reach it."""

    family: socket.AddressFamily
    host: str
    port: int
    loopback: bool

    @property
    def is_any(self) -> bool:
        """True if it stands for all addresses of the machine."""
        return ipaddress.ip_address(self.host).is_unspecified

    @property
    def reached_at(self) -> str:
        """A host for URLs. Of all addresses it is the one by which this machine reaches others, or else its name."""
        host = self.host
        if self.is_any:
            found = (_own_address(family) for family in (socket.AF_INET, self.family))
            host = next(filter(None, found), socket.gethostname())
        return f"[{host}]" if ":" in host else host


def _own_address(family: socket.AddressFamily) -> str | None:
    """This machine's address towards others; None without a route. Nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((SOMEWHERE[family], 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def resolve(host: str, port: int) -> Address:
    """The first address of `host`, IPv4 if it has one. ConnectError if there is none."""
    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a host name"
        raise ConnectError(
            f"--serve: the host {host} can't be used ({reason}): name an address of this machine"
        ) from error
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    address = str(where[0]).partition("%")[0]
    return Address(family, address, port, ipaddress.ip_address(address).is_loopback)


def listen(address: Address) -> socket.socket:
    """A socket that listens at `address`; port 0 takes a free one. ConnectError if it can't be had."""
    bound = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, REUSE, 1)
        if address.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not address.is_any))
        bound.bind((address.host, address.port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise ConnectError(f"--serve: {_reason(error, address)}") from error
    return bound


def _reason(error: OSError, address: Address) -> str:
    where = f"{address.host} port {address.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: choose another port"
    if error.errno == errno.EACCES:
        return f"{where} needs administrator rights: choose a port of 1024 or more"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is not an address of this machine: name one, or 127.0.0.1"
    return f"{where} can't be used: {os.strerror(error.errno or 0)}"

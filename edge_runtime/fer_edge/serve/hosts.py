"""Which hosts are near: what goes there unencrypted does not cross the internet."""

import ipaddress

LOCAL_ENDINGS = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa")


def is_local(host: str) -> bool:
    """True for this machine and for addresses and names of private networks.

    >>> is_local("127.0.0.1"), is_local("192.168.1.20"), is_local("broker.lan"), is_local("example.com")
    (True, True, True, False)
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return "." not in name or name.endswith(LOCAL_ENDINGS)
    return address.is_loopback or address.is_private or address.is_link_local

"""The topics of one device, and its id."""

import hashlib
import hmac
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import ConnectError

ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # what Home Assistant allows
DERIVED_ID_CHARS = 12
MACHINE_ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
BIRTH = "homeassistant/status"  # Home Assistant says there that it has started
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True)
class Topics:
    """Where what is published.

    >>> Topics("fer-edge", "door").status
    'fer-edge/door/status'
    """

    base: str
    id: str

    @property
    def status(self) -> str:
        """online or offline; retained."""
        return f"{self.base}/{self.id}/status"

    @property
    def state(self) -> str:
        """The run's state and who is there now."""
        return f"{self.base}/{self.id}/state"

    @property
    def face(self) -> str:
        """Label changes of single faces."""
        return f"{self.base}/{self.id}/face"

    @property
    def interval(self) -> str:
        """Counts per interval, with --aggregate."""
        return f"{self.base}/{self.id}/interval"

    @property
    def discovery(self) -> str:
        """The description for Home Assistant; retained."""
        return f"homeassistant/device/{self.id}/config"


def device_id(given: str | None) -> str:
    """The id of --mqtt-id, or one that this machine always has; ConnectError if it can't be one."""
    if given is None:
        return _derived_id()
    if not ID.fullmatch(given):
        raise ConnectError(f"--mqtt-id {given!r} is not a valid id: use 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return given


def _derived_id() -> str:
    """A hash of the machine's id, which itself is confidential (man machine-id); without one, of the host's name."""
    for path in MACHINE_ID_FILES:
        try:
            secret = Path(path).read_bytes().strip()
        except OSError:
            continue
        if secret:
            break
    else:
        secret = socket.gethostname().encode()
    return hmac.new(secret, b"fer-edge mqtt", hashlib.sha256).hexdigest()[:DERIVED_ID_CHARS]

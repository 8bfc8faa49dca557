"""Where the broker is and who we are there: --mqtt and the options beside it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from fer_edge.errors import ConnectError, FerError
from fer_edge.guards.secrets import read_secret, redact
from fer_edge.serve.options import ConnectOptions

PASSWORD_VARIABLE = "FER_EDGE_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
DEFAULT_BASE = "fer-edge"
MAX_BASE_BYTES = 200  # of the 65,535 that a topic may have
ADDRESS = re.compile(
    r"(mqtts?)://(?:([^/]*)@)?(\[[0-9A-Fa-f:.]+\]|[^/:@\[\]]+)(?::(\d{1,5}))?(/.*)?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, repr=False)  # it holds a password
class Broker:
    """An MQTT broker. base: the topic below which everything of ours is. tls: encrypted."""

    host: str
    port: int
    tls: bool
    base: str = DEFAULT_BASE
    user: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        """The address without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' * self.tls}://{host}:{self.port}"


def given_broker(options: ConnectOptions) -> Broker:
    """The broker that the options and FER_EDGE_MQTT_PASSWORD name.

    Raises ConnectError for a wrong address or a secret on the command line, FerError for a file that can't be used.
    """
    assert options.mqtt is not None
    text, openly = options.mqtt, not options.mqtt.startswith("@")
    if openly and "@" in text:
        raise ConnectError(
            "--mqtt must not hold a user or a password, which every user of this machine could read: give --mqtt-user "
            f"and {PASSWORD_VARIABLE} or --mqtt-password-file, or write the whole address into a file and give @FILE"
        )
    if not openly:
        text = read_secret(Path(text[1:]), f"--mqtt {text}", "the address", FerError)
    try:
        broker = parse_broker(text)
    except ValueError as error:
        raise ConnectError(f"--mqtt {error}") from None
    user = options.mqtt_user or broker.user
    password = _password(options) or broker.password
    if password is not None and user is None:
        raise ConnectError("MQTT has no password without a user: give --mqtt-user")
    if options.mqtt_ca is not None and not broker.tls:
        raise ConnectError("--mqtt-ca is for an encrypted connection: write mqtts instead of mqtt in --mqtt")
    return Broker(broker.host, broker.port, broker.tls, broker.base, user, password)


def _password(options: ConnectOptions) -> str | None:
    file = options.mqtt_password_file
    if file is not None:
        return read_secret(file, f"--mqtt-password-file {file}", "the password", FerError)
    return os.environ.get(PASSWORD_VARIABLE) or None


def parse_broker(text: str) -> Broker:
    """The broker of mqtt[s]://[user:password@]host[:port][/base-topic]; ValueError if it is none.

    >>> str(parse_broker("mqtts://broker.lan/home/door")), parse_broker("mqtts://broker.lan/home/door").base
    ('mqtts://broker.lan:8883', 'home/door')
    """
    found = ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{redact(text)} is not the address of a broker: write mqtt://HOST or mqtts://HOST, with :PORT and "
            "/BASE-TOPIC if you need them"
        )
    scheme, login, host, port, path = found.groups()
    scheme = scheme.lower()
    number = PORTS[scheme] if port is None else int(port)
    if not 0 < number < 65536:
        raise ValueError(f"{redact(text)} has no port from 1 to 65535")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{redact(text)} has no valid host name") from None
    user, _, password = (login or "").partition(":")
    return Broker(
        host.strip("[]"), number, scheme == "mqtts", _base(unquote(path or "")), unquote(user) or None,
        unquote(password) or None,
    )  # fmt: skip


def _base(path: str) -> str:
    base = path.strip("/")
    if not base:
        return DEFAULT_BASE
    if re.search(r"[+#?\x00-\x1f\x7f]|//|^\$", base) or len(base.encode(errors="replace")) > MAX_BASE_BYTES:
        raise ValueError("has an impossible base topic: use words and single slashes, without + # ? and $ in front")
    return base

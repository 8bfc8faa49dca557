"""The options of the connections: --serve, metrics, MQTT and actions."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FILE = click.Path(path_type=Path)
option = click.option

LOOPBACK = "127.0.0.1"
LISTEN = r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})"
HOST_NAME = r"[A-Za-z0-9._-]{1,253}"


class Listen(click.ParamType):  # type: ignore[type-arg]
    """[HOST:]PORT, as (host, port); without a host it is this machine alone."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(LISTEN, str(value), re.ASCII)
        if match is None or int(match[2]) > 65535:
            self.fail(f"{value!r} is not [HOST:]PORT, for example 8080 or 0.0.0.0:8080", param, ctx)
        return match[1] or LOOPBACK, int(match[2])


class HostName(click.ParamType):  # type: ignore[type-arg]
    """A host name, without scheme and port."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(HOST_NAME, value, re.ASCII):
            self.fail(f"{value!r} is not a host name, for example camera.example.org", param, ctx)
        return str(value)


# fmt: off
TOKEN_OPTIONS: list[Decorator] = [  # of `serve`, too
    option("--serve-token", type=FILE, metavar="FILE",
           help="File with the token that clients of --serve must send.  [default: $FER_EDGE_TOKEN]"),
    option("--serve-host", type=HostName(), multiple=True, metavar="NAME",
           help="Another host name of the server, such as a proxy's; repeatable."),
]
CONNECT_OPTIONS: list[Decorator] = [
    option("--serve", type=Listen(), metavar="[HOST:]PORT",
           help="Serve a dashboard and REST at PORT; other machines reach it only if HOST is given, with a token "
                "(needs the extra web)."),
    *TOKEN_OPTIONS,
    option("--metrics-file", type=FILE, metavar="FILE.prom",
           help="Write metrics for node_exporter's textfile collector every 15 s (needs the extra web)."),
    option("--mqtt", metavar="URL",
           help="Publish state and label changes to mqtt[s]://HOST[:PORT][/BASE-TOPIC]; @FILE reads the address from "
                "a file. Home Assistant finds the device itself (needs the extra mqtt)."),
    option("--mqtt-user", metavar="NAME", help="User name for --mqtt."),
    option("--mqtt-password-file", type=FILE, metavar="FILE",
           help="Password for --mqtt, one line.  [default: $FER_EDGE_MQTT_PASSWORD]"),
    option("--mqtt-ca", type=FILE, metavar="FILE",
           help="Certificates that mqtts:// trusts.  [default: the system's]"),
    option("--mqtt-id", metavar="ID", help="Name of this device in topics.  [default: from the machine's id]"),
    option("--on-change", metavar="CMD",
           help="Run CMD, without a shell, whenever a face appears, leaves or changes its emotion; JSON on its stdin."),
    option("--webhook", metavar="URL",
           help="POST the same JSON to URL; @FILE reads the address from a file."),
    option("--webhook-header-file", type=FILE, metavar="FILE",
           help="A header for --webhook, one line: X-Token: SECRET.  [default: Authorization: Bearer with "
                "$FER_EDGE_WEBHOOK_SECRET]"),
]
# fmt: on


def check_connections(ctx: click.Context, values: Mapping[str, Any]) -> None:
    """Raise click.UsageError for options of connections that are not asked for."""
    for option in values:
        main = option.partition("_")[0]
        if option.startswith(("serve_", "mqtt_", "webhook_")) and values[option] and values[main] is None:
            raise click.UsageError(f"--{option.replace('_', '-')} is for --{main}: give it, too", ctx)

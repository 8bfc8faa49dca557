"""The options of the connections: --serve, metrics, MQTT and actions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

FILE = click.Path(path_type=Path)
option = click.option

# fmt: off
CONNECT_OPTIONS: list[Decorator] = [
    option("--metrics-file", type=FILE, metavar="FILE.prom",
           help="Write metrics for node_exporter's textfile collector every 15 s (needs the extra web)."),
]
# fmt: on

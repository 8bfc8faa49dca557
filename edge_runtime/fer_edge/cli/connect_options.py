"""The options of the connections: --serve, metrics, MQTT and actions."""

from collections.abc import Callable
from typing import Any

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# fmt: off
CONNECT_OPTIONS: list[Decorator] = [
]
# fmt: on

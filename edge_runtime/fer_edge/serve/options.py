"""The options of the connections; imports nothing heavy, since every start of the command reads them."""

from pathlib import Path
from typing import NamedTuple


class ConnectOptions(NamedTuple):
    """What follows a run beside its outputs; the default is nothing.

    Each option of the command line has a field of the same name here.

    serve: host and port of the dashboard and REST. serve_token: a file with the token that clients must know.
    serve_host: further names under which the server is reached.
    """

    metrics_file: Path | None = None
    serve: tuple[str, int] | None = None
    serve_token: Path | None = None
    serve_host: tuple[str, ...] = ()
    mqtt: str | None = None
    mqtt_user: str | None = None
    mqtt_password_file: Path | None = None
    mqtt_ca: Path | None = None
    mqtt_id: str | None = None
    on_change: str | None = None
    webhook: str | None = None
    webhook_header_file: Path | None = None

    @property
    def given(self) -> bool:
        """True if any connection is asked for."""
        return any(getattr(self, name) != default for name, default in self._field_defaults.items())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # an address may hold a secret

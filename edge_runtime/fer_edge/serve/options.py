"""The options of the connections; imports nothing heavy, since every start of the command reads them."""

from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ConnectOptions:
    """What follows a run beside its outputs; the default is nothing.

    Each option of the command line has a field of the same name here.
    """

    metrics_file: Path | None = None

    @property
    def given(self) -> bool:
        """True if any connection is asked for."""
        return any(getattr(self, field.name) != field.default for field in fields(self))

"""The small TOML file in which `fer-edge tune` keeps what is best on this machine."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from fer_edge.errors import FerError, OutputError
from fer_edge.files import atomic_write

VARIABLE = "FER_EDGE_DEFAULTS"
OPTIONS: dict[str, Callable[[object], bool]] = {
    "precision": lambda value: value in ("int8", "fp32"),
    "threads": lambda value: type(value) is int and 1 <= value <= 64,
    "detect_size": lambda value: type(value) is int and 64 <= value <= 8192,
}
"""Name and whether a value will do, as fer-edge's options have it."""


def defaults_file() -> Path | None:
    """$FER_EDGE_DEFAULTS (empty: nowhere), else fer-edge/defaults.toml in the user's configuration folder, if any."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:  # an account without a home folder
        return None
    return home / "fer-edge" / "defaults.toml"


def load_defaults() -> dict[str, str | int]:
    """The kept options by name; {} if there are none. FerError if the file is not what tune writes."""
    path = defaults_file()
    # A service may not look into a home folder: then nothing is kept there for it.
    if path is None or not os.path.isfile(path):  # noqa: PTH113 - Path.is_file would raise
        return {}
    import tomllib  # most machines have no such file

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FerError(
            f"{path} can't be read as defaults ({error}): delete it, then run fer-edge tune again"
        ) from error
    for name, value in values.items():
        if name not in OPTIONS or not OPTIONS[name](value):
            wrong = f"{name} = {value!r}"[:60]
            raise FerError(f"{path} has the setting {wrong}, which is none: delete it, then run fer-edge tune again")
    return values


def save_defaults(values: Mapping[str, str | int], path: Path, comment: str) -> None:
    """Write `values` to `path`, whole, with `comment` on top; OutputError if it can't be written."""
    lines = [f"# {comment}"]
    for name, value in values.items():
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} can't be made a folder: {error.strerror}") from error
    with atomic_write(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")

"""The small TOML file in which `fer-edge tune` keeps what is best on this machine."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from fer_edge.errors import FerError
from fer_edge.files import written_beside

VARIABLE = "FER_EDGE_DEFAULTS"
OPTIONS = ("precision", "threads", "detect_size")


def defaults_file() -> Path | None:
    """$FER_EDGE_DEFAULTS (empty: nowhere), else fer-edge/defaults.toml in the user's configuration folder."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "fer-edge" / "defaults.toml"


def load_defaults() -> dict[str, str | int]:
    """The kept options by name; {} if there are none. FerError if the file is not what tune writes."""
    path = defaults_file()
    if path is None or not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FerError(
            f"{path} can't be read as defaults ({error}): delete it, then run fer-edge tune again"
        ) from error
    unknown = sorted(set(values) - set(OPTIONS))
    if unknown:
        raise FerError(f"{path} has the unknown setting {unknown[0]!r}: delete it, then run fer-edge tune again")
    return values


def save_defaults(values: Mapping[str, str | int], path: Path, comment: str) -> None:
    """Write `values` to `path`, whole, with `comment` on top; OutputError if it can't be written."""
    lines = [f"# {comment}"]
    for name, value in values.items():
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")

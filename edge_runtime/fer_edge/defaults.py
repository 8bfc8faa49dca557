"""The small TOML file in which `fer-edge tune` saves the best settings for this machine.

The command uses them as defaults of its options. The Python API uses them if asked: see `recognizer_settings`.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fer_edge.errors import FerError, OutputError
from fer_edge.files import atomic_write

VARIABLE = "FER_EDGE_DEFAULTS"
PRECISIONS = ("int8", "fp32")
THREADS = (1, 64)  # the allowed range
DETECT_SIZE_PX = (64, 8192)
# Defaults of options that the command line and the layers below it share.
DEFAULT_GIVE_UP_S = 600.0
DEFAULT_KEEP_OUTPUT = 10


def _is_int_within(bounds: tuple[int, int]) -> Callable[[object], bool]:
    return lambda value: type(value) is int and bounds[0] <= value <= bounds[1]


SETTINGS: dict[str, Callable[[object], bool]] = {
    "precision": lambda value: value in PRECISIONS,
    "threads": _is_int_within(THREADS),
    "detect_size": _is_int_within(DETECT_SIZE_PX),
}
"""Each setting that the file may hold, an option's name with underscores, and a check of its value."""


def defaults_file() -> Path | None:
    """$FER_EDGE_DEFAULTS (empty: no file), else fer-edge/defaults.toml in the user's configuration folder, if any."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    try:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError:  # an account without a home folder
        return None
    return home / "fer-edge" / "defaults.toml"


def load_defaults() -> dict[str, str | int]:
    """The saved settings by name; {} if there is no file. FerError if the file is not one that `tune` wrote."""
    path = defaults_file()
    # A service may not look into a home folder: then it has no saved settings.
    if path is None or not os.path.isfile(path):  # noqa: PTH113 - Path.is_file would raise
        return {}
    import tomllib  # most machines have no such file

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FerError(
            f"{path} is not a readable TOML file ({error}): delete it, then run fer-edge tune again"
        ) from error
    for name, value in values.items():
        if name not in SETTINGS or not SETTINGS[name](value):
            wrong = f"{name} = {value!r}"[:60]
            raise FerError(f"{path} has an invalid setting, {wrong}: delete it, then run fer-edge tune again")
    return values


def recognizer_settings() -> dict[str, Any]:
    """The saved settings as arguments of EmotionRecognizer: precision, threads, detect_size_px; {} if nothing is saved.

    FerError if the file is not one that `tune` wrote.

    >>> from fer_edge import EmotionRecognizer
    >>> recognizer = EmotionRecognizer(**recognizer_settings())
    """
    return {"detect_size_px" if name == "detect_size" else name: value for name, value in load_defaults().items()}


def save_defaults(values: Mapping[str, str | int], path: Path, comment: str) -> None:
    """Write `values` to `path`, below the line `comment`; OutputError if it can't be written."""
    lines = [f"# {comment}"]
    for name, value in values.items():
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} can't be created: {error.strerror}") from error
    with atomic_write(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")

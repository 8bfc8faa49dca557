"""Data sets from Kaggle, fetched by kagglehub and kept in its cache."""

import re
import textwrap
from pathlib import Path

from fer_edge.console import extra_required
from fer_edge.errors import DataError

PREFIX = "kaggle:"
HANDLE = re.compile(r"[\w.-]+(/[\w.-]+)?(/versions/\d+)?")
MAX_REASON_SHOWN = 160


def is_handle(path: Path) -> bool:
    """Whether `path` is kaggle:OWNER/NAME, a data set, or kaggle:NAME, a competition."""
    return str(path).startswith(PREFIX)


def fetch(path: Path) -> Path:
    """The folder or file that holds what `path`, a handle, names; downloaded unless it has been before.

    Raises MissingExtraError without kagglehub, DataError if there is no such thing or no way to it.
    """
    handle = str(path).removeprefix(PREFIX)
    if not HANDLE.fullmatch(handle):
        raise DataError(f"{path} is not kaggle:OWNER/NAME, a data set, nor kaggle:NAME, a competition")
    with extra_required(f"--data {PREFIX}", "kaggle"):
        import kagglehub

    try:
        folder = kagglehub.dataset_download(handle) if "/" in handle else kagglehub.competition_download(handle)
    except Exception as error:  # kagglehub's and requests' errors share no other base
        reason = textwrap.shorten(str(error), MAX_REASON_SHOWN, placeholder=" ...") or type(error).__name__
        raise DataError(
            f"{path} can't be downloaded ({reason}): is this machine online, the name right, and for a competition "
            "a Kaggle token set? Or download it in a browser and name the file"
        ) from error
    return Path(folder)

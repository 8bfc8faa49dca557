"""Download data sets from Kaggle with kagglehub, which keeps them in its cache."""

import re
import textwrap
from pathlib import Path

from fer_edge.console import extra_required
from fer_edge.errors import DataError

PREFIX = "kaggle:"
HANDLE = re.compile(r"[\w.-]+(/[\w.-]+)?(/versions/\d+)?")
MAX_REASON_SHOWN = 160  # characters


def is_kaggle(path: Path) -> bool:
    """Whether `path` is kaggle:OWNER/NAME, a data set, or kaggle:NAME, a competition."""
    return str(path).startswith(PREFIX)


def download(path: Path) -> Path:
    """Return the local folder or file of a kaggle: path, downloaded unless it is in kagglehub's cache.

    Raises MissingExtraError without kagglehub, and DataError if the name is wrong or can't be reached.
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
            f"{path} can't be downloaded ({reason}): check the connection, the name and, for a competition, "
            "the Kaggle token; or download it in a browser and name the file"
        ) from error
    return Path(folder)

"""Check and prepare the folder that --out names, before anything slow happens."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from fer_edge.console import hold_output
from fer_edge.errors import OutputError
from fer_edge.files import check_writable


def check_folder(out: Path, results: Sequence[str], resume: bool, overwrite: bool) -> None:
    """Raise OutputError if a run's `results` can't be written to `out`, or would replace others without `overwrite`.

    With `resume`, earlier results are what the run continues.
    """
    check_is_folder(out)
    present = [name for name in results if (out / name).exists()]
    if present and not resume and not overwrite:
        raise OutputError(
            f"{out} already holds {present[0]}: pass --resume to continue, --overwrite to replace it, "
            "or name another --out"
        )
    check_can_write(out)
    hold_output(out)


def check_can_write(out: Path) -> None:
    """Raise OutputError if nothing can be written to the folder `out`, or to the folder that it will be made in."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror}") from error


def clear_folder(out: Path, results: Sequence[str]) -> None:
    """Create `out` and delete an earlier run's `results`, so that none of them is taken for one of this run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        hold_output(out)
        for name in results:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror}") from error


def create_folder(out: Path, results: Sequence[str] = (), overwrite: bool = False) -> None:
    """Create `out`; raise OutputError if that fails or one of `results` exists there and `overwrite` is false.

    A folder that the command leaves empty, because its other arguments are at fault, is removed again.
    """
    check_is_folder(out)
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    if (context := click.get_current_context(silent=True)) is not None:
        context.find_root().call_on_close(lambda: _remove_empty(new))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be created: {error.strerror}") from error
    hold_output(out)
    for name in results:
        check_writable(out / name, overwrite)


def _remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def check_is_folder(out: Path) -> None:
    """Raise OutputError if `out` is a file."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")

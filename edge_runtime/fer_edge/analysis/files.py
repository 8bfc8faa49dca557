"""Find and open the result files that `--json` and `--csv` wrote: rotated pieces in order, gzip by content."""

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from fer_edge.errors import DataError

SUFFIXES = (".jsonl", ".json", ".ndjson", ".csv")
REPORT_ENDINGS = (".report.json", "-report.json", "_report.json")  # runs' reports beside their results
GZIP_MAGIC = b"\x1f\x8b"
PIECE = re.compile(r"^(.*)-(\d{6,})$")  # faces-000001.jsonl: an older piece of faces.jsonl
NEWEST = 1 << 62  # the piece without a number comes last
OpenedFile = gzip.GzipFile | io.BufferedReader
MAX_LINE_BYTES = 8_000_000  # a frame of 10,000 faces takes half of it


def result_files(paths: Iterable[Path | str]) -> list[Path]:
    """The result files that `paths` name, in the order in which they were written.

    A folder stands for the result files in it. Pieces of a rotated output (faces-000001.jsonl, faces-000002.jsonl,
    faces.jsonl) are sorted by number, the one without a number last; other files keep the order of `paths`.

    Raises DataError if a path does not exist, or a folder holds no result file.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = _results_in(path)
            if not inside:
                raise DataError(f"{path} holds no results of fer-edge ({', '.join(SUFFIXES)}): name the files")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path} does not exist: name the file that --json or --csv wrote")
    if not found:
        raise DataError("no results to read: name the files that --json or --csv wrote")
    unique = list(dict.fromkeys(found))
    first_of: dict[tuple[Path, str, str], int] = {}
    for index, path in enumerate(unique):
        first_of.setdefault(series_of(path), index)
    return sorted(unique, key=lambda path: (first_of[series_of(path)], _series(path)[1]))


def _results_in(folder: Path) -> list[Path]:
    """The result files in a folder; of a run that wrote both, its JSON lines."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    found = [path for path in files if _bare_name(path)[1] in SUFFIXES and not path.name.endswith(REPORT_ENDINGS)]
    stems = {_bare_name(path)[0] for path in found if _bare_name(path)[1] != ".csv"}
    return sorted(path for path in found if _bare_name(path)[1] != ".csv" or _bare_name(path)[0] not in stems)


def twins(files: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Pairs of a CSV and JSON lines of one name, which may be of one run and then count twice."""
    lines: dict[tuple[Path, str], Path] = {}
    tables: dict[tuple[Path, str], Path] = {}
    for path in files:
        stem, suffix = _bare_name(path)
        (tables if suffix == ".csv" else lines)[path.parent, stem] = path
    return [(lines[key], tables[key]) for key in lines if key in tables]


def series_of(path: Path) -> tuple[Path, str, str]:
    """What all pieces of one rotated output have in common: folder, name without the piece's number, suffix."""
    return _series(path)[0]


def pieces_left_out(files: Iterable[Path]) -> list[Path]:
    """Older pieces that lie beside the newest piece of a rotated output, but are not among `files`."""
    given = {path.resolve() for path in files}
    left = []
    for path in given:
        series, number = _series(path)
        if number == NEWEST and path.parent.is_dir():
            beside = (entry for entry in path.parent.iterdir() if entry not in given and entry.is_file())
            left += [entry for entry in beside if _series(entry)[0] == series and _series(entry)[1] != NEWEST]
    return sorted(left)


def _series(path: Path) -> tuple[tuple[Path, str, str], int]:
    """Which rotated output a file is a piece of, and its number in it."""
    stem, suffix = _bare_name(path)
    match = PIECE.match(stem)
    if match is None:
        return (path.parent, stem, suffix), NEWEST
    return (path.parent, match[1], suffix), int(match[2])


def _bare_name(path: Path) -> tuple[str, str]:
    """The stem and the lower-case suffix of a file's name, without a .gz behind them."""
    bare = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return bare.stem, bare.suffix.lower()


def open_results(path: Path) -> OpenedFile:
    """Open a result file, also one that gzip has packed, for reading bytes; DataError if that can't be done."""
    try:
        if not path.is_file():
            raise DataError(f"{path} is not a file: name the file that --json or --csv wrote")
        with path.open("rb") as start:
            packed = start.read(2) == GZIP_MAGIC
        return gzip.open(path, "rb") if packed else path.open("rb")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from error


def lines_of(path: Path, file: OpenedFile) -> Iterator[tuple[int, bytes, bool]]:
    """Number (from 1), content and completeness of every line that is not blank.

    Incomplete is a last line without a line feed, and whatever a cut gzip file ends with.
    Raises DataError if a line is longer than any that fer-edge writes, or the file can't be read.
    """
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(MAX_LINE_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            yield number, b"", False
            return
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror or error}") from error
        if not line:
            return
        if len(line) == MAX_LINE_BYTES:
            raise DataError(f"{path}, line {number} is longer than any that fer-edge writes: this is another file")
        if line.strip():
            yield number, line, line.endswith(b"\n")

"""Parse one result file, JSON lines or CSV, into blocks of plain columns."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.analysis.files import lines_of, open_results
from fer_edge.errors import DataError
from fer_edge.guards.text import label_fault, printable, text_of_cell
from fer_edge.privacy.intervals import FIRST_KEY
from fer_edge.results import JSON_SCHEMA

BLOCK_ROWS = 20_000
CSV_COLUMNS = ("frame", "t", "id", "x", "y", "w", "h", "score", "emotion", "confidence")
PIXEL_CSV_COLUMNS = ("row", "emotion", "confidence")  # from a CSV of face pixels, and from fer-train predict
CSV_EXTRA_COLUMNS = ("unsure", "time", "file")
MAX_NUMBER = 1e15  # no frame number or pixel of a run is larger
MAX_T_S = 1e9  # 31 years: a time axis needs an end
RESERVED_LABEL = "unsure"  # the class of the faces whose emotion is unsure
HINT = "give a file that fer-edge --json or --csv wrote"
FACE_FIELDS = ("frame_row", "id", "x", "y", "w", "h", "score", "emotion", "confidence", "unsure")
FRAME_FIELDS = ("frame", "t", "time", "file")


@dataclass
class Block:
    """Some frames of a file and their faces, as lists of equal length.

    frames: a list per name of FRAME_FIELDS. faces: a list per name of FACE_FIELDS; `frame_row` is the frame's place in
    this block. probabilities: a list of rows, in the order of `labels`.
    """

    labels: tuple[str, ...] = ()
    frames: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in FRAME_FIELDS})
    faces: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in FACE_FIELDS})
    probabilities: list[list[float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frames["frame"]) + len(self.probabilities)


@dataclass
class FileNotes:
    """What one file lacks.

    bad_lines: numbers of the lines that are not results. cut: its last line is incomplete. results: it holds some.
    bad_times: how many of its frames have a time of day that is none.
    """

    path: Path
    is_csv: bool = False
    bad_lines: list[int] = field(default_factory=list)
    cut: bool = False
    results: bool = False
    empty: bool = False
    bad_times: int = 0


def blocks_of(path: Path, notes: FileNotes) -> Iterator[Block]:
    """The results in `path`, in blocks of about BLOCK_ROWS rows; `notes` is filled while they are read.

    Raises DataError for a file of another program, of another schema, or with several sets of labels.
    """
    with open_results(path) as file:
        lines = lines_of(path, file)
        first = next(lines, None)
        if first is None or not first[1].strip():  # a gzip file that was cut in its head has a line without content
            notes.cut = first is not None
            return
        started = _chain(first, lines)
        if first[1].lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
            yield from _json_blocks(path, started, notes)
        else:
            notes.is_csv = True
            yield from _csv_blocks(path, started, notes)


Line = tuple[int, bytes, bool]


def _chain(first: Line, rest: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from rest


def _json_blocks(path: Path, lines: Iterator[Line], notes: FileNotes) -> Iterator[Block]:
    labels: tuple[str, ...] = ()
    block, good = Block(), 0
    for number, line, complete in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            if number == 1 and line.strip() == b"{":  # indented JSON, as reports have
                raise DataError(f"{path} is not a list of results: {HINT}; a file of --report goes to --run-report")
            _note_bad(notes, number, complete)
            continue
        labels = _check_schema(path, number, value, labels)
        if not _add_frame(block, value, labels):
            _note_bad(notes, number, complete)
            continue
        good += 1
        block.labels = labels
        if len(block) >= BLOCK_ROWS:
            yield block
            block = Block(labels)
    if notes.bad_lines and not good:
        raise DataError(f"{path}, line {notes.bad_lines[0]} is not a result of fer-edge: {HINT}")
    if len(block):
        yield block


def _note_bad(notes: FileNotes, number: int, complete: bool) -> None:
    if complete:
        notes.bad_lines.append(number)
    else:
        notes.cut = True  # the process or the machine stopped while it wrote this line


def _check_schema(path: Path, number: int, value: dict[str, Any], labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of the file so far, `value` included; DataError for a line of another program or label set."""
    if FIRST_KEY in value:
        raise DataError(f"{path} holds counts per interval (fer-edge --aggregate) and no single faces: {HINT}")
    if "schema" not in value or "faces" not in value:
        raise DataError(f"{path}, line {number} is not a result of fer-edge: {HINT}")
    if value["schema"] != JSON_SCHEMA:
        raise DataError(
            f"{path}, line {number} has schema {value['schema']!r}, but this fer-edge reads {JSON_SCHEMA}: update it"
        )
    faces = value["faces"]
    if not isinstance(faces, list) or not faces or not isinstance(faces[0], dict):
        return labels
    found = faces[0].get("probabilities")
    if not isinstance(found, dict) or tuple(found) == labels:
        return labels
    if not labels:
        _check_labels(f"{path}, line {number}", tuple(found))
        return tuple(found)
    if set(found) != set(labels):
        raise other_labels(f"{path}, line {number}", tuple(found), labels)
    return labels


def _check_labels(where: str, labels: tuple[str, ...]) -> None:
    for label in labels:
        if label == RESERVED_LABEL:
            raise DataError(f"{where} has the label {label!r}, which stands for uncertain faces here: {HINT}")
        if (fault := label_fault(label)) is not None:
            raise DataError(f"{where} has the label {printable(label)!r}, but {fault}: {HINT}")


def other_labels(where: str, found: tuple[str, ...], known: tuple[str, ...]) -> DataError:
    """The error for results whose labels are not those of the results before them."""
    return DataError(
        f"{where} has the labels {', '.join(found)}, but the results before it have {', '.join(known)}: "
        "analyze results of different networks one at a time"
    )


def _add_frame(block: Block, value: dict[str, Any], labels: tuple[str, ...]) -> bool:
    """Append one JSON line to `block`; False, and nothing appended, if a value is missing or of the wrong type."""
    try:
        frame = (_whole(value["frame"]), _seconds(value["t"]), _text(value.get("time")), _text(value.get("file")))
        rows, probabilities = [], []
        for face in value["faces"]:
            x, y, width, height = map(_finite, face["box"])
            score, confidence, identity = _finite(face["score"]), _finite(face["confidence"]), face.get("id")
            identity = -1 if identity is None else _whole(identity)
            shown, unsure = str(face["emotion"]), bool(face.get("unsure", False))
            rows.append((identity, x, y, width, height, score, shown, confidence, unsure))
            found = face["probabilities"]
            if len(found) != len(labels) or shown not in found:
                return False
            probabilities.append([_finite(found[label]) for label in labels])
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    _append(block, frame, rows, probabilities)
    return True


def _append(
    block: Block, frame: tuple[Any, ...], rows: list[tuple[Any, ...]], probabilities: list[list[float]]
) -> None:
    place = len(block.frames["frame"])
    for name, item in zip(FRAME_FIELDS, frame, strict=True):
        block.frames[name].append(item)
    faces = block.faces
    for row in rows:
        faces["frame_row"].append(place)
        for name, item in zip(FACE_FIELDS[1:], row, strict=True):
            faces[name].append(item)
    block.probabilities += probabilities


def _csv_blocks(path: Path, lines: Iterator[Line], notes: FileNotes) -> Iterator[Block]:
    _, line, _ = next(lines)
    header = _cells(line.removeprefix(b"\xef\xbb\xbf"))
    labels, is_pixels = _csv_labels(path, header)
    columns = {name: header.index(name) for name in header}
    block, last, good = Block(labels), None, 0
    for number, line, complete in lines:
        cells = _cells(line)
        if cells == header:  # every piece of a rotated output, and every appended run, starts with it
            last = None
            continue
        try:
            if len(cells) != len(header):
                raise ValueError
            frame, row, probabilities = _csv_row(cells, columns, labels, is_pixels)
        except (ValueError, OverflowError):
            _note_bad(notes, number, complete)
            continue
        good += 1
        if frame != last:
            if len(block) >= BLOCK_ROWS:
                yield block
                block = Block(labels)
            _append(block, frame, [], [])
            last = frame
        place = len(block.frames["frame"]) - 1
        block.faces["frame_row"].append(place)
        for name, item in zip(FACE_FIELDS[1:], row, strict=True):
            block.faces[name].append(item)
        block.probabilities.append(probabilities)
    if notes.bad_lines and not good:
        raise DataError(f"{path}, line {notes.bad_lines[0]} is not a row of fer-edge: {HINT}")
    if len(block):
        yield block


def _cells(line: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(line.decode("utf-8", errors="surrogateescape").rstrip("\r\n"))), [])


def _csv_labels(path: Path, header: list[str]) -> tuple[tuple[str, ...], bool]:
    """The labels in the header of a CSV, and whether it is one of face pixels; DataError for another program's."""
    for known, is_pixels in ((CSV_COLUMNS, False), (PIXEL_CSV_COLUMNS, True)):
        if tuple(header[: len(known)]) == known:
            labels = header[len(known) :]
            while labels and labels[-1] in CSV_EXTRA_COLUMNS:
                labels.pop()
            if labels and len(set(header)) == len(header):
                names = tuple(map(text_of_cell, labels))
                _check_labels(str(path), names)
                return names, is_pixels
    missing = [name for name in CSV_COLUMNS if name not in header]
    if len(missing) == len(CSV_COLUMNS) and not _is_header(header):
        raise DataError(f"{path} holds neither JSON lines nor a CSV of fer-edge: {HINT}")
    if missing:
        lacks = f"it lacks the columns {', '.join(missing)}"
    elif len(set(header)) < len(header):
        lacks = "it has a column twice"
    elif len(header) == len(CSV_COLUMNS):
        lacks = "it lacks the columns of the emotions"
    else:
        lacks = "its columns are in another order"
    raise DataError(f"{path} is not a CSV of fer-edge, {lacks}: {HINT}")


def _is_header(cells: list[str]) -> bool:
    """Whether a first line may be the header of a CSV from elsewhere: several printable words."""
    return len(cells) > 1 and all(cell.isprintable() and not set(cell) & set("[]{}") for cell in cells)


def _csv_row(
    cells: list[str], columns: dict[str, int], labels: tuple[str, ...], is_pixels: bool
) -> tuple[tuple[Any, ...], tuple[Any, ...], list[float]]:
    def number(name: str) -> float:
        return _finite(cells[columns[name]])

    def text(name: str) -> str | None:
        return text_of_cell(cells[columns[name]]) or None if name in columns else None

    first = len(PIXEL_CSV_COLUMNS if is_pixels else CSV_COLUMNS)
    probabilities = [_finite(cell) for cell in cells[first : first + len(labels)]]
    shown, confidence = text("emotion") or "", number("confidence")
    if shown not in labels:
        raise ValueError
    if is_pixels:
        row = (-1, 0.0, 0.0, 0.0, 0.0, 0.0, shown, confidence, False)
        return (_whole(cells[columns["row"]]) - 1, 0.0, None, text("file") or "faces"), row, probabilities
    identity = _whole(cells[columns["id"]]) if cells[columns["id"]] else -1
    box = (number("x"), number("y"), number("w"), number("h"))
    unsure = "unsure" in columns and cells[columns["unsure"]] not in ("0", "")
    row = (identity, *box, number("score"), shown, confidence, unsure)
    return (
        (_whole(cells[columns["frame"]]), _seconds(cells[columns["t"]]), text("time"), text("file")),
        row,
        probabilities,
    )


def _finite(value: Any) -> float:
    """A number; ValueError for NaN, infinity and what no run can reach."""
    number = float(value)
    if not abs(number) < MAX_NUMBER:
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    number = _finite(value)
    if abs(number) > MAX_T_S:
        raise ValueError
    return number


def _whole(value: Any) -> int:
    number = int(value)
    if not abs(number) < MAX_NUMBER:
        raise ValueError
    return number


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return None if value is None else printable(value)

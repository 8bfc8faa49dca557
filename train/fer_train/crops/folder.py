"""The folder that cut faces are written to: a folder per label, faces.csv and contact sheets."""

import contextlib
import csv
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from fer_edge.console import hold_output
from fer_edge.errors import OutputError
from fer_edge.files import atomic_write
from fer_edge.framing import Image
from fer_edge.guards.text import text_cell, text_of_cell
from fer_edge.opencv import cv2
from fer_train.crops.cutting import Cut
from fer_train.crops.names import UniqueNames, safe_name
from fer_train.crops.people import keep_aside
from fer_train.crops.sheet import FACES_PER_SHEET, draw_sheet, thumbnail
from fer_train.data.folders import CONTACT_SHEET, UNSORTED
from fer_train.data.folders import FACES_TABLE as TABLE
from fer_train.result_folder import check_can_write, check_is_folder

SHEETS = CONTACT_SHEET + "{:03}.png"
COLUMNS = ("number", "file", "source", "t", "track", "person", "x", "y", "w", "h", "score", "emotion")
TRAIN, TEST = "train", "test"
NO_PIXELS: Image = np.empty((0, 0), np.uint8)  # a slice of a face would keep all of it in memory


@dataclass(frozen=True)
class Row:
    """A written face: its file in the folder, its label or "", and what was cut. Its pixels are on the disk only."""

    file: PurePosixPath
    emotion: str
    person: str
    cut: Cut


class FacesFolder:
    """A new folder of faces. `add` writes a face at once; `finish` writes the last sheet and faces.csv.

    faces.csv is there from the first face on, and follows with each sheet: a folder is known as one of faces whatever
    ends the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self._taken: set[str] = set()
        self._stems: dict[str, str] = {}  # by a person who was named: how the names of their faces' files begin
        self._unique_stems = UniqueNames()
        self._sheet: list[tuple[str, Image]] = []
        self._sheets = 0

    def add(self, cut: Cut, emotion: str = "", person: str = "") -> None:
        """Write a face to the folder of its `emotion`, or to unsorted/. OutputError if that fails."""
        name = f"{self._stem(person)}_{len(self.rows) + 1:05}" if person else cut.name
        file = PurePosixPath(emotion or UNSORTED) / f"{self._free(name)}.png"
        self._write(file, cut.pixels)
        hold_output(self.path)
        self.rows.append(Row(file, emotion, person or cut.person, replace(cut, pixels=NO_PIXELS)))
        self._sheet.append((str(len(self.rows)), thumbnail(cut.pixels)))
        if len(self._sheet) == FACES_PER_SHEET:
            self._write_sheet()
            self._write_table()
        elif len(self.rows) == 1:
            self._write_table()

    def keep_aside(self, classes: tuple[str, ...], share: float, seed: int) -> None:
        """Move the faces to train/ and test/, a person's all to one of them. DataError if that is impossible."""
        labels = [classes.index(row.emotion) for row in self.rows]
        aside = keep_aside([row.person for row in self.rows], labels, share, seed)
        moved = []
        for row in self.rows:
            file = PurePosixPath(TEST if row.person in aside else TRAIN) / row.file
            self._move(row.file, file)
            moved.append(replace(row, file=file))
        self.rows = moved
        for name in classes:
            with contextlib.suppress(OSError):
                (self.path / name).rmdir()

    def finish(self) -> None:
        """Write the last sheet and faces.csv."""
        if self._sheet:
            self._write_sheet()
        self._write_table()

    def _write_table(self) -> None:
        with atomic_write(self.path / TABLE) as part, part.open("w", newline="", encoding="utf-8") as text:
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            for number, row in enumerate(self.rows, 1):
                cut = row.cut
                t = "" if cut.t is None else f"{cut.t:.3f}"
                box = [f"{value:.1f}" for value in cut.box]
                track = "" if cut.track is None else cut.track
                file, source, person, emotion = map(text_cell, (str(row.file), cut.source, row.person, row.emotion))
                writer.writerow([number, file, source, t, track, person, *box, f"{cut.score:.3f}", emotion])

    def _stem(self, person: str) -> str:
        """A start of file names that no other person has, though a file's name can't have all of a person's name."""
        if person not in self._stems:
            self._stems[person] = self._unique_stems.unique(safe_name(person))
        return self._stems[person]

    def _free(self, name: str) -> str:
        """`name`, or `name` with a number if another face has it."""
        free, number = name, 1
        while free.casefold() in self._taken:
            number += 1
            free = f"{name}-{number}"
        self._taken.add(free.casefold())
        return free

    def _write_sheet(self) -> None:
        self._sheets += 1
        self._write(PurePosixPath(SHEETS.format(self._sheets)), draw_sheet(self._sheet))
        self._sheet = []

    def _write(self, file: PurePosixPath, image: Image) -> None:
        path = self.path / file
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        except OSError as error:
            with contextlib.suppress(OSError):  # an image that is half written is of no use
                path.unlink(missing_ok=True)
            raise OutputError(f"{path} can't be written: {error.strerror}") from error

    def _move(self, file: PurePosixPath, to: PurePosixPath) -> None:
        try:
            (self.path / to).parent.mkdir(parents=True, exist_ok=True)
            (self.path / file).rename(self.path / to)
        except OSError as error:
            raise OutputError(f"{self.path / file} can't be moved to {to}: {error.strerror}") from error


def is_faces_folder(path: Path) -> bool:
    """Whether a folder holds faces that were cut earlier."""
    return (path / TABLE).is_file() and (path / SHEETS.format(1)).is_file()


def check_new(path: Path, overwrite: bool) -> None:
    """Lock `path`. OutputError unless it is new or empty, or holds an earlier run's faces and `overwrite` is true."""
    check_is_folder(path)
    check_can_write(path)
    hold_output(path)
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / TABLE).is_file():
        raise OutputError(f"{path} holds other files: name a new folder")
    if not overwrite:
        raise OutputError(f"{path} already holds faces: name another --out, or pass --overwrite to cut them again")
    _listed(path)


def _listed(path: Path) -> list[str]:
    """The files that faces.csv of the folder `path` lists. OutputError if it can't be read."""
    try:
        with (path / TABLE).open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.DictReader(lines)
            if "file" not in (rows.fieldnames or ()):
                raise KeyError("file")  # also of a table without rows
            return [text_of_cell(row["file"] or "") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not as fer-train faces wrote it"
        raise OutputError(f"{path / TABLE} can't be read: {reason}; name another --out") from error


def remove_earlier(path: Path) -> None:
    """Delete an earlier run's faces, as its faces.csv lists them, and its sheets. Faces moved elsewhere stay."""
    files = _listed(path)
    try:
        for name in files:
            file = PurePosixPath(name)
            if name and not file.is_absolute() and ".." not in file.parts:
                (path / file).unlink(missing_ok=True)
        for sheet in path.glob(f"{CONTACT_SHEET}*.png"):
            sheet.unlink()
        (path / TABLE).unlink()
        folders = {parent for name in files for parent in PurePosixPath(name).parents if parent.parts}
        for folder in sorted(folders, key=lambda each: -len(each.parts)):
            with contextlib.suppress(OSError):  # a folder with other files stays
                (path / folder).rmdir()
    except OSError as error:
        raise OutputError(f"{path} can't be cleared: {error.strerror}") from error

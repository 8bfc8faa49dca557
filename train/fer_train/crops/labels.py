"""A CSV that says which emotion a file, or a face, shows, and who it is."""

import csv
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_edge.errors import DataError
from fer_train.crops.cutting import Cut
from fer_train.crops.names import UNSAFE
from fer_train.data.classes import ordered_classes
from fer_train.data.folders import can_be_class

KEYS = ("file", "name")
DELIMITERS = ",;\t"  # spreadsheets write the second where the comma is for decimals
EMOTION, PERSON = "emotion", "person"


@dataclass(frozen=True)
class Label:
    """What a row says: an emotion, and a person or ""."""

    emotion: str
    person: str


class Labels:
    """Labels by file or face; `of` finds a face's. classes: the emotions, FER2013's first.

    A row names a file with or without folders and suffix. The row with the longest matching path gives the label, or
    else one with the same bare name, in any folder. placed: rows that only label the file at their path.
    """

    def __init__(
        self, rows: Mapping[str, Label], classes: tuple[str, ...], placed: Collection[str] = frozenset()
    ) -> None:
        self.classes = classes
        self._rows = {_posix(key): label for key, label in rows.items()}
        self._paths: dict[str, Label | None] = {}  # without suffix; None where rows differ
        self._names: dict[str, Label | None] = {}
        for key, label in self._rows.items():
            if key not in placed:
                path = _plain(key)
                for known, name in ((self._paths, path), (self._names, PurePosixPath(path).name)):
                    known[name] = None if known.get(name, label) != label else label

    def __len__(self) -> int:
        return len(self._rows)

    def for_sources(self, sources: Iterable[str]) -> "Labels":
        """The same labels for `sources`: a row that is the path of one of them labels no other file of that name."""
        placed = {tail for source in sources for tail in _tails(source) if tail in self._rows}
        return Labels(self._rows, self.classes, placed)

    def knows(self, name: str) -> bool:
        """Whether a row names the file `name`, with or without folder and suffix."""
        return self._find(name) is not None

    def of(self, cut: Cut) -> Label | None:
        """The label of a face: that of its own name, else that of its file, which holds for a photo's largest face."""
        return self._names.get(_plain(cut.name)) or (self._find(cut.source) if cut.is_main else None)

    def _find(self, name: str) -> Label | None:
        for tail in _tails(name):
            if found := self._rows.get(tail) or self._paths.get(_plain(tail)):
                return found
        return self._names.get(PurePosixPath(_plain(name)).name)


def _tails(name: str) -> list[str]:
    """The path of `name` with ever fewer of its folders: the whole one first, the bare name last."""
    whole = PurePosixPath(_posix(str(Path(name).absolute())))
    return [str(whole), *("/".join(whole.parts[start:]) for start in range(1, len(whole.parts)))]


def _posix(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def read_labels(file: Path) -> Labels:
    """Read a CSV with the columns file or name, emotion, and maybe person.

    Emotions get FER2013's spelling where they are its classes; empty cells are skipped. Raises DataError for a missing
    file or column, two labels for one file, an emotion that can't be a folder's name, and a table without labels.
    """
    found: dict[str, tuple[int, str, str]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            header = lines.readline()
            lines.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.DictReader(lines, skipinitialspace=True, delimiter=delimiter)
            columns = {(name or "").strip().casefold(): name for name in reader.fieldnames or ()}
            key = next((columns[name] for name in KEYS if name in columns), None)
            if key is None or EMOTION not in columns:
                raise DataError(
                    f"{file} has the columns {', '.join(columns) or '(none)'}: it needs file (or name) and emotion"
                )
            for row in reader:
                cells = {column: (row.get(name) or "").strip() for column, name in columns.items()}
                place, emotion = (row.get(key) or "").strip(), cells[EMOTION]
                if place and emotion:
                    _add(found, _posix(place), (reader.line_num, emotion, cells.get(PERSON, "")), file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not a CSV in UTF-8, {error}"
        raise DataError(f"{file} can't be read: {reason}") from error
    if not found:
        raise DataError(f"{file} holds no labels: give a row per file with file (or name) and emotion")
    spelled = ordered_classes(emotion for _, emotion, _ in found.values())
    rows = {place: Label(_class_of(emotion, spelled), person or "") for place, (_, emotion, person) in found.items()}
    return Labels(rows, tuple(spelled.values()))


def _add(found: dict[str, tuple[int, str, str]], place: str, row: tuple[int, str, str], file: Path) -> None:
    line, emotion, _person = row
    if set(emotion) & UNSAFE or emotion.startswith(".") or emotion.endswith(".") or not can_be_class(emotion):
        raise DataError(f"{file}, line {line}: the emotion {emotion!r} can't be the name of a class: rename it")
    earlier = found.setdefault(place, row)
    if earlier[1:] != row[1:]:
        raise DataError(f"{file}, line {line}: {place} is {emotion} here and {earlier[1]} in line {earlier[0]}")


def _class_of(emotion: str, spelled: dict[str, str]) -> str:
    return spelled[next(iter(ordered_classes([emotion])))]


def _plain(name: str) -> str:
    """A path with / and without the suffix of an image or video."""
    path = PurePosixPath(_posix(name))
    return str(path.with_suffix("")) if 3 <= len(path.suffix) <= 5 and not path.suffix[1:].isdigit() else str(path)

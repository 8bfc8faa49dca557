"""A CSV that says which emotion a file, or a face, shows, and who it is."""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_edge.errors import DataError
from fer_train.crops.cutting import Cut
from fer_train.data.classes import ordered_classes
from fer_train.data.folders import split_of

KEYS = ("file", "name")
EMOTION, PERSON = "emotion", "person"
UNSAFE = set('/\\:*?"<>|') | {chr(code) for code in range(32)}


@dataclass(frozen=True)
class Label:
    """What a row says: an emotion, and a person or ""."""

    emotion: str
    person: str


class Labels:
    """Labels by file or face; `of` finds a face's. classes: the emotions, FER2013's first."""

    def __init__(self, rows: dict[str, Label], classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._rows = {_plain(key): label for key, label in rows.items()}
        self._by_name: dict[str, Label | None] = {}
        for key, label in self._rows.items():
            name = PurePosixPath(key).name
            self._by_name[name] = None if self._by_name.get(name, label) != label else label

    def __len__(self) -> int:
        return len(self._rows)

    def knows(self, name: str) -> bool:
        """Whether a row names the file `name`, with or without folder and suffix."""
        return self._find(name) is not None

    def of(self, cut: Cut) -> Label | None:
        """The label of a face: that of its own name, else that of its file, which holds for a photo's largest face."""
        own = self._by_name.get(_plain(cut.name))
        return own or (self._find(cut.source) if cut.is_main else None)

    def _find(self, name: str) -> Label | None:
        parts = PurePosixPath(_plain(name)).parts
        for start in range(len(parts) - 1):  # the longest path that a row names
            found = self._rows.get("/".join(parts[start:]))
            if found:
                return found
        return self._by_name.get(parts[-1]) if parts else None


def read_labels(file: Path) -> Labels:
    """Read a CSV with the columns file or name, emotion, and maybe person.

    Emotions get FER2013's spelling where they are its classes; empty cells are skipped. Raises DataError for a missing
    file or column, two labels for one file, an emotion that can't be a folder's name, and a table without labels.
    """
    found: dict[str, tuple[int, str, str]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, skipinitialspace=True)
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
                    _add(found, place, (reader.line_num, emotion, cells.get(PERSON, "")), file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is no UTF-8 CSV, {error}"
        raise DataError(f"{file} can't be read: {reason}") from error
    if not found:
        raise DataError(f"{file} holds no labels: give a row per file with file (or name) and emotion")
    spelled = ordered_classes(emotion for _, emotion, _ in found.values())
    rows = {place: Label(_class_of(emotion, spelled), person or "") for place, (_, emotion, person) in found.items()}
    return Labels(rows, tuple(spelled.values()))


def _add(found: dict[str, tuple[int, str, str]], place: str, row: tuple[int, str, str], file: Path) -> None:
    line, emotion, _person = row
    if set(emotion) & UNSAFE or emotion.startswith(".") or emotion.endswith(".") or split_of(emotion):
        raise DataError(f"{file}, line {line}: the emotion {emotion!r} can't be a folder's name: rename it")
    earlier = found.setdefault(place, row)
    if earlier[1:] != row[1:]:
        raise DataError(f"{file}, line {line}: {place} is {emotion} here and {earlier[1]} in line {earlier[0]}")


def _class_of(emotion: str, spelled: dict[str, str]) -> str:
    return spelled[next(iter(ordered_classes([emotion])))]


def _plain(name: str) -> str:
    """A path with / and without the suffix of an image or video."""
    path = PurePosixPath(name.replace("\\", "/"))
    return str(path.with_suffix("")) if 3 <= len(path.suffix) <= 5 and not path.suffix[1:].isdigit() else str(path)

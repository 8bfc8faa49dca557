"""Read a data set in any form: recognise the form, read, put votes and classes on, and split."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_train.class_choice import ClassChoice
from fer_train.data.classes import mapping_of, relabel
from fer_train.data.containers import Container, is_table, opened
from fer_train.data.csv_faces import read_labeled, read_unlabeled
from fer_train.data.csv_table import CsvTable
from fer_train.data.faces import PUBLIC_TEST, TRAINING, FaceData, UnlabeledFaces
from fer_train.data.faults import Faults
from fer_train.data.ferplus import relabeled, with_votes
from fer_train.data.folders import ADVICE, read_folders
from fer_train.data.images import is_picture, read_pictures
from fer_train.data.kaggle import fetch, is_handle
from fer_train.data.splits import hold_out

FerplusLabels = Literal["distribution", "majority"]
HINT = "--data names a FER2013 CSV, with emotion, pixels and Usage, or a folder or archive of pictures or of that"
UNLABELED_HINT = "--data names a CSV with a column pixels, or a folder or archive of pictures"
# Of several tables in a folder the first of these is read, compressed or not: the one with the most in it.
LABELED_TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
UNLABELED_TABLES = ("test.csv", *LABELED_TABLES)


def load_faces(
    path: Path, ferplus: Path | None = None, *, ferplus_labels: FerplusLabels = "distribution",
    classes: ClassChoice | None = None, skip_bad: bool = False,
) -> FaceData:  # fmt: skip
    """Read a data set in whatever form it comes, ready for training or scoring.

    path: a CSV with the columns emotion, pixels and optionally Usage (any order and case, any spaces around them);
    pictures in folders named by class, these in folders named train, test and validation or alone; an archive
    (.zip, .tar, .tar.gz) or compressed file (.gz, .xz, .zip) of these; a folder with such a CSV; or
    kaggle:OWNER/NAME. Without any PublicTest row, every class gives a seeded 20 % of its Training rows to it.

    ferplus: fer2013new.csv, whose votes become `votes` ("distribution"), or replace the labels ("majority").
    classes: which classes to keep and merge. skip_bad: leave out rows and pictures that can't be read.

    Raises DataError with the place of what is not a face of a known class.
    """
    return finished(read_faces(path, ferplus, ferplus_labels=ferplus_labels, classes=classes, skip_bad=skip_bad))


def read_faces(
    path: Path, ferplus: Path | None = None, *, ferplus_labels: FerplusLabels = "distribution",
    classes: ClassChoice | None = None, skip_bad: bool = False,
) -> FaceData:  # fmt: skip
    """As load_faces, but with the source's own splits: usage is "" for all if it has none, and nothing is held out."""
    data, places = _read(path, skip_bad)
    if ferplus is not None:
        data = with_votes(data, places, ferplus)
    majority = ferplus is not None and ferplus_labels == "majority"
    if classes is not None:
        mapping = mapping_of(classes, data)
        if majority:  # a face's own class does not count: it may go where that is left out, and the other way round
            return relabeled(_renamed(data, tuple(classes), mapping))
        return _left_out(data, relabel(data, tuple(classes), mapping))
    return relabeled(data) if majority else data


def finished(data: FaceData) -> FaceData:
    """`data` with a usage for every face, and with PublicTest faces."""
    data = replace(data, usage=np.where(data.usage == "", TRAINING, data.usage))
    trainable = TRAINING in data.usage
    return hold_out(data) if trainable and PUBLIC_TEST not in data.usage else data


def check_trainable(data: FaceData) -> FaceData:
    """`data` itself; DataError if a class has no Training face, there are fewer than two, or none to test on."""
    training = data.split(TRAINING)
    if not len(training):
        raise DataError(
            f"{data.path} has no Training faces, only {', '.join(data.splits())}: there is nothing to train on"
        )
    counts = training.counts()
    present = [name for name, count in counts.items() if count]
    if len(present) < 2:
        raise DataError(f"{data.path} has Training faces of {present[0]} only: two or more classes are needed")
    if empty := [name for name, count in counts.items() if not count]:
        raise DataError(
            f"{data.path} has no Training face of {', '.join(empty)}: add some, or leave "
            f"{'it' if len(empty) == 1 else 'them'} out with --classes {','.join(present)}"
        )
    return data


def load_unlabeled(path: Path, skip_bad: bool = False) -> UnlabeledFaces:
    """Every face of a CSV with a column pixels, or of a folder or archive of pictures, whatever their labels.

    Raises DataError as load_faces does.
    """
    with opened(fetch(path) if is_handle(path) else path, UNLABELED_HINT) as container:
        table = _table(container, UNLABELED_TABLES, ("pixels",), UNLABELED_HINT)
        if table is not None:
            return read_unlabeled(table, skip_bad)
        pictures = [name for name in container.files if is_picture(name)]
        if not pictures:
            raise DataError(f"{path} holds neither a CSV of faces nor pictures: {UNLABELED_HINT}")
        faults = Faults(path, "picture")
        images, good, notes = read_pictures(container, pictures, faults)
        notes += faults.settle(int(good.sum()), skip_bad)
        files = np.array([str(name) for name in pictures], dtype=np.str_)[good]
        return UnlabeledFaces(images, np.flatnonzero(good) + 1, files, path, notes)


def _read(path: Path, skip_bad: bool) -> tuple[FaceData, npt.NDArray[np.int64] | None]:
    """The faces as the source has them, and each one's row in it for a table."""
    with opened(fetch(path) if is_handle(path) else path, HINT) as container:
        table = _table(container, LABELED_TABLES, ("emotion", "pixels"), HINT)
        if table is not None:
            data, places = read_labeled(table, skip_bad)
            if any(map(is_picture, container.files)):
                data = data.noting(f"read {table.path.name}, and none of the pictures beside it")
            return replace(data, path=path), places
        if not any(map(is_picture, container.files)):
            raise DataError(f"{path} holds neither a CSV of faces nor pictures: {ADVICE}")
        return replace(read_folders(container, skip_bad), path=path), None


def _table(container: Container, preferred: tuple[str, ...], needed: tuple[str, ...], hint: str) -> CsvTable | None:
    """The table to read, or None if there are only pictures; a single file is a table whatever its name."""
    if len(container.files) == 1 and not container.folders and not is_picture(container.files[0]):
        return CsvTable(container, container.files[0], needed, hint)
    tables = [CsvTable(container, name, needed, hint) for name in container.files if is_table(name)]
    tables = [table for table in tables if table.columns().issuperset(needed)]
    for wanted in preferred:
        for table in tables:
            if table.path.name.casefold().startswith(wanted):
                return table
    if len(tables) > 1:
        names = ", ".join(table.path.name for table in tables)
        raise DataError(f"{container.path} holds several CSV files of faces ({names}): name one of them")
    return tables[0] if tables else None


def _renamed(data: FaceData, classes: tuple[str, ...], mapping: Mapping[str, str | None]) -> FaceData:
    """The same faces under new classes, with labels that mean nothing until votes have replaced them."""
    index = [-1 if mapping[name] is None else classes.index(str(mapping[name])) for name in data.classes]
    return replace(data, labels=np.array(index)[data.labels], classes=classes, class_mapping=dict(mapping))


def _left_out(before: FaceData, after: FaceData) -> FaceData:
    lost = len(before) - len(after)
    if not len(after):
        raise DataError(f"{before.path} has no face of {', '.join(after.classes)}")
    return after.noting(f"{lost:,} faces of other classes are left out") if lost else after

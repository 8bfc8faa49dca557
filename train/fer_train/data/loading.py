"""Load a data set in any form: recognize the form, read it, apply votes and classes, and hold out a test split."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from fer_edge.errors import DataError
from fer_edge.guards.text import printable
from fer_train.class_choice import ClassChoice
from fer_train.data.classes import relabel, resolve_choice
from fer_train.data.containers import OUTSIDE, Container, is_table, open_container
from fer_train.data.csv_faces import read_labeled, read_unlabeled
from fer_train.data.csv_table import CsvTable
from fer_train.data.faces import PUBLIC_TEST, TRAINING, FaceData, UnlabeledFaces, fingerprints
from fer_train.data.faults import Faults
from fer_train.data.ferplus import with_majority_labels, with_votes
from fer_train.data.folders import ADVICE, CONTACT_SHEET, passed_over, read_folders
from fer_train.data.images import image_files, is_image, read_images
from fer_train.data.kaggle import download, is_kaggle
from fer_train.photos import Crop

FerplusLabels = Literal["distribution", "majority"]
HINT = "--data names a CSV with emotion, pixels and Usage, a folder of images, or an archive of either"
UNLABELED_HINT = "--data names a CSV with the column pixels, or a folder or archive of images"
# Of several tables in a folder, the first of these is read, compressed or not. The fullest come first.
LABELED_TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
UNLABELED_TABLES = ("test.csv", *LABELED_TABLES)
HELD_OUT_FRACTION = 0.2


def load_faces(
    path: Path, ferplus: Path | None = None, *, ferplus_labels: FerplusLabels = "distribution",
    classes: ClassChoice | None = None, skip_bad: bool = False, crop: Crop = "auto",
) -> FaceData:  # fmt: skip
    """Load a data set, ready for training or scoring.

    path: one of
        a CSV with the columns emotion, pixels and optionally Usage, in any order and case;
        images in folders named by class, which may be in folders named train, validation and test;
        an archive (.zip, .tar, .tar.gz) or compressed file (.gz, .xz, .zip) of these;
        a folder with such a CSV;
        kaggle:OWNER/NAME.
    ferplus: fer2013new.csv. Its votes become `votes` ("distribution") or replace the labels ("majority").
    classes: which classes to keep and merge.
    skip_bad: skip unreadable rows and images.
    crop: whether the face of a photograph is found and cut out, as fer_train.photos tells.

    Without PublicTest faces, a seeded 20 % of each class of the Training faces becomes PublicTest.
    Raises DataError, which names the place of a fault.

        faces = load_faces(Path("fer2013.csv"))
        faces.split("Training").images  # uint8 [28709, 48, 48]
    """
    return _with_splits(
        read_faces(path, ferplus, ferplus_labels=ferplus_labels, classes=classes, skip_bad=skip_bad, crop=crop)
    )


def read_faces(
    path: Path, ferplus: Path | None = None, *, ferplus_labels: FerplusLabels = "distribution",
    classes: ClassChoice | None = None, skip_bad: bool = False, crop: Crop = "auto",
) -> FaceData:  # fmt: skip
    """Read a data set as load_faces does, but keep the source's own splits: usage is "" where it has none."""
    data, positions = _read(path, skip_bad, crop)
    if ferplus is not None:
        data = with_votes(data, positions, ferplus)
    majority = ferplus is not None and ferplus_labels == "majority"
    if classes is not None:
        mapping = resolve_choice(classes, data)
        if majority:  # votes may move a face out of a dropped class, so no face is dropped before they count
            return with_majority_labels(data, tuple(classes), mapping)
        return _note_dropped(data, relabel(data, tuple(classes), mapping))
    return with_majority_labels(data, data.classes) if majority else data


def load_unlabeled(path: Path, skip_bad: bool = False, crop: Crop = "auto") -> UnlabeledFaces:
    """Load every face of a CSV with the column pixels, or of a folder or archive of images, and ignore labels.

    Raises DataError as load_faces does.
    """
    with open_container(download(path) if is_kaggle(path) else path, UNLABELED_HINT) as container:
        table = _find_table(container, UNLABELED_TABLES, ("pixels",), UNLABELED_HINT)
        if table is not None:
            return read_unlabeled(table, skip_bad)
        found = image_files(container)
        names = [name for name in found if not name.name.startswith(CONTACT_SHEET)]
        if not names:
            raise _no_faces(container, path, UNLABELED_HINT)
        faults = Faults(path, "image")
        images, good, notes = read_images(container, names, faults, crop)
        if path.is_dir() or len(container.files) > 1:
            notes += passed_over(container, found)
        notes += faults.raise_or_note(int(good.sum()), skip_bad)
        files = np.array([str(name) for name in names], dtype=np.str_)[good]
        return UnlabeledFaces(images, np.flatnonzero(good) + 1, files, path, notes)


def check_trainable(data: FaceData) -> FaceData:
    """Return `data`, with a note if choosing the best epoch uses up its test faces.

    Raises DataError if it has fewer than two classes or a class without Training faces.
    """
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
            f"{data.path} has no Training face of {', '.join(empty)}: add some, or drop "
            f"{'it' if len(empty) == 1 else 'them'} with --classes {','.join(present)}"
        )
    if test := data.test_folder:
        return data.with_notes(f"{test}/ chooses the best epoch: add validation/ to keep {test}/ unseen")
    return data


def _read(path: Path, skip_bad: bool, crop: Crop) -> tuple[FaceData, npt.NDArray[np.int64] | None]:
    """Return the faces as the source has them and, for a table, each face's position among its rows."""
    with open_container(download(path) if is_kaggle(path) else path, HINT) as container:
        table = _find_table(container, LABELED_TABLES, ("emotion", "pixels"), HINT)
        if table is not None:
            data, positions = read_labeled(table, skip_bad)
            if any(map(is_image, container.files)):
                data = data.with_notes(f"read {table.path.name}; the images beside it are not used")
            return replace(data, path=path), positions
        images = image_files(container)
        if not images:
            raise _no_faces(container, path, ADVICE)
        return replace(read_folders(container, images, skip_bad, crop), path=path), None


def _no_faces(container: Container, path: Path, advice: str) -> DataError:
    outside = [name for name in container.passed_over if OUTSIDE in name.parts]
    if outside:
        return DataError(
            f"{path} has no faces that may be read: {len(outside):,} names such as {printable(str(outside[0]))} lead "
            "out of it: pack the folder again, without .. in names"
        )
    return DataError(f"{path} holds neither a CSV of faces nor images: {advice}")


def _find_table(
    container: Container, preferred: tuple[str, ...], needed: tuple[str, ...], hint: str
) -> CsvTable | None:
    """Return the table to read, or None if there are only images.

    A single file that is not an image counts as a table, whatever its name.
    """
    if len(container.files) == 1 and not container.folders:
        (only,) = container.files
        if is_table(only) or not image_files(container):
            return CsvTable(container, only, needed, hint)
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


def _note_dropped(before: FaceData, after: FaceData) -> FaceData:
    dropped = len(before) - len(after)
    if not len(after):
        raise DataError(f"{before.path} has no face of {', '.join(after.classes)}")
    return after.with_notes(f"{dropped:,} faces of other classes are left out") if dropped else after


def _with_splits(data: FaceData) -> FaceData:
    """Return `data` with a usage for every face, and with PublicTest faces if it has Training faces."""
    data = replace(data, usage=np.where(data.usage == "", TRAINING, data.usage))
    return data if PUBLIC_TEST in data.usage or TRAINING not in data.usage else _hold_out(data)


def _hold_out(data: FaceData) -> FaceData:
    """Move a seeded 20 % of each class from Training to PublicTest; copies of a face stay in the same split."""
    rng = np.random.default_rng(0)
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(mark, row) for row, mark in enumerate(fingerprints(data.images))])
    trained = data.usage == TRAINING
    held_out = np.zeros(len(data), dtype=np.bool_)
    for label in range(len(data.classes)):
        members = np.flatnonzero(trained & (data.labels == label) & (original == np.arange(len(data))))
        held_out[rng.permutation(members)[: round(HELD_OUT_FRACTION * len(members))]] = True
    if not held_out.any():
        raise DataError(f"{data.path} has too few different faces to hold some out for testing: add some, 3 per class")
    usage = np.where(trained & held_out[original], PUBLIC_TEST, data.usage)
    moved = int((usage != data.usage).sum())
    return replace(data, usage=usage, held_out=True).with_notes(
        f"no PublicTest faces: {moved:,} of the {int(trained.sum()):,} Training faces, a fifth of each class, are "
        "held out for testing"
    )

"""FER+ votes (Barsoum et al. 2016): how ten people labeled each face of FER2013."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_edge.errors import DataError
from fer_train.data.classes import canonical
from fer_train.data.containers import open_container
from fer_train.data.csv_table import CsvTable, place_of
from fer_train.data.faces import FER2013_CLASSES, FaceData

# The vote columns of fer2013new.csv. Its rows are in the order of fer2013.csv.
FERPLUS_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF",
)  # fmt: skip
FERPLUS_CLASSES = (*FER2013_CLASSES, "contempt")  # of a head on the votes; unknown and NF (no face) are not classes
HINT = "--ferplus names FER+'s fer2013new.csv"
IMAGE_NAME = re.compile(r"fer(\d{7})\.")  # FER+'s "Image name": the row in fer2013.csv, from 0
MIN_KAPPA = 0.2  # of labels and majorities, above chance; FER2013's have 0.57, votes of other faces 0
MIN_KAPPA_FACES = 100  # fewer faces can't tell


def with_votes(data: FaceData, positions: npt.NDArray[np.int64] | None, path: Path) -> FaceData:
    """Return `data` with the votes in `path`, which may have more rows than `data`.

    positions: int64 [N], each face's position among all rows of its source, from 0. None for image files, which must
    be named as FER+ names them ("fer0000012.png").

    Raises DataError if the votes don't belong to these faces.
    """
    votes, usage = _read(path)
    if positions is None:
        positions = _positions_by_name(data, path)
    fits = len(votes) > int(positions.max(initial=-1))
    if fits and usage is not None and data.usage.any():
        fits = bool((usage.to_numpy()[positions] == data.usage).all())
    if not fits:
        raise DataError(
            f"{path} does not fit {data.path}: its {len(votes):,} rows must be in the same order "
            f"as the {len(data):,} faces, with the same Usage"
        )
    voted = replace(data, votes=votes.to_numpy()[positions])
    _check_agreement(voted, path)
    return voted


def _check_agreement(data: FaceData, path: Path) -> None:
    """Raise DataError if the labels equal the majorities of the votes hardly more often than by chance.

    Rows of other faces, or in another order, may have the same Usage. Measured by Cohen's kappa (1960).
    """
    majority = majority_labels(data)
    known = majority >= 0
    if known.sum() < MIN_KAPPA_FACES:
        return
    labels, voted = data.labels[known], majority[known]
    shares = [np.bincount(values, minlength=len(data.classes)) / len(labels) for values in (labels, voted)]
    agreement, chance = float((labels == voted).mean()), float(shares[0] @ shares[1])
    if agreement - chance < MIN_KAPPA * (1 - chance):
        raise DataError(
            f"{path} does not fit {data.path}: its majorities equal {agreement:.0%} of the labels, and {chance:.0%} "
            "would by chance: its rows must be those of the faces, in the same order"
        )


def majority_labels(data: FaceData) -> npt.NDArray[np.int64]:
    """Return the class with the most votes per face, int64 [N].

    It is -1 for a tie, for a class that `data` doesn't have, and for "no face". Votes for classes that --classes
    merges are added first. `data` must have votes.
    """
    assert data.votes is not None
    groups, columns = _groups(data)
    counted = np.zeros((len(data), len(groups)), dtype=np.float32)
    np.add.at(counted.T, columns, data.votes.T)
    winner = counted.argmax(axis=1)
    tied = (counted == counted.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(tied | (winner >= len(data.classes)), -1, winner)


def majority_protocol(votes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """Return the label of each face by the majority protocol of FER+'s paper, as an index into FERPLUS_CLASSES.

    votes: [N, 10], in the order of FERPLUS_COLUMNS. Returns int64 [N], -1 for a face that is left out: a class with a
    single vote loses it, and a face counts only if one class then has more than half of its votes and is neither
    unknown nor NF (Barsoum et al. 2016, `majority` in its code).

        majority_protocol(np.array([[6, 1, 0, 3, 0, 0, 0, 0, 0, 0]]))  # [6], FERPLUS_CLASSES[6] is neutral
    """
    counted = _without_single_votes(votes)
    peak = counted.argmax(axis=1)
    labels = np.array([FERPLUS_CLASSES.index(canonical(name)) for name in FERPLUS_COLUMNS[:-2]] + [-1, -1])[peak]
    return np.where(counted.max(axis=1) > 0.5 * counted.sum(axis=1), labels, -1).astype(np.int64)


def vote_distribution(votes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Return the votes [N, 10] as fractions for FERPLUS_CLASSES, float32 [N, 8].

    Single votes are removed first; those for unknown and NF don't count. A face without other votes has zeros.
    """
    columns = [canonical(name) for name in FERPLUS_COLUMNS]
    counted = _without_single_votes(votes)[:, [columns.index(name) for name in FERPLUS_CLASSES]]
    fractions: npt.NDArray[np.float32] = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
    return fractions.astype(np.float32)


def _without_single_votes(votes: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    return np.where(votes > 1, votes, 0)


def with_majority_labels(
    data: FaceData, classes: Sequence[str], mapping: Mapping[str, str | None] | None = None
) -> FaceData:
    """Return `data` labeled by the majority of its votes, without the votes and without faces that have no majority.

    classes, mapping: what the classes of `data` become, as in FaceData.class_mapping; votes for merged classes are
    added. Without a mapping they stay.
    """
    if mapping:
        index = [-1 if (to := mapping[name]) is None else classes.index(to) for name in data.classes]
        data = replace(data, labels=np.array(index)[data.labels], classes=tuple(classes), class_mapping=dict(mapping))
    labels = majority_labels(data)
    changed, dropped = int(((labels != data.labels) & (labels >= 0)).sum()), int((labels < 0).sum())
    if dropped == len(data):
        raise DataError(f"no face of {data.path} has a majority of FER+ votes for one of {', '.join(data.classes)}")
    kept = replace(data, labels=labels, votes=None, relabeled=True).rows(labels >= 0)
    return kept.with_notes(
        f"labels are FER+ majorities: {changed:,} differ from the file's own, and {dropped:,} faces without "
        "a majority for one class are left out"
    )


def _groups(data: FaceData) -> tuple[list[str], list[int]]:
    """Return what votes are counted for, `data.classes` first, and the index there of each of FERPLUS_COLUMNS."""
    groups, columns = list(data.classes), []
    by_name = {canonical(name): name for name in reversed(data.classes)}
    mapping = {canonical(name): target for name, target in data.class_mapping.items()}
    for column in FERPLUS_COLUMNS:
        plain = canonical(column)
        target = mapping[plain] if plain in mapping else by_name.get(plain)
        if target is None:
            groups.append(column)
            columns.append(len(groups) - 1)
        else:
            columns.append(groups.index(target))
    return groups, columns


def _read(path: Path) -> tuple[pd.DataFrame, pd.Series | None]:
    """Return the votes, a float32 column for each of FERPLUS_COLUMNS, and each row's Usage if the file has any."""
    columns = [name.lower() for name in FERPLUS_COLUMNS]
    with open_container(path, HINT) as container:
        name = container.files[0] if len(container.files) == 1 else _votes_file(container.files, path)
        table = CsvTable(container, name, columns, HINT)
        rows = pd.concat([pd.DataFrame(columns=columns), *table.blocks()])
    votes = rows[columns].apply(pd.to_numeric, errors="coerce")
    bad = rows.index[~(votes >= 0).all(axis="columns")]
    if len(bad):
        problem = "a vote is not a number of 0 or more: download fer2013new.csv again"
        raise DataError(f"{table.path}, {place_of(bad[0])}: {problem}")
    votes = votes.astype(np.float32).reset_index(drop=True)
    usage = rows["usage"].str.strip().reset_index(drop=True) if "usage" in rows else None
    return votes, usage if usage is not None and usage.any() else None


def _votes_file(files: list[PurePosixPath], path: Path) -> PurePosixPath:
    for name in files:
        if name.name.casefold().startswith("fer2013new.csv"):
            return name
    raise DataError(f"{path} holds no fer2013new.csv: {HINT}")


def _positions_by_name(data: FaceData, path: Path) -> npt.NDArray[np.int64]:
    assert data.names is not None
    matches = [IMAGE_NAME.match(PurePosixPath(name).name) for name in data.names.tolist()]
    if None in matches:
        name = data.names[matches.index(None)]
        raise DataError(
            f"{path} can't be matched with {data.path}: FER+ names images fer0000012.png, and {name} has another "
            "name: give the CSV that the images come from"
        )
    return np.array([int(match[1]) for match in matches if match], dtype=np.int64)

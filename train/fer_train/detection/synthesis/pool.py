"""The pool of training scenes on disk: made once, in shards, by all processor cores, and read as one.

A shard is scenes_NNN.npy, uint8 [SHARD, SCENE_PX, SCENE_PX], and faces_NNN.npy, float32 [SHARD, MAX_FACES, 5]
(rows of zeros where a scene has fewer). Its first half are composed scenes, its second half mosaics; the teacher
corrects the faces of both (`Teacher.correct`). Shard N is the same whoever makes it: its seed is N (but what is
mined depends on the luma that is shipped). Close-ups, if any, are no scenes: they are laid on them in training.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError, OutputError
from fer_edge.files import atomic_write
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.altered_heads import (
    SHARES,
    altered_tiles,
    bystanders,
    check_altered,
    fer_heads,
    save_tiles,
    with_altered,
)
from fer_train.detection.synthesis.closeups import CloseUps, close_ups, load_close_ups, save_close_ups
from fer_train.detection.synthesis.hard_negatives import mined
from fer_train.detection.synthesis.mosaic import MosaicMaker
from fer_train.detection.synthesis.scenes import MAX_FACES, SCENE_PX, SceneMaker
from fer_train.detection.synthesis.teacher import Teacher
from fer_train.detection.synthesis.textures import with_drawn
from fer_train.detection.synthesis.tiles import FaceTiles, load_fer_faces, load_tiles

SHARD = 1000
MOSAICS_AT_ONCE = 16
DRAWN_TILES = 3000  # among those of mosaics: nobody to be found
ALTERED = "altered.npz"  # in the folder, too: altered heads, bystanders, FER2013's heads, false alarms
CLOSE_UPS = "closeups.npz"  # likewise, if there are FER2013's faces
PARTS = 50  # in which these are made
MINED_PICTURES = 300  # in which false alarms are sought, a part
Made = TypeVar("Made")


def alter_heads(
    folder: Path, faces: Path, fer: Path | None, teacher: Path, workers: int, done: Callable[[int], object]
) -> None:
    """Make altered.npz in `folder` (made if missing), unless it is there; `done(part)` is called for each of PARTS.

    faces, fer, teacher: the folder of tiles, FER2013's CSV and YuNet's file. Raises DataError or ModelError for them,
    OutputError for `folder`.
    """
    if (folder / ALTERED).is_file():
        check_altered(folder / ALTERED)
        for part in range(PARTS):
            done(part)
        return
    _to_alter(faces, fer, teacher)  # a wrong file fails here, and not in each worker
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} can't be made a folder: {error.strerror}") from error
    made: dict[int, tuple[FaceTiles, ...]] = {}
    for part, kinds in _each(_alter_part, range(PARTS), workers, _start_altering, (faces, fer, teacher)):
        made[part] = kinds
        done(part)
    save_tiles([[made[part][kind] for part in range(PARTS)] for kind in range(len(SHARES))], folder / ALTERED)


def make_close_ups(folder: Path, fer: Path, teacher: Path, workers: int, done: Callable[[int], object]) -> None:
    """Make closeups.npz in `folder`, which must be there, unless it holds it; the rest is as for `alter_heads`.

    Raises DataError if there is no face in any of FER2013's pictures, too.
    """
    file = folder / CLOSE_UPS
    if file.is_file():
        load_close_ups(file)
        for part in range(PARTS):
            done(part)
        return
    _to_lay(fer, teacher)
    made: dict[int, CloseUps | None] = {}
    for part, some in _each(_close_up_part, range(PARTS), workers, _start_close_ups, (fer, teacher)):
        made[part] = some
        done(part)
    if not any(made.values()):
        raise DataError(f"the teacher sees no face in any Training picture of {fer}: is it FER2013's CSV?")
    save_close_ups([made[part] for part in range(PARTS)], file)


def make_pool(
    folder: Path, shards: int, faces: Path, fer: Path | None, teacher: Path, workers: int, done: Callable[[int], object]
) -> int:
    """Make those of the shards 0 to `shards` - 1 that `folder` lacks, after `alter_heads`; how many these were.

    `done(shard)` is called for each shard, new or not. The rest is as for `alter_heads`.
    """
    missing = []
    for shard in range(shards):
        if _files(folder, shard)[1].is_file():
            done(shard)
        else:
            missing.append(shard)
    if missing:
        _to_alter(faces, fer, teacher)
        make = partial(_make_shard, folder)
        for shard in _each(make, missing, workers, _start, (faces, folder / ALTERED, fer, teacher)):
            done(shard)
    return len(missing)


def _each(
    work: Callable[[int], Made], numbers: Iterable[int], workers: int, start: Callable[..., None], given: Sequence[Any]
) -> Iterator[Made]:
    """What `work` makes of each number, as it comes; in so many processes, which begin with `start(*given)`."""
    if workers == 1:
        start(*given)
        yield from map(work, numbers)
        return
    context = multiprocessing.get_context("spawn")  # a fork would take torch's threads along, half alive
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(start, *given)) as pool:
        for future in as_completed([pool.submit(work, number) for number in numbers]):
            yield future.result()


def _begin(start: Callable[..., None], *given: Any) -> None:
    """Begin as a worker, which ends when the process that wants its work is gone: killed, it can't say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    start(*given)


def _files(folder: Path, shard: int) -> tuple[Path, Path]:
    return folder / f"scenes_{shard:03}.npy", folder / f"faces_{shard:03}.npy"


@dataclass(frozen=True)
class Material:
    """What a process makes scenes of."""

    tiles: FaceTiles
    fer_faces: npt.NDArray[np.uint8] | None
    mosaics: MosaicMaker
    teacher: Teacher


_MATERIAL: list[Material] = []  # of this process, loaded once
ToAlter = tuple[FaceTiles, npt.NDArray[np.uint8] | None, Teacher, LumaDetector]
_TO_ALTER: list[ToAlter] = []
_TO_LAY: list[tuple[npt.NDArray[np.uint8], Teacher, LumaDetector]] = []


def _to_alter(faces: Path, fer: Path | None, teacher: Path) -> ToAlter:
    return load_tiles(faces), None if fer is None else load_fer_faces(fer), Teacher(teacher), _shipped()


def _shipped() -> LumaDetector:
    shipped = LumaDetector(None, 1, SCENE_PX)
    shipped.terms = replace(shipped.terms, second_look=None)  # its successor's first look shall learn from its own
    return shipped


def _start_altering(faces: Path, fer: Path | None, teacher: Path) -> None:
    cv2.setNumThreads(1)
    _TO_ALTER[:] = [_to_alter(faces, fer, teacher)]


def _alter_part(part: int) -> tuple[int, tuple[FaceTiles, ...]]:
    tiles, fer_faces, teacher, shipped = _TO_ALTER[0]
    some, heads = _part_of(len(tiles), part), np.empty((0, 48, 48), np.uint8)
    if fer_faces is not None:
        heads = fer_faces[_part_of(len(fer_faces), part)]
    some_tiles = FaceTiles(tiles.images[some], tiles.boxes[some], tiles.weights[some])
    return part, (
        altered_tiles(some_tiles, fer_faces, teacher, part),
        bystanders(some_tiles, teacher, part),
        fer_heads(some_tiles, heads, teacher, part),
        mined(some_tiles, shipped, teacher, MINED_PICTURES, part),
    )


def _to_lay(fer: Path, teacher: Path) -> tuple[npt.NDArray[np.uint8], Teacher, LumaDetector]:
    return load_fer_faces(fer), Teacher(teacher), _shipped()


def _start_close_ups(fer: Path, teacher: Path) -> None:
    cv2.setNumThreads(1)
    _TO_LAY[:] = [_to_lay(fer, teacher)]


def _close_up_part(part: int) -> tuple[int, CloseUps | None]:
    fer_faces, teacher, shipped = _TO_LAY[0]
    return part, close_ups(fer_faces[_part_of(len(fer_faces), part)], teacher, shipped)


def _part_of(count: int, part: int) -> slice:
    return slice(part * count // PARTS, (part + 1) * count // PARTS)


def _start(faces: Path, altered: Path, fer: Path | None, teacher: Path) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    tiles = with_altered(load_tiles(faces), altered)
    more = with_drawn(tiles, DRAWN_TILES, 0)
    tiles = replace(tiles, images=more.images[: len(tiles)])  # a view: a worker shall hold the pixels once
    mosaics = MosaicMaker(more)
    _MATERIAL[:] = [Material(tiles, None if fer is None else load_fer_faces(fer), mosaics, Teacher(teacher))]


def _make_shard(folder: Path, shard: int) -> int:
    teacher = _MATERIAL[0].teacher
    scenes = np.empty((SHARD, SCENE_PX, SCENE_PX), np.uint8)
    faces = np.zeros((SHARD, MAX_FACES, 5), np.float32)
    for index, (scene, composed) in enumerate(islice(_scenes(_MATERIAL[0], shard), SHARD)):
        scenes[index] = scene
        agreed = teacher.correct(scene, composed)
        faces[index, : len(agreed)] = agreed
    scenes_file, faces_file = _files(folder, shard)
    _save(scenes, scenes_file)
    _save(faces, faces_file)  # last: it says "complete"
    return shard


def _scenes(material: Material, seed: int) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    """Half a shard of composed scenes, then mosaics without end."""
    maker = SceneMaker(material.tiles, material.fer_faces, seed)
    for _ in range(SHARD // 2):
        yield maker.make()
    generator = torch.Generator().manual_seed(seed)
    while True:
        pictures, faces = material.mosaics.make(MOSAICS_AT_ONCE, SCENE_PX, generator)
        for picture, rows in zip(pictures[:, 0].to(torch.uint8).numpy(), faces.numpy(), strict=True):
            yield picture, rows[rows[:, 4] != 0]


def _save(values: npt.NDArray[np.generic], path: Path) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        np.save(file, values)


def whole_shards(folder: Path) -> list[int]:
    """The numbers of the whole shards of `folder`; DataError if there are none."""
    numbers = sorted(int(path.stem.split("_")[1]) for path in folder.glob("faces_*.npy"))
    if not numbers:
        raise DataError(f"{folder} holds no scenes: make some with fer-train scenes --out {folder}")
    return numbers


def close_ups_of(folder: Path) -> CloseUps | None:
    """The close-ups of `folder`, None if it has none; DataError if they are damaged."""
    return load_close_ups(folder / CLOSE_UPS) if (folder / CLOSE_UPS).exists() else None


def load_pool(folder: Path, device: torch.device, mosaics_only: bool = False) -> tuple[Tensor, Tensor]:
    """All whole shards of `folder` on `device`: scenes uint8 [N, SCENE_PX, SCENE_PX], faces float32 [N, MAX_FACES, 5].

    mosaics_only: their second halves alone. DataError if there are none.
    """
    numbers = whole_shards(folder)
    kept = slice(SHARD // 2 if mosaics_only else 0, SHARD)
    count = kept.stop - kept.start
    scenes = torch.empty((len(numbers) * count, SCENE_PX, SCENE_PX), dtype=torch.uint8, device=device)
    faces = torch.empty((len(numbers) * count, MAX_FACES, 5), device=device)
    for place, number in enumerate(numbers):
        rows = slice(place * count, (place + 1) * count)
        for target, path in zip((scenes, faces), _files(folder, number), strict=True):
            try:
                whole = np.load(path)
                if len(whole) != SHARD:
                    raise ValueError(f"{len(whole)} scenes")
                target[rows] = torch.from_numpy(whole[kept])
            except (OSError, ValueError, RuntimeError) as error:
                raise DataError(f"{path} is no shard of scenes, or is damaged: delete it and make it again") from error
    return scenes, faces

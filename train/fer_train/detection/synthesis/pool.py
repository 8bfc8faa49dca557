"""The pool of training scenes on disk: made once, in shards, by all processor cores, and read as one.

A shard is scenes_NNN.npy, uint8 [SHARD_SIZE, SCENE_PX, SCENE_PX], and faces_NNN.npy, float32 [SHARD_SIZE, MAX_FACES, 5]
(rows of zeros where a scene has fewer). Its first half are composed scenes, its second half mosaics; the teacher
relabels both. A shard's number is its seed, so shard N is always the same, except that hard negatives depend on the
shipped luma. Close-ups, if any, lie beside the shards: they are pasted during training.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fer_edge.detectors.luma import LumaDetector
from fer_edge.errors import DataError, OutputError
from fer_edge.files import atomic_write
from fer_edge.opencv import cv2
from fer_train.detection.synthesis import altered_heads
from fer_train.detection.synthesis.closeups import CloseUps, load_close_ups, make_close_ups, save_close_ups
from fer_train.detection.synthesis.hard_negatives import mine_hard_negatives
from fer_train.detection.synthesis.mosaic import MosaicMaker
from fer_train.detection.synthesis.scenes import MAX_FACES, SCENE_PX, Faces, SceneMaker
from fer_train.detection.synthesis.teacher import Teacher
from fer_train.detection.synthesis.textures import with_drawn_tiles
from fer_train.detection.synthesis.tiles import FaceTiles, Pixels, load_fer_faces, load_tiles
from fer_train.detection.synthesis.workers import run_numbered

SHARD_SIZE = 1000
MOSAICS_PER_BATCH = 16
DRAWN_TILES = 3000  # background among the tiles of mosaics
ALTERED = "altered.npz"  # in the pool's folder: the four kinds of tiles of altered_heads
CLOSE_UPS = "closeups.npz"  # likewise, if FER2013's faces are given
PARTS = 50  # of the work that makes these files
SHEETS_PER_PART = 300  # searched for hard negatives


@dataclass(frozen=True)
class PoolInputs:
    """What scenes are made of: the folder of tiles, FER2013's CSV or None, and YuNet's file."""

    faces: Path
    fer: Path | None
    teacher: Path


@dataclass(frozen=True)
class _Sources:
    """The loaded inputs of one process; for scenes, also the maker of mosaics."""

    tiles: FaceTiles
    fer_faces: Pixels | None
    teacher: Teacher
    mosaics: MosaicMaker | None = None


def _load(inputs: PoolInputs) -> _Sources:
    cv2.setNumThreads(1)
    fer_faces = None if inputs.fer is None else load_fer_faces(inputs.fer)
    return _Sources(load_tiles(inputs.faces), fer_faces, Teacher(inputs.teacher))


def _load_for_scenes(inputs: PoolInputs, altered: Path) -> _Sources:
    """The same, with altered heads among the tiles."""
    torch.set_num_threads(1)
    sources = _load(inputs)
    tiles = altered_heads.with_kinds(sources.tiles, altered)
    more = with_drawn_tiles(tiles, DRAWN_TILES, 0)
    tiles = replace(tiles, images=more.images[: len(tiles)])  # a view, to hold the pixels once
    return replace(sources, tiles=tiles, mosaics=MosaicMaker(more))


def alter_heads(folder: Path, inputs: PoolInputs, workers: int, on_part: Callable[[], object]) -> None:
    """Make altered.npz in `folder` (made if missing), unless it is there; `on_part()` is called for each of PARTS.

    Raises DataError or ModelError for the inputs, OutputError for `folder`.
    """
    file = folder / ALTERED
    save = partial(altered_heads.save_kinds, path=file)
    _make_in_parts(file, altered_heads.load_kinds, inputs, _alter_part, save, workers, on_part)


def find_close_ups(folder: Path, inputs: PoolInputs, workers: int, on_part: Callable[[], object]) -> None:
    """Make closeups.npz in `folder`, as `alter_heads` makes its file; `inputs` must name FER2013's CSV.

    Raises DataError also if no image of FER2013 shows a face.
    """

    def save(parts: list[CloseUps | None]) -> None:
        if not any(parts):
            raise DataError(f"the teacher detects no face in any Training image of {inputs.fer}: is it FER2013's CSV?")
        save_close_ups(parts, folder / CLOSE_UPS)

    _make_in_parts(folder / CLOSE_UPS, load_close_ups, inputs, _close_up_part, save, workers, on_part)


def make_pool(folder: Path, shards: int, inputs: PoolInputs, workers: int, on_shard: Callable[[], object]) -> int:
    """Make the shards 0 to `shards` - 1 that `folder` lacks, after `alter_heads`; returns how many these were.

    `on_shard()` is called for each shard, new or not. Raises as `alter_heads` does.
    """
    missing = [shard for shard in range(shards) if not _files(folder, shard)[1].is_file()]
    for _ in range(shards - len(missing)):
        on_shard()
    if missing:
        load = partial(_load_for_scenes, inputs, folder / ALTERED)
        for _ in run_numbered(load, partial(_make_shard, folder), missing, workers):
            on_shard()
    return len(missing)


def _make_in_parts(
    file: Path, check: Callable[[Path], object], inputs: PoolInputs, work: Callable[[_Sources, int], Any],
    save: Callable[[list[Any]], None], workers: int, on_part: Callable[[], object],
) -> None:  # fmt: skip
    """Save what `work` makes in PARTS, in their order, unless `file` is there and passes `check`."""
    if file.is_file():
        check(file)
        for _ in range(PARTS):
            on_part()
        return
    results = run_numbered(partial(_load, inputs), work, range(PARTS), workers)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{file.parent} can't be created: {error.strerror}") from error
    made = {}
    for part, result in results:
        made[part] = result
        on_part()
    save([made[part] for part in range(PARTS)])


def _alter_part(sources: _Sources, part: int) -> tuple[FaceTiles, ...]:
    """The four kinds of tiles of altered_heads, from one part of the tiles and of FER2013's faces."""
    tiles, fer_faces, teacher = sources.tiles.part(_part(sources.tiles, part)), sources.fer_faces, sources.teacher
    heads = np.empty((0, 48, 48), np.uint8) if fer_faces is None else fer_faces[_part(fer_faces, part)]
    return (
        altered_heads.altered_tiles(tiles, fer_faces, teacher, part),
        altered_heads.bystanders(tiles, teacher, part),
        altered_heads.fer_heads(tiles, heads, teacher, part),
        mine_hard_negatives(tiles, shipped_detector(), teacher, SHEETS_PER_PART, part),
    )


def _close_up_part(sources: _Sources, part: int) -> CloseUps | None:
    assert sources.fer_faces is not None
    return make_close_ups(sources.fer_faces[_part(sources.fer_faces, part)], sources.teacher, shipped_detector())


def _part(values: Pixels | FaceTiles, part: int) -> slice:
    return slice(part * len(values) // PARTS, (part + 1) * len(values) // PARTS)


def shipped_detector() -> LumaDetector:
    """The shipped luma without its second look: its successor learns from the first look's mistakes."""
    shipped = LumaDetector(None, 1, SCENE_PX)
    shipped.terms = replace(shipped.terms, second_look=None)
    return shipped


def _make_shard(folder: Path, sources: _Sources, shard: int) -> None:
    scenes = np.empty((SHARD_SIZE, SCENE_PX, SCENE_PX), np.uint8)
    faces = np.zeros((SHARD_SIZE, MAX_FACES, 5), np.float32)
    for index, (scene, composed) in enumerate(islice(_make_scenes(sources, shard), SHARD_SIZE)):
        scenes[index] = scene
        relabeled = sources.teacher.relabel(scene, composed)
        faces[index, : len(relabeled)] = relabeled
    scenes_file, faces_file = _files(folder, shard)
    _save(scenes, scenes_file)
    _save(faces, faces_file)  # last: it completes the shard


def _save(values: npt.NDArray[Any], path: Path) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        np.save(file, values)


def _make_scenes(sources: _Sources, seed: int) -> Iterator[tuple[Pixels, Faces]]:
    """Half a shard of composed scenes, then endless mosaics."""
    maker = SceneMaker(sources.tiles, sources.fer_faces, seed)
    for _ in range(SHARD_SIZE // 2):
        yield maker.make()
    assert sources.mosaics is not None
    generator = torch.Generator().manual_seed(seed)
    while True:
        images, faces = sources.mosaics.make(MOSAICS_PER_BATCH, SCENE_PX, generator)
        for image, rows in zip(images[:, 0].to(torch.uint8).numpy(), faces.numpy(), strict=True):
            yield image, rows[rows[:, 4] != 0]


def _files(folder: Path, shard: int) -> tuple[Path, Path]:
    return folder / f"scenes_{shard:03}.npy", folder / f"faces_{shard:03}.npy"


def complete_shards(folder: Path) -> list[int]:
    """The numbers of the complete shards of `folder`; DataError if there are none."""
    numbers = sorted(int(path.stem.split("_")[1]) for path in folder.glob("faces_*.npy"))
    if not numbers:
        raise DataError(f"{folder} holds no scenes: make some with fer-train scenes --out {folder}")
    return numbers


def close_ups_of(folder: Path) -> CloseUps | None:
    """The close-ups of `folder`, None if it has none; DataError if they are damaged."""
    return load_close_ups(folder / CLOSE_UPS) if (folder / CLOSE_UPS).exists() else None


def load_pool(folder: Path, device: torch.device, mosaics_only: bool = False) -> tuple[Tensor, Tensor]:
    """All complete shards of `folder` on `device`: scenes uint8 [N, SCENE_PX, SCENE_PX], faces [N, MAX_FACES, 5].

    mosaics_only: only their second halves. DataError if there are none, or one is damaged.
    """
    numbers = complete_shards(folder)
    kept = slice(SHARD_SIZE // 2 if mosaics_only else 0, SHARD_SIZE)
    count = kept.stop - kept.start
    scenes = torch.empty((len(numbers) * count, SCENE_PX, SCENE_PX), dtype=torch.uint8, device=device)
    faces = torch.empty((len(numbers) * count, MAX_FACES, 5), device=device)
    for place, number in enumerate(numbers):
        rows = slice(place * count, (place + 1) * count)
        for target, path in zip((scenes, faces), _files(folder, number), strict=True):
            try:
                shard = np.load(path)
                if len(shard) != SHARD_SIZE:
                    raise ValueError(f"{len(shard)} scenes")
                target[rows] = torch.from_numpy(shard[kept])
            except (OSError, ValueError, RuntimeError) as error:
                raise DataError(
                    f"{path} is not a shard of scenes, or is damaged: delete it and make it again"
                ) from error
    return scenes, faces

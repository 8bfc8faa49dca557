"""Find the faces of videos, photos and face tiles, and cut them out as a detector frames them."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import Detection
from fer_edge.detectors.search import SourceDetector
from fer_edge.errors import SourceError
from fer_edge.framing import Box, Image, crop, scaled, to_gray
from fer_edge.guards.limits import MAX_DATA_DECODING_BYTES
from fer_edge.pipeline.options import Schedule
from fer_edge.sources.base import Source
from fer_edge.sources.images import load_image
from fer_edge.tracking.tracker import FaceTracker
from fer_train.detection.synthesis.tiles import TILE_PX, load_tiles
from fer_train.transfer.folds import person_of

DETECT_HZ = 10.0  # in videos: often enough to track every face
MIN_CUT_PX = 48  # smaller faces are enlarged to the size that networks see
TILE_MIDDLE_PX = 30.0  # a tile's own face has its center this close to the tile's, in x and in y
Advance = Callable[[], object]
"""Called per frame or photo, for a progress bar."""


@dataclass(frozen=True, eq=False)  # arrays don't compare
class Cut:
    """A face that was cut out.

    name: of its file, without suffix. source: the file that shows it. person: whose face it is, as far as names and
    tracks tell. pixels: uint8 [S, S], gray. box: x, y, width, height of the detector's box in pixels of the source.
    score: the detector's. t: seconds since the video's start; track: the face's number in the video. Both are None for
    photos. is_main: False for the smaller faces of a photo.
    """

    name: str
    source: str
    person: str
    pixels: Image
    box: Box
    score: float
    t: float | None = None
    track: int | None = None
    is_main: bool = True


class FaceCutter:
    """Cuts faces with one detector; `small` counts the faces that were left out because they are small.

    notes: what was done to photos, such as reading one at a part of its size, and the photos it was done to.
    size: longest side of a cut face in pixels; smaller faces keep their own size, but at least 48 pixels.
    """

    def __init__(self, detector: SourceDetector, size: int) -> None:
        self._detector, self._size = detector, size
        self.small = 0
        self.notes: dict[str, list[Path]] = {}

    def photo(self, file: Path, name: str) -> list[Cut]:
        """The faces of a photo, the largest first; SourceError if the file can't be read."""
        try:
            picture = load_image(file, MAX_DATA_DECODING_BYTES)
        except ValueError as error:
            raise SourceError(f"{file} can't be used: {error}") from error
        if picture.note:
            self.notes.setdefault(picture.note, []).append(file)
        image = picture.image
        found = self._detector.search(self._searched(image))
        self.small += len(found.left_out.small)
        faces = sorted(found.faces, key=self._side, reverse=True)
        cuts = [
            self._cut(image, face, f"{name}_face{number}" if number > 1 else name, str(file),
                      f"{name}_face{number}" if number > 1 else person_of(name), is_main=number == 1)
            for number, face in enumerate(faces, 1)
        ]  # fmt: skip
        return [replace(cut, box=scaled(cut.box, *picture.scale)) for cut in cuts]

    def video(self, source: Source, name: str, every_s: float, advance: Advance) -> Iterator[Cut]:
        """Each track's face with the highest score within every `every_s` seconds, in order of time.

        Raises SourceError if the source is lost, and after its last face if frames are missing; ValueError if every_s
        is not positive and finite.
        """
        if not 0 < every_s < float("inf"):
            raise ValueError(f"every_s={every_s} must be above 0 and finite")
        search, tracker, schedule = self._detector.for_stream(), FaceTracker(), Schedule(DETECT_HZ)
        best: dict[int, Cut] = {}
        period, t, small, unreadable, problem = 0, 0.0, 0, 0, ""
        while (frame := source.read()) is not None:
            advance()
            if frame.image is None:
                unreadable, problem = unreadable + 1, frame.problem
                continue
            t = t if frame.media_time_s is None else frame.media_time_s
            if int(t / every_s) != period:
                yield from best.values()
                best, period = {}, int(t / every_s)
            gray = to_gray(frame.image)
            if not schedule.is_due(t):
                tracker.predict(gray, t)
                continue
            found = search(self._searched(frame.image))
            small = max(small, len(found.left_out.small))
            tracks = tracker.update(gray, found.faces, t)
            for face, track in zip(found.faces, tracks, strict=False):  # detected faces come first
                known = best.get(track.track_id)
                if known is None or face.score > known.score:
                    number = track.track_id + 1
                    full = f"{name}_{number}_{round(1000 * period * every_s):07}"
                    best[track.track_id] = self._cut(gray, face, full, source.name, f"{name}_{number}", t, number)
        self.small += small
        yield from best.values()
        if source.missing or source.misread:
            raise SourceError(f"{source.name}: {source.missing_reason}")
        if unreadable:
            raise SourceError(f"{source.name}: {unreadable:,} frames can't be used: {problem}")

    def tile(self, tile: Image, name: str, source: str) -> Cut | None:
        """The face in the middle of a tile, uint8 [128, 128]; None if there is none."""
        middle = TILE_PX / 2
        faces = [
            face
            for face in self._detector.search(tile).faces
            if abs(face.box[0] + face.box[2] / 2 - middle) < TILE_MIDDLE_PX
            and abs(face.box[1] + face.box[3] / 2 - middle) < TILE_MIDDLE_PX
        ]
        if not faces:
            return None
        face = max(faces, key=lambda found: found.box[2] * found.box[3])
        return self._cut(tile, face, name, source, person_of(name))

    def _searched(self, image: Image) -> Image:
        return image if self._detector.needs_color else to_gray(image)

    def _side(self, face: Detection) -> float:
        return self._detector.framing.square(face.box).side

    def _cut(
        self, image: Image, face: Detection, name: str, source: str, person: str,
        t: float | None = None, track: int | None = None, is_main: bool = True,
    ) -> Cut:  # fmt: skip
        square = self._detector.framing.square(face.box)
        side = max(MIN_CUT_PX, min(self._size, round(square.side)))
        pixels = np.ascontiguousarray(crop(to_gray(image), square, (side, side)))
        return Cut(name, source, person, pixels, face.box, face.score, t, track, is_main)


@dataclass(frozen=True, eq=False)
class NamedTiles:
    """The tiles of a folder of tiles_NN.jpg and boxes.csv that show a face: uint8 [128, 128] each, by name."""

    folder: Path
    images: dict[str, Image]


def is_tiles(folder: Path) -> bool:
    """Whether a folder holds face tiles, as train/recipes/lfw_tiles.py writes them, rather than photos."""
    return (folder / "boxes.csv").is_file() and (folder / "tiles_00.jpg").is_file()


def read_tiles(folder: Path) -> NamedTiles:
    """The tiles of `folder` by the names in its boxes.csv; DataError if a file is missing or malformed."""
    tiles = load_tiles(folder)  # checks boxes.csv, too
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as file:
        names = {
            int(float(row["tile"])): row.get("name") or f"tile_{int(float(row['tile'])):05}"
            for row in csv.DictReader(file)
        }
    return NamedTiles(folder, {name: tiles.images[tile] for tile, name in names.items()})

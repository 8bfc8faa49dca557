"""The detector `luma`: our own network on the grey picture, shipped with the package."""

import logging
import math
from pathlib import Path

import numpy as np

from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX
from fer_edge.detectors.base import Detection, DetectorOptions, downscale
from fer_edge.detectors.boxes import SAME_FACE, Floats, cell_grid, decode, merge, overlap
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Framing, Image, Square, crop
from fer_edge.network.contract import SecondLook
from fer_edge.network.session import open_session, read_contract
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)

EDGE_GRAY = 128  # what is beyond the picture: the network's own padding, 0 after normalisation
GRIDS_KEPT = 8  # of different picture sizes
# Close-ups are larger than the network learned to see; pictures longer than this are searched at half their size, too,
# for a quarter of the time more, and boxes that are at least so high there are taken from it.
HALVED_FROM_PX, HALVED_FACE_PX = 400, 72
# The windows of second looks together are at most as large as the picture: in crowds and noise the surest come first,
# and no search takes much more than twice the time. In small pictures some are looked at all the same.
FEWEST_LOOKS, LOOKS_AT_ONCE = 8, 16
UNSEEN_LOGIT = -4.5  # of a second look that sees nothing there; int8's answers end a little below (fer-export)
DARK_GRAY = 80  # pictures of a lower mean are brightened to it, as the network learned by daylight and lamps
LEAST_POWER = 0.4  # of that: in a black picture there is only noise to brighten
# Pictures of less contrast (standard deviation) get so much, but no more than HAZE_GAIN times theirs. A wall or a lens
# cap, which has next to none before it is brightened, stays blank; from the first of the two on it gets a part of that.
CLEAR_DEVIATION, HAZE_GAIN, BLANK_DEVIATIONS = 45.0, 5.0, (3.0, 5.0)


def create(options: DetectorOptions) -> "LumaDetector":
    """Open the network in `options.model`, or the shipped one."""
    return LumaDetector(options.model, options.min_face_px, options.detect_size_px, options.threads)


class LumaDetector:
    """A network of fer-export's kind "detector": upright and turned faces, from the grey picture alone.

    What it is unsure of it looks at again, in a window in which that has the size that the network knows best.
    The file's contract says how its answers are read: strides, score threshold, framing, second look; they are `terms`.
    Raises ModelError or ContractError if the file can't be used.
    """

    name = "luma"
    needs_color = False

    def __init__(
        self,
        model: Path | None = None,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
        threads: int = 1,
    ) -> None:
        path = model or _shipped()
        if not path.is_file():
            raise ModelError(
                f"{path} is not a file: --detector-model names a detector's ONNX file that fer-export wrote"
            )
        self.path = path
        self._session = open_session(path, threads)
        self.contract = read_contract(self._session, path, "detector")
        terms = self.contract.detector
        assert terms is not None  # parse_contract refuses a detector without
        self.terms = terms
        self.framing = Framing(**terms.framing)
        self._min_face_px, self._detect_size_px = min_face_px, detect_size_px
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self._grids: dict[tuple[int, int], Floats] = {}
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its boxes may be wrong", path, failed)

    def _check(self) -> None:
        """Run it once on each kind of picture: what fails, fails here and not amid a stream."""
        step_y, step_x = self.contract.input_size
        shapes = [(1, step_y, step_x), (1, 2 * step_y, 3 * step_x)]
        if self.terms.second_look:
            shapes.append((2, self.terms.second_look.window_px, self.terms.second_look.window_px))
        for count, height, width in shapes:
            try:
                answers = self._run(np.full((count, height, width), EDGE_GRAY, np.uint8))
            except Exception as error:  # onnxruntime's own exceptions share no other base
                reason = " ".join(str(error).split())[:160]
                raise ModelError(f"{self.path} can't be run on a picture ({reason}): export it again") from error
            cells = len(self._grid(height, width))
            if answers.shape != (count, 5, cells):
                raise ContractError(
                    f"{self.path}: its answers {list(answers.shape)} to {count} of {width}x{height} pixels are not a "
                    f"score and a box for each of {cells} cells, as its contract says: export it again"
                )

    @property
    def smallest_face_px(self) -> int:
        """Height in searched pixels of the smallest faces that the network was trained to find."""
        return self.terms.smallest_face_px

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is the contract's threshold to 1."""
        gray = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        small, factor = downscale(gray, self._detect_size_px)
        boxes, scores = self.search(small, None, self._min_face_px / factor, gray)
        return [
            Detection((left, top, right - left, bottom - top), score)
            for (left, top, right, bottom), score in zip((boxes * factor).tolist(), scores.tolist(), strict=True)
        ]

    def search(
        self, gray: Image, threshold: float | None = None, smallest_px: float = 0, whole: Image | None = None
    ) -> tuple[Floats, Floats]:
        """Boxes float32 [F, 4] (left, top, right, bottom) and scores [F] of uint8 [H, W], surest first.

        threshold: the lowest score, between 0 and 1, if not the contract's. smallest_px: boxes whose longer side is
        shorter, in pixels of `gray`, are left out. whole: what `gray` was made smaller from, if it was: second looks
        see its pixels.
        """
        least, look = self.terms.score_threshold if threshold is None else threshold, self.terms.second_look
        light = light_table(gray)
        lit = gray if light is None else _through(light, gray)
        boxes, scores = self._first_look(lit, min(least, look.least) if look else least)
        sizes = boxes[:, 2:] - boxes[:, :2]
        asked = sizes.max(axis=1, initial=0) >= smallest_px
        if look:
            unsure = asked & (scores >= look.least) & (scores < look.most) & (sizes.prod(axis=1) < look.face_px**2)
            again = np.flatnonzero(unsure)[: max(FEWEST_LOOKS, gray.size // look.window_px**2)]
            if len(again):
                source = gray if whole is None else whole
                enlarged = np.divide(source.shape[::-1], gray.shape[::-1]).astype(np.float32)
                logits = self._second_look(source, boxes[again] * np.tile(enlarged, 2), look, light)
                scores[again] = sigmoid((logit(scores[again]) + logits) / np.float32(2))
                order = np.argsort(-scores, kind="stable")
                boxes, scores, asked = boxes[order], scores[order], asked[order]
        asked &= scores >= least
        return boxes[asked], scores[asked]

    def _first_look(self, gray: Image, least: float) -> tuple[Floats, Floats]:
        """Boxes [F, 4] and scores [F], `least` or more, of uint8 [H, W], surest first."""
        boxes, scores = self._candidates(gray, least)
        if max(gray.shape) > HALVED_FROM_PX:
            half, factor = downscale(gray, max(gray.shape) // 2)
            others, their_scores = self._candidates(half, least)
            large = others[:, 3] - others[:, 1] >= HALVED_FACE_PX
            boxes = np.concatenate([boxes, others[large] * np.float32(factor)])
            scores = np.concatenate([scores, their_scores[large]])
        return merge(boxes, scores)

    def _second_look(self, gray: Image, boxes: Floats, look: SecondLook, light: Image | None) -> Floats:
        """The logits [K] of what is in the boxes [K, 4] of uint8 [H, W], each seen in a window of its own."""
        logits = np.empty(len(boxes), np.float32)
        size, grid = look.window_px, self._grid(look.window_px, look.window_px)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)) * np.float32(size / look.face_px)
        places = (boxes - np.tile(centers, 2)) * (size / sides)[:, None] + np.float32(size / 2)  # in their windows
        # The first look's padding, which is not in the picture's light, but here will be
        beyond = EDGE_GRAY if light is None else int(np.abs(light.astype(int) - EDGE_GRAY).argmin())
        for first in range(0, len(boxes), LOOKS_AT_ONCE):
            some = range(first, min(first + LOOKS_AT_ONCE, len(boxes)))
            pictures = np.empty((len(some), size, size), np.uint8)
            for picture, (x, y), side in zip(pictures, centers[some].tolist(), sides[some].tolist(), strict=True):
                crop(gray, Square(x, y, side), (size, size), picture, beyond)
            if light is not None:
                pictures = _through(light, pictures)
            for index, answers in zip(some, self._run(pictures), strict=True):
                cells = np.flatnonzero(answers[0] > UNSEEN_LOGIT)
                found = decode(answers[:, cells], grid[cells], self.terms.side_in_strides)
                there = overlap(places[index], found) >= SAME_FACE
                logits[index] = answers[0, cells[there]].max(initial=UNSEEN_LOGIT)
        return logits

    def _candidates(self, gray: Image, least: float) -> tuple[Floats, Floats]:
        """Boxes [K, 4] and scores [K] of all cells whose score is `least` or more, many of them for each face."""
        step_y, step_x = self.contract.input_size
        below, right = -gray.shape[0] % step_y, -gray.shape[1] % step_x
        if below or right:
            padded = cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_CONSTANT, value=EDGE_GRAY)
            gray = np.asarray(padded, dtype=np.uint8)
        answers = self._run(gray[None])[0]
        seen = np.flatnonzero(answers[0] >= math.log(least / (1 - least)))
        if not len(seen):
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        answers = answers[:, seen]
        return decode(answers, self._grid(*gray.shape)[seen], self.terms.side_in_strides), sigmoid(answers[0])

    def _run(self, pictures: Image) -> Floats:
        """Answers float32 [N, 5, cells] to uint8 [N, H, W], whose sides are multiples of the contract's."""
        answers: Floats = self._session.run([self._output], {self._input: pictures[:, None]})[0]
        return answers

    def _grid(self, height: int, width: int) -> Floats:
        grid = self._grids.get((height, width))
        if grid is None:
            if len(self._grids) >= GRIDS_KEPT:
                self._grids.clear()
            grid = self._grids[height, width] = cell_grid(height, width, self.terms.strides)
        return grid


def sigmoid(logits: Floats) -> Floats:
    """The scores, 0 to 1, of logits."""
    return np.asarray(1 / (1 + np.exp(-logits)), np.float32)


def logit(scores: Floats) -> Floats:
    """The logits of scores between 0 and 1."""
    return np.asarray(np.log(scores / (1 - scores)), np.float32)


def in_good_light(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself, or if it is dark or hazy, a picture of it in better light."""
    light = light_table(gray)
    return gray if light is None else _through(light, gray)


def light_table(gray: Image) -> Image | None:
    """What the greys 0 to 255 of `gray`, uint8 [H, W], are in better light, uint8 [256]; None if it is good already."""
    means, deviations = cv2.meanStdDev(gray)
    mean, deviation = float(means[0, 0]), float(deviations[0, 0])
    hazy = BLANK_DEVIATIONS[0] < deviation < CLEAR_DEVIATION
    if mean >= DARK_GRAY and not hazy:
        return None
    table = _brightening(mean)
    if hazy:
        part = (deviation - BLANK_DEVIATIONS[0]) / (BLANK_DEVIATIONS[1] - BLANK_DEVIATIONS[0])
        means, deviations = cv2.meanStdDev(_through(table, gray))
        mean, deviation = float(means[0, 0]), max(float(deviations[0, 0]), 0.01)
        gain = min(max(CLEAR_DEVIATION / deviation, 1.0), 1 + (HAZE_GAIN - 1) * min(part, 1.0))
        table = (mean + (table - np.float32(mean)) * gain).round().clip(0, 255).astype(np.uint8)
    return table


def brightened(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself, or if it is dark its power (gamma) that lifts a grey of its mean to DARK_GREY."""
    mean = cv2.mean(gray)[0]
    return gray if mean >= DARK_GRAY else _through(_brightening(mean), gray)


def _brightening(mean: float) -> Image:
    """The table, uint8 [256], of the power that lifts a dark `mean` to DARK_GREY; of a power of 1 for others."""
    power = max(LEAST_POWER, float(np.log(DARK_GRAY / 255) / np.log(max(mean, 1.0) / 255))) if mean < DARK_GRAY else 1.0
    return ((np.arange(256) / 255) ** power * 255).round().astype(np.uint8)


def _through(table: Image, gray: Image) -> Image:
    return np.asarray(cv2.LUT(gray, table), dtype=np.uint8)


def _shipped() -> Path:
    from fer_models import detector_path

    return detector_path()

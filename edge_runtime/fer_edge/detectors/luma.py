"""The detector `luma`: our own network on the grey picture, shipped with the package."""

import logging
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, Detection, shrunk
from fer_edge.detectors.boxes import Floats, cell_grid, decode, merge
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Framing, Image, normalise_light
from fer_edge.opencv import cv2
from fer_edge.session import open_session, read_contract

log = logging.getLogger(__name__)

EDGE_GREY = 128  # what is beyond the picture: the network's own padding, 0 after normalisation
GRIDS_KEPT = 8  # of different picture sizes
# Close-ups are larger than the network learned to see; pictures longer than this are searched at half their size, too,
# for a quarter of the time more, and boxes that are at least so high there are taken from it.
HALVED_FROM_PX, HALVED_FACE_PX = 400, 72
DARK_GREY = 80  # pictures of a lower mean are brightened to it, as the network learned by daylight and lamps
LEAST_POWER = 0.4  # of that: in a black picture there is only noise to brighten
# Pictures of less contrast (standard deviation) get so much, but no more than HAZE_GAIN times theirs. A wall or a lens
# cap, which has next to none before it is brightened, stays blank; from the first of the two on it gets a part of that.
CLEAR_DEVIATION, HAZE_GAIN, BLANK_DEVIATIONS = 45.0, 5.0, (3.0, 5.0)


class LumaDetector:
    """A network of fer-export's kind "detector": upright and turned faces, from the grey picture alone.

    The file's contract says how its answers are read: strides, score threshold, framing.
    Raises ModelError or ContractError if the file can't be used.
    """

    name = "luma"
    wants_colour = False

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
        self._terms = terms
        self.framing = Framing(**terms.framing)
        self._threshold = float(np.log(terms.score_threshold / (1 - terms.score_threshold)))
        self._min_face_px, self._detect_size_px = min_face_px, detect_size_px
        self._input, self._output = self._session.get_inputs()[0].name, self._session.get_outputs()[0].name
        self._grids: dict[tuple[int, int], Floats] = {}
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its boxes may be wrong", path, failed)

    def _check(self) -> None:
        """Run it once on two sizes: what fails, fails here and not amid a stream."""
        step_y, step_x = self.contract.input_size
        for height, width in ((step_y, step_x), (2 * step_y, 3 * step_x)):
            try:
                answers = self._run(np.full((height, width), EDGE_GREY, np.uint8))
            except Exception as error:  # onnxruntime's own exceptions share no other base
                reason = " ".join(str(error).split())[:160]
                raise ModelError(f"{self.path} can't be run on a picture ({reason}): export it again") from error
            cells = len(self._grid(height, width))
            if answers.shape != (5, cells):
                raise ContractError(
                    f"{self.path}: its answers {list(answers.shape)} to {width}x{height} pixels are not a score and a "
                    f"box for each of {cells} cells, as its contract says: export it again"
                )

    @property
    def smallest_face_px(self) -> int:
        """Height in searched pixels of the smallest faces that the network was trained to find."""
        return self._terms.smallest_face_px

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is the contract's threshold to 1."""
        gray = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        small, factor = shrunk(gray, self._detect_size_px)
        boxes, scores = self.search(small)
        found = []
        for (left, top, right, bottom), score in zip((boxes * factor).tolist(), scores.tolist(), strict=True):
            width, height = right - left, bottom - top
            if max(width, height) >= self._min_face_px:
                found.append(Detection((left, top, width, height), score))
        return found

    def search(self, gray: Image, threshold: float | None = None) -> tuple[Floats, Floats]:
        """Boxes float32 [F, 4] (left, top, right, bottom) and scores [F] of uint8 [H, W], surest first.

        threshold: the lowest score, 0 to 1, if not the contract's.
        """
        bound = self._threshold if threshold is None else float(np.log(threshold / (1 - threshold)))
        gray = in_good_light(gray)
        boxes, scores = self._candidates(gray, bound)
        if max(gray.shape) > HALVED_FROM_PX:
            half, factor = shrunk(gray, max(gray.shape) // 2)
            others, their_scores = self._candidates(half, bound)
            large = others[:, 3] - others[:, 1] >= HALVED_FACE_PX
            boxes = np.concatenate([boxes, others[large] * np.float32(factor)])
            scores = np.concatenate([scores, their_scores[large]])
        return merge(boxes, scores)

    def _candidates(self, gray: Image, bound: float) -> tuple[Floats, Floats]:
        """Boxes [K, 4] and scores [K] of all cells whose logit is above `bound`, many of them for each face."""
        step_y, step_x = self.contract.input_size
        below, right = -gray.shape[0] % step_y, -gray.shape[1] % step_x
        if below or right:
            padded = cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_CONSTANT, value=EDGE_GREY)
            gray = np.asarray(padded, dtype=np.uint8)
        answers = self._run(gray)
        seen = np.flatnonzero(answers[0] > bound)
        if not len(seen):
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        answers = answers[:, seen]
        boxes = decode(answers, self._grid(*gray.shape)[seen], self._terms.side_in_strides)
        return boxes, 1 / (1 + np.exp(-answers[0]))

    def _run(self, gray: Image) -> Floats:
        """Answers float32 [5, cells] to uint8 [H, W], whose sides are multiples of the contract's."""
        answers: Floats = self._session.run([self._output], {self._input: gray[None, None]})[0][0]
        return answers

    def _grid(self, height: int, width: int) -> Floats:
        grid = self._grids.get((height, width))
        if grid is None:
            if len(self._grids) >= GRIDS_KEPT:
                self._grids.clear()
            grid = self._grids[height, width] = cell_grid(height, width, self._terms.strides)
        return grid


def in_good_light(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself, or if it is dark or hazy, a picture of it in better light."""
    means, deviations = cv2.meanStdDev(gray)
    mean, deviation = float(means[0, 0]), float(deviations[0, 0])
    if mean < DARK_GREY:
        gray = brightened(gray)
    if BLANK_DEVIATIONS[0] < deviation < CLEAR_DEVIATION:
        part = (deviation - BLANK_DEVIATIONS[0]) / (BLANK_DEVIATIONS[1] - BLANK_DEVIATIONS[0])
        gray = gray.copy()
        normalise_light(gray, 0.0, CLEAR_DEVIATION, 1 + (HAZE_GAIN - 1) * min(part, 1.0))
    return gray


def brightened(gray: Image) -> Image:
    """`gray`, uint8 [H, W], itself, or if it is dark its power (gamma) that lifts a grey of its mean to DARK_GREY."""
    mean = cv2.mean(gray)[0]
    if mean >= DARK_GREY:
        return gray
    power = max(LEAST_POWER, float(np.log(DARK_GREY / 255) / np.log(max(mean, 1.0) / 255)))
    table = ((np.arange(256) / 255) ** power * 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(gray, table), dtype=np.uint8)


def _shipped() -> Path:
    from fer_models import detector_path

    return detector_path()

"""The detector `luma`: our own network on the gray image, shipped with the package."""

import logging
import math
from functools import partial
from pathlib import Path

import numpy as np

from fer_edge.detectors.base import Detection, DetectorOptions, downscale
from fer_edge.detectors.boxes import MATCH_IOU, Floats, cell_grid, decode, weighted_nms
from fer_edge.detectors.defaults import DEFAULT_DETECT_SIZE_PX, DEFAULT_MIN_FACE_PX, SMALLEST_FACE_PX
from fer_edge.detectors.lighting import apply_table, lighting_table
from fer_edge.errors import ContractError, ModelError
from fer_edge.framing import Framing, Image, Square, crop, iou_matrix_xyxy, to_gray
from fer_edge.network import timed
from fer_edge.network.contract import SecondLook
from fer_edge.network.session import IN_MEMORY, RunError, load_model, read_contract, run_in_batches
from fer_edge.opencv import cv2

log = logging.getLogger(__name__)

PADDING_GRAY = 128  # outside the image: the network's own padding, 0 after normalization
MAX_GRIDS = 16  # cached, by image size
# Close-ups are larger than any face the network was trained on. So images longer than HALVED_FROM_PX are searched at
# half their size as well, and so on, for a third more time; boxes at least HALVED_FACE_PX high are taken from there.
HALVED_FROM_PX, HALVED_FACE_PX = 400, 72
# The windows of all second looks together are at most as large as the image: in crowds and noise the best boxes come
# first, and no search takes much more than twice the time. Small images get at least MIN_SECOND_LOOKS.
MIN_SECOND_LOOKS, BATCH = 8, 16
MAX_OUTPUT = 1e6  # of logits and offsets in strides; larger values would overflow the box arithmetic
MIN_LOGIT = -4.5  # of a second look that finds no face; int8 outputs end slightly below


def create(options: DetectorOptions) -> "LumaDetector":
    """Open the network in `options.model`, or the shipped one.

    It also looks for smaller faces than asked for, because that costs next to nothing: the filter counts them.
    """
    return LumaDetector(
        options.model, min(options.min_face_px, SMALLEST_FACE_PX), options.detect_size_px, options.threads
    )


class LumaDetector:
    """A network of fer-export's kind "detector": upright and turned faces, from the gray image alone.

    Boxes it is unsure of get a second look: the network runs again on a window in which the box has the size that the
    network knows best. terms: the detector's part of the contract, which says how to read the outputs: strides, score
    threshold, framing, second look.

    Raises ModelError or ContractError if the file can't be used.
    """

    name = "luma"
    needs_color = False
    needs_border = True

    def __init__(
        self,
        model: Path | bytes | None = None,
        min_face_px: int = DEFAULT_MIN_FACE_PX,
        detect_size_px: int = DEFAULT_DETECT_SIZE_PX,
        threads: int = 1,
    ) -> None:
        model = model or _shipped_model()
        path = Path(IN_MEMORY) if isinstance(model, bytes) else model
        if not isinstance(model, bytes) and not path.is_file():
            raise ModelError(f"{path} is not a file: name a detector's ONNX file that fer-export wrote")
        self.path = path
        self._model = load_model(model, threads)
        self.contract = read_contract(self._model.session, path, "detector")
        terms = self.contract.detector
        assert terms is not None  # parse_contract refuses a detector's contract without it
        self.terms = terms
        self.framing = Framing(**terms.framing)
        self.min_face_px, self.detect_size_px = min_face_px, detect_size_px
        self._output = self._model.session.get_outputs()[0].name
        self._grids: dict[tuple[int, int], Floats] = {}
        self._check()
        if self.contract.failed_gates:
            failed = ", ".join(self.contract.failed_gates)
            log.warning("%s was exported with --force and fails %s: its boxes may be wrong", path, failed)

    def _check(self) -> None:
        """Run the network once per kind of input, so that a bad file fails here and not during a stream.

        The shipped network has passed this before its release; its hash says that it is that file.
        """
        if self._model.shipped:
            return
        step_y, step_x = self.contract.input_size
        shapes = [(1, step_y, step_x), (1, 2 * step_y, 3 * step_x)]
        if self.terms.second_look:
            shapes.append((2, self.terms.second_look.window_px, self.terms.second_look.window_px))
        for count, height, width in shapes:
            try:
                outputs = timed.first_run(partial(self._run, _ramp(count, height, width)), str(self.path))
            except RunError as error:
                raise ModelError(f"{self.path} can't be run on an image ({error.reason}): export it again") from error
            cells = len(self._grid(height, width))
            if outputs.shape != (count, 5, cells):
                raise ContractError(
                    f"{self.path}: its output {list(outputs.shape)} for {count} of {width}x{height} pixels is not a "
                    f"score and a box for each of {cells} cells, as its contract says: export it again"
                )

    @property
    def smallest_face_px(self) -> int:
        """Height in searched pixels of the smallest faces that the network was trained to find."""
        return self.terms.smallest_face_px

    def detect(self, image: Image) -> list[Detection]:
        """Faces of `image`; the score is the contract's threshold to 1."""
        gray = to_gray(image)
        small, factor = downscale(gray, self.detect_size_px)
        boxes, scores = self.search(small, None, self.min_face_px / factor, gray)
        return [
            Detection((left, top, right - left, bottom - top), score)
            for (left, top, right, bottom), score in zip((boxes * factor).tolist(), scores.tolist(), strict=True)
        ]

    def search(
        self, gray: Image, threshold: float | None = None, min_size_px: float = 0, full_size: Image | None = None
    ) -> tuple[Floats, Floats]:
        """Boxes float32 [F, 4] (left, top, right, bottom) and scores [F] in `gray`, uint8 [H, W], highest first.

        threshold: lowest score, between 0 and 1; None for the contract's. min_size_px: boxes whose longer side is
        shorter, in pixels of `gray`, get no second look; they are dropped unless the first look is sure.
        full_size: the image that `gray` was downscaled from, if any: second looks see its pixels.
        """
        min_score, look = self.terms.score_threshold if threshold is None else threshold, self.terms.second_look
        light = lighting_table(gray)
        lit = gray if light is None else apply_table(light, gray)
        boxes, scores = self._first_look(lit, min(min_score, look.least) if look else min_score)
        sizes = boxes[:, 2:] - boxes[:, :2]
        wanted = sizes.max(axis=1, initial=0) >= min_size_px
        if look:
            unsure = wanted & (scores >= look.least) & (scores < look.most) & (sizes.prod(axis=1) < look.face_px**2)
            again = np.flatnonzero(unsure)[: max(MIN_SECOND_LOOKS, gray.size // look.window_px**2)]
            if len(again):
                source = gray if full_size is None else full_size
                scale = np.divide(source.shape[::-1], gray.shape[::-1]).astype(np.float32)
                logits = self._second_look(source, boxes[again] * np.tile(scale, 2), look, light)
                scores[again] = sigmoid((logit(scores[again]) + logits) / np.float32(2))
                order = np.argsort(-scores, kind="stable")
                boxes, scores, wanted = boxes[order], scores[order], wanted[order]
        wanted = (scores >= min_score) & (wanted | (scores >= (look.most if look else min_score)))
        return boxes[wanted], scores[wanted]

    def _first_look(self, gray: Image, min_score: float) -> tuple[Floats, Floats]:
        """Boxes [F, 4] and scores [F] of at least `min_score` in uint8 [H, W], highest first."""
        boxes, scores = self._candidates(gray, min_score)
        half, scale = gray, 1.0
        while max(half.shape) > HALVED_FROM_PX:
            half, factor = downscale(half, max(half.shape) // 2)
            scale *= factor
            half_boxes, half_scores = self._candidates(half, min_score)
            large = half_boxes[:, 3] - half_boxes[:, 1] >= HALVED_FACE_PX
            boxes = np.concatenate([boxes, half_boxes[large] * np.float32(scale)])
            scores = np.concatenate([scores, half_scores[large]])
        return weighted_nms(boxes, scores)

    def _second_look(self, gray: Image, boxes: Floats, look: SecondLook, light: Image | None) -> Floats:
        """The logits [K] that the network gives boxes [K, 4] of uint8 [H, W], each in a window around it."""
        size, grid = look.window_px, self._grid(look.window_px, look.window_px)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        sides = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)) * np.float32(size / look.face_px)
        expected = (boxes - np.tile(centers, 2)) * (size / sides)[:, None] + np.float32(size / 2)  # in window pixels
        # Windows are relit after padding, so pad with the level that becomes PADDING_GRAY.
        padding = PADDING_GRAY if light is None else int(np.abs(light.astype(int) - PADDING_GRAY).argmin())
        windows = np.empty((len(boxes), size, size), np.uint8)
        for window, (x, y), side in zip(windows, centers.tolist(), sides.tolist(), strict=True):
            crop(gray, Square(x, y, side), (size, size), window, padding)
        if light is not None:
            windows = apply_table(light, windows)
        logits = np.empty(len(boxes), np.float32)
        for index, outputs in enumerate(self._run(windows)):
            cells = np.flatnonzero(outputs[0] > MIN_LOGIT)
            found = decode(outputs[:, cells], grid[cells], self.terms.side_in_strides)
            same = iou_matrix_xyxy(expected[index : index + 1], found)[0] >= MATCH_IOU
            logits[index] = outputs[0, cells[same]].max(initial=MIN_LOGIT)
        return logits

    def _candidates(self, gray: Image, min_score: float) -> tuple[Floats, Floats]:
        """Boxes [K, 4] and scores [K] of all cells that score at least `min_score`: many per face."""
        step_y, step_x = self.contract.input_size
        bottom, right = -gray.shape[0] % step_y, -gray.shape[1] % step_x
        if bottom or right:
            padded = cv2.copyMakeBorder(gray, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=PADDING_GRAY)
            gray = np.asarray(padded, dtype=np.uint8)
        outputs = self._run(gray[None])[0]
        cells = np.flatnonzero(outputs[0] >= math.log(min_score / (1 - min_score)))
        if not len(cells):
            return np.empty((0, 4), np.float32), np.empty(0, np.float32)
        outputs = outputs[:, cells]
        return decode(outputs, self._grid(*gray.shape)[cells], self.terms.side_in_strides), sigmoid(outputs[0])

    def _run(self, images: Image) -> Floats:
        """Outputs float32 [N, 5, cells] for uint8 [N, H, W], whose sides are multiples of the contract's."""
        outputs = run_in_batches(self._model, images[:, None], BATCH, [self._output])[0]
        if outputs.dtype.kind != "f":
            kind = "texts" if outputs.dtype.kind in "OU" else str(outputs.dtype)
            raise ContractError(f"{self.path}: its output is of {kind}, not of float32: export it again")
        if outputs.size and not max(outputs.max(), -outputs.min()) < MAX_OUTPUT:  # of a NaN, too
            raise ModelError(f"{self.path} gives values that are not numbers (such as NaN): use another detector")
        return outputs

    def _grid(self, height: int, width: int) -> Floats:
        grid = self._grids.get((height, width))
        if grid is None:
            if len(self._grids) >= MAX_GRIDS:
                self._grids.clear()
            grid = self._grids[height, width] = cell_grid(height, width, self.terms.strides)
        return grid


def _ramp(count: int, height: int, width: int) -> Image:
    """Images uint8 [count, height, width] of all gray levels, for a check."""
    return np.arange(count * height * width).reshape(count, height, width).astype(np.uint8)


def sigmoid(logits: Floats) -> Floats:
    """Scores, 0 to 1, from logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)


def logit(scores: Floats) -> Floats:
    """Logits from scores between 0 and 1."""
    return np.asarray(np.log(scores / (1 - scores)), np.float32)


def _shipped_model() -> Path:
    from fer_models import detector_path

    return detector_path()

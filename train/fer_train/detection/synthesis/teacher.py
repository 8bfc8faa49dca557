"""Relabel scenes by what a strong detector, YuNet, finds in them: which faces they show, and with what certainty.

Composing leaves errors: faces in the background that no list names, faces that a later layer hid, boxes of turned
heads. YuNet learned from color photos and is weaker on gray ones; a skin tint and views at other sizes make up for it.
Its score becomes the training target, so the network learns YuNet's confidence.
"""

from pathlib import Path

import numpy as np

from fer_edge.detectors.lighting import normalize_lighting
from fer_edge.errors import ModelError
from fer_edge.framing import iou_matrix
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.scenes import IGNORED, MAX_FACES, MIN_FACE_PX, Faces, Pixels

MIN_SCORE = 0.15  # lowest score of the teacher's faces
NMS_THRESHOLD, MAX_CANDIDATES = 0.3, 5000  # of cv2.FaceDetectorYN
TINT = (0.65, 0.92, 1.28)  # blue, green and red of gray 1: a skin tone
SCALES = (0.5, 1.0, 1.5, 2.0)
VIEWS_AVERAGED = 2  # a face's score is the mean over this many scales, those that see it best
LARGE_PX = 100  # faces this high are also taken from the half-sized view
CONFIRMED_SCORE = 0.45  # at this score, a face that was composed there gets the full target
MIN_TARGET = 0.05  # fainter detections where no face was composed count as background
MATCH_IOU = 0.4  # two boxes that overlap this much are one face
SCORE = 14  # column of the score in FaceDetectorYN's rows


def load_yunet(file: Path, min_score: float) -> cv2.FaceDetectorYN:
    """YuNet (Wu, Peng, Yu 2023) as cv2 runs it; ModelError if `file` is not its network."""
    if not file.is_file():
        raise ModelError(f"{file} is not a file: name YuNet's, face_detection_yunet_2023mar.onnx of OpenCV's zoo")
    try:
        data, none = np.frombuffer(file.read_bytes(), np.uint8), np.empty(0, np.uint8)
        return cv2.FaceDetectorYN.create("onnx", data, none, (320, 320), min_score, NMS_THRESHOLD, MAX_CANDIDATES)
    except cv2.error as error:
        raise ModelError(f"{file} is not YuNet's ONNX file: get it from OpenCV's zoo again") from error


class Teacher:
    """Detects faces in gray images with YuNet; raises as `load_yunet` does."""

    def __init__(self, file: Path) -> None:
        self._network = load_yunet(file, MIN_SCORE)

    def detect(self, scene: Pixels) -> Faces:
        """Faces in uint8 [H, W]: float32 [faces, 5], x, y, width, height and a score of at least MIN_SCORE.

        Boxes that several scales find are merged into their mean, weighted by score.
        """
        scene = normalize_lighting(scene)  # luma normalizes light too; in bad light the teacher scores every face low
        views = [self._detect_at(scene, scale) for scale in SCALES]
        boxes = np.concatenate(views)
        view = np.repeat(np.arange(len(SCALES)), [len(one) for one in views])
        order = np.argsort(-boxes[:, 4], kind="stable")
        boxes, view = boxes[order], view[order]
        same = iou_matrix(boxes[:, :4], boxes[:, :4]) >= MATCH_IOU
        free = np.ones(len(boxes), np.bool_)
        faces = []
        for row in range(len(boxes)):
            if free[row]:
                group = same[row] & free
                free &= ~group
                _, best = np.unique(view[group], return_index=True)  # sorted by score: the first of each view
                scores = np.sort(boxes[group, 4][best])[-VIEWS_AVERAGED:]
                box = np.average(boxes[group, :4], axis=0, weights=boxes[group, 4])
                faces.append([*box, scores.sum() / VIEWS_AVERAGED])
        result = np.array(faces, np.float32).reshape(-1, 5)
        return result[result[:, 4] >= MIN_SCORE]

    def detect_best(self, image: Pixels) -> Faces | None:
        """The face with the highest score in uint8 [H, W], at its own size: float32 [15], or None.

        x, y, width, height; then x and y of right eye, left eye, nose, right and left corner of the mouth; score.
        """
        rows = self._run(normalize_lighting(image))
        return rows[np.argmax(rows[:, SCORE])] if len(rows) else None

    def _run(self, image: Pixels) -> Faces:
        """FaceDetectorYN's rows [faces, 15]."""
        self._network.setInputSize((image.shape[1], image.shape[0]))
        rows = self._network.detect(tinted(image))[1]
        return np.empty((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)

    def _detect_at(self, scene: Pixels, scale: float) -> Faces:
        if scale != 1:
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            scene = np.asarray(cv2.resize(scene, None, fx=scale, fy=scale, interpolation=interpolation), np.uint8)
        faces = self._run(scene)[:, [0, 1, 2, 3, SCORE]]
        faces[:, :4] /= np.float32(scale)
        return faces if scale >= 1 else faces[faces[:, 3] >= LARGE_PX]

    def relabel(self, scene: Pixels, faces: Faces) -> Faces:
        """Merge `faces` (as scenes have them) with the teacher's: float32 [F, 5], best first, at most MAX_FACES.

        The last column is the training target: the face's certainty (0 to 1), or IGNORED.
        """
        found = self.detect(scene)
        overlap = iou_matrix(faces[:, :4], found[:, :4])
        merged = []
        for face, row in zip(faces, overlap, strict=True):
            if row.max(initial=0) < MATCH_IOU:  # else the teacher's box is the better one
                plain = face[4] > 0 and face[3] >= LARGE_PX * 1.5
                merged.append([*face[:4], 1.0 if plain else IGNORED])
        for place, (*box, score) in enumerate(found):
            column = overlap[:, place]
            if column.max(initial=0) >= MATCH_IOU:
                certain = faces[column.argmax(), 4] > 0
                target = min((1 + score) / (1 + CONFIRMED_SCORE), 1.0) if certain else score
            else:
                target = score**2  # no face was composed here
                if target < MIN_TARGET:
                    continue
            merged.append([*box, target if box[3] >= MIN_FACE_PX else IGNORED])
        result = np.array(merged, np.float32).reshape(-1, 5)
        return result[np.argsort(-result[:, 4], kind="stable")][:MAX_FACES]


def tinted(gray: Pixels) -> Pixels:
    """uint8 [H, W] in the color of skin, BGR uint8 [H, W, 3]."""
    return np.asarray(cv2.merge([cv2.convertScaleAbs(gray, alpha=share) for share in TINT]), np.uint8)

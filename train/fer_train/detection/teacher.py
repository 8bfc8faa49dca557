"""Correct the faces of a composed scene by what a strong detector, YuNet, sees in it.

Composing leaves errors: faces in the background that no list names, faces that a later layer hid, boxes of
turned heads. What both name is a face, what the teacher alone is sure of too; what it is unsure of counts neither way.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fer_edge.errors import ModelError
from fer_train.detection.scenes import IGNORED, MAX_FACES, MIN_FACE_PX, Faces, Pixels

SURE, UNSURE = 0.75, 0.3  # the teacher's scores
SAME = 0.4  # overlap from which two boxes are of one face
LARGE_PX = 100  # faces from here on are taken from the half-sized scene, in which YuNet sees them better
SMALL_PX = 28  # and up to here from the doubled one, too


class Teacher:
    """YuNet (Wu, Peng, Yu 2023) as cv2 runs it; ModelError if `file` is not its network."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise ModelError(f"{file} is not a file: --teacher names face_detection_yunet_2023mar.onnx of OpenCV's zoo")
        try:
            self._network = cv2.FaceDetectorYN.create(str(file), "", (320, 320), UNSURE, 0.3, 5000)
        except cv2.error as error:
            raise ModelError(f"{file} is not YuNet's ONNX file: get it from OpenCV's zoo again") from error

    def faces(self, scene: Pixels) -> Faces:
        """float32 [faces, 5]: x, y, width, height and score, at least UNSURE, of what it sees in uint8 [H, W]."""
        whole = self._detect(scene)
        half, double = (
            self._detect(np.asarray(cv2.resize(scene, None, fx=scale, fy=scale, interpolation=how), np.uint8))
            for scale, how in ((0.5, cv2.INTER_AREA), (2.0, cv2.INTER_CUBIC))
        )
        half[:, :4] *= 2
        double[:, :4] /= 2
        large, small = half[half[:, 3] >= LARGE_PX], double[double[:, 3] < SMALL_PX]
        seen = np.concatenate([large, _unlike(whole, large)])
        for face, row in zip(seen, overlaps(seen, small), strict=True):
            face[4] = max([face[4], *small[row >= SAME, 4]])
        return np.concatenate([seen, _unlike(small, seen)])

    def _detect(self, image: Pixels) -> Faces:
        self._network.setInputSize((image.shape[1], image.shape[0]))
        found = self._network.detect(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))[1]
        if found is None:
            return np.empty((0, 5), np.float32)
        return np.asarray(found, dtype=np.float32)[:, [0, 1, 2, 3, 14]]

    def correct(self, scene: Pixels, faces: Faces) -> Faces:
        """`faces` (as scenes have them) and the teacher's, agreed."""
        seen = self.faces(scene)
        agreed = []
        overlap = overlaps(faces, seen)
        for face, row in zip(faces, overlap, strict=True):
            best = int(row.argmax()) if len(seen) else -1
            if best >= 0 and row[best] >= SAME:
                continue  # the teacher's box says it better
            # Not seen by the teacher: composed with care, so a face if plain to see, else neither
            plain = face[4] > 0 and face[3] >= 2 * MIN_FACE_PX
            agreed.append([*face[:4], 1.0 if plain and face[3] >= LARGE_PX * 1.5 else IGNORED])
        for place, (*box, score) in enumerate(seen):
            known = len(faces) and overlap[:, place].max() >= SAME and faces[overlap[:, place].argmax(), 4] > 0
            sure = score >= SURE or (known and score >= 0.45)
            agreed.append([*box, 1.0 if sure and box[3] >= MIN_FACE_PX else IGNORED])
        result = np.array(agreed, np.float32).reshape(-1, 5)
        return result[np.argsort(-result[:, 4], kind="stable")][:MAX_FACES]


def _unlike(faces: Faces, others: Faces) -> Faces:
    """Those of `faces` that none of `others` is the same as."""
    return faces[(overlaps(faces, others) < SAME).all(axis=1)]


def overlaps(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Intersection over union of each box (x, y, width, height, …) in `first` with each in `second`: float32 [A, B]."""
    a, b = first[:, None, :4], second[None, :, :4]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    return np.asarray(shared / np.maximum(a[..., 2:].prod(axis=2) + b[..., 2:].prod(axis=2) - shared, 1e-6), np.float32)

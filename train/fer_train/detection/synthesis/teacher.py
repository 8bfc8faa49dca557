"""Say which faces a composed scene shows, and how surely, by what a strong detector, YuNet, sees in it.

Composing leaves errors: faces in the background that no list names, faces that a later layer hid, boxes of turned
heads. YuNet learned from photographs in colour, and is weaker at grey ones; a tint like skin's and views of other
sizes give back what it lacks (benchmarks/grey_teacher.py). Its score is kept: the network shall be as sure as YuNet.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_edge.detectors.lighting import normalize_lighting
from fer_edge.errors import ModelError
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.scenes import IGNORED, MAX_FACES, MIN_FACE_PX, Faces, Pixels

FAINT = 0.15  # the teacher's lowest score
TINT = (0.65, 0.92, 1.28)  # blue, green and red of grey 1
SCALES = (0.5, 1.0, 1.5, 2.0)
AGREE = 2  # a face's score is the mean of so many views, those that see it best
LARGE_PX = 100  # faces from here on are looked for in the half-sized view, too
SURE = 0.45  # where a face was composed, this sure of it is enough
NOBODY = 0.05  # less sure than this is nobody
SAME = 0.4  # overlap from which two boxes are of one face


class Teacher:
    """YuNet (Wu, Peng, Yu 2023) as cv2 runs it; ModelError if `file` is not its network."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise ModelError(f"{file} is not a file: --teacher names face_detection_yunet_2023mar.onnx of OpenCV's zoo")
        try:
            self._network = cv2.FaceDetectorYN.create(str(file), "", (320, 320), FAINT, 0.3, 5000)
        except cv2.error as error:
            raise ModelError(f"{file} is not YuNet's ONNX file: get it from OpenCV's zoo again") from error

    def faces(self, scene: Pixels) -> Faces:
        """float32 [faces, 5]: x, y, width, height and score, at least FAINT, of what it sees in uint8 [H, W]."""
        scene = normalize_lighting(scene)  # as luma will see it: in bad light the teacher is unsure of everybody
        seen = [self._detect(scene, scale) for scale in SCALES]
        every = np.concatenate(seen)
        view = np.repeat(np.arange(len(SCALES)), [len(one) for one in seen])
        order = np.argsort(-every[:, 4], kind="stable")
        every, view = every[order], view[order]
        same = overlaps(every, every) >= SAME
        free = np.ones(len(every), np.bool_)
        faces = []
        for place in range(len(every)):
            if free[place]:
                group = same[place] & free
                free &= ~group
                _, best = np.unique(view[group], return_index=True)  # the first of each view is its surest
                scores = np.sort(every[group, 4][best])[-AGREE:]
                box = np.average(every[group, :4], axis=0, weights=every[group, 4])
                faces.append([*box, scores.sum() / AGREE])
        result = np.array(faces, np.float32).reshape(-1, 5)
        return result[result[:, 4] >= FAINT]

    def surest(self, picture: Pixels) -> Faces | None:
        """What it sees most surely in uint8 [H, W], at its own size: float32 [15], or None.

        x, y, width, height, then x and y of right eye, left eye, nose, right and left corner of the mouth; score.
        """
        self._network.setInputSize((picture.shape[1], picture.shape[0]))
        found = self._network.detect(tinted(normalize_lighting(picture)))[1]
        return None if found is None else np.asarray(found[np.argmax(found[:, 14])], np.float32)

    def _detect(self, scene: Pixels, scale: float) -> Faces:
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            scene = np.asarray(cv2.resize(scene, None, fx=scale, fy=scale, interpolation=how), np.uint8)
        self._network.setInputSize((scene.shape[1], scene.shape[0]))
        found = self._network.detect(tinted(scene))[1]
        if found is None:
            return np.empty((0, 5), np.float32)
        faces = np.asarray(found, dtype=np.float32)[:, [0, 1, 2, 3, 14]]
        faces[:, :4] /= np.float32(scale)
        return faces if scale >= 1 else faces[faces[:, 3] >= LARGE_PX]

    def correct(self, scene: Pixels, faces: Faces) -> Faces:
        """`faces` (as scenes have them) and the teacher's, agreed; the last column is how surely each is a face."""
        seen = self.faces(scene)
        agreed = []
        overlap = overlaps(faces, seen)
        for face, row in zip(faces, overlap, strict=True):
            if row.max(initial=0) >= SAME:
                continue  # the teacher's box says it better
            # Not seen by the teacher: composed with care, so a face if large and plain to see, else neither
            agreed.append([*face[:4], 1.0 if face[4] > 0 and face[3] >= LARGE_PX * 1.5 else IGNORED])
        for place, (*box, score) in enumerate(seen):
            column = overlap[:, place]
            if column.max(initial=0) < SAME:
                sure = score**2  # nobody was placed there
                if sure < NOBODY:
                    continue
            else:
                sure = min((1 + score) / (1 + SURE), 1.0) if faces[column.argmax(), 4] > 0 else score
            agreed.append([*box, sure if box[3] >= MIN_FACE_PX else IGNORED])
        result = np.array(agreed, np.float32).reshape(-1, 5)
        return result[np.argsort(-result[:, 4], kind="stable")][:MAX_FACES]


def tinted(gray: Pixels) -> Pixels:
    """uint8 [H, W] in the colour of skin, BGR, [H, W, 3]."""
    return np.asarray(cv2.merge([cv2.convertScaleAbs(gray, alpha=share) for share in TINT]), np.uint8)


def overlaps(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Intersection over union of each box (x, y, width, height, …) in `first` with each in `second`: float32 [A, B]."""
    a, b = first[:, None, :4], second[None, :, :4]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    return np.asarray(shared / np.maximum(a[..., 2:].prod(axis=2) + b[..., 2:].prod(axis=2) - shared, 1e-6), np.float32)

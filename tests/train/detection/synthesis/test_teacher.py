import os
from pathlib import Path

import numpy as np
import pytest

from fer_edge.demo.scene import draw_scene, face_box_at
from fer_edge.errors import ModelError
from fer_edge.framing import iou_matrix, to_gray
from fer_edge.opencv import cv2
from fer_train.detection.synthesis.scenes import IGNORED, SCENE_PX
from fer_train.detection.synthesis.teacher import Teacher

YUNET = Path(os.environ.get("FER_YUNET", "face_detection_yunet_2023mar.onnx"))
needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason="FER_YUNET does not name YuNet's file")


@needs_yunet
def test_the_teacher_finds_what_the_composer_left_out() -> None:
    teacher = Teacher(YUNET)
    scene = np.full((SCENE_PX, SCENE_PX), 128, np.uint8)
    scene[:240] = to_gray(draw_scene(0.5, (320, 240)))
    truth = np.array([[*face_box_at(0.5, (320, 240)), 1]], np.float32)
    composed = {"background": truth[:0], "ignored": truth * np.float32([1, 1, 1, 1, IGNORED]), "certain": truth}
    targets = []
    for faces in composed.values():
        labels = teacher.relabel(scene, faces)
        same = iou_matrix(labels[:, :4], truth[:, :4])[:, 0] > 0.5
        assert same.sum() == 1
        targets.append(float(labels[same, 4].sum()))
    assert 0.5 < targets[0] < targets[1] < targets[2] <= 1  # the more the composer knows of it, the higher
    assert targets[0] == pytest.approx(targets[1] ** 2)
    assert targets[2] == 1
    tiny = np.full((SCENE_PX, SCENE_PX), 128, np.uint8)
    tiny[:40, :53] = cv2.resize(scene[:240], (53, 40), interpolation=cv2.INTER_AREA)
    # Too small for YuNet, except in the doubled scene
    assert iou_matrix(teacher.detect(tiny)[:, :4], truth[:, :4] / 6).max() > 0.5
    nowhere = np.array([[10, 270, 30, 40, 1]], np.float32)
    assert (teacher.relabel(scene, nowhere)[:, 4] == IGNORED).any()  # composed, but not seen


@needs_yunet
def test_the_teacher_returns_landmarks_and_detects_dark_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = to_gray(draw_scene(0.0, (320, 240)))
    teacher = Teacher(YUNET)
    best = teacher.detect_best(scene)
    assert best is not None and best.shape == (15,)
    assert best[4] < best[6] and best[5] < best[9] < best[11]  # eye beside eye, above nose, above mouth
    night = (scene * 0.03).astype(np.uint8)
    assert len(teacher.detect(night))
    monkeypatch.setattr("fer_train.detection.synthesis.teacher.normalize_lighting", lambda image: image)
    assert not len(teacher.detect(night))


@pytest.mark.parametrize("content", [None, b"", b"text"])
def test_a_file_that_is_not_yunet_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelError, match=r"YuNet|--teacher"):
        Teacher(tmp_path / "file")

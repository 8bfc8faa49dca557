import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.detector.photos import Scores, dlib, facemask, match, score, wider
from fer_edge.errors import DataError

FACE, MASKED = [10, 10, 40, 50], [100, 10, 130, 50]


def boxes(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def matched(found: np.ndarray, scores: list[float], large: list[bool] | None = None) -> Scores:
    every = np.ones(len(found), np.bool_) if large is None else np.array(large)
    return match(found, np.array(scores, np.float32), boxes(FACE), boxes(FACE, MASKED), every)


def test_a_face_is_found_once_by_the_surest_box_that_overlaps_it_enough() -> None:
    result = matched(boxes([12, 10, 42, 50], FACE, [35, 45, 65, 85]), [0.6, 0.9, 0.99])
    assert result.found == pytest.approx([0.9])
    assert result.overlaps == pytest.approx([1.0])
    assert result.false == []  # all touch the face's label


def test_boxes_that_touch_no_label_are_false_unless_they_are_too_small() -> None:
    found = boxes([200, 200, 240, 240], [300, 300, 310, 310], MASKED)
    assert matched(found, [0.7, 0.8, 0.9], [True, False, True]).false == pytest.approx([0.7])


def test_recall_and_false_boxes_fall_with_the_threshold() -> None:
    scores = Scores([0.9, 0.5, -np.inf, 0.7], [0.8, 0.6, 0.0, 0.4], [0.6, 0.2, 0.8])
    assert [scores.recall(bound) for bound in (0.4, 0.6, 0.8)] == [0.75, 0.5, 0.25]
    assert [scores.false_boxes(bound) for bound in (0.1, 0.6, 0.9)] == [3, 2, 0]
    assert scores.mean_overlap(0.6) == pytest.approx(0.6)
    false, recall = scores.curve()
    assert false.tolist() == [1, 2, 3]
    assert recall.tolist() == [0.25, 0.5, 0.75]


def test_the_sets_are_read_and_missing_images_are_reported(tmp_path: Path) -> None:
    rows = ["image,width,height,xmin,ymin,xmax,ymax,label", "a.jpg,200,100,10,10,40,50,without_mask",
            "a.jpg,200,100,100,10,130,50,with_mask", "a.jpg,200,100,60,10,70,20,without_mask"]  # fmt: skip
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    (tmp_path / "images").mkdir()
    (tmp_path / "gt.json").write_text(json.dumps({"b.jpg": {"faces_xyxy": [FACE, [0, 0, 5, 5]]}}))
    image = "<image file='c.jpg'><box top='10' left='10' width='30' height='40'/></image>"
    (tmp_path / "dlib_testing.xml").write_text(f"<dataset><images>{image}</images></dataset>")
    masks, (crowd,), (still,) = facemask(tmp_path), wider(tmp_path), dlib(tmp_path, tmp_path)
    assert masks[0].wanted.tolist() == [FACE]
    assert len(masks[0].labels) == 3
    assert crowd.wanted.tolist() == still.wanted.tolist() == [FACE]
    with pytest.raises(DataError, match=r"a\.jpg can't be read"):
        score(lambda _image: (boxes(), np.empty(0, np.float32)), masks)
    cv2.imwrite(str(masks[0].file), np.zeros((100, 200, 3), np.uint8))
    assert score(lambda _image: (boxes(FACE), np.ones(1, np.float32)), masks).recall(0.5) == 1


@pytest.mark.parametrize(
    "content", [None, "", "x,y\n1,2\n", "[1]", "<dataset>", '{"a.jpg": {}}', "{}", "image,label\na,b\n"]
)
def test_damaged_annotations_are_reported_in_one_line(tmp_path: Path, content: str | None) -> None:
    reads = {"boxes.csv": facemask, "gt.json": wider, "dlib_testing.xml": lambda folder: dlib(folder, folder)}
    for name, read in reads.items():
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=r"boxes\.csv|gt\.json|dlib_") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)

"""A face and a result as Python shows them: box in whole pixels, short text, faces one by one, JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fer_edge import Face, FrameResult

HAPPY = Face((34.4, 49.6, 120.2, 130.7), 0.91, "happy", 0.8651, {"happy": 0.8651, "sad": 0.1349}, 3, 12.345)


def result_of(*faces: Face, **values: object) -> FrameResult:
    return FrameResult(60, 2.0, True, faces, **values)  # type: ignore[arg-type]


def test_the_corners_of_a_face_are_whole_pixels_that_cut_it_out() -> None:
    left, top, right, bottom = HAPPY.xyxy
    assert (left, top, right, bottom) == (34, 50, 155, 180)
    assert all(type(value) is int for value in HAPPY.xyxy)
    assert np.zeros((240, 320))[top:bottom, left:right].shape == (130, 121)


def test_a_face_shows_what_matters_in_one_line() -> None:
    assert repr(HAPPY) == "Face(happy 87 %, 120x131 at 34,50)"
    assert repr(replace(HAPPY, unsure=True)) == "Face(unsure (happy 87 %), 120x131 at 34,50)"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (result_of(), "FrameResult(frame 60 at 2.00 s: no face)"),
        (result_of(HAPPY), "FrameResult(frame 60 at 2.00 s: 1 face: happy 87 %)"),
        (result_of(HAPPY, HAPPY, file="a.jpg"), "FrameResult(a.jpg at 2.00 s: 2 faces: happy 87 %, happy 87 %)"),
        (result_of(*[HAPPY] * 50), "FrameResult(frame 60 at 2.00 s: 50 faces: " + "happy 87 %, " * 4 + "...)"),
    ],
)
def test_a_result_shows_its_faces_in_one_line(result: FrameResult, text: str) -> None:
    assert repr(result) == text


def test_a_result_has_as_many_items_as_faces_and_is_true_without_any() -> None:
    other = replace(HAPPY, emotion="sad")
    result = result_of(HAPPY, other)
    assert (len(result), list(result)) == (2, [HAPPY, other])
    assert len(result_of()) == 0
    assert result_of(), "`while result := next(...)` goes on without a face"


def test_the_image_is_neither_compared_nor_shown_nor_written() -> None:
    with_image = result_of(HAPPY, image=np.zeros((9, 9), np.uint8))
    assert with_image == result_of(HAPPY)
    assert repr(with_image) == repr(result_of(HAPPY))
    assert with_image.to_dict() == result_of(HAPPY).to_dict()


def test_a_dictionary_of_a_face_survives_json_and_has_rounded_numbers() -> None:
    values = HAPPY.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values == {
        "id": 3, "box": [34.4, 49.6, 120.2, 130.7], "score": 0.91, "emotion": "happy", "confidence": 0.8651,
        "probabilities": {"happy": 0.8651, "sad": 0.1349}, "age_ms": 12.35, "unsure": False,
    }  # fmt: skip


def test_the_faces_of_a_result_are_indexed_as_its_tuple() -> None:
    result = result_of(HAPPY, replace(HAPPY, emotion="sad"))
    assert result[0] is HAPPY
    assert result[-1].emotion == "sad"
    assert result[:1] == (HAPPY,)
    with pytest.raises(IndexError):
        result[2]

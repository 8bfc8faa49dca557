from collections.abc import Callable

import numpy as np
import pytest

from fer_edge.results import Face
from fer_edge.sinks.overlay import EMOTION_COLORS, OTHER_COLORS, _text_size, annotate, color_of


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 3)])
def test_annotations_are_drawn_on_a_copy(shape: tuple[int, ...], make_face: Callable[..., Face]) -> None:
    image = np.full(shape, 90, dtype=np.uint8)
    drawn = annotate(image, [make_face((100, 80, 60, 60))], "9.9 FPS")
    assert drawn.shape == (240, 320, 3)
    assert (image == 90).all()
    assert (drawn != 90).any()


def test_an_image_without_faces_is_copied_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    drawn = annotate(image, [])
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_the_box_has_the_color_of_its_emotion(make_face: Callable[..., Face]) -> None:
    drawn = annotate(np.zeros((480, 640, 3), dtype=np.uint8), [make_face((100, 80, 60, 60), "happy")])
    assert tuple(drawn[120, 100].tolist()) == EMOTION_COLORS["happy"]


@pytest.mark.parametrize(
    "box",
    [(0, 0, 50, 50), (270, 190, 50, 50), (0, 0, 320, 240), (319, 239, 1, 1), (0, 0, 0, 0), (0.4, 0.6, 319.5, 2.2)],
)
@pytest.mark.parametrize("shape", [(240, 320, 3), (1, 1), (7, 2000, 3)])
def test_faces_at_borders_and_in_odd_images_are_drawn(
    box: tuple[float, float, float, float], shape: tuple[int, ...], make_face: Callable[..., Face]
) -> None:
    drawn = annotate(np.zeros(shape, dtype=np.uint8), [make_face(box)], "caption")
    assert drawn.shape == (*shape[:2], 3)


def test_bars_of_two_faces_do_not_cover_a_face(make_face: Callable[..., Face]) -> None:
    image = np.full((480, 640, 3), 90, dtype=np.uint8)
    drawn = annotate(image, [make_face((100, 150, 150, 150)), make_face((260, 150, 150, 150))])
    assert (drawn[170:280, 110:240] == 90).all()
    assert (drawn[170:280, 270:400] == 90).all()


def test_labels_in_a_crowd_cover_no_face(make_face: Callable[..., Face]) -> None:
    image = np.full((480, 640, 3), 90, dtype=np.uint8)
    boxes = [(20.0 + 40 * x, 50.0 + 36 * y, 30.0, 30.0) for x in range(9) for y in range(9)]
    drawn = annotate(image, [make_face(box, "sad") for box in boxes])
    faces = np.zeros((480, 640), bool)
    for left, top, width, height in np.array(boxes, int).tolist():
        faces[top + 3 : top + height - 3, left + 3 : left + width - 3] = True
    assert (drawn[faces] == 90).all()
    above = drawn[20:48, 20:380]  # where the first row's labels have room
    assert (above == EMOTION_COLORS["sad"]).all(axis=2).mean() > 0.2


def test_a_label_below_leaves_room_for_the_bars(make_face: Callable[..., Face]) -> None:
    drawn = annotate(np.full((480, 640, 3), 90, dtype=np.uint8), [make_face((200, 5, 60, 60), "happy")])
    assert (drawn[10:60, 270:400] != 90).all(axis=2).mean() > 0.9  # the panel of the bars
    assert (drawn[66:84, 100:260] == EMOTION_COLORS["happy"]).all(axis=2).sum() > 500


def test_labels_keep_clear_of_each_other_and_of_bars(make_face: Callable[..., Face]) -> None:
    small = [make_face((400.0, 300.0 + 60 * at, 20.0, 20.0), "fear") for at in range(3)]
    large = [make_face((100.0, 100.0, 40.0, 300.0), "happy"), make_face((150.0, 100.0, 150.0, 60.0), "sad")]
    drawn = annotate(np.full((480, 640, 3), 90, dtype=np.uint8), large + small)
    for label, panel in (
        ("happy", np.s_[82:96, 102:190]),
        ("sad", np.s_[165:182, 155:220]),  # below, because there is no room above
        ("fear", np.s_[340:356, 345:395]),  # up to the face's right edge, next to the bars of the face above
    ):
        assert (drawn[panel] == EMOTION_COLORS[label]).all(axis=2).mean() > 0.4, label


def test_few_faces_are_always_labeled(make_face: Callable[..., Face]) -> None:
    image = np.full((100, 100, 3), 90, dtype=np.uint8)
    drawn = annotate(image, [make_face((0.0, 0.0, 100.0, 100.0), "happy")])
    assert (drawn[10:90, 10:90] == EMOTION_COLORS["happy"]).all(axis=2).sum() > 50


def test_labels_are_shortened_before_they_are_omitted(make_face: Callable[..., Face]) -> None:
    image = np.full((480, 640, 3), 90, dtype=np.uint8)
    (wide, high), (short, _) = (_text_size(text, 1.0) for text in ("happy 70%", "happy"))
    large = [make_face((20.0 + 210 * x, 20.0, 180.0, 180.0)) for x in range(3)]
    face = [make_face((100.0, 300.0, 60.0, 60.0))]
    # covering both ends of the room for its longer label
    beside = [make_face((160.0 - wide - 50, 270.0, 60.0, 130.0)), make_face((100.0 + wide - 10, 270.0, 60.0, 130.0))]
    row = 300 - high + 3
    whole, shortened = ((annotate(image, large + faces)[row] != 90).any(axis=1) for faces in (face, face + beside))
    assert whole[100 : 100 + wide].all()
    assert shortened[100 : 100 + short].all()
    assert not shortened[100 + short + 2 : 100 + wide - 14].any()


def test_user_defined_labels_have_different_colors() -> None:
    labels = ("happy", "bored", "asleep")
    colors = [color_of(label, labels) for label in labels]
    assert colors[0] == EMOTION_COLORS["happy"]
    assert set(colors[1:]) <= set(OTHER_COLORS)
    assert len(set(colors)) == 3

"""Where the marks of faces lie, and that nothing else of the image changes; with OpenCV 4 and 5."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_edge.results import Face
from fer_edge.sinks.drawing.bars import MAX_ROWS
from fer_edge.sinks.drawing.colors import EMOTION_COLORS, UNSURE
from fer_edge.sinks.drawing.space import Space, head_of, rect_of
from fer_edge.sinks.drawing.tags import tag_size
from fer_edge.sinks.overlay import MAX_LABELED, Marks, annotate, place_marks

Rect = tuple[int, int, int, int]
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIZES = [(48, 48), (160, 120), (270, 480), (480, 640), (1080, 1920), (2160, 3840)]


def unsure(face: Face) -> Face:
    return replace(face, unsure=True)


def face_at(box: Sequence[float], emotion: str = "happy", track_id: int | None = None) -> Face:
    probabilities = dict.fromkeys(LABELS, 0.05) | {emotion: 0.7}
    return Face(tuple(box), 0.9, emotion, 0.7, probabilities, track_id)


def grid(columns: int, rows: int, side: int, step: int, at: tuple[int, int] = (30, 40)) -> list[Face]:
    """Faces of `side` pixels, one every `step` pixels, of all emotions."""
    places = [(at[0] + step * x, at[1] + step * y) for y in range(rows) for x in range(columns)]
    return [face_at((x, y, side, side), LABELS[index % 7]) for index, (x, y) in enumerate(places)]


def marks_of(shape: tuple[int, ...], faces: Sequence[Face], **options: Any) -> Marks:
    height, width = shape[:2]
    return place_marks(faces, Space(width, height, [rect_of(face, width, height) for face in faces]), **options)


def rects_of(marks: Marks) -> list[Rect]:
    return [mark.rect for mark in (*marks.tags.values(), *marks.bars, *marks.panels)]


def apart(one: Rect, other: Rect) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


# The image


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 1), (240, 320, 3), (240, 320, 4)])
def test_annotations_are_drawn_on_a_bgr_copy(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, dtype=np.uint8)
    image.setflags(write=False)
    drawn = annotate(image, [face_at((100, 80, 60, 60))], caption="9.9 FPS")
    assert drawn.shape == (240, 320, 3)
    assert (image == 90).all()
    assert (drawn != 90).any()


@pytest.mark.parametrize(
    "image", [noise((240, 320, 3))[:, ::-1], noise((240, 320))[::-1], noise((480, 640, 3))[::2, ::2]]
)
def test_views_are_drawn_as_their_copies(image: np.ndarray) -> None:
    faces = [face_at((100, 80, 60, 60))]
    np.testing.assert_array_equal(annotate(image, faces), annotate(image.copy(), faces))


def test_an_image_without_faces_is_copied_unchanged() -> None:
    image = noise((50, 60, 3))
    drawn = annotate(image, [])
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9), np.float32), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8), np.zeros((0, 9), np.uint8)],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an image is uint8"):
        annotate(image, [])


def test_what_is_no_array_is_refused() -> None:
    with pytest.raises(TypeError, match="a numpy array, not str"):
        annotate("photo.jpg", [])  # type: ignore[arg-type]


def test_equal_faces_are_drawn_equally() -> None:
    image, faces = noise((480, 640, 3)), grid(9, 8, 30, 55)
    np.testing.assert_array_equal(annotate(image, faces), annotate(image, faces))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 50, 50), (270, 190, 50, 50), (0, 0, 320, 240), (319, 239, 1, 1), (0, 0, 0, 0), (0.4, 0.6, 319.5, 2.2),
     (-50, -50, 80, 80), (1e9, -1e9, 4e9, 4e9)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(240, 320, 3), (1, 1), (7, 2000, 3), (2000, 7, 3)])
@pytest.mark.parametrize("change", [lambda face: face, unsure], ids=["sure", "unsure"])
def test_faces_at_borders_and_in_odd_images_are_drawn(
    box: tuple[float, float, float, float], shape: tuple[int, ...], change: Callable[[Face], Face]
) -> None:
    faces = [face_at(box), face_at((1, 1, 9, 9), "sad"), face_at(box, "fear")]
    drawn = annotate(np.zeros(shape, dtype=np.uint8), [change(face) for face in faces])
    assert drawn.shape == (*shape[:2], 3)


# Boxes


def test_the_box_has_the_color_of_its_emotion() -> None:
    drawn = annotate(np.zeros((480, 640, 3), dtype=np.uint8), [face_at((100, 80, 60, 60), "happy")])
    assert tuple(drawn[120, 100].tolist()) == EMOTION_COLORS["happy"]


@pytest.mark.parametrize("emotion", LABELS)
@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (128, 128, 128), "own"])
def test_every_box_is_visible_on_any_background(emotion: str, background: Any) -> None:
    color = EMOTION_COLORS[emotion] if background == "own" else background
    image = np.full((480, 640, 3), color, dtype=np.uint8)
    drawn = annotate(image, [face_at((200, 150, 100, 100), emotion)], bars=False)
    for edge in (drawn[180:220, 196:205], drawn[180:220, 296:305], drawn[245:255, 230:270].swapaxes(0, 1)):
        contrast = np.abs(edge.astype(int) - color).max(axis=2).max(axis=1)
        assert (contrast > 100).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_box_of_a_face_that_fills_the_image_is_visible(size: tuple[int, int]) -> None:
    drawn = annotate(np.full(size, 90, dtype=np.uint8), [face_at((0, 0, size[1], size[0]), "sad")], bars=False)
    middle = drawn[size[0] // 2]
    for side in (middle[: size[1] // 4], middle[-size[1] // 4 :]):
        assert (side == EMOTION_COLORS["sad"]).all(axis=1).any()


def test_lines_around_small_faces_are_thin() -> None:
    drawn = annotate(np.full((480, 640), 90, dtype=np.uint8), grid(8, 8, 20, 55))
    assert (drawn[45:55, 32:48] == 90).all()
    assert (drawn[42:58, 35:45] == 90).all()


def test_the_box_of_an_unsure_face_is_dashed() -> None:
    image = np.full((480, 640), 90, dtype=np.uint8)
    face = face_at((200, 150, 100, 100))
    whole, dashed = (annotate(image, [one], bars=False)[175:225, 200] for one in (face, unsure(face)))
    assert (whole == EMOTION_COLORS["happy"]).all()
    assert 0.2 < (dashed == 90).all(axis=1).mean() < 0.8


# Labels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 2, 5, 12, 30, 77])
def test_nothing_changes_but_boxes_and_panels(size: tuple[int, int], count: int) -> None:
    """So no text is drawn over the border of its panel, and no label, number or legend is cut."""
    image = noise((*size, 3))
    rng = np.random.default_rng(count)
    side = min(size) * (0.6 if count == 1 else 0.8 / np.sqrt(count))
    faces = [
        face_at((*(rng.uniform(0, (size[1] - side, size[0] - side))), 0.8 * side, side), LABELS[index % 7])
        for index in range(count)
    ]
    changed = (annotate(image, faces, caption="A caption (gjpqy)\nof two lines") != image).any(axis=2)
    edge = 3 + min(size) // 100
    for face in faces:
        left, top, right, bottom = rect_of(face, size[1], size[0])
        box = np.zeros(size, dtype=bool)
        box[max(top - edge, 0) : bottom + edge, max(left - edge, 0) : right + edge] = True
        box[top + edge : max(bottom - edge, 0), left + edge : max(right - edge, 0)] = False
        corner = edge + round(0.12 * min(right - left, bottom - top))
        for y in (slice(top, top + corner), slice(max(bottom - corner, 0), bottom)):
            for x in (slice(left, left + corner), slice(max(right - corner, 0), right)):
                box[y, x] = True
        changed &= ~box
    for left, top, right, bottom in rects_of(marks_of(size, faces, caption="A caption (gjpqy)\nof two lines")):
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]
        changed[top:bottom, left:right] = False
    assert not changed.any()


faces_anywhere = st.lists(
    st.builds(
        lambda x, y, side, emotion, is_unsure: replace(face_at((x, y, 0.8 * side, side), emotion), unsure=is_unsure),
        st.integers(0, 600), st.integers(0, 440), st.integers(12, 300), st.sampled_from(LABELS), st.booleans(),
    ),
    max_size=45,
)  # fmt: skip


@settings(max_examples=60)
@given(faces_anywhere)
def test_labels_and_bars_cover_no_other_head_and_no_panel(faces: list[Face]) -> None:
    marks = marks_of((480, 640), faces, caption="30 FPS")
    labels = {at: tag for at, tag in marks.tags.items() if at not in marks.numbered and len(faces) > 1}
    heads = [head_of(rect_of(face, 640, 480)) for face in faces]
    for at, tag in labels.items():
        assert all(apart(tag.rect, head) for index, head in enumerate(heads) if index != at)
    for bars in marks.bars:
        assert all(apart(bars.rect, head) for face, head in zip(faces, heads, strict=True) if face is not bars.face)
    panels = [tag.rect for tag in labels.values()] + [bars.rect for bars in marks.bars] + [marks.panels[0].rect]
    for index, one in enumerate(panels):
        assert all(apart(one, other) for other in panels[:index])


@settings(max_examples=60)
@given(faces_anywhere)
def test_every_face_has_a_label_or_a_number(faces: list[Face]) -> None:
    assert sorted(marks_of((480, 640), faces).tags) == list(range(len(faces)))


@settings(max_examples=30)
@given(faces_anywhere)
def test_faces_anywhere_are_drawn(faces: list[Face]) -> None:
    assert annotate(np.zeros((480, 640), dtype=np.uint8), faces).shape == (480, 640, 3)


def test_labels_grow_with_their_face() -> None:
    marks = marks_of((480, 640), [face_at((50, 100, 200, 240)), face_at((400, 100, 60, 70))])
    assert marks.tags[0].height >= 1.8 * marks.tags[1].height


def test_labels_keep_their_size_while_a_face_moves_a_little() -> None:
    heights = [marks_of((480, 640), [face_at((200, 150, 90, side))]).tags[0].height for side in range(100, 200)]
    assert len(set(heights)) <= 6
    assert heights == sorted(heights)


def test_a_label_says_emotion_and_percent() -> None:
    assert marks_of((480, 640), [face_at((200, 150, 90, 100), "sad")]).tags[0].words == ("sad", "70%")


def test_an_unsure_face_says_so() -> None:
    tag = marks_of((480, 640), [unsure(face_at((200, 150, 90, 100), "sad"))]).tags[0]
    assert tag.words == ("unsure:", "sad?", "70%")
    assert tag.color == UNSURE


def test_a_label_lies_above_its_face_where_there_is_room() -> None:
    rect = marks_of((480, 640), [face_at((200, 150, 90, 100))]).tags[0].rect
    assert rect[0] == 200
    assert rect[3] == 150


def test_a_label_lies_below_a_face_at_the_top() -> None:
    assert marks_of((480, 640), [face_at((200, 2, 90, 100))]).tags[0].rect[1] == 102


@pytest.mark.parametrize("size", SIZES)
def test_a_face_that_fills_the_image_has_its_label_on_it(size: tuple[int, int]) -> None:
    marks = marks_of(size, [face_at((0, 0, size[1], size[0]), "surprise")])
    assert marks.tags[0].words[0] == "surprise"
    assert marks.tags[0].rect[1] < size[0] // 4


def test_labels_are_shortened_before_they_are_replaced_by_numbers() -> None:
    wide, short = (tag_size(words, 7)[0] for words in (("happy", "70%"), ("happy",)))
    face = face_at((100, 300, 40, 40))
    room = (wide + short) // 2
    # heads close on both sides, above and below
    walls = [face_at((x, 280, 60, 90), "sad") for x in (100 - 66 - (room - 40) // 2, 146 + (room - 40) // 2)]
    assert marks_of((480, 640), [face]).tags[0].words == ("happy", "70%")
    assert marks_of((480, 640), [face, *walls]).tags[0].words == ("happy",)


def test_bars_do_not_cover_a_face() -> None:
    image = np.full((480, 640, 3), 90, dtype=np.uint8)
    drawn = annotate(image, [face_at((100, 150, 150, 150)), face_at((260, 150, 150, 150))])
    assert (drawn[170:280, 110:240] == 90).all()
    assert (drawn[170:280, 270:400] == 90).all()


def test_labels_in_a_crowd_cover_no_face() -> None:
    faces = grid(9, 9, 30, 45)
    drawn = annotate(np.full((480, 640, 3), 90, dtype=np.uint8), faces)
    inside = np.zeros((480, 640), bool)
    for face in faces:
        left, top, right, bottom = rect_of(face, 640, 480)
        inside[top + 7 : bottom - 7, left + 7 : right - 7] = True
    assert (drawn[inside] == 90).all()


# Crowds


def test_crowds_have_numbers_and_a_legend() -> None:
    faces = grid(11, 7, 24, 56)
    marks = marks_of((480, 720), faces)
    assert len(faces) == 77 > MAX_LABELED
    assert [marks.tags[at].words for at in range(77)] == [(str(at + 1),) for at in range(77)]
    assert marks.bars == []
    (legend,) = marks.panels
    assert ("angry", "11") in [tag.words for tag in legend.tags]


def test_a_legend_covers_no_face_and_no_number_where_there_is_room() -> None:
    faces = grid(8, 5, 24, 50, at=(200, 200))
    marks = marks_of((480, 640), faces)
    (legend,) = marks.panels
    assert [tag.words for tag in legend.tags if tag.color is None] != []  # in full, with the numbers of each emotion
    assert all(apart(legend.rect, head_of(rect_of(face, 640, 480))) for face in faces)
    assert all(apart(legend.rect, tag.rect) for tag in marks.tags.values())
    for tag in legend.tags:
        assert legend.rect[0] <= tag.rect[0] < tag.rect[2] <= legend.rect[2]
        assert legend.rect[1] <= tag.rect[1] < tag.rect[3] <= legend.rect[3]


def test_every_number_is_in_a_full_legend() -> None:
    marks = marks_of((1080, 1920), grid(11, 7, 24, 56))
    words = [tag.words for tag in marks.panels[0].tags if tag.color is None]
    assert sorted(int(word) for (word,) in words) == list(range(1, 78))


def test_a_face_without_room_for_its_label_has_a_number_and_a_legend_line() -> None:
    around = [(300, 150), (300, 250), (250, 200), (350, 200)]
    faces = [face_at((300, 200, 40, 40), "neutral"), *(face_at((x, y, 40, 45), "sad") for x, y in around)]
    marks = marks_of((480, 640), faces)
    assert marks.numbered == [0]
    (legend,) = marks.panels
    assert marks.tags[0].words == ("3",)
    assert [tag.words for tag in legend.tags] == [("3", "neutral", "70%")]


def test_numbers_are_track_ids_where_all_faces_have_one() -> None:
    faces = [replace(face, track_id=100 + 2 * index) for index, face in enumerate(grid(8, 5, 24, 50))]
    marks = marks_of((480, 640), faces)
    assert [marks.tags[at].words for at in range(40)] == [(str(100 + 2 * at),) for at in range(40)]


def test_without_ids_faces_are_numbered_in_reading_order() -> None:
    faces = grid(8, 5, 24, 50)
    marks = marks_of((480, 640), faces[::-1])
    assert [marks.tags[at].words for at in range(40)] == [(str(40 - at),) for at in range(40)]


def test_unsure_faces_are_a_group_of_the_legend() -> None:
    faces = [unsure(face) if index % 4 == 0 else face for index, face in enumerate(grid(8, 5, 24, 50))]
    (legend,) = marks_of((480, 640), faces).panels
    assert ("unsure", "10") in [tag.words for tag in legend.tags]


# Bars


def test_bars_lie_beside_their_face() -> None:
    (bars,) = marks_of((480, 640), [face_at((200, 150, 100, 120))]).bars
    assert 300 < bars.rect[0] < 320
    assert bars.rect[1] == 150


def test_bars_lie_to_the_left_of_a_face_at_the_right() -> None:
    (bars,) = marks_of((480, 640), [face_at((520, 150, 100, 120))]).bars
    assert 500 < bars.rect[2] < 520


@pytest.mark.parametrize(("size", "box"), [((480, 400), (20, 20, 360, 440)), ((450, 350), (40, 60, 270, 330))])
def test_a_selfie_has_its_bars_inside_its_frame(size: tuple[int, int], box: tuple[int, ...]) -> None:
    (bars,) = marks_of(size, [face_at(box)]).bars
    left, top, right, bottom = bars.rect
    x, y, width, height = box
    features = (x + width // 4, y + height // 3, x + 3 * width // 4, y + 9 * height // 10)
    assert apart(bars.rect, features)
    assert 0 <= left < right <= size[1]
    assert 0 <= top < bottom <= size[0]


def test_bars_are_left_out_on_request() -> None:
    assert marks_of((480, 640), [face_at((200, 150, 100, 120))], bars=False).bars == []


def test_the_longest_bar_is_that_of_the_most_probable_label() -> None:
    face = face_at((200, 150, 100, 120), "fear")
    (bars,) = marks_of((480, 640), [face]).bars
    left, top, right, bottom = bars.rect
    panel = annotate(np.zeros((480, 640), dtype=np.uint8), [face])[top:bottom, left:right]
    lengths = [(panel == color).all(axis=2).sum(axis=1).max() for color in map(EMOTION_COLORS.get, LABELS)]
    assert int(np.argmax(lengths)) == LABELS.index("fear")
    assert min(lengths) >= 1


def test_of_many_labels_the_most_probable_have_bars() -> None:
    labels = [f"label{index}" for index in range(30)]
    probabilities = {label: (1 + index) / 465 for index, label in enumerate(labels)}
    face = Face((200, 150, 100, 120), 0.9, "label29", 30 / 465, probabilities)
    (bars,) = marks_of((480, 640), [face]).bars
    (seven,) = marks_of((480, 640), [face_at((200, 150, 100, 120))]).bars
    assert bars.rect[3] - bars.rect[1] < (MAX_ROWS + 2) / 7 * (seven.rect[3] - seven.rect[1])
    annotate(np.zeros((480, 640), dtype=np.uint8), [face])


def test_a_face_without_probabilities_has_no_bars() -> None:
    face = Face((200, 150, 100, 120), 0.9, "happy", 0.8, {})
    assert marks_of((480, 640), [face]).bars == []
    annotate(np.zeros((480, 640), dtype=np.uint8), [face])


@pytest.mark.parametrize(("side", "count", "bars"), [(40, 5, 0), (70, 5, 3), (40, 1, 1), (24, 1, 0)])
def test_small_faces_have_no_bars(side: int, count: int, bars: int) -> None:
    assert len(marks_of((480, 1280), grid(count, 1, side, 240)).bars) == bars


# The caption


def test_the_caption_lies_at_the_top_left() -> None:
    (caption,) = marks_of((480, 640), [], caption="9.9 FPS").panels
    assert max(caption.rect[:2]) < 12
    assert [tag.words for tag in caption.tags] == [("9.9 FPS",)]


def test_a_caption_may_have_lines() -> None:
    (caption,) = marks_of((480, 640), [], caption="space  pause\nq  quit").panels
    assert len(caption.tags) == 2
    assert caption.tags[0].rect[3] <= caption.tags[1].rect[1]


def test_a_long_caption_is_cut_at_the_border() -> None:
    (caption,) = marks_of((120, 160), [], caption="a caption that is much too long for a small image").panels
    assert caption.rect[2] <= 160
    assert caption.tags[0].words[0].endswith("...")


def test_labels_keep_clear_of_the_caption() -> None:
    marks = marks_of((480, 640), [face_at((5, 30, 60, 80))], caption="30.0 FPS, latency 12 ms")
    assert all(apart(marks.panels[0].rect, tag.rect) for tag in marks.tags.values())

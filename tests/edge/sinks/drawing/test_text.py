"""Masks hold all ink of their text, with the fonts of OpenCV 4 and 5; labels are written in ASCII."""

import numpy as np
import pytest

from fer_edge.sinks.drawing.text import (
    _PRINTABLE,
    _large,
    _oversampling,
    column_mask,
    label_text,
    line_height,
    text_mask,
    text_width,
    transliterate,
)

HEIGHTS = (5, 6, 7, 9, 12, 15, 20, 33, 60, 90)


@pytest.mark.parametrize("height", HEIGHTS)
@pytest.mark.parametrize("text", ["surprise", "happy 100%", "gjpqy|()", "W", _PRINTABLE])
def test_a_mask_holds_all_ink(text: str, height: int) -> None:
    ink = _large(text, height)[0].sum(dtype=np.int64)
    assert text_mask(text, height)[:, :, 0].sum(dtype=np.int64) == pytest.approx(
        ink / _oversampling(height) ** 2, rel=0.01
    )


@pytest.mark.parametrize("height", HEIGHTS)
def test_the_room_around_a_text_is_larger_than_its_ink(height: int) -> None:
    ink = _large(_PRINTABLE, height)[0] > 0
    for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert not edge.any()


@pytest.mark.parametrize("height", HEIGHTS)
def test_capitals_are_about_as_high_as_asked(height: int) -> None:
    rows = np.flatnonzero((text_mask("H", height) > 100).any(axis=(1, 2)))
    assert len(rows) == pytest.approx(height, abs=1 + 0.15 * height)


def test_masks_of_a_height_have_as_many_rows() -> None:
    assert {text_mask(text, 12).shape[0] for text in ("a", "gy", "100%", "", " ")} == {line_height(12)}


def test_a_longer_text_is_wider() -> None:
    assert text_width("happy", 12) < text_width("happy!", 12)


def test_a_column_is_aligned_at_its_side() -> None:
    texts, wide = ("7%", "100%"), text_width("100%", 10)
    left, right = (column_mask(texts, 10, 20, wide, from_right) for from_right in (False, True))
    assert left.shape == right.shape == (20 + line_height(10), wide, 3)
    assert left[:20, 0].any()
    assert not right[:20, 0].any()
    assert right[:20, -1].any()
    np.testing.assert_array_equal(left[20:], right[20:])


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("happy", "happy"),
        ("Glück & Spaß", "Gluck & Spass"),
        ("naïve", "naive"),
        ("smørbrød", "smorbrod"),
        ("łzy", "lzy"),
        ("радость", "radost"),
        ("Злость", "Zlost"),
        ("щёлк", "shchelk"),
        ("ΛΎΠΗ", "LYPI"),
        ("χαρά", "chara"),
        ("vui vẻ", "vui ve"),
        ("öfke\tve\nkorku", "ofke ve korku"),
        ("ｈａｐｐｙ", "happy"),
        ("pleasantly surprised", "pleasantly surprised"),
        ("pleasantly surprised by it", "pleasantly surpri..."),
    ],
)
def test_labels_are_written_in_ascii(label: str, written: str) -> None:
    assert label_text(label, (label,)) == written


@pytest.mark.parametrize("label", ["幸せ", "سعيد", "😀", "행복", "happy 😀", "\x00", "", "\u200b"])
def test_labels_without_a_transliteration_are_numbered(label: str) -> None:
    assert label_text(label, ("first", label)) == "label 2"


def test_a_label_that_the_network_does_not_name_is_written_too() -> None:
    assert label_text("幸せ", ()) == "label"


def test_signs_are_transliterated_and_unknown_ones_stay() -> None:
    assert transliterate("½ — «привет» … 幸せ").startswith("1/2 - ")
    assert transliterate("幸せ") == "幸せ"

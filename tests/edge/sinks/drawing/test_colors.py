"""Colors that people with any color vision can distinguish, and text that is readable on all of them."""

import numpy as np
import pytest

from fer_edge.sinks.drawing.colors import (
    EMOTION_COLORS,
    OTHER_COLORS,
    PANEL,
    UNSURE,
    WHITE,
    color_of,
    contrasting,
    luminance,
)

# Machado, Oliveira and Fernandes (2009), severity 1.0; they apply to linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
WHITE_POINT = [0.95047, 1.0, 1.08883]  # D65


def lab(colors: list[tuple[int, int, int]], vision: str) -> np.ndarray:
    """CIE L*a*b* of sRGB colors (B, G, R) as somebody of that vision sees them."""
    rgb = np.array(colors, float)[:, ::-1] / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(VISION[vision]), 0, 1) @ np.transpose(TO_XYZ) / WHITE_POINT
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colors_are_told_apart(vision: str) -> None:
    seen = lab([*EMOTION_COLORS.values(), *OTHER_COLORS, UNSURE], vision)
    distances = np.linalg.norm(seen[:, None] - seen, axis=2)[np.triu_indices(len(seen), 1)]
    assert distances.min() > 25  # a just noticeable difference is about 2.3


@pytest.mark.parametrize("color", [*EMOTION_COLORS.values(), *OTHER_COLORS, UNSURE, PANEL])
def test_text_is_readable_on_every_color(color: tuple[int, int, int]) -> None:
    light, dark = sorted((luminance(color), luminance(contrasting(color))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_luminance_of_white_is_one() -> None:
    assert luminance(WHITE) == pytest.approx(1)


def test_user_defined_labels_have_different_colors() -> None:
    labels = ("happy", "bored", "asleep")
    colors = [color_of(label, labels) for label in labels]
    assert colors[0] == EMOTION_COLORS["happy"]
    assert set(colors[1:]) <= set(OTHER_COLORS)
    assert len(set(colors)) == 3


def test_a_label_keeps_its_color_when_emotions_are_added() -> None:
    assert color_of("bored", ("bored", "asleep")) == color_of("bored", ("angry", "happy", "bored", "asleep"))


def test_a_label_that_the_network_does_not_name_has_a_color() -> None:
    assert color_of("bored", ()) in OTHER_COLORS

"""Text as masks whose ink is measured, because OpenCV 4 and 5 draw different fonts and getTextSize is only near."""

import functools
import unicodedata
from collections.abc import Sequence

import numpy as np

from fer_edge.framing import Image
from fer_edge.opencv import cv2

MAX_LABEL = 20  # letters
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX = 21.0  # height of a capital at font scale 1
_STROKE = 0.12  # of the height of a capital
_PRINTABLE = "".join(chr(code) for code in range(33, 127))

# Letters that do not decompose into an ASCII letter and accents. Cyrillic and Greek as English newspapers write
# them, because few readers know the diacritics of ISO 9 and ISO 843.
_LATIN = "ß ss æ ae Æ AE œ oe Œ OE ø o Ø O ł l Ł L đ d Đ D ð d Ð D þ th Þ Th ı i ħ h Ħ H ə a Ə A"
_SIGNS = "\u2018 ' \u2019 ' \u201c \" \u201d \" \u2010 - \u2011 - \u2013 - \u2014 - \u2212 - \u00b7 - \u00d7 x \u2044 /"
_CYRILLIC = (
    "а a б b в v г g д d е e ж zh з z и i й y к k л l м m н n о o п p р r с s т t у u ф f х kh ц ts ч ch ш sh щ shch "
    "ы y э e ю yu я ya є ye і i ґ g ђ dj ј j љ lj њ nj ћ c џ dz"
)
_GREEK = "α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o"


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_SMALL = _pairs(_CYRILLIC) | _pairs(_GREEK)
_LETTERS = str.maketrans(
    _pairs(_LATIN) | _pairs(_SIGNS) | _SMALL | {letter.upper(): latin.capitalize() for letter, latin in _SMALL.items()}
    | {"ς": "s", "Σ": "S", "ь": "", "Ь": "", "ъ": "", "Ъ": ""}
)  # fmt: skip


@functools.lru_cache(maxsize=256)
def transliterate(text: str) -> str:
    """`text` with accents removed, and Cyrillic and Greek in Latin letters; other scripts and signs stay.

    >>> transliterate("fröhlich, радость, 幸せ")
    'frohlich, radost, 幸せ'
    """
    latin = unicodedata.normalize("NFC", text).translate(_LETTERS)
    decomposed = unicodedata.normalize("NFKD", latin)
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign)).translate(_LETTERS)
    return " ".join(plain.split())


def label_text(label: str, labels: Sequence[str]) -> str:
    """How `label`, one of `labels`, is written: in ASCII, cut if long, or as "label 2" if no transliteration is known.

    >>> label_text("幸せ", ("怒り", "幸せ"))
    'label 2'
    """
    text = transliterate(label)
    if text and text.isascii() and text.isprintable():
        return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 3].rstrip()}..."
    return f"label {list(labels).index(label) + 1}" if label in labels else "label"


@functools.lru_cache(maxsize=1024)
def text_mask(text: str, height: int) -> Image:
    """`text` (printable ASCII) in capitals of `height` pixels, cropped to its ink on the left and right.

    uint8 [rows, columns, 3], 0 (background) to 255 (ink) in all channels; read-only.

    All masks of a height have as many rows, and the baseline in the same one.
    """
    above, below = _rows(height)
    ink, baseline = _large(text, height)
    times = _oversampling(height)
    columns = np.flatnonzero(ink.any(axis=0))
    left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, times)
    right += -(right - left) % times
    part = ink[baseline - above * times : baseline + below * times, left:right]
    size = part.shape[1] // times, part.shape[0] // times
    mask = np.asarray(cv2.merge([cv2.resize(part, size, interpolation=cv2.INTER_AREA)] * 3), dtype=np.uint8)
    mask.setflags(write=False)
    return mask


def text_width(text: str, height: int) -> int:
    """Columns of text_mask."""
    return int(text_mask(text, height).shape[1])


@functools.lru_cache(maxsize=32)
def column_mask(texts: tuple[str, ...], height: int, row: int, width: int, from_right: bool = False) -> Image:
    """`texts` below each other, one every `row` pixels, at the left or the right of `width` columns."""
    tall = line_height(height)
    column = np.zeros(((len(texts) - 1) * row + tall, width, 3), dtype=np.uint8)
    for index, text in enumerate(texts):
        mask = text_mask(text, height)
        left = width - mask.shape[1] if from_right else 0
        column[index * row : index * row + tall, left : left + mask.shape[1]] = mask
    return column


@functools.lru_cache(maxsize=64)
def line_height(height: int) -> int:
    """Rows of text_mask."""
    above, below = _rows(height)
    return above + below


@functools.lru_cache(maxsize=64)
def _rows(height: int) -> tuple[int, int]:
    """The rows above and below the baseline that any printable ASCII text needs."""
    ink, baseline = _large(_PRINTABLE, height)
    times = _oversampling(height)
    rows = np.flatnonzero(ink.any(axis=1))
    return -((int(rows[0]) - baseline) // times), -((baseline - 1 - int(rows[-1])) // times)


def _oversampling(height: int) -> int:
    """Small text is drawn larger and shrunk: smooth, and with strokes of any width."""
    return 4 if height < 16 else 2


def _large(text: str, height: int) -> tuple[Image, int]:
    """`text` drawn _oversampling times as large with room on all sides, uint8 [H, W], and the row of its baseline."""
    times = _oversampling(height)
    scale = height * times / _CAPITAL_PX
    thickness = max(1, round(max(_STROKE * height, 1.0) * times))
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    room = 2 * height * times
    canvas = np.zeros((2 * room, width + 2 * room), dtype=np.uint8)
    cv2.putText(canvas, text, (room, room), _FONT, scale, 255, thickness, cv2.LINE_AA)
    return canvas, room

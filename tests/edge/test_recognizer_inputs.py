"""What the recognizer takes for an image: arrays, paths, PIL images, lists of them; and what it refuses."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionRecognizer, Face, SourceError
from fer_edge.framing import Image

pytestmark = pytest.mark.usefixtures("no_threads_left")

PIL_MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "HSV", "LAB"]
UPRIGHT = {  # Exif orientation -> how a camera with it has stored an upright image
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image),
    7: lambda image: np.rot90(image.swapaxes(0, 1), 2),
    8: lambda image: np.rot90(image, -1),
}


@pytest.fixture(scope="module")
def recognizer(model: Path) -> EmotionRecognizer:
    return EmotionRecognizer(model)


@pytest.fixture
def photo(face_image: Image, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), face_image)
    return path


@pytest.fixture(scope="module")
def pil():
    return pytest.importorskip("PIL.Image")


def _to_lab(image):
    cms = pytest.importorskip("PIL.ImageCms")
    rgb, lab = cms.createProfile("sRGB"), cms.createProfile("LAB")
    return cms.profileToProfile(image, rgb, lab, outputMode="LAB")


def rounded(faces: list[Face]) -> list[tuple[int, ...]]:
    return [face.xyxy for face in faces]


def test_a_path_its_text_and_the_array_give_the_same_faces(
    recognizer: EmotionRecognizer, face_image: Image, photo: Path
) -> None:
    expected = recognizer.recognize(face_image)
    assert len(expected) == 1
    assert recognizer(photo) == recognizer(str(photo)) == recognizer(face_image) == expected


def test_several_images_give_a_list_for_each(recognizer: EmotionRecognizer, face_image: Image, photo: Path) -> None:
    blank = np.zeros_like(face_image)
    faces = recognizer(face_image)
    assert recognizer([face_image, blank, photo]) == [faces, [], faces]
    assert recognizer(image for image in (blank, face_image)) == [[], faces]
    assert recognizer((str(photo),)) == [faces]
    assert recognizer([]) == []


def test_an_image_from_pil_gives_the_faces_of_its_file(recognizer: EmotionRecognizer, photo: Path, pil) -> None:
    assert recognizer(pil.open(photo)) == recognizer(photo)
    assert recognizer([pil.open(photo), photo]) == [recognizer(photo)] * 2


@pytest.mark.parametrize("mode", PIL_MODES)
def test_a_pil_image_of_any_mode_shows_the_face(recognizer: EmotionRecognizer, photo: Path, pil, mode: str) -> None:
    image = pil.open(photo)
    if mode in ("La", "RGBa", "PA"):  # Pillow makes these from their relatives only
        image = image.convert({"La": "LA", "RGBa": "RGBA", "PA": "P"}[mode])
    faces = recognizer(_to_lab(image) if mode == "LAB" else image.convert(mode))
    if mode == "1":  # dots of black and white: whether a detector finds the face is chance
        assert faces == recognizer(np.asarray(image.convert("1").convert("L")))
        return
    (face,) = faces
    (expected,) = recognizer(photo)
    np.testing.assert_allclose(face.xyxy, expected.xyxy, atol=6)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_a_pil_image_of_16_bits_shows_the_face_of_8(recognizer: EmotionRecognizer, photo: Path, pil, mode: str) -> None:
    gray = np.asarray(pil.open(photo).convert("L"))
    raw = (gray.astype(np.uint16) * 256 + 17).astype(">u2" if mode == "I;16B" else "<u2")
    image = pil.frombytes(mode, gray.shape[::-1], raw.tobytes())
    assert recognizer(image) == recognizer(gray)


def test_a_16_bit_file_is_read_alike_by_path_and_by_pil(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path, pil
) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), cv2.cvtColor(face_image, cv2.COLOR_BGR2GRAY).astype(np.uint16) * 256 + 99)
    image = pil.open(path)
    if image.mode == "I":
        pytest.skip("this Pillow opens 16-bit images in mode I")
    assert rounded(recognizer(image)) == rounded(recognizer(path))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_pil_image_without_a_range_is_a_value_error(recognizer: EmotionRecognizer, pil, mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode {mode} has no fixed range"):
        recognizer(pil.new(mode, (99, 99)))


def test_other_pil_images_that_can_not_be_read_are_refused(
    recognizer: EmotionRecognizer, photo: Path, pil, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no pixels"):
        recognizer(pil.new("RGB", (0, 9)))
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:9000])
    with pil.open(cut) as image, pytest.raises(SourceError, match="the PIL image can't be read"):
        recognizer(image)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_stored_orientation_is_undone_by_path_and_by_pil(
    recognizer: EmotionRecognizer, photo: Path, pil, tmp_path: Path, orientation: int
) -> None:
    upright = np.asarray(pil.open(photo))
    exif = pil.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    pil.fromarray(np.ascontiguousarray(UPRIGHT[orientation](upright))).save(path, exif=exif, quality=98)
    expected = recognizer(photo)
    for faces in (recognizer(path), recognizer(pil.open(path))):
        np.testing.assert_allclose(faces[0].xyxy, expected[0].xyxy, atol=4)


def test_pillow_is_not_loaded_by_us(photo: Path) -> None:
    code = f"import sys, fer_edge; fer_edge.EmotionRecognizer()({str(photo)!r}); print('PIL' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert ran.stdout == "False\n"


def test_none_is_named_as_what_cv2_returns_for_a_wrong_path(recognizer: EmotionRecognizer) -> None:
    image = cv2.imread("missing.jpg")
    with pytest.raises(TypeError, match=r"^image is None: cv2\.imread returned nothing, check the path$"):
        recognizer(image)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^image 1: image is None"):
        recognizer([np.zeros((9, 9), np.uint8), None])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((9, 9, 3)), r"not float64: if its values are 0 to 1, pass np\.uint8\(255 \* image\)"),
        (np.zeros((9, 9), np.uint16), "not uint16"),
        (np.zeros((9, 9), bool), "not bool"),
        (np.array([[None]]), "not object"),
        (7, "a numpy array of uint8, a path or a PIL image, not int"),
        (b"photo.jpg", "not bytes"),
        ([[0]], "image 0: .* not list"),
        ({"photo": 1}, "image 0: photo does not exist"),
        (object(), "not object"),
    ],
)
def test_a_value_of_another_type_is_refused(recognizer: EmotionRecognizer, wrong: object, message: str) -> None:
    with pytest.raises((TypeError, SourceError), match=message):
        recognizer(wrong)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((9,), ""), ((9, 9, 2), ""), ((0, 9, 3), ": it is empty"), ((9, 0), ": it is empty"),
        ((9, 9, 4), r": leave out alpha with image\[:, :, :3\]"), ((9, 9, 1), r": pass image\[:, :, 0\]"),
        ((2, 9, 9, 3), r": for several images, pass list\(images\)"),
    ],
)  # fmt: skip
def test_an_array_of_another_shape_is_refused_with_advice(
    recognizer: EmotionRecognizer, shape: tuple[int, ...], advice: str
) -> None:
    with pytest.raises(ValueError, match=rf"not \[{', '.join(map(str, shape))}\]{advice}$"):
        recognizer(np.zeros(shape, dtype=np.uint8))


def test_files_that_hold_no_image_are_refused(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    for path, message in {
        tmp_path / "missing.jpg": "does not exist",
        tmp_path / "notes.txt": "is not an image, or is damaged",
        tmp_path / "empty.jpg": "the file is empty",
        tmp_path: "is a folder: stream reads its images",
        "http://camera/photo.jpg": "is a URL: stream reads it",
        "": "is empty",
        "a\0b.jpg": "does not exist",
    }.items():
        with pytest.raises(SourceError, match=message) as raised:
            recognizer(path)
        assert str(path) in str(raised.value)
        with pytest.raises(SourceError, match=f"^image 2: .*{message}"):
            recognizer([np.zeros((9, 9), np.uint8)] * 2 + [path])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(recognizer: EmotionRecognizer, photo: Path) -> None:
    photo.chmod(0)
    with pytest.raises(SourceError, match="change its permissions"):
        recognizer(photo)


def test_an_error_of_the_iterable_itself_is_not_renamed(recognizer: EmotionRecognizer, face_image: Image) -> None:
    def images() -> Iterator[Image]:
        yield face_image
        raise ValueError("the tape is torn")

    with pytest.raises(ValueError, match=r"^the tape is torn$"):
        recognizer(images())


def test_a_cropped_face_is_classified_without_detection(recognizer: EmotionRecognizer) -> None:
    dark, bright = np.full((80, 80, 3), 100, np.uint8), np.full((48, 48), 250, np.uint8)
    face = recognizer.classify(dark)
    assert (face.emotion, face.box, face.score, face.track_id) == ("angry", (0, 0, 80, 80), 1.0, None)
    assert tuple(face.probabilities) == recognizer.labels
    assert [face.emotion for face in recognizer.classify([dark, bright])] == ["angry", "neutral"]
    assert recognizer.classify(iter([])) == []


def test_a_crop_that_is_not_square_is_extended_at_its_edges(recognizer: EmotionRecognizer) -> None:
    bands = np.repeat(np.linspace(0, 250, 40).astype(np.uint8)[:, None], 80, axis=1)  # height 40, width 80
    square = cv2.copyMakeBorder(bands, 20, 20, 0, 0, cv2.BORDER_REPLICATE)
    assert recognizer.classify(bands).probabilities == recognizer.classify(square).probabilities


def test_a_crop_is_classified_as_the_rows_of_a_csv_of_faces_are(
    recognizer: EmotionRecognizer, face_image: Image, tmp_path: Path
) -> None:
    crop = cv2.resize(face_image[60:180, 100:220, 1], (48, 48))
    path = tmp_path / "faces.csv"
    path.write_text("pixels\n" + " ".join(map(str, crop.ravel())) + "\n")
    ((face,),) = recognizer.stream(path)
    assert recognizer.classify(crop).probabilities == pytest.approx(face.probabilities)


@pytest.mark.parametrize("wrong", [None, 7, np.zeros((0, 9), np.uint8), np.zeros((9, 9)), ["missing.jpg"]])
def test_what_is_no_crop_is_refused(recognizer: EmotionRecognizer, wrong: object) -> None:
    with pytest.raises((TypeError, ValueError, SourceError)):
        recognizer.classify(wrong)  # type: ignore[call-overload]

"""Images by their bytes: told by content, complete, upright; what is left out is named."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.media.door import decode_image
from fer_edge.media.formats import layout_of
from fer_edge.sources import open_source
from fer_edge.sources.folder import find_images
from fer_train.data.images import decode_face

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
FORMATS = ["jpg", "png", "webp", "bmp", "tif", "ppm", "gif", "jp2", "avif"]


def encoded(suffix: str, image: np.ndarray = IMAGE) -> bytes:
    ok, data = cv2.imencode(f".{suffix}", image)
    assert ok
    return bytes(data)


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """`jpeg` with an Exif block that holds only the orientation."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_header_tells_the_size_and_the_image_is_decoded(suffix: str) -> None:
    layout = layout_of(encoded(suffix))
    assert layout is not None
    assert (layout.width, layout.height, layout.complete, layout.images) == (60, 40, True, 1)
    picture = decode_image(encoded(suffix))
    assert picture.image.shape == (40, 60, 3)
    assert picture.note == ""


@pytest.mark.parametrize("share", [0.5, 0.97])
@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_that_is_cut_short_is_refused_in_both_programs(suffix: str, share: float) -> None:
    data = encoded(suffix)
    part = data[: int(share * len(data))]
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        decode_image(part)
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        decode_face(part)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("behind", [bytes(5000), b"\0\0\0\x18ftypmp42" + 3000 * b"motion photo"])
def test_data_behind_the_end_of_an_image_is_fine(suffix: str, behind: bytes) -> None:
    assert decode_image(encoded(suffix) + behind).image.shape == (40, 60, 3)


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "photo", "a.dat", "a.png"])
def test_every_jpeg_is_turned_upright_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(with_orientation(encoded("jpg"), 6))
    source = open_source(tmp_path / name)
    frame = source.read()
    assert frame is not None
    assert frame.image is not None
    assert frame.image.shape == (60, 40, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_of_every_orientation_is_upright(orientation: int) -> None:
    image = pytest.importorskip("PIL.Image").fromarray(IMAGE)
    stream = io.BytesIO()
    image.save(stream, "TIFF", tiffinfo={274: orientation})
    assert decode_image(stream.getvalue()).image.shape == ((60, 40, 3) if orientation > 4 else (40, 60, 3))


TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE",
         8: "ROTATE_270"}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
def test_an_avif_that_says_how_it_is_turned_is_upright(orientation: int) -> None:
    pillow = pytest.importorskip("PIL.Image")
    upright = np.repeat(np.repeat(np.uint8([[[0] * 3, [90] * 3], [[170] * 3, [250] * 3]]), 20, axis=0), 30, axis=1)
    exif, stream = pillow.Exif(), io.BytesIO()
    exif[274] = orientation  # Pillow writes it as irot and imir
    stored = pillow.fromarray(upright).transpose(pillow.Transpose[TURNS[orientation]])
    stored.save(stream, "AVIF", exif=exif, quality=90)
    assert b"irot" in stream.getvalue() or b"imir" in stream.getvalue()
    image = decode_image(stream.getvalue()).image
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 5


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_of_several_images_is_used_and_that_is_said(kind: str) -> None:
    pil = pytest.importorskip("PIL.Image")
    images = [pil.fromarray(np.full((40, 60, 3), value, dtype=np.uint8)) for value in (200, 100, 50)]
    stream = io.BytesIO()
    images[0].save(stream, kind, save_all=True, append_images=images[1:])
    picture = decode_image(stream.getvalue())
    assert abs(int(picture.image[20, 30, 0]) - 200) < 4
    assert picture.note == "the first of its 3 images is used"


def test_more_pixels_than_allowed_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", "2399")
    with pytest.raises(ValueError, match=r"60 x 40 pixels, more than 2,399: set FER_EDGE_MAX_PIXELS"):
        decode_image(encoded("png"))


def test_an_iphone_photo_is_named() -> None:
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    with pytest.raises(ValueError, match="can't read HEIC: convert it to JPEG"):
        decode_image(heic)


def test_a_folder_reads_every_image_that_opencv_knows_and_names_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.jfif", "b.jpe", "c.gif", "d.avif", "e.jp2", "f.jpg"):
        suffix = {"jfif": "jpg", "jpe": "jpg"}.get(name[2:], name[2:])
        (tmp_path / name).write_bytes(encoded(suffix))
    for name in ("x.heic", "y.HEIF", "z.jxl", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert len(find_images(tmp_path)) == 6
    assert "3 images are passed over, because OpenCV can't read them: x.heic, y.HEIF, z.jxl" in caplog.text
    source = open_source(tmp_path)
    assert all(frame.image is not None for frame in iter(source.read, None))


@pytest.mark.parametrize("levels", [1, 15, 100, 255, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
def test_the_levels_of_a_pnm_are_scaled(kind: bytes, levels: int) -> None:
    gray = np.tile(np.linspace(0, levels, 60).round().astype(">u2" if levels > 255 else np.uint8), (40, 1))
    values = gray if kind in (b"P2", b"P5") else np.repeat(gray[:, :, None], 3, axis=2)
    plain = values.tobytes() if kind in (b"P5", b"P6") else b" ".join(b"%d" % value for value in values.ravel()) + b"\n"
    picture = decode_image(kind + b"\n60 40\n%d\n" % levels + plain)
    assert picture.image.dtype == np.uint8
    assert np.abs(picture.image[:, :, 1] - gray.astype(float) * 255 / levels).max() <= 1

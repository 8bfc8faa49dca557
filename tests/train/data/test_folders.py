"""Folders of images in all their spellings, and images of every kind."""

import re
import time
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_train.data import (
    FER2013_CLASSES,
    PRIVATE_TEST,
    PUBLIC_TEST,
    TRAINING,
    check_trainable,
    images,
    load_faces,
    read_faces,
)

from ..conftest import encoded, make_face, write_images


def faces(count: int = 4) -> list[np.ndarray]:
    return [make_face(label % 7, np.random.default_rng(label)) for label in range(count)]


@pytest.mark.parametrize("spelling", [
    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"),
    ("anger", "disgusted", "fearful", "happiness", "sadness", "surprised", "neutral"),
    ("ANGER", "DISGUSTED", "Fearful", "Happiness", "Sadness", "Surprised", "NEUTRAL"),
])  # fmt: skip
def test_every_spelling_of_a_class_is_known(tmp_path: Path, spelling: tuple[str, ...]) -> None:
    write_images(tmp_path / "train", spelling, count=3)
    write_images(tmp_path / "test", spelling, count=1, seed=1)
    data = load_faces(tmp_path)
    assert data.classes == FER2013_CLASSES
    assert data.split(TRAINING).counts() == dict.fromkeys(FER2013_CLASSES, 3)
    assert data.split(PUBLIC_TEST).counts() == dict.fromkeys(FER2013_CLASSES, 1)
    # the bar that make_face draws marks the intended class
    tops = [int((row > 150).argmax()) for row in data.images[:, :, 10]]
    assert [(top - 3) // 6 for top in tops] == data.labels.tolist()


@pytest.mark.parametrize(("folders", "usages"), [
    (("train", "test"), (TRAINING, PUBLIC_TEST)),
    (("Train", "Validation"), (TRAINING, PUBLIC_TEST)),
    (("training", "val", "testing"), (TRAINING, PUBLIC_TEST, PRIVATE_TEST)),
    (("train", "valid", "test"), (TRAINING, PUBLIC_TEST, PRIVATE_TEST)),
    (("Training", "PublicTest", "PrivateTest"), (TRAINING, PUBLIC_TEST, PRIVATE_TEST)),
    (("train", "private_test"), (TRAINING, PRIVATE_TEST)),
    (("FER2013Train", "FER2013Valid", "FER2013Test"), (TRAINING, PUBLIC_TEST, PRIVATE_TEST)),
])  # fmt: skip
def test_split_folders_are_recognized_by_name(
    tmp_path: Path, folders: tuple[str, ...], usages: tuple[str, ...]
) -> None:
    for number, folder in enumerate(folders):
        write_images(tmp_path / folder, ("happy", "sad"), count=2 + number, seed=number)
    data = read_faces(tmp_path)
    assert data.classes == ("happy", "sad")
    assert {usage: len(data.split(usage)) for usage in usages} == {
        usage: 2 * (2 + number) for number, usage in enumerate(usages)
    }


def test_a_note_says_that_test_chooses_the_epoch_of_a_training(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ("happy", "sad"))
    write_images(tmp_path / "test", ("happy", "sad"), seed=1)
    data = load_faces(tmp_path)
    assert data.notes == ("test/ is used as PublicTest",), "commands that train nothing choose no epoch"
    chooses = "test/ chooses the best epoch: add validation/ to keep test/ unseen"
    assert check_trainable(data.rows(data.labels >= 0)).notes == (*data.notes, chooses)
    write_images(tmp_path / "validation", ("happy", "sad"), seed=2)
    assert check_trainable(load_faces(tmp_path)).notes == ()


def test_custom_classes_keep_their_names_and_a_fifth_is_held_out(tmp_path: Path) -> None:
    write_images(tmp_path, ("Wide Awake", "asleep", "Happy"), count=10)
    data = load_faces(tmp_path)
    assert data.classes == ("happy", "asleep", "Wide Awake"), "FER2013's first, then the others by name"
    assert data.split(PUBLIC_TEST).counts() == {"happy": 2, "asleep": 2, "Wide Awake": 2}
    assert "6 of the 30 Training faces" in data.notes[-1]


def test_outer_folders_hidden_files_and_other_files_are_ignored(tmp_path: Path) -> None:
    root = write_images(tmp_path / "archive" / "images" / "train", ("happy", "sad"))
    for name in (".hidden.png", "Thumbs.db", "notes.txt"):
        (root / "happy" / name).write_text("not an image")
    (tmp_path / "__MACOSX" / "train" / "happy").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "train" / "happy" / "a.png").write_text("not an image")
    assert load_faces(tmp_path).counts() == {"happy": 5, "sad": 5}


def test_splits_and_classes_side_by_side_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, ("train/happy", "train/sad", "happy", "sad"))
    with pytest.raises(DataError, match=r"has happy, sad beside the split train: move one kind away"):
        load_faces(tmp_path)


def test_images_without_class_folders_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path, (".",))
    with pytest.raises(DataError, match="has no images in class folders"):
        load_faces(tmp_path)


def test_an_image_outside_of_class_folders_is_noted(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ("happy", "sad"))
    (tmp_path / "train" / "logo.png").write_bytes(encoded(faces()[0]))
    assert "1 images outside of class folders are not used" in load_faces(tmp_path).notes


def test_an_empty_class_can_not_be_trained_on(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ("happy", "sad"))
    (tmp_path / "train" / "fear").mkdir()
    data = load_faces(tmp_path)
    assert data.counts() == {"fear": 0, "happy": 5, "sad": 5}
    with pytest.raises(DataError, match=r"no Training face of fear: add some, or drop it with --classes happy,sad"):
        check_trainable(data)


def test_a_class_that_only_the_test_split_has_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "train", ("happy", "sad"))
    write_images(tmp_path / "test", ("happy", "sad", "contempt", "awe"))
    with pytest.raises(DataError, match=r"no Training face of awe, contempt: .* drop them with --classes happy,sad"):
        check_trainable(load_faces(tmp_path))


def test_one_class_is_too_few_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Training faces of happy only: two or more classes are needed"):
        check_trainable(load_faces(write_images(tmp_path, ("happy",))))


def test_a_test_split_alone_can_be_scored_but_not_trained_on(tmp_path: Path) -> None:
    data = load_faces(write_images(tmp_path, ("test/happy", "test/sad")))
    assert data.splits() == (PUBLIC_TEST,)
    with pytest.raises(DataError, match="has no Training faces, only PublicTest: there is nothing to train on"):
        check_trainable(data)


def test_other_sizes_shapes_and_colors_are_converted_with_one_note_each(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=6)
    face = faces()[0]
    large = cv2.resize(face, (192, 192), interpolation=cv2.INTER_NEAREST)
    (root / "happy" / "large.png").write_bytes(encoded(large))
    (root / "happy" / "wide.png").write_bytes(encoded(cv2.copyMakeBorder(face, 0, 0, 20, 20, cv2.BORDER_CONSTANT)))
    (root / "happy" / "color.png").write_bytes(encoded(np.dstack([face // 2, face, 255 - face])))
    (root / "happy" / "gray as color.png").write_bytes(encoded(np.dstack([face] * 3)))
    data = load_faces(root)
    assert data.notes[:4] == (
        "1 of 16 images are larger but show no face that the detector finds: they are used whole",
        "2 of 16 images of another size were resized to 48 x 48",
        "1 of 16 images were not square: their middle square was taken",
        "1 of 16 images were in color and were converted to gray",
    )
    assert data.names is not None
    by_name = dict(zip(data.names.tolist(), data.images, strict=True))
    for name in ("large", "wide", "gray as color"):
        assert (by_name[f"happy/{name}.png"] == face).all(), name
    expected = cv2.cvtColor(np.dstack([face // 2, face, 255 - face]), cv2.COLOR_BGR2GRAY)
    assert (by_name["happy/color.png"] == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".JPEG", ".webp", ".tif", ".pgm"])
def test_images_of_many_formats_are_read(tmp_path: Path, suffix: str) -> None:
    data = load_faces(write_images(tmp_path, ("happy", "sad"), suffix=suffix))
    assert len(data) == 10
    assert data.images.std() > 20


@pytest.fixture
def corrupt(tmp_path: Path) -> Path:
    root = write_images(tmp_path / "faces", ("happy", "sad"), count=6)
    whole_jpeg, whole_png = encoded(faces()[0], ".jpg"), encoded(faces()[0])
    for name, content in {
        "a empty.png": b"", "b text.jpg": b"not an image", "c cut.jpg": whole_jpeg[: len(whole_jpeg) // 2],
        "d cut.png": whole_png[: len(whole_png) // 2],
    }.items():  # fmt: skip
        (root / "happy" / name).write_bytes(content)
    return root


def test_corrupt_images_are_counted_and_named(corrupt: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_faces(corrupt)
    assert str(caught.value) == (
        f"{corrupt}, happy/a empty.png: the file is empty; 4 of its 16 images can't be used; also happy/b text.jpg, "
        "happy/c cut.jpg, happy/d cut.png: fix or delete them, or pass --skip-bad-rows to skip them"
    )


def test_corrupt_images_can_be_skipped(corrupt: Path) -> None:
    data = load_faces(corrupt, skip_bad=True)
    assert data.counts() == {"happy": 6, "sad": 6}
    assert data.names is not None and not any("cut" in name for name in data.names)
    assert data.notes[0].startswith("4 of 16 images can't be used and are left out: happy/a empty.png: the file is")


def test_a_folder_of_only_corrupt_images_is_always_refused(tmp_path: Path) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=1)
    for path in root.rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"happy/0\.png: it is not an image, or is damaged; none of its 2 images"):
        load_faces(root, skip_bad=True)


def test_a_class_may_be_named_like_a_split(tmp_path: Path) -> None:
    """Only the outermost folders can be splits."""
    data = load_faces(write_images(tmp_path, ("train/test", "train/other")))
    assert data.classes == ("other", "test")


def test_the_order_is_by_split_class_and_name(tmp_path: Path) -> None:
    write_images(tmp_path, ("test/sad", "train/sad", "train/happy"), count=2)
    names = read_faces(tmp_path).names
    assert names is not None
    folders = [re.sub(r"/\d\.png", "", name) for name in names.tolist()]
    assert folders == ["train/happy"] * 2 + ["train/sad"] * 2 + ["test/sad"] * 2


def test_links_are_followed_but_never_in_circles(tmp_path: Path) -> None:
    write_images(tmp_path / "elsewhere", ("images",), count=4)
    root = write_images(tmp_path / "faces", ("happy",), count=3)
    (root / "sad").symlink_to(tmp_path / "elsewhere" / "images")
    (root / "happy" / "again").symlink_to(root)
    assert load_faces(root).counts() == {"happy": 3, "sad": 4}


def test_ctrl_c_while_reading_images_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_images(tmp_path, ("happy", "sad"), count=100)
    read = []

    def interrupted(data: bytes, _finder: object) -> None:
        read.append(data)
        time.sleep(0.002)  # as decoding takes: without it the threads outrun the one that stops them
        raise KeyboardInterrupt

    monkeypatch.setattr(images, "decode_face", interrupted)
    monkeypatch.setattr(images, "IMAGES_PER_JOB", 1)
    with pytest.raises(KeyboardInterrupt):
        load_faces(root)
    assert len(read) < 100

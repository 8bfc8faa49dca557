import hashlib
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ModelError
from fer_edge.framing import MIN_DEVIATION, MIN_MEAN, Square
from fer_edge.network.classifier import Classifier
from fer_edge.network.session import load_model, preload, run_in_batches


@pytest.fixture
def faces() -> np.ndarray:
    shades = np.array([0, 60, 128, 200, 255], dtype=np.uint8)
    return np.broadcast_to(shades[:, None, None, None], (5, 1, 48, 48)).copy()


def test_a_batch_gives_the_same_as_its_faces_one_by_one(classifier: Classifier, faces: np.ndarray) -> None:
    together = classifier.predict(faces)
    singly = np.concatenate([classifier.predict(faces[index : index + 1]) for index in range(len(faces))])
    np.testing.assert_allclose(together, singly, atol=1e-6)


def test_rows_are_probabilities(classifier: Classifier, faces: np.ndarray) -> None:
    rows = classifier.predict(faces)
    assert rows.shape == (5, 7)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)


def test_the_network_gets_raw_pixels(classifier: Classifier, faces: np.ndarray) -> None:
    rows = classifier.predict(faces)
    assert rows[0].argmax() == 0  # black: the first label, as the tiny network was built
    assert rows[-1].argmax() == 6  # white: the last
    assert np.ptp(rows[2]) < 0.01  # middle gray: undecided


def test_no_faces_give_no_rows(classifier: Classifier) -> None:
    rows = classifier.classify(np.zeros((10, 10), dtype=np.uint8), [])
    assert rows.shape == (0, 7)


def test_the_input_is_uint8_as_the_contract_says(classifier: Classifier) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    batch = classifier.batch(image, [Square(45, 45, 60), Square(0, 0, 30)])
    assert batch.shape == (2, 1, 48, 48)
    assert batch.dtype == np.uint8


def test_gray_and_color_images_give_the_same_batch(classifier: Classifier) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)
    squares = [Square(45, 45, 60)]
    np.testing.assert_array_equal(
        classifier.batch(gray, squares), classifier.batch(np.repeat(gray[:, :, None], 3, axis=2), squares)
    )


@pytest.mark.parametrize("colored", [False, True])
def test_dark_faces_are_brightened_and_others_are_not(classifier: Classifier, colored: bool) -> None:
    image = np.zeros((60, 120), dtype=np.uint8)
    image[:, 60:] = np.random.default_rng(0).integers(60, 256, (60, 60))
    image[:, :60] = image[:, 60:] // 10
    before = image.copy()
    frame = np.repeat(image[:, :, None], 3, axis=2) if colored else image
    dark, good = classifier.batch(frame, [Square(30, 30, 48), Square(90, 30, 48)])
    np.testing.assert_array_equal(good[0], image[6:54, 66:114])
    assert dark.mean() == pytest.approx(MIN_MEAN, abs=1)
    assert dark.std() > MIN_DEVIATION / 2
    np.testing.assert_array_equal(image, before)  # only the crop is normalized
    (raw,) = classifier.batch(frame, [Square(30, 30, 48)], normalize_light=False)
    np.testing.assert_array_equal(raw[0], image[6:54, 6:54])


def test_faces_of_one_image_keep_their_order(classifier: Classifier) -> None:
    image = np.zeros((50, 100), dtype=np.uint8)
    image[:, 50:] = 255
    left, right = classifier.classify(image, [Square(25, 25, 40), Square(75, 25, 40)])
    assert (left.argmax(), right.argmax()) == (0, 6)


def test_hash_and_precision_are_of_the_file_that_was_opened(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model.read_bytes())
    classifier = Classifier(path)
    path.unlink()
    assert classifier.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert classifier.precision == "fp32"


def test_a_preloaded_model_is_the_same_as_any_other(model: Path) -> None:
    preload(model)
    preloaded, fresh = load_model(model), load_model(model)
    assert preloaded.session is not fresh.session
    assert preloaded.sha256 == fresh.sha256
    assert preloaded.precision == "fp32"


def test_a_preload_error_is_raised_when_the_model_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_text("no network")
    preload(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="is not a usable ONNX file"):
        load_model(tmp_path / "m.onnx")


def test_a_model_opens_from_its_bytes(model: Path) -> None:
    from_file, from_bytes = load_model(model), load_model(model.read_bytes())
    assert (from_bytes.sha256, from_bytes.precision) == (from_file.sha256, from_file.precision)
    with pytest.raises(ModelError, match="the model in memory is not a usable ONNX file"):
        load_model(b"no network")


def test_batches_give_what_one_run_gives(model: Path) -> None:
    session = load_model(model).session
    faces = np.random.default_rng(0).integers(0, 256, (5, *session.get_inputs()[0].shape[1:]), dtype=np.uint8)
    names = [output.name for output in session.get_outputs()]
    expected = session.run(names, {session.get_inputs()[0].name: faces})
    for joined, whole in zip(run_in_batches(session, faces, 2), expected, strict=True):
        assert np.allclose(joined, whole, atol=1e-6)
    (first,) = run_in_batches(session, faces, 5, names[:1])
    assert np.array_equal(first, expected[0])

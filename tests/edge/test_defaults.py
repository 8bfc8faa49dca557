"""The defaults that `tune` saves: where they are, what overrides them, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from fer_edge import EmotionRecognizer
from fer_edge.defaults import defaults_file, load_defaults, save_defaults
from fer_edge.errors import FerError, OutputError

SAVED = {"precision": "fp32", "threads": 1, "detect_size": 320}
RUN = ("--source", "demo:160x160", "--max-frames", "1", "--headless", "--report", "report.json", "--overwrite")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(tmp_path / "defaults.toml"))
    return tmp_path / "defaults.toml"


def test_saved_settings_are_loaded_and_the_file_says_who_wrote_it(file: Path) -> None:
    save_defaults(SAVED, file, "measured by a test")
    assert load_defaults() == SAVED
    assert file.read_text().startswith("# measured by a test\n")


def test_the_recognizer_uses_the_saved_settings_if_asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, object]] = []
    monkeypatch.setattr(EmotionRecognizer, "__init__", lambda _self, **settings: given.append(settings))
    EmotionRecognizer.tuned(min_face_px=30)
    save_defaults(SAVED, file, "")
    EmotionRecognizer.tuned()
    EmotionRecognizer.tuned(threads=4, detect_size_px=640)
    EmotionRecognizer.tuned(model="mine.onnx")
    EmotionRecognizer()
    saved = {"precision": "fp32", "threads": 1, "detect_size_px": 320}
    own_model = {"model": "mine.onnx", "threads": 1, "detect_size_px": 320}
    assert given == [{"min_face_px": 30}, saved, saved | {"threads": 4, "detect_size_px": 640}, own_model, {}]


def test_a_tuned_recognizer_works_and_refuses_a_broken_file(file: Path, face_image: np.ndarray) -> None:
    save_defaults(SAVED, file, "")
    assert len(EmotionRecognizer.tuned().recognize(face_image)) == 1
    file.write_text("threads = 0\n")
    with pytest.raises(FerError, match="invalid setting"):
        EmotionRecognizer.tuned()


def test_the_environment_names_the_file_or_it_lies_in_the_configuration_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FER_EDGE_DEFAULTS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert defaults_file() == tmp_path / "fer-edge" / "defaults.toml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert defaults_file() == tmp_path / ".config" / "fer-edge" / "defaults.toml"
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    assert defaults_file() is None
    assert load_defaults() == {}


def test_an_account_without_a_home_has_no_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("FER_EDGE_DEFAULTS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert load_defaults() == {}


BROKEN = {
    "not TOML": "threads = = 1\n",
    "not text": b"\xff\xfe\x00",
    "an unknown name": "colour = 3\n",
    "a value of another kind": 'threads = "many"\n',
    "a truth value": "threads = true\n",
    "a precision that does not exist": 'precision = "int4"\n',
    "a size out of range": "detect_size = 1\n",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_by_name(file: Path, content: str | bytes) -> None:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FerError, match=r"defaults\.toml .*: delete it, then run fer-edge tune again"):
        load_defaults()


def test_a_folder_that_can_t_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be created"):
        save_defaults(SAVED, tmp_path / "file" / "defaults.toml", "")


def test_a_broken_file_stops_a_run_with_one_line_but_not_help(file: Path, fer_edge) -> None:
    file.write_text('threads = "many"\n')
    ran = fer_edge(*RUN)
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "defaults.toml" in ran.stderr
    assert fer_edge("--help", with_model=False).returncode == 0


def test_the_command_line_overrides_the_file_and_the_file_overrides_built_in_defaults(
    file: Path, fer_edge, tmp_path: Path
) -> None:
    def precision(*arguments: str) -> str:
        ran = fer_edge(*RUN, *arguments, with_model=False)
        assert ran.returncode == 0, ran.stderr
        return str(json.loads((tmp_path / "report.json").read_text())["model"]["precision"])

    assert precision() == "int8"
    save_defaults(SAVED, file, "")
    assert precision() == "fp32"
    assert precision("--precision", "int8") == "int8"
    assert fer_edge(*RUN).returncode == 0, "a saved precision does not contradict --model"

"""An OpenCV or onnxruntime that is absent, half removed or lacks a library is one line that says what to do."""

import importlib
import importlib.abc
import sys
import types
from collections.abc import Sequence

import pytest

from fer_edge import opencv
from fer_edge.console import _exit_code
from fer_edge.errors import FerError

LIBRARY = "libGL.so.1: cannot open shared object file: No such file or directory"


class Unloadable(importlib.abc.MetaPathFinder):
    """cv2 is there, but what it needs is not."""

    def __init__(self, message: str) -> None:
        self.message = message

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: types.ModuleType | None = None) -> None:
        if name == "cv2":
            raise ImportError(self.message)


def load() -> object:
    """As `from fer_edge.opencv import cv2` does at first."""
    return opencv.__getattr__("cv2")


@pytest.mark.parametrize(
    ("message", "advice"),
    [(LIBRARY, "on Debian and Raspberry Pi OS, sudo apt-get install libgl1 libglib2.0-0"),
     ("numpy.core.multiarray failed to import", "pip install --force-reinstall opencv-python")],
)  # fmt: skip
def test_the_advice_fits_what_opencv_lacks(message: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Unloadable(message), *sys.meta_path])
    with pytest.raises(FerError) as caught:
        load()
    assert str(caught.value) == f"OpenCV can't be loaded ({message}): {advice}"


@pytest.mark.parametrize("left", [None, types.ModuleType("cv2")], ids=["nothing", "a folder without the module"])
def test_an_opencv_that_is_absent_or_half_removed_is_installed_again(
    left: types.ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", left)
    with pytest.raises(FerError, match="pip install --force-reinstall opencv-python") as caught:
        load()
    assert "apt-get" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "left", [None, types.ModuleType("onnxruntime")], ids=["nothing", "a folder without the module"]
)
def test_an_onnxruntime_that_is_absent_or_half_removed_is_installed_again(
    left: types.ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", left)
    monkeypatch.delitem(sys.modules, "fer_edge.onnx_runtime", raising=False)
    with pytest.raises(FerError, match="pip install --force-reinstall onnxruntime"):
        importlib.import_module("fer_edge.onnx_runtime")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModuleNotFoundError("No module named 'numpy'", name="numpy"),
         "fer-edge: numpy can't be loaded (No module named 'numpy'): pip install --force-reinstall numpy"),
        (ImportError("cannot import name 'x' from 'numpy._core'", name="numpy._core"),
         "fer-edge: numpy can't be loaded (cannot import name 'x' from 'numpy._core'): "
         "pip install --force-reinstall numpy"),
    ],
)  # fmt: skip
def test_a_package_that_is_absent_or_broken_is_one_line(
    error: ImportError, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def job() -> None:
        raise error

    assert _exit_code(job, "fer-edge") == 1
    assert capsys.readouterr().err == f"{says}\n"


def test_a_module_of_ours_that_is_missing_is_a_fault() -> None:
    def job() -> None:
        raise ModuleNotFoundError("No module named 'fer_edge.nothing'", name="fer_edge.nothing")

    with pytest.raises(ModuleNotFoundError):
        _exit_code(job, "fer-edge")

"""An OpenCV or onnxruntime that is absent, half removed or lacks a library is one line that says what to do."""

import importlib
import importlib.abc
import sys
import types
from collections.abc import Sequence

import pytest

from fer_edge import opencv
from fer_edge.errors import FerError

LIBRARY = "libGL.so.1: cannot open shared object file: No such file or directory"


class Unloadable(importlib.abc.MetaPathFinder):
    """cv2 is there, but a library that it needs is not."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: types.ModuleType | None = None) -> None:
        if name == "cv2":
            raise ImportError(LIBRARY)


def load() -> object:
    """As `from fer_edge.opencv import cv2` does at first."""
    return opencv.__getattr__("cv2")


def test_an_opencv_without_its_library_names_the_packages_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Unloadable(), *sys.meta_path])
    with pytest.raises(FerError, match=r"libGL\.so\.1.*: on Debian .* sudo apt-get install libgl1 libglib2\.0-0"):
        load()


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

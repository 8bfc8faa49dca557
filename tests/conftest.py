"""Fixtures of every package's tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def yunet_file() -> Path:
    """YuNet's file, which users download themselves; tests that need it are skipped without it."""
    path = os.environ.get("FER_YUNET")
    if not path:
        pytest.skip("set FER_YUNET to the path of face_detection_yunet_2023mar.onnx from OpenCV's zoo")
    return Path(path)


@pytest.fixture(scope="session", autouse=True)
def unfrozen_at_exit() -> Iterator[None]:
    """Undo gc.freeze of fer-edge's command, which tests run in this process.

    Python would not collect the modules at exit, and onnxsim would report the objects that they keep as leaks.
    """
    yield
    gc.unfreeze()

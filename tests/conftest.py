"""Fixtures of every package's tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def yunet_file() -> Path:
    """YuNet's file, which users download themselves; tests that need it are skipped without it."""
    path = os.environ.get("FER_YUNET")
    if not path:
        pytest.skip("set FER_YUNET to the path of face_detection_yunet_2023mar.onnx from OpenCV's zoo")
    return Path(path)

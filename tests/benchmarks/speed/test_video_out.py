"""The encoders of a video are compared on the same frames."""

import shutil
from pathlib import Path

import pytest

from benchmarks.speed.video_out import BASELINE, PRESETS, clip, encode, encoders
from fer_edge.errors import SourceError

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def test_each_encoder_shows_the_frames_that_it_was_given(tmp_path: Path) -> None:
    frames = clip(None, 3)
    measured = {name: encode(open_encoder, frames, tmp_path) for name, open_encoder in encoders().items()}
    assert list(measured) == [BASELINE, *(f"ffmpeg, libx264 {preset}" for preset in PRESETS)]
    assert all(one.psnr_db > 30 and one.cpu_ms > 0 and one.kbps > 0 for one in measured.values())


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no video")
    with pytest.raises(SourceError, match=r"no\.mp4 can't be read as a video"):
        clip(tmp_path / "no.mp4", 3)

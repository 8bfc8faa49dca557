"""Standard streams that the parent closed: the work is done and written, and progress bars go nowhere."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import face_rows

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_summary_is_written_with_closed_streams(closed: str, tmp_path: Path) -> None:
    rows = [",".join(map(str, row)) for row in face_rows(train=2, test=1)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    command = [sys.executable, "-m", "fer_train", "convert", "--data", "faces.csv", "--out", "pngs"]
    ran = subprocess.run(["sh", "-c", f"exec {shlex.join(command)} {closed}"], cwd=tmp_path, check=False, timeout=120)
    assert ran.returncode == 0
    assert len(list(tmp_path.glob("pngs/**/*.png"))) == 21
    again = [*command[:4], "--data", "pngs", "--out", "again.csv"]  # reads images behind a progress bar
    ran = subprocess.run(["sh", "-c", f"exec {shlex.join(again)} {closed}"], cwd=tmp_path, check=False, timeout=120)
    assert ran.returncode == 0
    assert len((tmp_path / "again.csv").read_text().splitlines()) == 22

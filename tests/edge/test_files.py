import json
import os
from pathlib import Path

import pytest

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable, write_json


def test_an_existing_file_is_refused_unless_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        check_writable(tmp_path / "old")
    check_writable(tmp_path / "old", overwrite=True)
    check_writable(tmp_path / "new")


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "file"):
        with pytest.raises(OutputError):
            check_writable(path, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_write_protected_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o400)
    tmp_path.chmod(0o500)
    for name in ("file", "new"):
        with pytest.raises(OutputError):
            check_writable(tmp_path / name, overwrite=True)
    tmp_path.chmod(0o700)


def test_a_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "film.mp4") as part:
        assert part.suffix == ".mp4"
        part.touch()


def test_a_device_is_written_and_not_replaced() -> None:
    device = Path("/dev/null")
    check_writable(device)
    write_json(device, {"a": 1})
    assert device.is_char_device()


def test_json_is_indented_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 0.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 0.5}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_folder_that_vanishes_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        write_json(tmp_path / "gone" / "a.json", {})

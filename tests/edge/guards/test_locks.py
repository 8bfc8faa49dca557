"""One writer at a time for each output."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_edge.errors import OutputError
from fer_edge.guards.locks import OutputLock

HOLD = (
    "import sys; from pathlib import Path; from fer_edge.guards.locks import OutputLock\n"
    "lock = OutputLock(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
)


@pytest.fixture
def hold():
    """Lock an output in another process."""
    processes = []

    def start(path: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        processes.append(process)
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["out.jsonl", "n" * 255, "folder", "link.jsonl", "../FOLDER/out.jsonl"])
def test_a_second_process_is_refused_by_the_first_one_s_number(tmp_path: Path, hold, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.jsonl").symlink_to("out.jsonl")
    first = hold(tmp_path / ("out.jsonl" if "." in name else name))
    with pytest.raises(OutputError, match=f"is being written by process {first.pid}: name another file"):
        OutputLock(tmp_path / name.replace("FOLDER", tmp_path.name))
    OutputLock(tmp_path / "other.jsonl").release()


def test_a_killed_process_leaves_no_lock(tmp_path: Path, hold) -> None:
    first = hold(tmp_path / "out.jsonl")
    first.kill()
    first.wait()
    OutputLock(tmp_path / "out.jsonl").release()
    assert list(tmp_path.iterdir()) == []


def test_devices_and_file_systems_without_locks_are_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    OutputLock(Path("/dev/null"))
    assert not Path("/dev/.null.lock").exists()
    reader, writer = os.pipe()  # as /dev/stdout before a pipe: a link to something that has no name
    OutputLock(Path(f"/proc/self/fd/{writer}"))
    os.close(reader)
    os.close(writer)

    def no_locks(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    locks = [OutputLock(tmp_path / "out"), OutputLock(tmp_path / "out")]
    assert list(tmp_path.iterdir()) == []
    for lock in locks:
        lock.release()


def test_a_link_in_the_lock_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".out.lock").symlink_to("victim")
    with pytest.raises(OutputError, match="can't be locked"):
        OutputLock(tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "precious"

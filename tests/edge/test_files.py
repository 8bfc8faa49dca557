import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.errors import OutputError
from fer_edge.files import atomic_write, check_writable, json_text, remove_leftovers, write_json


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


def test_json_holds_nothing_that_a_terminal_would_obey() -> None:
    name = "a\x1b[31m\x7f\x9b\u202e\udcff"
    assert json.loads(json_text({name: name})) == {name: name}
    assert json_text(name).removesuffix("\n").isprintable()


def test_json_is_indented_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 0.5})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 0.5}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"a": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_a_folder_that_vanishes_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        write_json(tmp_path / "gone" / "a.json", {})


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(("private", "old", "expected"), [
    (True, None, 0o600), (False, None, 0o644), (True, 0o640, 0o640), (False, 0o600, 0o600), (True, 0o666, 0o666),
])  # fmt: skip
def test_a_new_file_is_private_or_follows_the_umask_and_an_old_one_keeps_its_mode(
    tmp_path: Path, private: bool, old: int | None, expected: int
) -> None:
    path = tmp_path / "a.json"
    if old is not None:
        path.touch()
        path.chmod(old)
    with atomic_write(path, private) as part:
        part.write_text("new")
    assert path.stat().st_mode & 0o777 == expected


@pytest.mark.usefixtures("umask")
def test_a_stricter_umask_holds_for_private_files(tmp_path: Path) -> None:
    os.umask(0o177)
    with atomic_write(tmp_path / "a.json", private=True) as part:
        assert part.stat().st_mode & 0o777 == 0o600
    os.umask(0o477)
    with atomic_write(tmp_path / "b.json", private=True) as part:
        assert part.stat().st_mode & 0o777 == 0o200


@pytest.mark.parametrize("name", ["n" * 251 + ".mp4", "n" * 255, "a." + "b" * 250, "\udcff.mp4"])
def test_a_name_may_have_all_the_bytes_that_a_file_system_allows(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / name)
    write_json(tmp_path / name, {"a": 1})
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_temporary_files_of_killed_runs_are_removed_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from fer_edge.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    for name in ("a.mp4", "b"):
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=False, timeout=60)
        remove_leftovers.cache_clear()
    mine = tmp_path / ".fer-notes.part.mp4"
    mine.touch()
    assert len(list(tmp_path.iterdir())) == 2  # b's writer has removed a's
    with atomic_write(tmp_path / "c.mp4") as running:
        remove_leftovers.cache_clear()
        with atomic_write(tmp_path / "d.txt"):
            assert running.exists()
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, "c.mp4", "d.txt"}


def test_temporary_files_follow_no_link_and_open_no_pipe_that_another_user_has_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, tokens = tmp_path / "victim", iter([b"a" * 8, b"b" * 8])
    victim.write_text("precious")
    monkeypatch.setattr(os, "urandom", lambda _count: next(tokens))
    link, pipe = (tmp_path / f".fer-{(letter * 8).hex()}.part.json" for letter in (b"a", b"c"))
    link.symlink_to(victim)
    os.mkfifo(pipe)
    remove_leftovers.cache_clear()
    write_json(tmp_path / "out.json", {})
    assert victim.read_text() == "precious"
    assert link.is_symlink()
    assert (tmp_path / "out.json").read_text() == "{}\n"


def test_a_link_to_a_file_that_is_gone_is_an_existing_output(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match="--overwrite"):
        check_writable(tmp_path / "out")

"""Two processes never write the same output: the second one is refused and told the first one's number."""

import os
from pathlib import Path

import pytest

from fer_edge.guards.locks import OutputLock

from ..conftest import face_rows, one_line, run_fer_train


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [",".join(map(str, row)) for row in face_rows(train=2, test=1)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    return tmp_path / "faces.csv"


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["--data", "faces.csv", "--out", "run"], "run"),
        (["--data", "faces.csv", "--out", "new/run"], "new/run"),
        (["summary", "--data", "faces.csv", "--out", "run"], "run"),
        (["search", "--data", "faces.csv", "--out", "run"], "run"),
        (["convert", "--data", "faces.csv", "--out", "out.csv"], "out.csv"),
        (["convert", "--data", "faces.csv", "--out", "folder"], "folder"),
    ],
)
def test_an_output_that_another_process_writes_is_refused(
    data: Path, arguments: list[str], out: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data.parent)
    Path(out).parent.mkdir(exist_ok=True)
    lock = OutputLock(Path(out))
    assert run_fer_train(*arguments) == 1
    assert f"{out} is being written by process {os.getpid()}: name another file, or end that" in one_line(capsys)
    lock.release()
    assert not list(data.parent.glob("**/.*"))


def test_a_lock_ends_with_its_command_and_an_old_one_is_taken_over(data: Path) -> None:
    out = data.parent / "summary"
    (data.parent / ".summary.lock").write_text("4194000\n")  # of a killed run
    assert run_fer_train("summary", "--data", data, "--out", out) == 0
    assert (out / "summary.json").is_file()
    assert not list(data.parent.glob("**/.*"))
    OutputLock(out).release()


@pytest.mark.parametrize("command", ["summary", "search", "head", "evaluate"])
def test_a_command_that_can_not_work_leaves_no_folder(data: Path, command: str) -> None:
    more = {"head": ["--name", "mine", "--checkpoint", "none.pt"], "evaluate": ["none.pt"]}.get(command, [])
    new = data.parent / "new"
    assert run_fer_train(command, *more, "--data", data.parent / "none.csv", "--out", new / "run") == 1
    assert not new.exists()
    (kept := data.parent / "kept").mkdir()
    assert run_fer_train(command, *more, "--data", data.parent / "none.csv", "--out", kept) == 1
    assert kept.is_dir()

"""--data kaggle:..., with a fake kagglehub."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from fer_edge.errors import DataError, MissingExtraError
from fer_train.data import load_faces, load_unlabeled

from ..conftest import CsvWriter, face_rows, one_line, run_fer_train


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, write_csv: CsvWriter) -> ModuleType:
    """A kagglehub that has one data set and one competition, and has no connection for any other."""
    path = write_csv(face_rows(train=3, test=1), name="fer2013.csv")
    module = ModuleType("kagglehub")

    def get(handle: str) -> str:
        module.asked = handle  # type: ignore[attr-defined]
        if handle in ("someone/fer2013", "challenges-in-fer"):
            return str(path.parent)
        raise ConnectionError("Max retries exceeded\nwith url: ...")

    module.dataset_download = module.competition_download = get  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


@pytest.mark.parametrize("handle", ["someone/fer2013", "challenges-in-fer"])
def test_a_data_set_and_a_competition_are_fetched_and_read(hub: ModuleType, handle: str) -> None:
    data = load_faces(Path(f"kaggle:{handle}"))
    assert hub.asked == handle
    assert len(data) == 28
    assert data.title == handle.rpartition("/")[2]
    assert len(load_unlabeled(Path(f"kaggle:{handle}")).images) == 28


@pytest.mark.usefixtures("hub")
def test_no_connection_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_fer_train("--data", "kaggle:other/set", "--out", tmp_path / "run") == 1
    message = one_line(capsys)
    assert "kaggle:other/set can't be downloaded (Max retries exceeded with url: ...): check the connection" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("handle", ["", "a/b/c", "a b/c", "https://kaggle.com/a/b"])
def test_a_malformed_handle_is_refused(handle: str) -> None:
    with pytest.raises(DataError, match="is not kaggle:OWNER/NAME, a data set, nor kaggle:NAME, a competition"):
        load_faces(Path(f"kaggle:{handle}"))


def test_without_kagglehub_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(
        MissingExtraError, match=r"--data kaggle: needs the package kagglehub: pip install 'fer-edge\[kaggle\]'"
    ):
        load_faces(Path("kaggle:someone/fer2013"))

"""The recipes: their scripts on drawn images, and the commands that they run."""

import csv
import itertools
import os
import runpy
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from fer_edge.errors import DataError
from fer_edge.opencv import cv2
from fer_export.cli import export
from fer_train.cli import train
from fer_train.data.npz_faces import load_npz_faces, save_npz_faces
from fer_train.detection.synthesis.tiles import COLUMNS, LANDMARKS, load_tiles
from fer_train.training.augment import parse_augmentation

from .conftest import CsvWriter, face_rows

SCRIPT = Path(__file__).parents[2] / "train" / "recipes" / "unlabeled_faces.py"
MIXING = SCRIPT.with_name("mixing.py")
# tile, x, y, w, h, score: kept; too small; too unsure; half outside its tile; kept
BOXES = ["0,39,24,50,80,0.9", "1,40,40,10,20,0.9", "2,39,24,50,80,0.5", "3,100,24,50,80,0.9", "41,49,34,30,60,0.9"]


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mosaic = np.full((2 * 128, 40 * 128), 50, np.uint8)
    mosaic[26:102, 26:102] = 200  # tile 0: the square of the first box, 76 pixels around (64, 64)
    mosaic[128 + 35 : 128 + 93, 128 + 35 : 128 + 93] = 120  # tile 41, row 1, column 1: of the second, 57 pixels
    cv2.imwrite(str(tmp_path / "tiles_00.jpg"), mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])
    (tmp_path / "boxes.csv").write_text(
        "\n".join([",".join(COLUMNS), *(f"{box},{','.join('0' for _ in LANDMARKS)}" for box in BOXES)]) + "\n"
    )
    return tmp_path


def test_faces_are_cut_by_their_squares(folder: Path) -> None:
    out, sheet = folder / "faces.npz", folder / "faces.png"
    ran = _run(folder, out, "--preview", sheet)
    assert ran.returncode == 0, ran.stderr
    assert "2 of 5 faces" in ran.stderr
    faces = load_npz_faces(out)
    assert faces.shape == (2, 48, 48)
    assert np.abs(faces[0].astype(int) - 200).max() < 6
    assert np.abs(faces[1].astype(int) - 120).max() < 6
    assert cv2.imread(str(sheet)) is not None
    again = _run(folder, out)
    assert again.returncode == 1
    assert again.stderr.startswith("unlabeled_faces.py: ")
    assert "pass --overwrite" in again.stderr


def test_a_folder_without_mosaics_is_refused(tmp_path: Path) -> None:
    ran = _run(tmp_path, tmp_path / "faces.npz")
    assert ran.returncode == 1
    assert "has no boxes.csv" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_faces_come_back_as_they_were_saved(tmp_path: Path) -> None:
    faces = np.arange(3 * 48 * 48, dtype=np.uint32).astype(np.uint8).reshape(3, 48, 48)
    save_npz_faces(faces, tmp_path / "faces.npz")
    assert np.array_equal(load_npz_faces(tmp_path / "faces.npz"), faces)


def test_what_holds_no_faces_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    with pytest.raises(DataError, match=r"is not a file: --unlabeled names an \.npz"):
        load_npz_faces(path)
    path.write_text("no archive")
    with pytest.raises(DataError, match="is not a readable"):
        load_npz_faces(path)
    np.savez(path, faces=np.zeros((2, 48, 48), np.uint8))
    with pytest.raises(DataError, match="is not a readable"):
        load_npz_faces(path)
    np.savez(path, images=np.zeros((2, 48, 48)))
    with pytest.raises(DataError, match=r"has images of float64 \[2, 48, 48\]"):
        load_npz_faces(path)
    np.savez(path, images=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="is not a readable"):
        load_npz_faces(path)
    np.savez(path, images=np.zeros((2, 48, 48), np.uint8))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="is not a readable"):
        load_npz_faces(path)


RECORD = SCRIPT.with_name("record.sh")


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the record recipe on tmp_path/data with results in tmp_path/runs; keywords are environment variables."""
    (tmp_path / "data").mkdir()
    for name in ("fer2013.csv", "fer2013new.csv"):
        (tmp_path / "data" / name).touch()

    def run(part: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", RECORD, tmp_path / "data", tmp_path / "runs", part], capture_output=True, text=True, check=False,
            env=os.environ | environment,
        )  # fmt: skip

    return run


@pytest.mark.parametrize(("part", "runs"), [("teachers", 4), ("students", 4)])
def test_fer_train_accepts_the_commands_of_the_record_recipe(
    record: Callable[..., Any], part: str, runs: int, tmp_path: Path
) -> None:
    data, out = tmp_path / "data", tmp_path / "runs"
    ran = record(part, FER_TRAIN="echo")
    assert ran.returncode == 0, ran.stderr
    logs = sorted(out.glob("*.log"))
    assert len(logs) == runs
    for log in logs:
        options = train.make_context("fer-train", shlex.split(log.read_text())).params
        assert options["out"] == out / log.stem
        assert options["data"] == data / "fer2013.csv"
        parse_augmentation(options["augment"])
        assert len(options["teachers"]) == (0 if part == "teachers" or log.stem == "plain" else 4)


def test_the_gate_of_the_record_recipe_trains_a_teacher_and_mixes_it_with_the_shipped_network(
    record: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    ran = record("gate", FER_TRAIN="echo", PYTHON="echo")
    assert ran.returncode == 0, ran.stderr
    options = train.make_context("fer-train", shlex.split((out / "vgg11-0.log").read_text())).params
    assert (options["model"], list(options["heads"]), options["epochs"]) == ("vgg11-bn", ["fer2013", "ferplus"], 120)
    script, *words = shlex.split(ran.stdout.splitlines()[0])
    assert Path(script).name == MIXING.name
    mixing = runpy.run_path(str(MIXING))["main"]
    shipped, trained, *_ = words
    assert (shipped, trained) == ("models/checkpoints/fer2013.pt", str(options["out"] / "best.pt"))
    assert {option for option in words if option.startswith("--")} <= {
        name for each in mixing.params for name in each.opts
    }


def test_the_gate_says_why_its_training_ended_and_mixes_nothing_then(
    record: Callable[..., Any], tmp_path: Path
) -> None:
    trainer = tmp_path / "trainer"
    trainer.write_text("#!/bin/sh\necho 'fer-train: no such data' >&2\nexit 1\n")
    trainer.chmod(0o700)
    ran = record("gate", FER_TRAIN=str(trainer), PYTHON="echo")
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "fer-train: no such data\n")


def test_a_mix_can_be_right_where_one_of_its_networks_is_wrong() -> None:
    first = np.array([[0.9, 0.1], [0.65, 0.35], [0.8, 0.2], [0.1, 0.9]])
    second = np.array([[0.4, 0.6], [0.1, 0.9], [0.7, 0.3], [0.3, 0.7]])
    truth = np.array([0, 1, 1, -1])  # the last face has no truth
    row = runpy.run_path(str(MIXING))["mixed"](first, second, truth)
    # Face 0 needs at most 0.8 of the second network, face 1 at least 0.27; face 2 is lost to both.
    assert row == ("33.33%", "33.33%", "66.67%", "66.67%", "0.30", "33.33%", "66.67%", "3")


def test_networks_are_mixed_head_by_head(write_csv: CsvWriter) -> None:
    data = write_csv(face_rows(1, 2))
    main = runpy.run_path(str(MIXING))["main"]
    shipped = str(MIXING.parents[2] / "models" / "checkpoints" / "fer2013.pt")
    ran = CliRunner().invoke(main, [shipped, shipped, "--data", str(data), "--head", "fer2013"])
    assert ran.exit_code == 0, ran.output
    head, first, second, half, best, share, agree, either, count = ran.output.splitlines()[-1].split()
    assert (head, share, agree, count) == ("fer2013", "0.00", "100.00%", "14")
    assert first == second == half == best == either
    without = CliRunner().invoke(main, [shipped, shipped, "--data", str(data)])
    assert isinstance(without.exception, DataError) and "give --ferplus, or --head fer2013" in str(without.exception)
    with pytest.raises(DataError, match=r"own\.pt has the class smile, which FER\+ lacks"):
        runpy.run_path(str(MIXING))["places"](["Happiness", "smile"], "own.pt")


SHIPPED = SCRIPT.with_name("shipped.sh")


@pytest.fixture
def shipped(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run shipped.sh in a folder with its data, and with commands that write their words to `log`."""
    for name in ("fer-train", "fer-export"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{tmp_path / "log"}"\n')
        (tmp_path / name).chmod(0o700)
    for name in ("data/fer2013.csv", "data/fer2013new.csv", "faces/train/sad/1.png", "faces/test/sad/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(*words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        arguments = words or ("data", "run", "faces")
        return subprocess.run(
            ["sh", SHIPPED, *arguments], cwd=tmp_path, env=environment | changes, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    return run


def test_our_commands_accept_those_of_the_shipped_recipe(shipped: Callable[..., Any], tmp_path: Path) -> None:
    assert shipped().returncode == 0
    checked, people, *trained, exported = map(shlex.split, (tmp_path / "log").read_text().splitlines())
    made = train.subcommands["summary"].make_context("summary", checked[2:]).params
    assert (made["data"], made["ferplus"]) == (Path("data/fer2013.csv"), Path("data/fer2013new.csv"))
    assert train.subcommands["summary"].make_context("summary", people[2:]).params["data"] == Path("faces")
    options = [train.make_context(name, words).params for name, *words in trained]
    assert [taken["model"] for taken in options] == ["edgeresnet"] + ["edgeresnet-deep"] * 4
    assert {taken["keep"] for taken in options} == {"last"}, "the best epoch may be the first, by chance"
    assert list(options[-1]["heads"]) == ["people", "ferplus", "fer2013"]
    assert options[-1]["people"] == Path("faces")
    third = Path("run/third/best.pt")  # what it knows of the labels is kept by both runs with heads
    for before, taken in itertools.pairwise(options):
        best = before["out"] / "best.pt"
        assert taken["teachers"] == (third if taken is options[-1] else best,)
        assert taken["init_weights"] == str(best)
        parse_augmentation(taken["augment"])
    given = export.make_context(*exported[:1], exported[1:]).params
    assert given["checkpoint"] == options[-1]["out"] / "best.pt"
    assert given["out"] == Path("run/fer2013.onnx")


def test_the_shipped_recipe_continues_where_it_was_interrupted(shipped: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("first/last.pt", "second/best.pt", "third/best.pt", "third/metrics.json"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    assert shipped().returncode == 0
    first, second, third, *_ = map(shlex.split, (tmp_path / "log").read_text().splitlines())
    assert "--resume" in first and "--overwrite" not in first, "and the data are not checked again"
    assert "--overwrite" in second, "an epoch that was interrupted before its state was saved starts again"
    assert not {"--overwrite", "--resume"} & set(third), "a finished run without its state is not replaced"


@pytest.mark.parametrize(
    ("missing", "status", "message"),
    [
        ("fer2013.csv", 1, "data/fer2013.csv is missing: DATA holds fer2013.csv and"),
        ("fer2013new.csv", 1, "data/fer2013new.csv is missing: DATA"),
        ("test", 1, "faces/test is missing: PEOPLE holds train/<class>/ and test/<class>/"),
        ("fer-export", 1, "fer-export is not installed: pip install"),
        ("argument", 2, "usage: sh train/recipes/shipped.sh DATA RUN PEOPLE"),
        ("space", 1, "run has 12 MB free, and the runs need 300 MB"),
        ("votes", 1, "no votes"),
    ],
)
def test_the_shipped_recipe_says_at_once_what_is_missing(
    missing: str, status: int, message: str, shipped: Callable[..., Any], tmp_path: Path
) -> None:
    words, changes = ["data", "run", "faces"], {}
    if missing.endswith(".csv"):
        (tmp_path / "data" / missing).unlink()
    elif missing == "test":
        (tmp_path / "faces" / "test").rename(tmp_path / "faces" / "other")
    elif missing == "fer-export":
        (tmp_path / "fer-export").unlink()
        changes["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    elif missing == "argument":
        words = words[:2]
    elif missing == "space":
        (tmp_path / "df").write_text("#!/bin/sh\necho Filesystem 1024-blocks Used Available\necho disk 9 9 12000\n")
        (tmp_path / "df").chmod(0o700)
    else:
        (tmp_path / "fer-train").write_text("#!/bin/sh\necho fer-train: no votes >&2\nexit 1\n")
    ran = shipped(*words, **changes)
    assert ran.returncode == status
    assert message in ran.stderr and ran.stderr.count("\n") == 1
    assert not (tmp_path / "log").exists()


def test_a_failed_run_fails_the_recipe(record: Callable[..., Any]) -> None:
    assert record("teachers", FER_TRAIN="false").returncode == 1


def test_the_record_recipe_says_what_is_wrong_with_its_arguments(record: Callable[..., Any], tmp_path: Path) -> None:
    unknown = record("pupils")
    assert (unknown.returncode, unknown.stderr) == (
        2, "record.sh: pupils is none of gate, teachers, students, export\n",
    )  # fmt: skip
    alone = subprocess.run(["sh", RECORD], capture_output=True, text=True, check=False)
    assert alone.returncode == 2 and alone.stderr.startswith("record.sh: usage: sh train/recipes/record.sh DATA RUNS")
    (tmp_path / "data" / "fer2013new.csv").unlink()
    missing = record("gate", FER_TRAIN="echo", PYTHON="echo")
    assert missing.returncode == 1 and "fer2013new.csv is missing: DATA holds" in missing.stderr
    assert not (tmp_path / "runs").exists()


LUMA = SCRIPT.with_name("luma.sh")
LFW_TILES = SCRIPT.with_name("lfw_tiles.py")


class SpotDetector:
    """Stands for YuNet: sees a face in the bright rectangle of an image, if there is one."""

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802 (cv2's name)
        assert size == (500, 500)

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert image.shape == (500, 500, 3)
        x, y, width, height = cv2.boundingRect((image[..., 1] > 150).astype(np.uint8))
        if not width:
            return 0, None
        points = [x + 0.3 * width, y + 0.4 * height, x + 0.7 * width, y + 0.4 * height, x + 0.5 * width,
                  y + 0.6 * height, x + 0.35 * width, y + 0.8 * height, x + 0.65 * width, y + 0.8 * height]  # fmt: skip
        return 1, np.array([[x, y, width, height, *points, 0.9]], np.float32)


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """A folder like LFW's: two people with three photos; the face of one lies elsewhere, the last shows none."""
    root = tmp_path / "lfw-deepfunneled"
    for name, box in (("Zoe_Zed_0001", (100, 75)), ("Ann_Ash_0001", (50, 100)), ("Ann_Ash_0002", None)):
        photo = np.full((250, 250, 3), 60, np.uint8)
        if box:
            photo[box[1] : box[1] + 75, box[0] : box[0] + 50] = 220
        (root / name[:7]).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name[:7] / f"{name}.jpg"), photo)
    return root


@pytest.fixture
def lfw_tiles(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of lfw_tiles.py, which has SpotDetector for YuNet."""
    names: dict[str, Any] = runpy.run_path(str(LFW_TILES))["main"].callback.__globals__
    monkeypatch.setitem(names, "load_yunet", lambda _file, _min_score: SpotDetector())
    return names


@pytest.fixture
def make_tiles(lfw_tiles: dict[str, Any]) -> Callable[..., Result]:
    """Run lfw_tiles.py's command in this process."""
    return lambda *arguments: CliRunner().invoke(lfw_tiles["main"], [str(argument) for argument in arguments])


@pytest.mark.parametrize("archived", [False, True])
def test_lfw_becomes_tiles_that_fer_train_reads(
    archived: bool, lfw: Path, tmp_path: Path, make_tiles: Callable[..., Result]
) -> None:
    source, out = lfw, tmp_path / "faces"
    if archived:
        source = tmp_path / "lfw-deepfunneled.tgz"
        with tarfile.open(source, "w:gz") as archive:
            archive.add(lfw, "lfw-deepfunneled")
    ran = make_tiles(source, "yunet.onnx", out)
    assert ran.exit_code == 0, ran.exception
    assert "3 tiles with 2 faces" in ran.output
    tiles = load_tiles(out)
    assert [len(faces) for faces in tiles.boxes] == [1, 0, 1]
    scale = 128 / 250
    for tile, x, y in ((0, 50, 100), (2, 100, 75)):
        box = np.array([x, y, 50, 75]) * scale
        assert tiles.boxes[tile][0, :4] == pytest.approx(box, abs=1)
        left, top, right, bottom = (int(value) for value in (*(box[:2] + 3), *(box[:2] + box[2:] - 3)))
        assert tiles.images[tile][top:bottom, left:right].min() > 200
        assert tiles.images[tile][:, : left - 6].max() < 80
    with (out / "boxes.csv").open(newline="") as file:
        first, last = csv.DictReader(file)
    assert (first["name"], last["name"], first["score"]) == ("Ann_Ash_0001", "Zoe_Zed_0001", "0.900")
    assert float(first["nose_x"]) == pytest.approx((50 + 25) * scale, abs=1)
    again = make_tiles(source, "yunet.onnx", out)
    assert "pass --overwrite" in str(again.exception)
    assert make_tiles(source, "yunet.onnx", out, "--overwrite").exit_code == 0


def test_more_photos_than_a_sheet_holds_fill_the_next_one(
    lfw: Path, tmp_path: Path, lfw_tiles: dict[str, Any], make_tiles: Callable[..., Result]
) -> None:
    photo = (lfw / "Zoe_Zed" / "Zoe_Zed_0001.jpg").read_bytes()
    (lfw / "More").mkdir()
    for number in range(41):
        (lfw / "More" / f"Bob_{number:04}.jpg").write_bytes(photo)
    lfw_tiles["TILES_PER_SHEET"] = 40
    assert make_tiles(lfw, "yunet.onnx", tmp_path / "faces").exit_code == 0
    sheets = [cv2.imread(str(tmp_path / "faces" / f"tiles_{index:02}.jpg"), cv2.IMREAD_GRAYSCALE) for index in (0, 1)]
    assert [sheet.shape for sheet in sheets] == [(128, 40 * 128), (128, 40 * 128)]
    assert (sheets[1][:, 4 * 128 + 8 :] < 20).all()  # four tiles, then black


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing", "does not exist: name lfw-deepfunneled.tgz"),
        ("empty", "holds no .jpg files"),
        ("text.tgz", "can't be read as a tar archive"),
        ("damaged", "Bad_0001.jpg is damaged or not square"),
    ],
)
def test_a_source_that_is_not_lfw_is_refused(
    source: str, message: str, tmp_path: Path, make_tiles: Callable[..., Result]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.tgz").write_text("text")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "Bad_0001.jpg").write_bytes(b"")
    ran = make_tiles(tmp_path / source, "yunet.onnx", tmp_path / "faces")
    assert isinstance(ran.exception, DataError)
    assert message in str(ran.exception)
    assert not (tmp_path / "faces" / "boxes.csv").exists()


def test_lfw_tiles_reports_a_missing_yunet_in_one_line(lfw: Path, tmp_path: Path) -> None:
    command = [sys.executable, LFW_TILES, lfw, tmp_path / "yunet.onnx", tmp_path / "faces"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("lfw_tiles.py: ")
    assert ran.stderr.count("\n") == 1
    assert "face_detection_yunet_2023mar.onnx" in ran.stderr


def test_the_detectors_recipe_runs_commands_that_ours_accept(tmp_path: Path) -> None:
    log, run = tmp_path / "log", tmp_path / "run"
    for name in ("fer-train", "fer-export", "python"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{log}"\n')
        (tmp_path / name).chmod(0o700)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def commands() -> list[list[str]]:
        log.unlink(missing_ok=True)
        arguments = ["lfw.tgz", "fer2013.csv", "yunet.onnx", run, "3000", "400", "8"]
        subprocess.run(["sh", LUMA, *arguments], env=environment, check=True)
        return [shlex.split(line) for line in log.read_text().splitlines()]

    tiles, scenes, *trained, averaged, exported = commands()
    assert tiles[1:] == [str(LFW_TILES), "lfw.tgz", "yunet.onnx", str(run / "faces"), "--overwrite"]
    made = train.subcommands["scenes"].make_context("scenes", scenes[2:]).params
    assert (made["faces"], made["fer"], made["out"]) == (run / "faces", Path("fer2013.csv"), run / "scenes")
    assert (made["teacher"], made["count"]) == (Path("yunet.onnx"), 3000)
    options = [train.subcommands["detector"].make_context("detector", words[2:]).params for words in trained]
    assert [(taken["steps"], taken["mosaics_only"], taken["batch_size"]) for taken in options] == [
        (400, False, 8), (100, True, 8), (100, True, 8),
    ]  # fmt: skip
    first, *others = options
    assert [taken["init_weights"] for taken in options] == [None, *[first["out"] / "detector.pt"] * 2]
    assert len({taken["seed"] for taken in others}) == 2
    assert averaged[2:] == [str(taken["out"] / "detector.pt") for taken in others] + [str(run / "detector.pt")]
    given = export.subcommands["detector"].make_context("detector", exported[2:]).params
    assert (given["checkpoint"], given["scenes"]) == (run / "detector.pt", run / "scenes")

    for name in ("faces/boxes.csv", "first/last.pt"):  # as after an interruption
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text("")
    scenes, *trained = commands()[:4]
    assert scenes[:2] == ["fer-train", "scenes"]
    assert ["--resume" in words for words in trained] == [True, False, False]

"""fer-train faces: from photos, videos and tiles to folders of labeled faces."""

import csv
import errno
import os
import weakref
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from fer_edge.demo.scene import draw_scene
from fer_edge.detectors import open_detector
from fer_edge.framing import crop, to_gray
from fer_edge.guards.locks import OutputLock
from fer_edge.opencv import cv2
from fer_train.crops.cutting import Cut
from fer_train.crops.folder import FacesFolder
from fer_train.crops.sources import find_sources
from fer_train.data import PUBLIC_TEST, TRAINING, load_faces, read_faces
from fer_train.transfer.folds import person_of

from ..conftest import encoded, one_line, run_fer_train

SCENES = {"Ann_0001": 0.5, "Ann_0002": 2.0, "Bob_0001": 0.5, "Bob_0002": 2.0, "Cem_0001": 2.0}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, t in SCENES.items():
        (folder / f"{name}.png").write_bytes(encoded(draw_scene(t, (320, 240))))
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "faces.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def labels_file(folder: Path, *rows: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_photo_s_face_is_cut_as_the_detector_frames_it(photos: Path, tmp_path: Path) -> None:
    assert run_fer_train("faces", photos / "Ann_0001.png", "--out", tmp_path / "faces", "--size", 48) == 0
    written = cv2.imread(str(tmp_path / "faces" / "unsorted" / "Ann_0001.png"), cv2.IMREAD_UNCHANGED)
    image = to_gray(draw_scene(0.5, (320, 240)))
    detector = open_detector("luma")
    (face,) = detector.detect(image)
    np.testing.assert_array_equal(written, crop(image, detector.framing.square(face.box), (48, 48)))
    (row,) = table(tmp_path / "faces")
    assert (row["number"], row["file"], row["person"]) == ("1", "unsorted/Ann_0001.png", "Ann")
    assert [float(row[key]) for key in "xywh"] == pytest.approx(face.box, abs=0.06)


def test_a_video_gives_a_face_per_track_and_second(tmp_path: Path) -> None:
    assert run_fer_train("faces", "demo:320x240", "--out", tmp_path / "faces", "--every", 2) == 0
    rows = table(tmp_path / "faces")
    assert [int(float(row["t"]) // 2) for row in rows] == [0, 1, 2, 3, 4]
    assert {row["track"] for row in rows} == {"1"}
    sizes = {cv2.imread(str(tmp_path / "faces" / row["file"]), cv2.IMREAD_UNCHANGED).shape for row in rows}
    assert all(48 <= height == width <= 192 for height, width in sizes), "gray squares"
    sheet = cv2.imread(str(tmp_path / "faces" / "contact-sheet-001.png"), cv2.IMREAD_UNCHANGED)
    assert sheet.shape == (120, 504)


def test_sorted_faces_train_and_unsorted_ones_are_named(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    assert run_fer_train("faces", photos, "--out", out) == 0
    for name, label in {"Ann_0001": "calm", "Ann_0002": "glad", "Bob_0001": "calm", "Bob_0002": "glad"}.items():
        (out / label).mkdir(exist_ok=True)
        (out / "unsorted" / f"{name}.png").rename(out / label / f"{name}.png")
    data = read_faces(out)
    assert data.counts() == {"calm": 2, "glad": 2}
    assert "not used: 1 image in unsorted/: move them into class folders" in data.notes
    assert not any("outside of class folders" in note for note in data.notes), "the contact sheet is no face"
    assert not any("not an image" in note for note in data.notes), "the table is ours"


def test_faces_that_nobody_sorted_are_refused_by_training(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_fer_train("faces", photos, "--out", tmp_path / "faces") == 0
    capsys.readouterr()
    assert run_fer_train("--data", tmp_path / "faces", "--out", tmp_path / "run") == 1
    assert one_line(capsys).endswith("in unsorted/ only: move them into one folder per class")


def test_labels_sort_and_split_by_person(photos: Path, tmp_path: Path) -> None:
    labels = labels_file(
        tmp_path, "file,emotion,person", "Ann_0001.png,Happiness,", "Ann_0002.png,neutral,", "Bob_0001.png,neutral,",
        "sub/Bob_0002.png,happy,", "Cem_0001,happy,Ann",
    )  # fmt: skip
    arguments = ["faces", photos, "--labels", labels, "--keep-aside", 0.5, "--out", tmp_path / "faces"]
    assert run_fer_train(*arguments) == 0
    data = load_faces(tmp_path / "faces")
    assert data.classes == ("happy", "neutral")
    sides = {row["person"]: {other["file"].split("/")[0] for other in table(tmp_path / "faces")
             if other["person"] == row["person"]} for row in table(tmp_path / "faces")}  # fmt: skip
    assert sides.keys() == {"Ann", "Bob"} and sides["Ann"] != sides["Bob"] and all(map(len, sides.values()))
    assert {len(data.split(TRAINING)), len(data.split(PUBLIC_TEST))} == {2, 3}


def test_people_whose_names_differ_in_what_a_file_name_lacks_stay_two(photos: Path, tmp_path: Path) -> None:
    rows = ("name,emotion,person", "Ann_0001,happy,a:b", "Ann_0002,sad,a:b", "Bob_0001,sad,a?b", "Bob_0002,happy,A_b")
    assert run_fer_train("faces", photos, "--labels", labels_file(tmp_path, *rows), "--out", tmp_path / "faces") == 0
    found = [(row["person"], person_of(Path(row["file"]).stem)) for row in table(tmp_path / "faces")]
    assert found == [("a:b", "a_b"), ("a:b", "a_b"), ("a?b", "a_b-2"), ("A_b", "A_b-3")]


def test_tiles_give_the_face_in_their_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    sheet = np.zeros((128, 40 * 128), np.uint8)
    scene = cv2.resize(to_gray(draw_scene(2.0, (320, 240)))[:, 40:280], (128, 128), interpolation=cv2.INTER_AREA)
    sheet[:, :128] = sheet[:, 256:384] = scene
    (tiles / "tiles_00.jpg").write_bytes(encoded(sheet, ".jpg"))
    header = (
        "tile,name,x,y,w,h,right_eye_x,right_eye_y,left_eye_x,left_eye_y,nose_x,nose_y,mouth_right_y,mouth_left_y,score"
    )
    (tiles / "boxes.csv").write_text(
        "\n".join([header, *(f"{tile},{name}" + ",40,40,50,50,50,50,70,50,60,60,80,80,0.9"
                             for tile, name in enumerate(("A_Lee_0001", "B_Roe_0001", "C_Kim_0001", "D_May_0001")))])
    )  # fmt: skip
    labels = labels_file(tmp_path, "tile,name,emotion", "0,A_Lee_0001,happy", "1,B_Roe_0001,sad")
    assert run_fer_train("faces", tiles, "--labels", labels, "--out", tmp_path / "faces") == 0
    assert [row["file"] for row in table(tmp_path / "faces")] == ["happy/A_Lee_0001.png"], "tile 1 is black"
    assert "1 happy, 0 sad" in capsys.readouterr().err


def test_an_earlier_folder_is_kept_unless_told_and_moved_faces_stay(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces"
    arguments = ["faces", photos, "--out", out]
    assert run_fer_train(*arguments) == 0
    (out / "happy").mkdir()
    (out / "unsorted" / "Ann_0001.png").rename(out / "happy" / "mine.png")
    capsys.readouterr()
    assert run_fer_train(*arguments) == 1
    assert "already holds faces: name another --out, or pass --overwrite" in one_line(capsys)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((200, 200), np.uint8))
    assert run_fer_train("faces", tmp_path / "empty.png", "--out", out, "--overwrite") == 1
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before, "nothing is replaced by nothing"
    assert run_fer_train("faces", photos / "Bob_0001.png", "--out", out, "--overwrite") == 0
    kept = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert kept == {"happy/mine.png", "unsorted/Bob_0001.png", "faces.csv", "contact-sheet-001.png"}


def test_a_full_disk_leaves_a_folder_of_whole_faces_that_can_be_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, write_bytes = tmp_path / "faces", Path.write_bytes

    def filling_up(path: Path, content: bytes) -> int:
        is_full = len(list(out.rglob("*.png"))) >= 2
        written = write_bytes(path, content[:100] if is_full else content)
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", filling_up)
        assert run_fer_train("faces", photos, "--out", out) == 1
    assert "can't be written: No space left on device" in one_line(capsys)
    written = list(out.rglob("*.png"))
    assert len(written) == 2
    assert all(cv2.imread(str(path)) is not None for path in written)
    assert len(table(out)) >= 1
    assert run_fer_train("faces", photos, "--out", out, "--overwrite") == 0
    assert len(table(out)) > 2


def test_a_folder_with_other_files_is_never_replaced(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert run_fer_train("faces", photos, "--out", tmp_path, "--overwrite") == 1
    assert "holds other files: name a new folder" in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(("rows", "message"), [
    (["tile,emotion", "1,happy"], "it needs file (or name) and emotion"),
    (["file,emotion", "a.png,"], "holds no labels"),
    (["file,emotion", "a.png,happy", "a.png,sad"], "line 3: a.png is sad here and happy in line 2"),
    (["file,emotion", "a.png,../x"], "line 2: the emotion '../x' can't be the name of a class"),
    (["file,emotion", "a.png,test"], "line 2: the emotion 'test' can't be the name of a class"),
    (["file,emotion", "a.png,images"], "line 2: the emotion 'images' can't be the name of a class"),
    (["file,emotion", "a.png,unsorted"], "line 2: the emotion 'unsorted' can't be the name of a class"),
    (["file,emotion", "a.png,happy", "./a.png,sad"], "line 3: a.png is sad here and happy in line 2"),
    (["file,emotion", "other.png,sad"], "no row of --labels names one of the 5 faces that were found"),
])  # fmt: skip
def test_labels_that_do_not_fit_are_refused(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[str], message: str
) -> None:
    labels = labels_file(tmp_path, *rows)
    assert run_fer_train("faces", photos, "--labels", labels, "--out", tmp_path / "faces") == 1
    assert message in one_line(capsys)
    assert not (tmp_path / "faces").exists()


def test_one_person_can_not_be_split(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = labels_file(tmp_path, "name,emotion", "Ann_0001,happy", "Ann_0002,sad")
    arguments = ["faces", photos, "--labels", labels, "--keep-aside", 0.4, "--out", tmp_path / "faces"]
    assert run_fer_train(*arguments) == 1
    assert "the faces are of 1 (Ann)" in one_line(capsys)
    assert [row["file"] for row in table(tmp_path / "faces")] == ["happy/Ann_0001.png", "sad/Ann_0002.png"]


@pytest.mark.parametrize(("source", "message"), [
    ("none.mp4", "none.mp4 does not exist"),
    ("damaged.png", "damaged.png can't be used: it is not an image, or is damaged"),
    ("gray.png", "nothing to write to"),
    ("empty", "empty holds no photos and no videos"),
    ("0", "0 is a camera or another device, not a file: record a video first"),
    ("/dev/null", "/dev/null is a camera or another device, not a file: record a video first"),
])  # fmt: skip
def test_sources_without_faces_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    (tmp_path / "gray.png").write_bytes(encoded(np.full((120, 160), 128, np.uint8)))
    (tmp_path / "empty").mkdir()
    given = source if source == "0" else tmp_path / source
    assert run_fer_train("faces", given, "--out", tmp_path / "faces") == 1
    assert message in one_line(capsys)
    assert not (tmp_path / "faces").exists()


def test_a_damaged_photo_does_not_stop_the_others(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    assert run_fer_train("faces", tmp_path / "damaged.png", photos, "--out", tmp_path / "faces") == 1
    assert one_line(capsys).endswith(
        "damaged.png can't be used: it is not an image, or is damaged; 1 of 6 sources could not be read"
    )
    assert len(table(tmp_path / "faces")) == 5


def test_a_video_that_is_cut_short_gives_its_faces_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for number in range(20):
        writer.write(draw_scene(0.5 + number / 25, (320, 240)))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run_fer_train("faces", path, "--out", tmp_path / "faces") == 1
    assert "of 20 frames: the file is cut short" in one_line(capsys)
    assert table(tmp_path / "faces")


def test_sources_without_a_face_are_counted(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gray.png").write_bytes(encoded(np.full((120, 160), 128, np.uint8)))
    assert run_fer_train("faces", photos, tmp_path / "gray.png", "--out", tmp_path / "faces") == 0
    assert f"note: no face was found in 1 of 6 sources, such as {tmp_path / 'gray.png'}" in capsys.readouterr().err


def test_photos_of_a_folder_are_known_by_their_content_and_unreadable_formats_are_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "photo").write_bytes((photos / "Ann_0001.png").read_bytes())
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    (folder / "notes").write_text("no image")
    assert run_fer_train("faces", folder, "--out", tmp_path / "faces") == 1
    assert one_line(capsys).endswith("convert it to JPEG; name another image; 1 of 2 sources could not be read")
    assert [row["person"] for row in table(tmp_path / "faces")] == ["photo"]


@pytest.fixture
def twins(photos: Path, tmp_path: Path) -> Path:
    """Ann's two photos, in the folders a and b, under one name."""
    for folder, name in (("a", "Ann_0001"), ("b", "Ann_0002")):
        (tmp_path / "twins" / folder).mkdir(parents=True)
        (tmp_path / "twins" / folder / "me_1.png").write_bytes((photos / f"{name}.png").read_bytes())
    return tmp_path / "twins"


def test_files_of_one_name_stay_apart_and_a_file_that_is_named_twice_is_read_once(
    twins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = twins / "a" / "me_1.png", twins / "b" / "me_1.png"
    assert run_fer_train("faces", first, second, twins / "a", "--out", tmp_path / "faces") == 0
    rows = table(tmp_path / "faces")
    assert [(row["file"], row["person"]) for row in rows] == [
        ("unsorted/me_1.png", "me"), ("unsorted/me-2_1.png", "me-2"),
    ]  # fmt: skip
    assert "note: 1 source named twice: each is read once" in capsys.readouterr().err
    assert [person_of(PurePosixPath(row["file"]).stem) for row in rows] == ["me", "me-2"], "as the head takes them"


def test_a_written_face_does_not_stay_in_memory(tmp_path: Path) -> None:
    folder, pixels = FacesFolder(tmp_path / "faces"), np.zeros((48, 48), np.uint8)
    kept = weakref.ref(pixels)
    folder.add(Cut("a", "a.png", "a", pixels, (0, 0, 9, 9), 0.9))
    folder.finish()
    del pixels
    assert kept() is None


def test_names_of_sources_are_unique_whatever_is_named(tmp_path: Path) -> None:
    for folder in "abcd":
        (tmp_path / folder).mkdir()
    files = [tmp_path / name for name in ("a/me_1.mp4", "b/ME_1.mp4", "c/me-2_1.mp4", "d/me_1.mp4", "a/me.mp4")]
    for file in files:
        file.touch()
    url = f"https://host/clip.mp4?token={'x' * 300}"
    sources, notes = find_sources([*map(str, files), url], tmp_path / "out")
    assert [source.name for source in sources] == ["me_1", "ME-2_1", "me-2-2_1", "me-3_1", "me", "https"]
    assert notes == ()


@pytest.mark.parametrize(("rows", "emotions"), [
    (["b/me_1.png,sad"], {"b": "sad"}),
    (["b/me_1,sad"], {"a": "sad", "b": "sad"}),
    (["elsewhere/me_1.png,sad"], {"a": "sad", "b": "sad"}),
    (["b/me_1.png,sad", "me_1.png,happy"], {"a": "happy", "b": "sad"}),
    (["me_1.png,happy", "me_1.mp4,sad"], {"a": "happy", "b": "happy"}),
    (["{twins}/b/me_1.png,sad", "a\\me_1.png,happy"], {"a": "happy", "b": "sad"}),
    (["x/me_1.jpg,sad", "y/me_1.jpg,happy"], {}),
])  # fmt: skip
def test_a_row_that_names_a_file_with_its_folder_is_about_that_file(
    twins: Path, tmp_path: Path, rows: list[str], emotions: dict[str, str]
) -> None:
    labels = labels_file(tmp_path, "file,emotion", *(row.format(twins=twins) for row in rows))
    code = run_fer_train("faces", twins, "--labels", labels, "--out", tmp_path / "faces")
    assert code == (0 if emotions else 1)
    found = {Path(row["source"]).parent.name: row["emotion"] for row in table(tmp_path / "faces")} if emotions else {}
    assert found == emotions


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_table_of_the_faces_sorts_them_once_it_is_filled_in(photos: Path, tmp_path: Path, delimiter: str) -> None:
    sources = [photos / "Ann_0001.png", photos / "Bob_0001.png", "demo:320x240"]
    assert run_fer_train("faces", *sources, "--every", 9, "--out", tmp_path / "faces") == 0
    rows = table(tmp_path / "faces")
    for row, emotion in zip(rows, ("happy", "", "calm", "calm"), strict=True):
        row["emotion"] = emotion
    with (tmp_path / "filled.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    arguments = ["--every", 9, "--labels", tmp_path / "filled.csv", "--out", tmp_path / "sorted"]
    assert run_fer_train("faces", *sources, *arguments) == 0
    files = [row["file"] for row in table(tmp_path / "sorted")]
    assert [PurePosixPath(file).parts[0] for file in files] == ["happy", "calm", "calm"]


def test_names_of_any_kind_give_files_that_any_system_can_hold(photos: Path, tmp_path: Path) -> None:
    content = (photos / "Ann_0001.png").read_bytes()
    deep = Path(*["long folder name" * 3] * 8)
    names = ["new\nline.png", "b\udce9.png", "Jörg: wer?.png", "=1+1.png", "contact-sheet-x.png", str(deep / "end.png")]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content)
    assert run_fer_train("faces", tmp_path / "in", "--out", tmp_path / "out") == 0
    rows = table(tmp_path / "out")
    stems = {PurePosixPath(row["file"]).stem for row in rows}
    assert {"new_line", "b_", "Jörg_ wer_", "=1+1", "_contact-sheet-x"} < stems
    assert [len(stem) for stem in stems if stem.endswith("_end")] == [200]
    sources = [row["source"] for row in rows]
    assert all(source.isprintable() for source in sources)
    assert any(source.endswith(r"new\nline.png") for source in sources), "as docs/formats.md says of text cells"
    assert {row["person"] for row in rows if "1+1" in row["file"]} == {"'=1+1"}, "no formula"
    assert run_fer_train("faces", photos / "Bob_0001.png", "--out", tmp_path / "out", "--overwrite") == 0
    assert [path.name for path in (tmp_path / "out" / "unsorted").iterdir()] == ["Bob_0001.png"]


def test_faces_that_were_cut_earlier_are_no_photos(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "Ann_0001.png").write_bytes((photos / "Ann_0001.png").read_bytes())
    assert run_fer_train("faces", folder, "--out", folder / "faces") == 0
    assert run_fer_train("faces", folder, "--out", folder / "faces", "--overwrite") == 0
    assert f"note: {folder / 'faces'} holds faces that were cut earlier" in capsys.readouterr().err
    assert run_fer_train("faces", folder, "--out", tmp_path / "other") == 0
    assert len(table(tmp_path / "other")) == len(table(folder / "faces")) == 1
    capsys.readouterr()
    inside = folder / "faces" / "unsorted"
    assert run_fer_train("faces", inside, "--out", folder / "faces", "--overwrite") == 1
    assert one_line(capsys).endswith(f"{inside} is inside of --out {folder / 'faces'}: name another --out")
    assert (inside / "Ann_0001.png").is_file()


@pytest.mark.parametrize(
    "content", [b"number,file\n1,unsorted/M\xfcller.png\n", b"a,b\n1,2\n", b"a,b\n", b"", b'"' + b"x" * 200_000]
)
def test_a_table_that_someone_changed_is_never_cleared_by(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    out = tmp_path / "faces"
    assert run_fer_train("faces", photos / "Ann_0001.png", "--out", out) == 0
    (out / "faces.csv").write_bytes(content)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    capsys.readouterr()
    assert run_fer_train("faces", photos / "Bob_0001.png", "--out", out, "--overwrite") == 1
    assert "faces.csv can't be read: it is not as fer-train faces wrote it; name another --out" in one_line(capsys)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


def test_a_person_of_the_table_names_the_files(photos: Path, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, "file,emotion,person", "Ann_0001.png,happy,Zoë: 1", "Bob_0001.png,sad,Zoë: 1")
    assert run_fer_train("faces", photos, "--labels", labels, "--out", tmp_path / "faces") == 0
    assert [(row["file"], row["person"]) for row in table(tmp_path / "faces")] == [
        ("happy/Zoë_ 1_00001.png", "Zoë: 1"), ("sad/Zoë_ 1_00002.png", "Zoë: 1"),
    ]  # fmt: skip


def test_what_can_not_be_written_or_read_is_said_before_anything_is_cut(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run_fer_train("faces", photos, "--out", tmp_path / "file" / "faces") == 1
    assert one_line(capsys).endswith("file/faces can't be written: Not a directory")
    assert run_fer_train("faces", "", "--out", tmp_path / "faces") == 2
    assert "a source is empty: give a video, a photo or a folder" in one_line(capsys)
    for every in ("nan", "inf"):
        assert run_fer_train("faces", photos, "--every", every, "--out", tmp_path / "faces") == 2
        assert f"'--every': '{every}' is not a finite number" in one_line(capsys)
    lock = OutputLock(tmp_path / "faces")
    assert run_fer_train("faces", photos, "--out", tmp_path / "faces") == 1
    assert f"is being written by process {os.getpid()}" in one_line(capsys)
    lock.release()


def test_every_frame_of_a_gif_counts_and_other_animations_say_that_theirs_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.fromarray(draw_scene(t, (320, 240))[..., ::-1].copy()) for t in (0.5, 2.0)]
    for suffix in (".gif", ".webp"):
        frames[0].save(tmp_path / f"clip{suffix}", save_all=True, append_images=frames[1:], duration=1000)
    (tmp_path / "clip.gif").rename(tmp_path / "without-suffix")
    assert run_fer_train("faces", tmp_path, "--out", tmp_path / "faces") == 0
    rows = table(tmp_path / "faces")
    assert [(row["file"].split("/")[1], row["t"]) for row in rows] == [
        ("clip.png", ""), ("without-suffix_1_0000000.png", "0.000"), ("without-suffix_1_0001000.png", "1.000"),
    ]  # fmt: skip
    assert f"note: {tmp_path / 'clip.webp'}: the first of its 2 images is used" in capsys.readouterr().err
    (tmp_path / "clip-2.webp").write_bytes((tmp_path / "clip.webp").read_bytes())
    assert run_fer_train("faces", *tmp_path.glob("*.webp"), "--out", tmp_path / "more") == 0
    assert ".webp and 1 more: the first of its 2 images is used" in capsys.readouterr().err, "a line per kind"


def test_linked_folders_are_searched_once_and_what_is_no_file_is_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    (folder / "linked").symlink_to(photos)
    (folder / "below" / "circle").symlink_to(folder)
    (folder / "dead.jpg").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "below" / "pipe.mp4")
    assert run_fer_train("faces", folder, "--out", tmp_path / "faces") == 0
    assert len(table(tmp_path / "faces")) == len(SCENES)
    said = capsys.readouterr().err
    assert f"note: 2 entries not read, such as {folder / 'below' / 'pipe.mp4'}: it is a pipe" in said

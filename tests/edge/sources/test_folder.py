import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge import EmotionRecognizer, StreamOptions
from fer_edge.errors import SourceError
from fer_edge.media.suffixes import UNREAD_SUFFIXES
from fer_edge.sources import open_source
from fer_edge.sources.folder import find_images, natural_order


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Empty files with the names of images, in a folder and below it."""
    for name in ("img10.png", "img2.PNG", "b/x.jpg", "b/deep/2.jpg", ".hidden.jpg", ".git/y.jpg", "notes.txt"):
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "tree"


def names(folder: Path, recursive: bool = True, exclude: Path | None = None) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_images(folder, recursive, exclude)]


def test_a_folder_is_searched_below_in_natural_order_without_hidden_files(tree: Path) -> None:
    assert names(tree) == ["b/deep/2.jpg", "b/x.jpg", "img2.PNG", "img10.png"]
    assert names(tree, recursive=False) == ["img2.PNG", "img10.png"]


def test_the_paths_start_with_the_folder_as_it_was_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    assert find_images(Path("tree"), recursive=False)[0] == Path("tree/img2.PNG")
    monkeypatch.chdir(tree)
    assert find_images(Path(), recursive=False)[0] == Path("img2.PNG")


def test_links_in_a_circle_are_not_followed(tree: Path) -> None:
    (tree / "b" / "up").symlink_to(tree)
    (tree / "self").symlink_to("self")
    (tree / "again").symlink_to(tree / "b")
    (tree / "broken.jpg").symlink_to("nothing")
    found = names(tree)
    assert len(found) == 4
    assert {Path(name).name for name in found} == {"2.jpg", "x.jpg", "img2.PNG", "img10.png"}


def test_the_folder_of_earlier_outputs_is_left_out(tree: Path) -> None:
    assert names(tree, exclude=tree / "b" / "deep") == ["b/x.jpg", "img2.PNG", "img10.png"]
    assert len(names(tree, exclude=tree / "not there")) == 4


def test_a_folder_that_can_not_be_listed_is_reported(
    tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.scandir

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(tree) == ["b/x.jpg", "img2.PNG", "img10.png"]
    assert "deep can't be listed: Permission denied" in caplog.text


def test_names_that_differ_only_in_zeros_or_case_keep_one_order() -> None:
    paths = [Path(name) for name in ("a1", "A1", "a01", "a001", "1", "x", "٣", "²")]
    backwards = paths[::-1]
    assert sorted(paths, key=natural_order) == sorted(backwards, key=natural_order)


def test_the_command_reads_a_tree_and_repeats_it_in_the_output(
    fer_edge, tmp_path: Path, face_image: np.ndarray
) -> None:
    for name in ("in/img10.png", "in/img2.png", "in/sub/img1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), face_image)
    for _ in range(2):  # the output lies in the source: it is not read the second time
        done = fer_edge("in", "--headless", "--json", "-", "--output", "in/out", "--overwrite")
        assert done.returncode == 0, done.stderr
        files = [json.loads(line)["file"] for line in done.stdout.splitlines()]
        assert files == ["in/img2.png", "in/img10.png", "in/sub/img1.png"]
    out = tmp_path / "in" / "out"
    assert {str(path.relative_to(out)) for path in out.rglob("*.png")} == {"img2.png", "img10.png", "sub/img1.png"}
    flat = fer_edge("in", "--no-recursive", "--headless", "--json", "-")
    assert len(flat.stdout.splitlines()) == 2
    matching = fer_edge("in/*.png", "--headless", "--json", "-")
    assert [json.loads(line)["file"] for line in matching.stdout.splitlines()] == ["in/img2.png", "in/img10.png"]


def test_the_api_reads_a_folder_recursively_by_default(tmp_path: Path, face_image: np.ndarray) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        cv2.imwrite(str(tmp_path / name), face_image)
    recognizer = EmotionRecognizer()
    assert len(list(recognizer.stream(tmp_path))) == 2
    assert len(list(recognizer.stream(tmp_path, options=StreamOptions(recursive=False)))) == 1


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "x.png").write_bytes(b"x")
    assert names(tmp_path) == ["x.png"]
    message = (
        "passed over, because no files: 4: loop (a link to itself), pipe (a pipe), pipe.png (a pipe), zero.jpg (a "
    )
    assert message in caplog.text
    caplog.clear()
    with pytest.raises(SourceError, match=r"x\.png can't be used"):
        open_source(f"{tmp_path}/*g")
    assert "passed over, because no files: 2: " in caplog.text


@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a.csv", "a"])
def test_a_source_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(SourceError, match=rf"{name} is a pipe, not a file: name a file, folder"):
        open_source(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=rf"{name} is a device, not a file"):
        open_source(tmp_path / name)


def test_a_folder_of_too_many_images_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setenv("FER_EDGE_MAX_FILES", "4")
    assert len(names(tmp_path)) == 4
    monkeypatch.setenv("FER_EDGE_MAX_FILES", "3")
    with pytest.raises(SourceError, match="holds more than 3 images: name its folders one by one, or set FER_EDGE_MAX"):
        names(tmp_path)


def test_images_of_other_names_are_read_by_their_content_and_videos_are_not(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes()
    for name in ("photo", "a.jpg_large", "b.jpg.1", "c.mjpeg", "d.pfm"):
        (tmp_path / name).write_bytes(jpeg)
    (tmp_path / "notes").write_bytes(b"BM is short for bitmap, and this is text")
    assert [path.name for path in find_images(tmp_path)] == ["a.jpg_large", "b.jpg.1", "photo"]


def test_every_format_that_opencv_knows_is_read_or_named() -> None:
    named = {".pfm", ".sr", ".ras", ".hdr", ".pic", ".exr", ".pxm", ".apng", ".pam"}  # cv2.imread's documentation
    assert named <= UNREAD_SUFFIXES

"""Systems without Linux's modules, signals, flags and calls: the command starts and reads files there.

A child process loses what Windows lacks before it imports fer_edge, so that each use without a guard fails.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest

from fer_edge.cli.commands import edge
from fer_edge.cli.subcommands import doctor
from fer_edge.demo.scene import draw_scene
from fer_edge.errors import ConnectError, FerError, OutputError, SourceError
from fer_edge.files import write_json
from fer_edge.framing import Image
from fer_edge.guards import portable
from fer_edge.guards.names import local_name
from fer_edge.guards.secrets import read_secret, redact_text, shown_source
from fer_edge.serve.actions.command import parse_command
from fer_edge.sources import open_source, video
from fer_edge.sources.video import CameraSource
from fer_edge.system import return_free_memory

HIDDEN = """
import contextlib, ctypes, errno, fcntl, importlib.metadata, os, signal, socket, subprocess, sys, tempfile, time
flags_of = fcntl.fcntl
for module in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[module] = None
for owner, names in (
    (signal, ["SIGHUP", "SIGKILL", "SIGUSR1", "pthread_sigmask", "set_wakeup_fd", "setitimer"]),
    (socket, ["AF_UNIX", "MSG_DONTWAIT"]),
    (os, ["O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "fchmod", "geteuid", "getuid", "getpgid", "killpg", "mkfifo",
          "pread", "sched_getaffinity", "set_blocking", "setpriority", "register_at_fork", "sysconf", "statvfs"]),
):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)

def fsync(descriptor, fsync=os.fsync):  # only of what may be written
    if flags_of(descriptor, 3) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    fsync(descriptor)

def refused_if_open(call):
    def checked(*paths, **options):
        for path in paths:
            for number in os.listdir("/proc/self/fd"):
                with contextlib.suppress(FileNotFoundError):
                    if os.readlink(f"/proc/self/fd/{number}") == os.path.realpath(path):
                        raise PermissionError(errno.EACCES, "The file is used by another process", str(path))
        return call(*paths, **options)
    return checked

def load(self, name, *arguments, load=ctypes.CDLL.__init__, **options):
    if name is None:
        raise TypeError("argument of type 'NoneType' is not iterable")
    load(self, name, *arguments, **options)

os.fsync, ctypes.CDLL.__init__ = fsync, load
os.rename, os.replace, os.unlink = map(refused_if_open, (os.rename, os.replace, os.unlink))
time.monotonic = lambda precise=time.monotonic: precise() // 0.015625 * 0.015625  # 64 ticks per second

from fer_edge.guards import portable
portable.DELETES_OPEN_FILES = False
"""


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command `program`, such as fer_edge.__main__, in a process that lacks what Windows lacks."""
    code = f"{HIDDEN}\nsys.argv[1:] = {list(arguments)!r}\nfrom {program} import main\nmain()"
    environment = os.environ | {"NOTIFY_SOCKET": "/nowhere"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=environment
    )


@pytest.mark.parametrize("options", [["--help"], ["--version"], ["--list-cameras"]])
def test_the_command_starts(options: Sequence[str]) -> None:
    ran = run("fer_edge.__main__", *options)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr


def test_images_and_videos_are_read_and_every_output_is_written(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), draw_scene(2.0, (320, 240)))
    ran = run("fer_edge.__main__", str(tmp_path / "face.png"), "--headless")
    assert (ran.returncode, ": 1 face: happy" in ran.stdout) == (0, True), ran.stderr
    names = ("lines.jsonl", "rows.csv", "drawn.mp4", "report.json")
    options = zip(("--json", "--csv", "--output", "--report"), names, strict=True)
    outputs = [part for option, name in options for part in (option, str(tmp_path / name))]
    ran = run("fer_edge.__main__", "demo:320x240", "--headless", "--max-frames", "5", *outputs)
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 5
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 6
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000
    assert json.loads((tmp_path / "report.json").read_text())["frames"]["processed"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*names, "face.png")), "no temporary file stays"


@pytest.mark.parametrize(
    ("outputs", "options"),
    [
        (["--json", "--csv", "--metrics-file", "--report"], ["--rotate-output", "2kB"]),
        (["--aggregate-out", "--report"], ["--aggregate", "1s"]),
    ],
)
def test_earlier_outputs_are_replaced_and_rotated(
    outputs: Sequence[str], options: Sequence[str], tmp_path: Path
) -> None:
    suffixes = {"--output": ".mp4", "--metrics-file": ".prom", "--csv": ".csv"}
    paths = {option: tmp_path / f"out{option[1:]}{suffixes.get(option, '.json')}" for option in outputs}
    for path in paths.values():
        path.write_text("")
    named = [part for option, path in paths.items() for part in (option, str(path))]
    ran = run("fer_edge.__main__", "demo:320x240", "--headless", "--max-frames", "30", "--overwrite", *options, *named)
    assert ran.returncode == 0, ran.stderr
    assert all(path.stat().st_size for path in paths.values())
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".fer-")]
    if "--json" in outputs:
        pieces = list(tmp_path.glob("out-json*.json"))
        assert sum(path.read_text().count("\n") for path in pieces) == 30
        assert len(pieces) > 2


def test_an_output_of_a_source_that_can_not_be_read_is_removed(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    ran = run("fer_edge.__main__", str(tmp_path / "broken.mp4"), "--headless", "--json", str(tmp_path / "a.jsonl"))
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False), ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.mp4"]


def test_a_reader_that_holds_a_file_for_a_moment_does_not_stop_its_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [True, True]
    monkeypatch.setattr(portable, "DELETES_OPEN_FILES", False)
    monkeypatch.setattr(portable, "REPLACE_PAUSES_S", (0.0, 0.0))
    replace = os.replace

    def replace_if_free(*paths: Path) -> None:
        if busy:
            busy.pop()
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(*paths)

    monkeypatch.setattr(os, "replace", replace_if_free)
    write_json(tmp_path / "report.json", {"schema": 1})
    assert json.loads((tmp_path / "report.json").read_text()) == {"schema": 1}
    busy += [True] * 3
    with pytest.raises(OutputError, match="Access is denied"):
        write_json(tmp_path / "report.json", {"schema": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("file:///C:/my%20videos/film.mp4", "C:/my videos/film.mp4"),
        ("file:/d:/film.mp4", "d:/film.mp4"),
        ("file:///C|/film.mp4", "C:/film.mp4"),
        ("file:///videos/film.mp4", "/videos/film.mp4"),
        (r"C:\videos\film.mp4", r"C:\videos\film.mp4"),
    ],
)
def test_file_urls_may_name_a_drive(given: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "HAS_DRIVES", True)
    assert local_name(given) == meant


def test_a_path_with_a_drive_is_no_address() -> None:
    for path in (r"C:\videos\film.mp4", "C:/videos/film.mp4", r"\\nas\videos\film.mp4"):
        assert shown_source(path) == path
        assert redact_text(f"{path} does not exist") == f"{path} does not exist"
        with pytest.raises(SourceError, match="does not exist"):
            open_source(path)


def test_permissions_that_mean_nothing_do_not_refuse_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token.txt").write_text("secret\n")
    (tmp_path / "token.txt").chmod(0o666)  # what Windows says of every file
    with pytest.raises(FerError, match="can be changed by every user"):
        read_secret(tmp_path / "token.txt", "--serve-token", "a token", FerError)
    monkeypatch.setattr(portable, "HAS_PERMISSIONS", False)
    assert read_secret(tmp_path / "token.txt", "--serve-token", "a token", FerError) == "secret"


@pytest.mark.parametrize(
    ("platform", "opens", "asked", "advice"),
    [
        ("win32", [cv2.CAP_DSHOW, cv2.CAP_ANY], [cv2.CAP_DSHOW], ""),
        ("win32", [cv2.CAP_ANY], [cv2.CAP_DSHOW, cv2.CAP_ANY], ""),
        ("win32", [], [cv2.CAP_DSHOW, cv2.CAP_ANY], "allow desktop apps to use the camera"),
        ("darwin", [], [cv2.CAP_ANY], "allow your terminal to use the camera"),
    ],
)
def test_a_camera_is_opened_by_the_backend_of_its_system(
    platform: str, opens: list[int], asked: list[int], advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = []

    class Capture:
        def __init__(self, camera: int, backend: int) -> None:
            assert camera == 1
            backends.append(backend)

        def isOpened(self) -> bool:  # noqa: N802 - cv2's name
            return backends[-1] in opens

        def set(self, *_: float) -> bool:
            return True

        def get(self, _key: int) -> float:
            return 0.0

        def grab(self) -> bool:
            return True

        def retrieve(self) -> tuple[bool, Image]:
            return True, draw_scene(2.0, (320, 240))

        def release(self) -> None: ...

    monkeypatch.setattr(video.cv2, "VideoCapture", Capture)
    monkeypatch.setattr(video.sys, "platform", platform)
    if opens:
        frame = CameraSource(1, gray=True).read()
        assert frame is not None
        assert frame.image is not None
        assert frame.image.shape == (240, 320, 3)
    else:
        with pytest.raises(SourceError, match=f"camera 1 can't be opened: {advice}"):
            CameraSource(1)
    assert backends == asked


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_a_system_lacks_is_said(
    platform: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    ((level, what, text),) = [(each.level, each.what, each.text) for each in doctor._system()]
    assert (level, what) == ("note", "system")
    assert ("the window" in text) == (platform == "win32")
    ((level, what, text),) = [(each.level, each.what, each.text) for each in doctor._cameras()]
    assert (level, what, text) == ("note", "camera", "only Linux lists its cameras: try fer-edge --camera 0, then 1")
    edge.main(["--list-cameras"], standalone_mode=False)
    assert "only Linux lists its cameras" in capsys.readouterr().err
    return_free_memory()  # glibc's alone
    if platform == "win32":
        with pytest.raises(ConnectError, match="--on-change does not work on Windows"):
            parse_command("notepad")
        monkeypatch.setattr(doctor, "_run_child", lambda *_, **__: (0xC000001D, ""))
        ((_, _, text),) = [(each.level, each.what, each.text) for each in doctor._network()]
        assert "an instruction that this processor lacks" in text


def test_python_recognizes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "face.png"), draw_scene(2.0, (320, 240)))
    code = (
        f"{HIDDEN}\nfrom fer_edge import EmotionRecognizer\nprint(EmotionRecognizer()({str(tmp_path / 'face.png')!r}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Face(happy" in ran.stdout, ran.stderr


@pytest.mark.parametrize("program", ["fer_train.cli", "fer_export.cli"])
def test_training_and_export_start(program: str) -> None:
    ran = run(program, "--help")
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr

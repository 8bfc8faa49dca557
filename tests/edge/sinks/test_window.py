"""The window's keys and pace with a screen that is only pretended, and one real run on a virtual screen."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fer_edge.channel import Closed
from fer_edge.framing import Image
from fer_edge.pipeline.frame import Frame
from fer_edge.pipeline.playback import Playback
from fer_edge.results import Face, FrameResult
from fer_edge.sinks import display, window
from fer_edge.sinks.keys import Action
from fer_edge.sinks.panel import draw_help, draw_notice
from fer_edge.sinks.views import ImagesView, StreamView
from fer_edge.sinks.window import HELP, Window, fitted

LEFT, RIGHT = 0xFF51, 0xFF53
FACE = Face((40, 30, 60, 60), 0.9, "happy", 0.8, {"happy": 0.8, "sad": 0.2})


class Screen:
    """Stands for a Display: `pressed` are the keys that come next, `images` what was shown."""

    def __init__(self) -> None:
        self.gone = self.closed = False
        self.ready = True
        self.pressed: list[int] = []
        self.images: list[Image] = []
        self.is_closed = False

    def open(self) -> bool:
        return True

    def show(self, image: Image) -> None:
        self.images.append(image)

    def keys(self, _timeout_s: float = 0.0) -> list[int]:
        keys, self.pressed = self.pressed, []
        return keys

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def shown(screen: Screen) -> Window:
    """A window on `screen`."""
    return Window(screen)  # type: ignore[arg-type]


def press(made: Window, screen: Screen, *keys: int | str) -> Action:
    """Press keys one by one; the last one's action."""
    action = Action.CONTINUE
    for key in keys:
        screen.pressed = [ord(key) if isinstance(key, str) else key]
        action = made.show("", 0)
    return action


def frame(index: int, t: float = 0.0, file: str | None = None, seeks: int = 0) -> tuple[Frame, FrameResult]:
    image = np.full((240, 320, 3), index % 256, dtype=np.uint8)
    return Frame(index, t, 0.0, image, file, seeks), FrameResult(index, t, True, (FACE,), file)


def stream(made: Window, playback: Playback | None = None, **options: object) -> StreamView:
    view = StreamView(made.notify, "clip", playback, **options)  # type: ignore[arg-type]
    made.begin(view)
    return view


# Pace and counts


def test_a_live_window_shows_the_newest_result_and_counts_the_others(shown: Window, screen: Screen) -> None:
    stream(shown)
    for number in range(5):
        shown.offer(*frame(number))
    shown.show("", 0)
    assert (shown.shown, shown.lost) == (1, 4)
    assert screen.images[0][-1, -1, 0] == 4


def test_a_paced_window_shows_every_frame(shown: Window) -> None:
    view = stream(shown, Playback(), every_frame=True)
    for number in range(10):
        shown.offer(*frame(number))
        shown.offer(*frame(number))
        assert view.is_pending
        shown.show("", 0)
        shown.show("", 0)
    assert (shown.shown, shown.lost) == (20, 0)


def test_a_window_without_a_result_waits_and_shows_nothing(shown: Window, screen: Screen) -> None:
    stream(shown)
    assert shown.show("12 FPS", 0) is Action.CONTINUE
    assert not screen.images
    assert press(shown, screen, "s", " ", LEFT) is Action.CONTINUE  # there is nothing to save or to pause yet


def test_nothing_is_drawn_again_while_nothing_changes(shown: Window, screen: Screen) -> None:
    stream(shown)
    shown.offer(*frame(0))
    for _ in range(3):
        shown.show("", 0)
    assert len(screen.images) == 1
    shown.show("12 FPS", 0)
    assert len(screen.images) == 2


def test_no_frame_is_sent_to_a_screen_that_is_busy(shown: Window, screen: Screen) -> None:
    stream(shown)
    shown.offer(*frame(0))
    screen.ready = False
    shown.show("", 0)
    assert not screen.images


def test_the_end_of_a_view_lets_the_pipeline_go_on(shown: Window) -> None:
    view = stream(shown, Playback(), every_frame=True)
    shown.end()
    for number in range(5):  # would wait for a window that shows nothing any more
        shown.offer(*frame(number))
        view.offer(*frame(number))
    assert (shown.shown, shown.lost) == (0, 5)
    with pytest.raises(Closed):
        view._queue.put(frame(0))


# Keys of every source


@pytest.mark.parametrize("key", ["q", "Q", "\x1b", 0x100071, 0x10001B])
def test_q_and_esc_quit(shown: Window, screen: Screen, key: int | str) -> None:
    stream(shown)
    assert press(shown, screen, key) is Action.QUIT


def test_closing_the_window_quits(shown: Window, screen: Screen) -> None:
    stream(shown)
    screen.closed = True
    assert shown.show("", 0) is Action.QUIT


def test_h_shows_the_keys_and_b_hides_the_bars(shown: Window, screen: Screen) -> None:
    stream(shown)
    shown.offer(*frame(100))
    shown.show("", 0)
    press(shown, screen, "h", -1)
    press(shown, screen, "h", -1)
    press(shown, screen, "b", -1)
    plain, with_help, without, no_bars = screen.images
    assert np.array_equal(plain, without)
    middle = np.s_[150:330, 250:390]
    assert (with_help[middle] != plain[middle]).mean() > 0.5
    assert (no_bars != plain).any()


@pytest.mark.parametrize("code", [0xFFE1, 0xFFE9, 0xFFC8, 0x100000, 65535])
def test_shift_alt_and_unknown_keys_do_nothing(shown: Window, screen: Screen, code: int) -> None:
    view = stream(shown, Playback())
    shown.offer(*frame(0))
    shown.show("", 0)
    view.complete = True
    assert press(shown, screen, code) is Action.CONTINUE


def test_s_saves_the_annotated_frame_under_a_new_name(
    shown: Window, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stream(shown)
    shown.offer(*frame(7, 1.5))
    shown.show("", 0)
    press(shown, screen, "s", "s", -1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip-1.50s-2.png", "clip-1.50s.png"]
    saved = window.cv2.imread("clip-1.50s.png")
    assert saved.shape == (240, 320, 3)
    assert (saved != 7).any()
    assert not (tmp_path / "clip-1.50s.png").stat().st_mode & 0o077
    assert (screen.images[-1][-60:] != screen.images[0][-60:]).any()  # and says so


def test_a_frame_that_cannot_be_saved_is_reported_on_the_image(
    shown: Window, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    stream(shown)
    shown.offer(*frame(7))
    shown.show("", 0)
    press(shown, screen, "s", -1)
    assert shown._notice.startswith("not saved: ")


# Keys of a video


def test_space_pauses_and_resumes_and_a_dot_steps(shown: Window, screen: Screen) -> None:
    playback = Playback()
    stream(shown, playback, every_frame=True)
    shown.offer(*frame(0))
    shown.show("", 0)
    press(shown, screen, " ")
    assert playback.paused
    press(shown, screen, ".")
    assert playback.paused
    assert playback.wait_until_due(99.0)  # one frame, at once
    press(shown, screen, " ")
    assert not playback.paused


def test_a_dot_pauses_a_running_video(shown: Window, screen: Screen) -> None:
    playback = Playback()
    stream(shown, playback)
    shown.offer(*frame(0))
    shown.show("", 0)
    press(shown, screen, ".")
    assert playback.paused


@pytest.mark.parametrize(
    ("keys", "target"),
    [
        ([RIGHT], 15.0), ([LEFT], 5.0), ([LEFT, LEFT], 0.0), ([RIGHT, RIGHT], 19.9), ([LEFT] * 3, 0.0),
        ([0x270000], 15.0), ([0x250000], 5.0), ([0xF703], 15.0), ([0xF702], 5.0), ([0xFF98], 15.0), ([0x10FF53], 15.0),
        ([","], 9.9),
    ],
)  # fmt: skip
def test_arrows_seek_five_seconds_and_a_comma_steps_back_one_frame(
    shown: Window, screen: Screen, keys: list[int | str], target: float
) -> None:
    playback = Playback()
    stream(shown, playback, fixed=None, frame_s=0.1, last_t=19.9)
    for t in (9.9, 10.0):
        shown.offer(*frame(0, t))
        shown.show("", 0)
    press(shown, screen, *keys)
    assert playback.seeks == len(keys)
    assert playback.paused == (keys == [","])
    taken = playback.take_target()
    assert taken is not None
    assert taken[0] == pytest.approx(target)


def test_frames_from_before_a_seek_are_not_shown(shown: Window, screen: Screen) -> None:
    playback = Playback()
    stream(shown, playback, fixed=None, every_frame=True)
    shown.offer(*frame(0))
    shown.show("", 0)
    press(shown, screen, RIGHT)
    shown.offer(*frame(1))
    shown.show("", 0)
    shown.offer(*frame(2, 5.0, seeks=1))
    shown.show("", 0)
    assert (shown.shown, shown.lost) == (2, 1)
    assert screen.images[-1][0, -1, 0] == 2


@pytest.mark.parametrize("key", [LEFT, RIGHT, ","])
def test_where_results_are_written_arrows_say_why_they_do_nothing(
    shown: Window, screen: Screen, key: int | str
) -> None:
    playback = Playback()
    stream(shown, playback, fixed="no seeking: results go to --json")
    shown.offer(*frame(0))
    shown.show("", 0)
    press(shown, screen, key)
    assert not playback.seeks
    assert shown._notice == "no seeking: results go to --json"


def test_the_last_frame_stays_until_a_key(shown: Window, screen: Screen) -> None:
    view = stream(shown, Playback(), fixed="no", every_frame=True)
    shown.offer(*frame(0))
    shown.show("", 0)
    view.complete = True
    assert shown.show("", 0) is Action.CONTINUE
    assert view.status() == "end, any key closes"
    assert press(shown, screen, "b", "h", RIGHT, LEFT, ".") is Action.CONTINUE
    for key in (" ", "x", 13):
        assert press(shown, screen, key) is Action.NEXT


def test_a_video_can_be_rewound_from_its_end(shown: Window, screen: Screen) -> None:
    playback = Playback(holds_at_end=True)
    view = stream(shown, playback, fixed=None)
    shown.offer(*frame(0, 9.0))
    shown.show("", 0)
    playback.at_end = True
    assert view.status().startswith("end")
    assert press(shown, screen, LEFT) is Action.CONTINUE
    assert playback.take_target() == (4.0, 1)


def test_pausing_a_live_source_holds_only_the_image(shown: Window, screen: Screen) -> None:
    view = stream(shown)
    shown.offer(*frame(0))
    shown.show("", 0)
    press(shown, screen, " ")
    for number in (1, 2):
        shown.offer(*frame(number))
        shown.show("", 0)
    assert shown.shown == 1
    assert view.status() == "paused at 0:00.00"
    press(shown, screen, ".", -1)  # the newest one
    assert shown.shown == 2
    assert screen.images[-1][0, -1, 0] == 2
    press(shown, screen, " ")
    shown.offer(*frame(3))
    shown.show("", 0)
    assert (shown.shown, shown.lost) == (3, 1)


def test_n_and_p_go_to_other_sources_where_there_are_some(shown: Window, screen: Screen) -> None:
    stream(shown)
    shown.offer(*frame(0))
    shown.show("", 0)
    assert press(shown, screen, "n", "p") is Action.CONTINUE
    stream(shown, has_next=True, has_previous=True)
    assert press(shown, screen, "n") is Action.NEXT
    assert press(shown, screen, "p") is Action.PREVIOUS


# Images


def images(
    made: Window, count: int, follow: bool = False, read: Callable[[str], Image | None] | None = None, **options: bool
) -> ImagesView:
    def image(file: str) -> Image:
        return np.full((240, 320, 3), int(file), dtype=np.uint8)

    view = ImagesView(made.notify, lambda file, _faces: (read or image)(file), count, follow, **options)
    made.begin(view)
    return view


def number_shown(made: Window, screen: Screen) -> int:
    made.show("", 0)
    return int(screen.images[-1][0, -1, 0])


@pytest.mark.parametrize("follow", [False, True])
def test_an_image_is_pending_until_it_is_shown(shown: Window, screen: Screen, follow: bool) -> None:
    view = images(shown, 2, follow)
    assert not view.is_pending
    for number in range(2):
        shown.offer(*frame(number, file=str(number)))
        assert view.is_pending is (number == 0 or follow)
        assert number_shown(shown, screen) == (number if follow else 0)
        assert not view.is_pending


def test_images_wait_for_a_key_and_arrows_leaf_through_them(shown: Window, screen: Screen) -> None:
    view = images(shown, 4)
    for number in range(4):
        shown.offer(*frame(number, file=str(number)))
    seen = [number_shown(shown, screen)]
    for key in (RIGHT, " ", RIGHT, RIGHT, LEFT, ",", "x"):
        press(shown, screen, key)
        seen.append(number_shown(shown, screen))
    assert seen == [0, 1, 2, 3, 3, 2, 1, 2]
    assert (shown.shown, shown.lost) == (4, 0)
    view.complete = True
    press(shown, screen, RIGHT)
    assert press(shown, screen, " ") is Action.NEXT


def test_a_single_image_stays_until_any_key(shown: Window, screen: Screen) -> None:
    view = images(shown, 1)
    shown.offer(*frame(0, file="0"))
    assert shown.show("", 0) is Action.CONTINUE
    view.complete = True
    assert shown.show("", 0) is Action.CONTINUE
    assert press(shown, screen, RIGHT) is Action.NEXT


def test_the_arrows_go_from_image_to_image_of_several_sources(shown: Window, screen: Screen) -> None:
    images(shown, 1, has_next=True, has_previous=True)
    shown.offer(*frame(0, file="0"))
    shown.show("", 0)
    assert press(shown, screen, RIGHT) is Action.NEXT
    assert press(shown, screen, LEFT) is Action.PREVIOUS


def test_with_an_output_images_run_through_and_can_be_leafed_through_all_the_same(
    shown: Window, screen: Screen
) -> None:
    view = images(shown, 100, follow=True)
    for number in range(100):  # the pipeline does not wait
        shown.offer(*frame(number, file=str(number)))
    view.complete = True
    assert number_shown(shown, screen) == 99
    press(shown, screen, LEFT)
    assert number_shown(shown, screen) == 98
    assert view.status() == "99 of 100  98"


def test_an_image_that_was_deleted_is_reported(shown: Window) -> None:
    images(shown, 2, read=lambda _file: None)
    shown.offer(*frame(0, file="photos/a.jpg"))
    shown.show("", 0)
    assert shown._notice == "a.jpg can't be read any more"


def test_unreadable_images_are_missing_at_the_end(shown: Window, screen: Screen) -> None:
    view = images(shown, 3)
    shown.offer(*frame(0, file="0"))
    shown.show("", 0)
    press(shown, screen, RIGHT)
    assert number_shown(shown, screen) == 0
    view.complete = True  # images 1 and 2 could not be read
    assert number_shown(shown, screen) == 0
    assert press(shown, screen, "x") is Action.NEXT


# Drawing


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 3000), (48, 48), (480, 640), (2160, 3840), (3000, 20)])
def test_panels_fit_on_images_of_any_size(height: int, width: int) -> None:
    image = np.full((height, width, 3), 90, dtype=np.uint8)
    draw_help(image, HELP)
    draw_notice(image, "saved фото-1.png " + "long " * 40)
    draw_notice(image, "")
    assert image.shape == (height, width, 3)


@pytest.mark.parametrize(
    ("size", "expected"), [((48, 48), 480), ((480, 640), 480), ((2160, 3840), 1080), ((1, 1), 480)]
)
def test_images_are_fitted_to_the_screen(size: tuple[int, int], expected: int) -> None:
    assert min(fitted(np.zeros((*size, 3), dtype=np.uint8)).shape[:2]) == expected


# The real screen


def test_without_a_display_there_is_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(display.sys, "platform", "linux")
    assert not display.screen_available()


def test_a_dead_display_counts_as_no_screen_and_does_not_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":987")
    assert not display.screen_available()


class Server:
    """A virtual screen."""

    def __init__(self, number: str, process: "subprocess.Popen[bytes]") -> None:
        self.display, self._process = f":{number}", process

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb: apt-get install xvfb")
    read_end, write_end = os.pipe()
    command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    with subprocess.Popen(command, pass_fds=[write_end], stderr=subprocess.DEVNULL) as process:
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        yield Server(number, process)
        process.terminate()


@contextlib.contextmanager
def started(server: Server, folder: Path, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    environment = {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    with subprocess.Popen(
        [sys.executable, "-m", "fer_edge", *map(str, arguments)], cwd=folder,
        env=environment | {"DISPLAY": server.display}, stderr=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        try:
            yield run
        finally:
            run.kill()


@pytest.mark.slow
def test_a_run_with_a_screen_shows_its_results_in_a_window(server: Server, model: Path, tmp_path: Path) -> None:
    arguments = (
        "--model", model, "--source", "demo:320x240", "--realtime", "--duration", "3",
        "--report", "r.json",
    )  # fmt: skip
    with started(server, tmp_path, *arguments) as run:
        _, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    report = json.loads((tmp_path / "r.json").read_text())
    shown = report["sinks"]["window"]
    assert shown["written"] > 0
    assert shown["written"] + shown["lost"] == report["frames"]["processed"]


@pytest.mark.slow
def test_a_window_paces_a_file_and_shows_every_frame(server: Server, model: Path, tmp_path: Path) -> None:
    arguments = ("--model", model, "demo:320x240", "--duration", "2", "--report", "r.json", "--json", "r.jsonl")
    with started(server, tmp_path, *arguments) as run:
        _, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["sinks"]["window"] == {"written": 60, "lost": 0}
    assert report["seconds"] >= 59 / 30
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 60


def wait_until(condition: Callable[[], bool], run: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_screen_that_vanishes_ends_the_window_and_not_the_run(server: Server, model: Path, tmp_path: Path) -> None:
    lines = tmp_path / "r.jsonl"
    arguments = ("--model", model, "demo:320x240", "--json", lines, "--report", "r.json")
    with started(server, tmp_path, *arguments) as run:
        wait_until(lambda: lines.exists() and bool(lines.read_text()), run)
        server.kill()
        _, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    assert messages.count("the screen is gone: the run goes on without a window") == 1
    assert len(lines.read_text().splitlines()) == 300
    assert json.loads((tmp_path / "r.json").read_text())["exit_reason"] == "end of source"


class LosingWindows:
    """Stands for cv2: Qt logs that a window is on the screen only after some were opened in vain."""

    WINDOW_NORMAL = WINDOW_FREERATIO = WINDOW_GUI_NORMAL = 0

    def __init__(self, lost: int, framework: str = "QT") -> None:
        self.lost, self.framework = lost, framework
        self.calls: list[str] = []

    def namedWindow(self, _title: str, _flags: int) -> None:  # noqa: N802 - cv2's name
        self.calls.append("open")
        event = b"PROPERTY" if self.calls.count("open") <= self.lost else b"MAP"
        os.write(2, b"qt.qpa.events: Event | XCB_%s_NOTIFY(19)\n" % event)

    def destroyWindow(self, _title: str) -> None:  # noqa: N802 - cv2's name
        self.calls.append("close")

    def currentUIFramework(self) -> str:  # noqa: N802 - cv2's name
        return self.framework

    def waitKey(self, _ms: int) -> int:  # noqa: N802 - cv2's name
        return -1

    def pollKey(self) -> int:  # noqa: N802 - cv2's name
        return -1


@pytest.fixture
def open_in_vain(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], list[str]]:
    """Open the window on X11, where the first ones are lost; what was opened and closed."""

    def run(lost: int, framework: str) -> list[str]:
        windows = LosingWindows(lost, framework)
        monkeypatch.setattr(display, "cv2", windows)
        display._open_window()
        return windows.calls

    for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(display.sys, "platform", "linux")
    monkeypatch.setattr(display, "MAP_TIMEOUT_S", 0.05)
    return run


@pytest.mark.parametrize(("lost", "framework", "calls"), [
    (0, "QT", ["open"]), (2, "QT", ["open", "close", "open", "close", "open"]), (9, "GTK3", ["open"]),
])  # fmt: skip
def test_a_window_that_qt_takes_for_hidden_is_opened_again(
    open_in_vain: Callable[[int, str], list[str]], capfd: pytest.CaptureFixture[str],
    lost: int, framework: str, calls: list[str],
) -> None:  # fmt: skip
    assert open_in_vain(lost, framework) == calls
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "after it\n"


def test_a_window_that_never_appears_stays_open_in_the_end(open_in_vain: Callable[[int, str], list[str]]) -> None:
    calls = open_in_vain(display.MAX_TRIES, "QT")
    assert calls[-1] == "open"
    assert calls.count("open") == display.MAX_TRIES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("xdotool") is None, reason="no xdotool: apt-get install xdotool")
def test_a_photo_is_on_the_screen_until_a_key_and_s_saves_it(server: Server, model: Path, tmp_path: Path) -> None:
    grab = pytest.importorskip("PIL.ImageGrab").grab
    photo = np.full((300, 400, 3), (200, 60, 20), dtype=np.uint8)
    window.cv2.imwrite(str(tmp_path / "photo.png"), photo)

    def type_key(key: str) -> None:
        environment = os.environ | {"DISPLAY": server.display}
        subprocess.run(["xdotool", "mousemove", "60", "60", "click", "1", "key", key], env=environment, check=True)

    with started(server, tmp_path, "--model", model, "photo.png") as run:
        wait_until(lambda: grab(xdisplay=server.display).getpixel((60, 60)) == (20, 60, 200), run)  # RGB
        type_key("s")
        wait_until((tmp_path / "photo-faces.png").exists, run)
        type_key("x")
        _, messages = run.communicate(timeout=60)
    assert run.returncode == 0, messages
    assert "saved photo-faces.png" in messages
    assert np.array_equal(window.cv2.imread(str(tmp_path / "photo-faces.png")), photo)

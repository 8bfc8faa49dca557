"""Each example runs, on the demo and with mock pins, and does what its first line says."""

import importlib.util
import json
import os
import stat
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fer_edge import EmotionRecognizer, Face, FrameResult, StreamOptions

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def short_demo(monkeypatch: pytest.MonkeyPatch) -> str:
    """A source whose streams end after 90 frames, three seconds in which the demo turns happy."""
    stream = EmotionRecognizer.stream

    def limited(self: EmotionRecognizer, source: object, **options: object) -> object:
        return stream(self, source, options=StreamOptions(max_frames=90), **options)

    monkeypatch.setattr(EmotionRecognizer, "stream", limited)
    return "demo:320x240"


@pytest.fixture
def pins() -> Iterator[object]:
    """Mock pins, which can be asked what they were set to."""
    gpiozero = pytest.importorskip("gpiozero", reason="gpiozero is not installed: pip install gpiozero")
    from gpiozero.pins.mock import MockFactory, MockPWMPin

    factory = gpiozero.Device.pin_factory = MockFactory(pin_class=MockPWMPin)
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = None


def test_the_led_is_lit_while_somebody_is_happy(pins, short_demo: str) -> None:
    load("led").main(short_demo)
    states = [state.state for state in pins.pin(17).states]
    assert True in states
    assert not states[-1], "off at the end"


def test_the_servo_follows_the_face(pins, short_demo: str) -> None:
    load("servo").main(short_demo)
    widths = {round(state.state, 4) for state in pins.pin(18).states if state.state}
    assert len(widths) > 10
    assert min(widths) >= 0.05, "1 ms of 20"
    assert max(widths) <= 0.1, "2 ms of 20"


def test_the_robot_decides_on_the_demo(short_demo: str, capsys: pytest.CaptureFixture[str]) -> None:
    load("robot").main(short_demo)
    printed = capsys.readouterr().out
    assert "dance" in printed


@pytest.mark.parametrize(
    ("box", "emotion", "action"),
    [
        ((0, 0, 20, 20), "neutral", "left"),
        ((80, 0, 20, 20), "neutral", "right"),
        ((40, 0, 20, 20), "neutral", "forward"),
        ((30, 0, 40, 60), "neutral", "wait"),
        ((40, 0, 20, 20), "happy", "dance"),
        ((0, 0, 20, 20), "angry", "back"),
        (None, "", "wait"),
    ],
)
def test_the_robot_s_rules(box: tuple[float, float, float, float] | None, emotion: str, action: str) -> None:
    faces = () if box is None else (Face(box, 0.9, emotion, 0.8, {emotion: 0.8}, 0),)
    assert load("robot").decide(FrameResult(0, 0.0, True, faces, image=np.zeros((100, 100), np.uint8))) == action


def test_the_sound_is_played_for_a_change(tmp_path: Path) -> None:
    player, played = tmp_path / "aplay", tmp_path / "played.wav"
    player.write_text(f'#!/bin/sh\ncp "$1" {played}\n')
    player.chmod(0o755)
    assert EXAMPLES.joinpath("sound.py").stat().st_mode & stat.S_IXUSR
    environment = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"}

    def change(**values: object) -> subprocess.CompletedProcess[str]:
        text = json.dumps(values)
        return subprocess.run(
            [EXAMPLES / "sound.py"],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    for silent in (
        {"change": "left", "emotion": "happy"},
        {"change": "changed", "emotion": "unsure"},
        {"withheld": True},
    ):
        assert change(**silent).returncode == 0
        assert not played.exists()
    done = change(change="changed", emotion="happy")
    assert done.returncode == 0, done.stderr
    with wave.open(str(played)) as sound:
        assert sound.getnframes() == 4800


def test_every_example_has_a_test() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'"{path.stem}' not in tested] == []
    assert os.environ.get("GPIOZERO_PIN_FACTORY") is None

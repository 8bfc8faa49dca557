"""The doctor's findings, on this machine and on simulated faults."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import fer_models
from fer_edge.cli.commands import edge
from fer_edge.cli.subcommands import doctor
from fer_edge.errors import FerError
from fer_edge.sources import v4l2


def findings(check: str) -> list[tuple[str, str, str]]:
    return [(finding.level, finding.what, finding.text) for finding in getattr(doctor, check)()]


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped models' list with one tiny model."""
    (tmp_path / "tiny.onnx").write_bytes(b"network")
    digest = "a55ab30ae7be7bed6a2ef11166c41ef5fd5a9b7de49bd75f26c3bdd22ee4f2e5"
    models = {"int8": {"file": "tiny.onnx", "sha256": digest, "bytes": 7}}
    (tmp_path / "manifest.json").write_text(json.dumps({"default": "int8", "models": models}))
    monkeypatch.setattr(fer_models, "_HERE", tmp_path)
    (tmp_path / "detector.json").write_text('{"models": {}}')
    return tmp_path


def test_a_healthy_machine_gets_exit_code_0_and_a_line_per_check(fer_edge) -> None:
    ran = fer_edge("doctor", with_model=False)
    assert ran.returncode == 0, ran.stdout
    assert ran.stderr == ""
    looked_at = [line[6:].split("  ")[0].strip() for line in ran.stdout.splitlines()]
    for what in (
        "python",
        "onnxruntime",
        "numpy",
        "processor",
        "int8",
        "int8 model",
        "int8 detector",
        "inference",
        "defaults",
    ):
        assert what in looked_at
    assert all(line.startswith(("ok  ", "note")) for line in ran.stdout.splitlines())


def test_an_illegal_instruction_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_RUN_MODEL", "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    ((level, what, text),) = findings("_network")
    assert (level, what) == ("bad", "inference")
    assert "an instruction that this processor lacks" in text


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("raise ValueError('no such operator')", "no such operator"),
        ("import time; time.sleep(60)", "no answer within"),
    ],
)
def test_a_network_that_does_not_run_is_bad(monkeypatch: pytest.MonkeyPatch, code: str, says: str) -> None:
    monkeypatch.setattr(doctor, "_RUN_MODEL", code)
    if "sleep" in code:  # the others must not be hurried: a Python takes a second to start on a busy Raspberry Pi
        monkeypatch.setattr(doctor, "CHILD_TIMEOUT_S", 1)
    ((level, _what, text),) = findings("_network")
    assert level == "bad"
    assert says in text


def test_a_model_that_is_missing_altered_or_not_listed_is_bad(shipped: Path) -> None:
    ((level, _what, text),) = findings("_models")
    assert level == "bad"
    assert "not the shipped file" in text
    (shipped / "tiny.onnx").unlink()
    assert "is missing: reinstall fer-edge" in findings("_models")[0][2]
    (shipped / "manifest.json").write_text("{")
    assert findings("_models")[0][0] == "bad"


def test_a_model_as_shipped_is_ok(shipped: Path) -> None:
    manifest = json.loads((shipped / "manifest.json").read_text())
    digest = subprocess.run(["sha256sum", shipped / "tiny.onnx"], capture_output=True, text=True, check=True).stdout
    manifest["models"]["int8"]["sha256"] = digest.split()[0]
    manifest["models"]["int8"]["heads"] = {"people": None, "ferplus": {"accuracy": 0.9}}
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    ((level, _what, text),) = findings("_models")
    assert level == "ok"
    assert text.endswith(", heads people, ferplus")


def test_onnxruntime_1_21_0_and_a_missing_package_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", {"onnxruntime": "1.21.0", "numpy": "2.0", "click": "8"}.get)
    bad = {what: text for level, what, text in findings("_packages") if level == "bad"}
    assert set(bad) == {"fer-edge", "onnxruntime", "opencv-python"}
    assert "crashes on a Raspberry Pi 4" in bad["onnxruntime"]


@pytest.mark.parametrize(
    ("installed", "says"),
    [
        (["opencv-python", "onnxruntime"], None), (["opencv-contrib-python-headless", "onnxruntime-gpu"], None),
        (["onnxruntime", "opencv-python", "opencv-python-headless"],
         "these 2 packages overwrite each other's files: pip uninstall -y opencv-python opencv-python-headless, then "
         "pip install opencv-python"),
        (["onnxruntime", "onnxruntime-gpu", "opencv-contrib-python"],
         "these 2 packages overwrite each other's files: pip uninstall -y onnxruntime onnxruntime-gpu, then "
         "pip install onnxruntime"),
    ],
)  # fmt: skip
def test_two_packages_in_one_folder_are_noted_and_any_one_is_enough(
    installed: list[str], says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_version", dict.fromkeys(["fer-edge", "numpy", "click", *installed], "9").get)
    found = findings("_packages")
    assert [text for level, _, text in found if level == "note"] == ([says] if says else [])
    assert {what for level, what, _ in found if level == "ok"} == {"fer-edge", "numpy", "click", *installed}
    assert not any(level == "bad" for level, *_ in found)


def test_broken_defaults_are_bad_and_the_other_checks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fer_edge
) -> None:
    (tmp_path / "defaults.toml").write_text("?")
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(tmp_path / "defaults.toml"))
    ran = fer_edge("doctor", with_model=False)
    assert ran.returncode == 1
    (bad,) = [line for line in ran.stdout.splitlines() if line.startswith("BAD")]
    assert "delete it, then run fer-edge tune again" in bad
    assert "screen" in ran.stdout.splitlines()[-1], "the other checks run, too"


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_opencv() -> list[tuple[int, str]]:
        raise FerError("OpenCV can't be loaded: sudo apt-get install libgl1")

    monkeypatch.setattr(v4l2, "list_cameras", no_opencv)
    monkeypatch.setattr(doctor, "_RUN_MODEL", "")
    monkeypatch.setattr("fer_edge.sinks.display.screen_available", no_opencv)
    ran = CliRunner().invoke(edge.subcommands["doctor"], standalone_mode=False)
    assert ran.return_value == 1
    assert "BAD   cameras        OpenCV can't be loaded: sudo apt-get install libgl1" in ran.stdout
    assert ran.stdout.count("libgl1") == 1, "a fault of several checks is said once"
    assert "video" in ran.stdout, "the other checks run, too"


def test_doctor_starts_where_opencv_can_not_be_loaded() -> None:
    code = "import sys; sys.modules['cv2'] = None; import fer_edge.cli.subcommands.doctor"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_camera_is_reported_with_its_format_or_why_it_does_not_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(v4l2, "list_cameras", lambda: [(0, "Good"), (7, "Broken")])
    stand_in = """
import json, sys
assert sys.argv[1] == "0", "camera is in use"
print(json.dumps({"size": [1280, 720], "format": "MJPG", "fps": 30.0}))
"""
    monkeypatch.setattr(doctor, "_OPEN_CAMERA", stand_in)
    assert findings("_cameras") == [
        ("ok", "camera 0", "Good: delivers 1280x720 MJPG at 30 frames/s"),
        ("note", "camera 7", "Broken: camera is in use"),
    ]


@pytest.mark.skipif(sys.maxsize < 2**32, reason="is 32 bit itself")
@pytest.mark.parametrize(
    ("program", "encoder", "level", "says"),
    [
        (None, None, "note", "ffmpeg is not installed: --output writes MPEG-4"),
        ("/bin/ffmpeg", None, "note", "/bin/ffmpeg has no H.264 encoder that works"),
        ("/bin/ffmpeg", "libx264", "ok", "--output writes H.264 with sound (/bin/ffmpeg, libx264)"),
    ],
)
def test_the_codec_of_videos_is_reported(
    monkeypatch: pytest.MonkeyPatch, program: str | None, encoder: str | None, level: str, says: str
) -> None:
    monkeypatch.setattr("fer_edge.sinks.ffmpeg.find_ffmpeg", lambda: program)
    monkeypatch.setattr("fer_edge.sinks.ffmpeg.h264_encoder", lambda _program: encoder)
    [finding] = doctor._video_output()
    assert (finding.level, finding.what) == (level, "video")
    assert says in finding.text


def test_a_32_bit_python_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    assert findings("_python")[0][0] == "bad"


def test_a_closed_stdout_is_no_error() -> None:
    command = [sys.executable, "-m", "fer_edge", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0

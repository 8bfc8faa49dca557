"""The parts of `make pi` that need no emulator: files for the guest, comparison, requirements, table."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.raspberry_pi import guest, root
from benchmarks.raspberry_pi.boards import BOARDS, CORES, write_processor_files
from benchmarks.raspberry_pi.compare import Check, agreement, compare_crops, compare_runs, largest_difference
from benchmarks.raspberry_pi.crops import drawn_crops
from benchmarks.raspberry_pi.emulate import LEFT_OUT, Answer, Question, as_json, passed, split, table
from fer_edge import system
from fer_edge.errors import FerError


@pytest.fixture
def crops() -> np.ndarray:
    rows = np.random.default_rng(0).dirichlet(np.ones(7), 200)
    return rows.astype(np.float32)


def missed(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def lines(count: int = 4, x: float = 10.0, emotion: str = "happy", track_id: int = 0) -> list[dict[str, object]]:
    shares = {"happy": 0.6, "sad": 0.4}
    face = {"id": track_id, "box": [x, 20.0, 100.0, 100.0], "emotion": emotion, "probabilities": shares}
    return [{"frame": index, "faces": [face]} for index in range(count)]


@pytest.mark.parametrize(("key", "part", "flag"), [("pi4", "0xd08", None), ("pi5", "0xd0b", "asimddp")])
def test_the_guest_sees_the_boards_processor(
    key: str, part: str, flag: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_processor_files(tmp_path, BOARDS[key])
    text = (tmp_path / "proc/cpuinfo").read_text()
    assert [line.partition(": ")[2] for line in text.splitlines() if line.startswith("CPU part")] == [part] * CORES
    for name in ("possible", "present"):
        assert (tmp_path / "sys/devices/system/cpu" / name).read_text() == "0-3\n"
    monkeypatch.setattr(system, "_read", lambda path: (tmp_path / path.lstrip("/")).read_text())
    assert system.dot_product_flag() == flag  # what doctor reports there


def test_a_root_changes_from_one_board_to_the_other(tmp_path: Path) -> None:
    for key in ("pi5", "pi4"):
        write_processor_files(tmp_path, BOARDS[key])
        assert (tmp_path / "proc/cpuinfo").read_text() == BOARDS[key].cpuinfo()


def test_equal_probabilities_pass(crops: np.ndarray) -> None:
    answers = {"fp32": crops, "int8": crops}
    assert not missed(compare_crops(answers, answers))


def test_a_difference_beyond_rounding_misses_its_bound(crops: np.ndarray) -> None:
    other = crops.copy()
    other[17, 3] += 2e-4
    assert "fp32 largest difference" in missed(
        compare_crops({"fp32": crops, "int8": crops}, {"fp32": other, "int8": crops})
    )
    assert largest_difference(crops, other) == pytest.approx(2e-4, rel=1e-3)


def test_int8_may_round_differently_but_must_give_the_same_label(crops: np.ndarray) -> None:
    rounded = crops + np.float32(1e-3) * (np.arange(7) == crops.argmax(1)[:, None])
    ours = {"fp32": crops, "int8": crops}
    assert not missed(compare_crops(ours, {"fp32": crops, "int8": rounded}))
    turned = crops.copy()
    turned[:3] = np.roll(crops[:3], 1, axis=1)  # 3 of 200 are more than 1 %
    assert missed(compare_crops(ours, {"fp32": crops, "int8": turned})) == {"int8 same label"}
    assert agreement(crops, turned) == pytest.approx(197 / 200)


def test_probabilities_that_are_not_numbers_never_pass(crops: np.ndarray) -> None:
    other = crops.copy()
    other[0] = np.nan
    assert "fp32 largest difference" in missed(
        compare_crops({"fp32": crops, "int8": crops}, {"fp32": other, "int8": crops})
    )


def test_an_empty_comparison_never_passes() -> None:
    none = {"fp32": np.empty((0, 7), np.float32), "int8": np.empty((0, 7), np.float32)}
    assert all(not check.passed for check in compare_crops(none, none))
    assert all(not check.passed for check in compare_runs([], []))


def test_outputs_of_different_shapes_are_refused(crops: np.ndarray) -> None:
    with pytest.raises(ValueError, match="fp32"):
        compare_crops({"fp32": crops, "int8": crops}, {"fp32": crops[:5], "int8": crops})


def test_runs_with_the_same_faces_pass_and_report_the_shift() -> None:
    checks = compare_runs(lines(), lines(x=12.0))
    assert not missed(checks)
    assert {check.name: check.value for check in checks}["largest shift of a box, pixels"] == 2.0


@pytest.mark.parametrize(
    ("theirs", "misses"),
    [
        (lines(3), {"frames only one side has", "same faces", "same label"}),
        (lines(x=40.0), {"same faces", "same label", "largest shift of a box, pixels", "largest difference"}),
        (lines(track_id=1), {"same faces", "same label", "largest shift of a box, pixels", "largest difference"}),
        (lines(emotion="sad"), {"same label"}),
        ([{"frame": 0, "faces": []}, *lines()[1:]], {"same faces", "same label"}),
    ],
    ids=["missing frame", "moved", "other id", "other label", "missing face"],
)
def test_runs_that_differ_miss_a_bound(theirs: list[dict[str, object]], misses: set[str]) -> None:
    assert missed(compare_runs(lines(), theirs)) == misses


def test_drawn_crops_differ_and_are_seeded() -> None:
    crops = drawn_crops(12)
    assert crops.shape == (12, 1, 48, 48) and crops.dtype == np.uint8
    assert (crops == drawn_crops(12)).all()
    assert len({face.tobytes() for face in crops}) == 12
    assert all(face.std() > 5 for face in crops)


def test_probabilities_are_split_by_the_origin_of_the_faces(crops: np.ndarray) -> None:
    asked = {"drawn": np.zeros((150, 1, 48, 48), np.uint8), "given": np.zeros((50, 1, 48, 48), np.uint8)}
    parts = split(asked, {"fp32": crops, "int8": -crops})
    assert (parts["drawn"]["fp32"] == crops[:150]).all()
    assert (parts["given"]["int8"] == -crops[150:]).all()


def test_the_guest_gets_the_installed_versions_and_headless_opencv(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[project]\ndependencies = ["numpy>=1.26", "onnxruntime>=1.20,!=1.21.0", "opencv-python<5"]\n')
    assert root.requirements(pyproject, lambda name: f"1.{len(name)}") == [
        "numpy==1.5", "onnxruntime==1.11", "opencv-python-headless==1.13",
        "pytest==1.6", "hypothesis==1.10", "onnx==1.4",
    ]  # fmt: skip


def test_the_guests_python_is_found_among_its_packages(tmp_path: Path) -> None:
    (tmp_path / "python3.11-minimal_3.11.2-6_arm64.deb").touch()
    with pytest.raises(FerError, match="holds no Python"):
        root.python_version(tmp_path)
    (tmp_path / "python3.11_3.11.2-6+deb12u8_arm64.deb").touch()
    assert root.python_version(tmp_path) == "3.11"


def test_a_missing_program_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FerError, match="no-such-emulator is not installed: sudo apt-get install its-package"):
        root.required_program("no-such-emulator", "its-package")
    with pytest.raises(FerError, match=r"apt uses no Debian archive here.*--mirror"):
        root.debian_mirror()


def test_root_is_needed_for_the_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "required_program", lambda program, _package: program)
    monkeypatch.setattr(root.os, "geteuid", lambda: 1000)
    with pytest.raises(FerError, match="needs root"):
        root.make_root(tmp_path, "bookworm", "http://127.0.0.1:9/debian", lambda _text: None)
    assert not list(tmp_path.iterdir())


def test_a_failed_download_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "debootstrap"
    failing.write_text("#!/bin/sh\necho 'E: Failed getting release file' >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(root, "required_program", lambda _program, _package: str(failing))
    monkeypatch.setattr(root.os, "geteuid", lambda: 0)
    folder = tmp_path / "pi"
    folder.mkdir()
    with pytest.raises(FerError, match=r"Failed getting release file.*is there a network"):
        root.make_root(folder, "bookworm", "http://127.0.0.1:9/debian", lambda _text: None)
    assert not list(folder.iterdir())


def test_the_launcher_names_the_boards_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3.11_3.11.2-6_arm64.deb").touch()
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    monkeypatch.setattr(guest, "required_program", lambda program, _package: f"/usr/bin/{program}")
    machine = guest.emulate(BOARDS["pi4"], tmp_path / "root", tmp_path)
    text = machine.python.read_text()
    assert text.startswith("#!/bin/sh\n") and "-cpu cortex-a72" in text and "python3.11" in text
    assert machine.python.stat().st_mode & 0o111


def test_the_junit_report_is_read() -> None:
    case = '<testcase classname="tests.edge.test_x" name="{}">{}</testcase>'
    cases = (
        case.format("a", "")
        + case.format("b", "<failure/>")
        + case.format("c", "<skipped/>")
        + case.format("d", "<error/>")
    )
    ran = guest.read_junit(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert ran == guest.TestRun(1, 1, ("tests.edge.test_x::b", "tests.edge.test_x::d"))


@pytest.mark.parametrize("second_fails", [False, True])
def test_failed_tests_run_once_more(second_fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = '<testcase classname="t" name="good"/>', '<testcase classname="t" name="bad"><failure/></testcase>'
    reports = [good + bad, bad if second_fails else bad.replace("<failure/>", "")]
    options: list[tuple[str, ...]] = []

    def run(_machine: guest.Machine, *arguments: str, log: object) -> None:  # noqa: ARG001
        (report,) = (word.partition("=")[2] for word in arguments if word.startswith("--junitxml="))
        Path(report).write_text(f"<testsuite>{reports[len(options)]}</testsuite>")
        options.append(arguments)

    monkeypatch.setattr(guest.Machine, "run", run)
    ran = guest.run_tests(guest.Machine("a Pi", Path("python")), ("tests/edge/test_x.py",), tmp_path / "tests.log")
    assert ran == (guest.TestRun(1, 0, ("t::bad",)) if second_fails else guest.TestRun(2, 0, (), 1))
    assert ["--last-failed" in words for words in options] == [False, True]
    assert all("--deselect=tests/edge/test_x.py" in words for words in options)


def test_a_missed_bound_is_marked_and_fails_the_run() -> None:
    good = [("demo:", Check("same label", 1.0, ">=", 0.99)), ("demo:", Check("largest difference", 0.02))]
    bad = [("demo:", Check("same label", 0.98, ">=", 0.99)), ("demo:", Check("largest difference", 0.02))]
    results = {"pi4": good, "pi5": bad}
    header, first, second = table(results).splitlines()
    assert "Raspberry Pi 4" in header and "Raspberry Pi 5" in header
    assert first.endswith("0.98  MISSED") and "MISSED" not in second
    assert not passed(results) and passed({"pi4": good})


def test_a_value_that_could_not_be_compared_is_null_in_the_json() -> None:
    results = {"pi5": [("demo:", Check("same label", float("nan"), ">=", 0.99))]}
    written = as_json(results, Question({}, 3, None), Answer({}, {}, {"versions": {}}))
    (check,) = json.loads(json.dumps(written, allow_nan=False))["boards"]["pi5"]["checks"]
    assert check["value"] is None and not check["passed"] and not written["passed"]


@pytest.mark.parametrize("node_id", LEFT_OUT)
def test_the_tests_that_are_left_out_exist(node_id: str) -> None:
    file, _, name = node_id.partition("::")
    assert f"def {name.partition('[')[0]}(" in (root.REPOSITORY / file).read_text()

"""Tuning: the choice among given timings, and a short real run."""

from pathlib import Path

import pytest

from fer_edge.cli.subcommands.tune import (
    Timing,
    best,
    draw_scenes,
    face_grid,
    fraction_found,
    render_table,
    save,
    thread_choices,
)
from fer_edge.defaults import load_defaults
from fer_edge.detectors import DEFAULT_DETECT_SIZE_PX
from fer_edge.detectors.luma import LumaDetector


def timing(
    threads: int = 1, size: int = 640, detect_ms: float = 10.0, found: tuple[float, ...] = (1.0, 1.0), **more: object
) -> Timing:
    return Timing(str(more.get("precision", "int8")), threads, size, detect_ms, float(more.get("ms", 1.0)), found)


@pytest.mark.parametrize(("cores", "choices"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (64, [1, 2, 4, 8])])
def test_thread_counts_up_to_the_cores_are_tried(cores: int, choices: list[int]) -> None:
    assert thread_choices(cores) == choices


def test_among_fast_enough_settings_the_one_that_finds_most_faces_wins() -> None:
    small, large = timing(size=320, detect_ms=3, found=(1.0, 0.5)), timing(size=480, detect_ms=20, found=(1.0, 0.9))
    slow = timing(detect_ms=50, found=(1.0, 1.0))
    assert best([small, large, slow], any_size=True) is large


def test_a_size_that_finds_as_many_faces_in_less_time_wins() -> None:
    small, large = timing(size=320, detect_ms=3, found=(1.0, 0.93)), timing(size=640, detect_ms=20, found=(1.0, 0.96))
    assert best([small, large], any_size=True) is small


def test_if_no_setting_is_fast_enough_speed_and_small_faces_are_weighed() -> None:
    fast, slow = timing(size=320, detect_ms=40, found=(1.0, 0.2)), timing(detect_ms=300)
    assert best([slow, fast], any_size=True) is fast
    hardly_slower = timing(detect_ms=50)
    assert best([fast, hardly_slower], any_size=True) is hardly_slower


def test_a_size_that_misses_large_faces_is_excluded() -> None:
    blind, seeing = timing(size=640, found=(0.5, 1.0)), timing(size=320, found=(1.0, 0.0))
    assert best([blind, seeing], any_size=True) is seeing
    assert best([blind]) is blind, "unless there is no other one"


def test_a_smaller_size_is_chosen_only_if_it_is_allowed() -> None:
    fast, slow = timing(size=320, detect_ms=3), timing(size=640, detect_ms=300)
    assert best([fast, slow]) is slow
    assert best([fast, slow], any_size=True) is fast


def test_the_table_has_units_marks_the_best_and_explains_every_column() -> None:
    settings = [timing(found=(1.0, 1.0, 0.5)), timing(size=320, detect_ms=5, found=(1.0, 0.5, 0.0))]
    table = render_table(settings, settings[0]).splitlines()
    assert [line.endswith("<- best") for line in table[2:4]] == [True, False]
    assert table[2].split()[-8:-2] == ["100", "%", "100", "%", "50", "%"]
    assert len({line.rindex("%") for line in table[2:4]}) == 1
    for heading in ("precision", "threads", "detect size", "detection", "classification", "rate", "faces found"):
        assert heading in table[0]
        assert any(line.startswith(heading) for line in table[5:])


def test_small_faces_are_searched_for_too() -> None:
    grid = face_grid(draw_scenes(), 0, 3)
    assert grid.shape == (480, 640, 3)
    boxes = [found.box for found in LumaDetector(min_face_px=20).detect(grid)]
    assert fraction_found(boxes, 3) == 1.0
    assert fraction_found(boxes[1:], 3) == pytest.approx(8 / 9)
    assert fraction_found([], 5) == 0.0
    assert fraction_found([(700.0, 10.0, 10.0, 10.0)], 1) == 0.0, "outside"


def test_among_equally_good_settings_the_one_with_fewer_threads_wins() -> None:
    one, two, four = timing(1, detect_ms=41), timing(2, detect_ms=40), timing(4, detect_ms=60)
    assert best([four, two, one]) is one
    assert best([timing(1, detect_ms=80), two]) is two
    assert best([timing(1, detect_ms=20), timing(2, detect_ms=10)]).threads == 1, "both keep up with a camera"


def test_the_faster_precision_wins() -> None:
    fp32, int8 = timing(precision="fp32", ms=3.0, detect_ms=5), timing(precision="int8", ms=1.0, detect_ms=5)
    assert best([fp32, int8]) is int8
    assert fp32.fps == 200


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(tmp_path / "new" / "defaults.toml"))
    return tmp_path / "new" / "defaults.toml"


def test_tuning_measures_all_settings_and_saves_the_best(file: Path, fer_edge) -> None:
    ran = fer_edge("tune", "--seconds", "1", with_model=False)
    assert ran.returncode == 0, ran.stderr
    head, *rows = ran.stdout.splitlines()
    assert head.split()[:2] == ["precision", "threads"]
    rows = rows[1 : rows.index("")]  # without units and explanation
    assert {row.split()[0] for row in rows} == {"int8", "fp32"}
    (chosen,) = [row.split() for row in rows if row.endswith("<- best")]
    assert chosen[2] == str(DEFAULT_DETECT_SIZE_PX)
    assert load_defaults() == {"precision": chosen[0], "threads": int(chosen[1])}, "the default size is not saved"
    assert str(file) in ran.stderr
    assert fer_edge("--source", "demo:160x160", "--max-frames", "1", "--headless").returncode == 0, "the run uses it"


def test_a_smaller_size_that_was_asked_for_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(tmp_path / "d.toml"))
    save(Timing("int8", 1, 320, 3.0, 1.0, (1.0, 1.0, 0.5)), tmp_path / "d.toml")
    assert load_defaults() == {"precision": "int8", "threads": 1, "detect_size": 320}


def test_a_dry_run_saves_nothing(file: Path, fer_edge) -> None:
    assert fer_edge("tune", "--seconds", "1", "--dry-run", with_model=False).returncode == 0
    assert not file.exists()


def test_a_detector_file_selects_yunet_by_default(tmp_path: Path, fer_edge) -> None:
    (tmp_path / "other.onnx").write_text("x")
    ran = fer_edge("tune", "--dry-run", "--detector-model", "other.onnx", with_model=False)
    assert ran.returncode == 1
    assert "YuNet" in ran.stderr


def test_without_a_file_to_save_in_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, fer_edge) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    ran = fer_edge("tune", with_model=False)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "--dry-run" in ran.stderr

"""Tuning: what is chosen from given timings, and a short run of the real thing."""

from pathlib import Path

import pytest

from fer_edge.defaults import load_defaults
from fer_edge.tune import Timing, best, thread_choices


def timing(threads: int = 1, size: int = 640, detect_ms: float = 10.0, found: float = 1.0, **more: object) -> Timing:
    return Timing(str(more.get("precision", "int8")), threads, size, detect_ms, float(more.get("ms", 1.0)), found)


@pytest.mark.parametrize(("cores", "choices"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (64, [1, 2, 4, 8])])
def test_threads_up_to_the_cores_are_tried(cores: int, choices: list[int]) -> None:
    assert thread_choices(cores) == choices


def test_the_largest_size_that_keeps_up_wins() -> None:
    small, large, slow = timing(size=320, detect_ms=3), timing(size=480, detect_ms=20), timing(detect_ms=50)
    assert best([small, large, slow]) is large


def test_where_none_keeps_up_the_fastest_wins() -> None:
    fast, slow = timing(size=320, detect_ms=40), timing(detect_ms=300)
    assert best([slow, fast]) is fast


def test_a_size_that_misses_the_demo_s_faces_is_out() -> None:
    blind, seeing = timing(size=640, found=0.5), timing(size=320)
    assert best([blind, seeing]) is seeing
    assert best([blind]) is blind, "unless there is no other"


def test_of_equally_fast_settings_the_one_with_fewer_threads_wins() -> None:
    one, two, four = timing(1, detect_ms=10.5), timing(2, detect_ms=10.0), timing(4, detect_ms=30.0)
    assert best([four, two, one]) is one
    assert best([timing(1, detect_ms=20.0), two]) is two


def test_the_faster_precision_wins() -> None:
    fp32, int8 = timing(precision="fp32", ms=3.0, detect_ms=5), timing(precision="int8", ms=1.0, detect_ms=5)
    assert best([fp32, int8]) is int8
    assert fp32.fps == 200


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", str(tmp_path / "new" / "defaults.toml"))
    return tmp_path / "new" / "defaults.toml"


def test_tuning_measures_all_settings_tells_the_best_and_keeps_it(file: Path, fer_edge) -> None:
    ran = fer_edge("tune", "--seconds", "1", with_model=False)
    assert ran.returncode == 0, ran.stderr
    head, *rows = ran.stdout.splitlines()
    assert head.split()[:2] == ["precision", "threads"]
    assert {row.split()[0] for row in rows} == {"int8", "fp32"}
    (chosen,) = [row.split() for row in rows if row.endswith("<- best")]
    assert load_defaults() == {
        "precision": chosen[0], "threads": int(chosen[1]), "detect_size": int(chosen[2])
    }  # fmt: skip
    assert str(file) in ran.stderr
    assert fer_edge("--source", "demo:160x160", "--max-frames", "1", "--headless").returncode == 0, "it is taken up"


def test_a_dry_run_keeps_nothing(file: Path, fer_edge) -> None:
    assert fer_edge("tune", "--seconds", "1", "--dry-run", with_model=False).returncode == 0
    assert not file.exists()


def test_with_nowhere_to_keep_it_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, fer_edge) -> None:
    monkeypatch.setenv("FER_EDGE_DEFAULTS", "")
    ran = fer_edge("tune", with_model=False)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert "--dry-run" in ran.stderr

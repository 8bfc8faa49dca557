"""Sizes, dependencies and start times."""

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.harness.processes import first_result, write_face
from benchmarks.speed.footprint import (
    Install,
    clean_environment,
    closure,
    normalized_name,
    runs,
    size_of,
    size_table,
    unpacked_bytes,
)

from ..conftest import Ran, is_png


def test_the_base_install_is_the_light_one() -> None:
    base = closure("base")
    assert {"fer-edge", "numpy", "onnxruntime", "opencv-python", "click"} <= base
    assert base & {"torch", "onnx", "matplotlib", "pytest"} == set()


def test_each_extra_adds_to_the_one_before() -> None:
    base, train, export = map(closure, ("base", "train", "export"))
    assert base < train < export
    assert {"torch", "matplotlib"} <= train
    assert {"onnx", "onnxsim"} <= export - train


def test_names_are_compared_as_the_registry_does() -> None:
    assert normalized_name("Typing_Extensions") == normalized_name("typing.extensions") == "typing-extensions"


def test_sizes_are_of_installed_files() -> None:
    assert size_of("numpy") > 10_000_000


def test_the_wheel_counts_as_a_file_and_unpacked(tmp_path: Path) -> None:
    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", "a" * 2_000_000)
    assert unpacked_bytes(wheel) == 2_000_000
    table = size_table([Install("base", {"numpy": 3_000_000, "click": 1_000_000}, Path(sys.executable))], wheel, True)
    assert [row[2] for row in table.rows] == ["0.00", "2.00", "4.0"]
    assert table.rows[2][3] == "numpy 3, click 1"


def test_starting_is_timed_to_the_first_result(tmp_path: Path) -> None:
    took, peak_mb = first_result(sys.executable, write_face(tmp_path), clean_environment())
    assert took > runs(Path(sys.executable), "-c", "pass")()
    assert 50 < peak_mb < 1000


@pytest.mark.slow
def test_the_benchmark_measures_this_environment(run_benchmark: Callable[..., Ran]) -> None:
    ran = run_benchmark("speed.footprint", "--quick", "--rounds", 1)
    assert ran.code == 0, ran.stderr
    values = ran.content["values"]
    assert 1 < values["wheel_mb"] < 10
    assert values["installed_mb"]["base"] < values["installed_mb"]["train"] <= values["installed_mb"]["export"]
    assert is_png(ran.plot)

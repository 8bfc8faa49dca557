"""`make check` runs the tests that mirror what has changed."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SELECTION = runpy.run_path(str(ROOT / "tests" / "select_tests.py"))


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("edge_runtime/fer_edge/sources/video.py", "tests/edge/sources"),
        ("edge_runtime/fer_edge/channel.py", "tests/edge/test_channel.py"),
        ("edge_runtime/fer_edge/of_no_test.py", "tests/edge"),
        ("edge_runtime/fer_edge/serve/web/static/main.js", "tests/browser"),
        ("train/fer_train/detection/synthesis/scenes.py", "tests/train/detection/synthesis"),
        ("train/recipes/luma.sh", "tests/train/test_recipes.py"),
        ("benchmarks/speed/latency.py", "tests/benchmarks/speed"),
        ("tests/edge/test_files.py", "tests/edge/test_files.py"),
        ("tests/edge/sinks/test_of_a_file_that_is_gone.py", None),
        ("tests/export/conftest.py", "tests/export"),
        ("pyproject.toml", "tests/packaging"),
        ("README.md", None),
    ],
)
def test_a_changed_file_selects_the_tests_of_its_folder(changed: str, tests: str | None) -> None:
    assert SELECTION["tests_for"](changed) == tests


def test_a_test_inside_a_selected_folder_is_not_run_twice() -> None:
    changed = ["tests/edge/sinks/test_sinks.py", "edge_runtime/fer_edge/sinks/text.py"]
    assert SELECTION["select"](changed) == ["tests/edge/sinks", "tests/packaging/test_structure.py"]


def test_every_package_has_tests_of_its_name() -> None:
    for folder, tests in SELECTION["TESTS"].items():
        assert (ROOT / folder).is_dir()
        assert (ROOT / tests).exists()

"""The examples in docstrings of what trains, exports and measures print what they show (tests/edge has fer_edge's)."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {"fer_models": "models", "fer_train": "train", "fer_export": "export", "benchmarks": "."}


def with_examples() -> list[str]:
    """The modules whose text has an example."""
    return [
        ".".join(path.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__")
        for package, folder in FOLDERS.items()
        for path in sorted((ROOT / folder / package).rglob("*.py"))
        if ">>> " in path.read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", with_examples())
def test_the_examples_of_a_module_run(name: str) -> None:
    ran = doctest.testmod(importlib.import_module(name), report=True)
    assert ran.attempted and not ran.failed

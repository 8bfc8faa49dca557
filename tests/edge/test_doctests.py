"""The examples in docstrings print what they show; every public name that does something has one."""

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import fer_edge
from fer_edge import errors


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(fer_edge.__path__, "fer_edge."):
        if found.name.rpartition(".")[2] != "__main__":
            yield found.name


@pytest.mark.parametrize("name", list(modules()))
def test_the_examples_of_a_module_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), report=True).failed == 0


@pytest.mark.parametrize("name", sorted(set(fer_edge.__all__) - set(errors.__all__) - {"__version__"}))
def test_a_public_name_has_an_example(name: str) -> None:
    value = getattr(fer_edge, name)
    texts = [inspect.getdoc(value) or ""]
    if name == "ResultStream":  # made by stream, which has the example
        texts.append(inspect.getdoc(fer_edge.EmotionRecognizer.stream) or "")
    assert any(doctest.DocTestParser().get_examples(text) for text in texts), f"{name} has no example"

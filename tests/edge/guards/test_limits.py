"""Bounds on what one input may cost."""

import re
from pathlib import Path

import pytest

from fer_edge.errors import FerError
from fer_edge.guards.limits import LIMITS, MAX_PIXELS


def test_a_limit_has_its_default_and_obeys_its_variable(monkeypatch):
    assert MAX_PIXELS.value == MAX_PIXELS.default == 35_000_000
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", "200_000_000")
    assert MAX_PIXELS.value == 200_000_000
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", "")
    assert MAX_PIXELS.value == 35_000_000


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e9", "٣", "9" * 5000, "1.5", " 7"])
def test_a_variable_that_is_no_number_is_one_error(monkeypatch, value):
    monkeypatch.setenv("FER_EDGE_MAX_PIXELS", value)
    with pytest.raises(FerError, match=r"FER_EDGE_MAX_PIXELS is .*: correct or unset it"):
        _ = MAX_PIXELS.value


def test_every_limit_has_its_own_variable():
    assert len({limit.variable for limit in LIMITS}) == len(LIMITS)
    assert all(re.fullmatch(r"FER_(EDGE|TRAIN)_MAX_[A-Z_]+", limit.variable) for limit in LIMITS)


def test_the_guide_lists_every_limit_and_no_other():
    guide = (Path(__file__).parents[3] / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(FER_\w+)` \| (.+?) \| ([\d,]+) \|$", guide, re.MULTILINE)
    assert rows == [(limit.variable, limit.what, f"{limit.default:,}") for limit in LIMITS]

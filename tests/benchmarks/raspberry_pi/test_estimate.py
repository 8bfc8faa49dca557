"""The arithmetic of the estimate: ranges, work, and that every figure has a source."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.raspberry_pi import estimate as estimate_module
from benchmarks.raspberry_pi.estimate import (
    PUBLISHED,
    Range,
    estimate,
    main,
    multiplications,
    ratio_range,
    shown,
    time_range,
)
from fer_models import model_path


def test_a_product_of_ranges_is_as_wide_as_its_ends_allow() -> None:
    assert Range(2, 3) * Range(10, 20) == Range(20, 60)
    assert Range(20, 60) / Range(2, 4) == Range(5, 30)
    assert Range(4, 9).middle == pytest.approx(6)


@pytest.mark.parametrize(("value", "text"), [(Range(4, 9), "6.0 (4.0 to 9.0)"), (Range(15.6, 41), "25 (16 to 41)")])
def test_a_range_is_shown_with_its_middle(value: Range, text: str) -> None:
    assert shown(value) == text


def test_the_work_is_counted_from_the_file() -> None:
    # Twelve 3x3 convolutions, by hand from their shapes, and the layer to the 22 classes of three heads.
    by_hand = 9 * (
        24 * 48 * 48 + (24 * 48 + 4 * 48 * 48) * 24 * 24 + (48 * 96 + 2 * 96 * 96) * 12 * 12
        + (96 * 160 + 2 * 160 * 160) * 6 * 6
    ) + 160 * 22  # fmt: skip
    assert multiplications(model_path("fp32")) == by_hand


def test_every_published_figure_is_a_range_with_a_source() -> None:
    assert all(0 < entry.range.low <= entry.range.high and entry.source for entry in PUBLISHED.values())


def test_ratios_are_taken_within_a_round() -> None:
    times = {"a": [1.0, 4.0, 9.0, 16.0], "b": [2.0, 7.0, 20.0, 30.0]}  # on a machine that gets slower
    assert time_range(times["a"]).high > 3 * time_range(times["a"]).low
    assert ratio_range(times, "b", "a").low > 1


def test_a_pi_5_is_estimated_faster_than_a_pi_4_and_nothing_beats_the_hardware() -> None:
    times = {name: [1.0, 1.1, 1.2, 1.3] for name in ("yunet, as published", "yunet at 320", "fp32")}
    stages = estimate(times, gmac=0.08, luma={"luma at 320": 0.16})
    for boards in stages.values():
        assert boards["Pi 5"].middle < boards["Pi 4"].middle
    luma, face = stages["detect, luma at 320, int8"]["Pi 5"], stages["classify a face, int8"]["Pi 5"]
    assert luma.middle == pytest.approx(2 * face.middle), "twice the work"
    assert stages["classify a face, fp32"]["Pi 4"].low >= 80 / 6.0  # ms at 6 GMAC/s
    assert stages["classify a face, fp32"]["Pi 5"].low >= 80 / 19.2


def test_the_command_says_that_it_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate_module, "FRAMES_PER_ROUND", 1)
    ran = CliRunner().invoke(main, ["--rounds", "4", "--json", str(tmp_path / "estimate.json")])
    assert ran.exit_code == 0, ran.output
    assert "| classify a face, int8 |" in ran.output and "no Raspberry Pi was run" in ran.output
    assert '"estimate": true' in (tmp_path / "estimate.json").read_text()

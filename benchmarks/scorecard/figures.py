"""The main figures of fer-edge, and all that is known of other people's recognizers, measured here or published."""

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.tables import number, percent
from benchmarks.scorecard.published import ACCURACY, LATENCY, PUBLISHED, SIZE
from fer_models import model_path

Runs = Mapping[str, Mapping[str, Any]]
"""The JSON of each benchmark that was run, by its name."""
ABSENT = "–"
SHOWN_PIPELINES = ("fer-edge", "fer-edge, finding faces at 8 Hz", "tutorial loop")  # the others are on its page
TRUTH_COLUMNS = ("", "FER2013 labels", "FER+ majority", "people: neutral", "mean of five", "calm called angry")


def lookup(runs: Runs, *path: str) -> Any:
    """runs[path[0]]["values"][path[1]]…; None if any key is absent."""
    value: Any = runs.get(path[0], {}).get("values")
    for key in path[1:]:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def with_unit(value: float | None, unit: str) -> str:
    """The value with three digits and its unit."""
    return ABSENT if value is None else f"{number(value)} {unit}"


def our_rows(runs: Runs) -> list[tuple[str, str, str]]:
    """Name, int8 and fp32 value of each figure of our networks."""
    scores = {} if lookup(runs, "accuracy", "drawn") else lookup(runs, "accuracy", "scores") or {}
    split = lookup(runs, "accuracy", "split") or "FER2013, needs --data"
    latency = lookup(runs, "latency", "ms") or {}
    networks = lookup(runs, "footprint", "networks_mb") or {}

    def score(key: str) -> tuple[str, str]:
        int8, fp32 = (shipped_score(scores, precision).get(key) for precision in ("int8", "fp32"))
        return percent_or_absent(int8), percent_or_absent(fp32)

    truth = shipped_score(scores, "int8").get("truth", "")

    return [
        (SIZE, with_unit(networks.get("int8"), "MB"), with_unit(networks.get("fp32"), "MB")),
        (", ".join(filter(None, (ACCURACY, split, truth))), *score("accuracy")),
        ("… without faces that are also in Training", *score("accuracy_deduplicated")),
        (f"{LATENCY}, one thread", with_unit(latency.get("fer-edge, int8", {}).get("1"), "ms"),
         with_unit(latency.get("fer-edge, fp32", {}).get("1"), "ms")),
    ]  # fmt: skip


def shipped_score(scores: Mapping[str, Any], precision: str) -> Mapping[str, Any]:
    """The scores of the default head of the shipped network; empty if it was not measured."""
    name = model_path(precision).name
    return next((each for title, each in scores.items() if each.get("file", title) == name), {})


def percent_or_absent(share: float | None) -> str:
    """A share in percent, or ABSENT."""
    return ABSENT if share is None else percent(share)


def truth_rows(runs: Runs) -> list[tuple[str, ...]]:
    """What each head and peer reaches against each truth, in the order of TRUTH_COLUMNS, a row each."""
    rows: dict[str, tuple[str, ...]] = {}
    for content in runs.values():
        if content.get("benchmark") == "people":
            for name, each in content["values"]["scores"].items():
                labels, majority, people = (
                    each["all"].get(truth, {}) for truth in ("FER2013 labels", "FER+ majority", "people kept aside")
                )
                rows.setdefault(name, (
                    name, with_interval(labels.get("accuracy")), with_interval(majority.get("accuracy")),
                    with_interval(people.get("recall", {}).get("neutral")), with_interval(people.get("mean_of_five")),
                    with_interval(people.get("calm_called", {}).get("angry")),
                ))  # fmt: skip
    return list(rows.values())


def with_interval(measure: Mapping[str, Any] | None) -> str:
    """A measured fraction in percent with its interval, ABSENT without one."""
    if measure is None or measure["value"] is None:
        return ABSENT
    low, high = measure["interval"]
    return f"{100 * measure['value']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def run_rows(runs: Runs) -> list[tuple[str, str]]:
    """Name and value of each figure of the whole program."""
    rows = []
    for clip, of in (lookup(runs, "pipeline", "clips") or {}).items():
        rows += [(f"{name}, {clip}", pace(of[name])) for name in SHOWN_PIPELINES if name in of]
    start = lookup(runs, "footprint", "starts", "base") or {}
    rows.append(("start to first result", with_unit(start.get("fer-edge, start to first result"), "s")))
    rows.append(("peak memory, one image", with_unit(start.get("peak_mb"), "MB")))
    packages = lookup(runs, "footprint", "packages") or {}
    for extra, size in (lookup(runs, "footprint", "installed_mb") or {}).items():
        option = "" if extra == "base" else f"[{extra}]"
        rows.append((f"`pip install fer-edge{option}`", f"{packages.get(extra)} packages, {with_unit(size, 'MB')}"))
    rows.append(("wheel", with_unit(lookup(runs, "footprint", "wheel_mb"), "MB")))
    return rows


def pace(measured: Mapping[str, Any]) -> str:
    """Frames per second at full speed, and the delay of a label in real time."""
    fps, delay_ms = (number(statistics.median(measured[key])) for key in ("fps", "p50_ms"))
    return f"{fps} frames/s, labels after {delay_ms} ms"


def peer_rows(runs: Runs) -> list[tuple[str, str, str, str]]:
    """Peer, what, value, source; figures measured here first."""
    rows = []
    for part in ("accuracy", "latency"):
        for run, content in runs.items():
            if content.get("benchmark") == part:
                rows += measured_accuracy(content, run) if part == "accuracy" else measured_latency(content, run)
    return rows + [(each.peer, each.what, f"{each.value} †", each.source) for each in PUBLISHED]


def measured_accuracy(content: Mapping[str, Any], run: str) -> list[tuple[str, str, str, str]]:
    """Rows of the peers in one run of the accuracy benchmark on real faces."""
    values = content["values"]
    if values["drawn"]:
        return []
    return [
        (f"{name} {each['detail']}", f"accuracy, {values['split']}",
         f"{percent(each['accuracy'])}, de-duplicated {percent(each['accuracy_deduplicated'])}",
         f"measured here ({run})")
        for name, each in values["scores"].items()
        if each.get("preprocessing")
    ]  # fmt: skip


def measured_latency(content: Mapping[str, Any], run: str) -> list[tuple[str, str, str, str]]:
    """Rows of the peers in one run of the latency benchmark, beside ours in that run."""
    milliseconds = content["values"]["ms"]
    ours = milliseconds.get("fer-edge, int8", {}).get("1")
    return [
        (name, "preprocessing and network, per face",
         f"{number(each['1'])} ms (fer-edge, int8, in turns with it: {number(ours)} ms)", f"measured here ({run})")
        for name, each in milliseconds.items()
        if name in content["values"].get("peers", []) and "1" in each and ours
    ]  # fmt: skip

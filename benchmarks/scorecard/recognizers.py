"""The table of recognizers: ours and other people's on the same faces, a row each.

Takes what it needs from the results of accuracy.people, speed.latency and speed.packages in a folder, keeps that in
benchmarks/scorecard/recognizers.json, and writes the table between the two comments in README.md. The report has the
same table. † marks what was not measured here, but published by its authors.

    python -m benchmarks.scorecard.recognizers build/bench
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.harness.tables import number
from benchmarks.harness.truths import LABELS, MAJORITY, PEOPLE
from benchmarks.scorecard.published import ACCURACY, SIZE, short_value
from fer_edge.console import run_main
from fer_edge.errors import DataError
from fer_edge.files import atomic_write, write_json

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).with_name("recognizers.json")
BEGIN, END = "<!-- table: python -m benchmarks.scorecard.recognizers -->", "<!-- end of table -->"
ABSENT = "–"
OURS = "fer-edge"
PEERS = {  # those with a row, in this order
    "fer": "[fer](https://github.com/justinshenk/fer)",
    "face-api": "[face-api](https://github.com/vladmandic/face-api)",
    "deepface": "[deepface](https://github.com/serengil/deepface)",
    "opencv-zoo": "[OpenCV zoo](https://github.com/opencv/opencv_zoo)",
}
COLUMNS = (
    "", "people: five emotions", "people: neutral", "FER+ majority", "FER2013 labels", "MB", "ms per face", "packages",
)  # fmt: skip
EXPLAINED = (
    "Five emotions: mean recall of angry, happy, sad, surprise and neutral on press photos of people kept out of "
    "training; neutral: how many of their calm faces are called so. FER+ and FER2013: PublicTest. These faces also "
    "chose our epoch and temperatures. MB: the network's file. Per face: preprocessing and network, one thread, in "
    "turns. Packages: what `pip install` or npm brings."
)
Runs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Recognizer:
    """A row: accuracies as fractions, size in 10^6 bytes, milliseconds per face, packages; None: not measured.

    name: "fer-edge", or a name of PEERS. detail: the head of ours, the release of a peer.
    """

    name: str
    detail: str = ""
    five: float | None = None
    neutral: float | None = None
    majority: float | None = None
    label: float | None = None
    file_mb: float | None = None
    ms: float | None = None
    packages: int | None = None

    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of COLUMNS."""
        ours = self.name == OURS
        title = f"**fer-edge**, `{self.detail}`" if ours else f"{PEERS[self.name]} {self.detail}".strip()
        shares = [
            ABSENT if share is None else f"{100 * share:.1f} %" for share in (self.five, self.neutral, self.majority)
        ]
        label = f"{100 * self.label:.1f} %" if self.label is not None else short_value(self.name, ACCURACY) or ABSENT
        size = (
            f"{self.file_mb:.2f}"
            if self.file_mb is not None
            else short_value(self.name, SIZE).replace(" MB", "") or ABSENT
        )
        took = ABSENT if self.ms is None else number(self.ms)
        return (title, *shares, label, size, took, ABSENT if self.packages is None else str(self.packages))


def collect(runs: Runs) -> list[Recognizer]:
    """The rows of the results files: our heads, then PEERS."""
    scores: dict[str, Mapping[str, Any]] = {}
    for run in of_benchmark(runs, "people"):
        scores |= run["values"]["scores"]
    milliseconds = per_face(runs)
    packages: dict[str, int] = {}
    releases: dict[str, str] = {}
    for run in of_benchmark(runs, "packages"):
        packages |= run["values"]["packages"]
        releases |= run["values"]["releases"]
    ours = [
        recognizer(OURS, each["head"] or "", each, milliseconds, packages) for each in scores.values() if each["ours"]
    ]
    releases |= {name: each["detail"].partition(",")[0] for name, each in scores.items() if not each["ours"]}
    return ours + [recognizer(name, releases.get(name, ""), scores.get(name), milliseconds, packages) for name in PEERS]


def of_benchmark(runs: Runs, name: str) -> Iterator[Mapping[str, Any]]:
    """The runs of one benchmark."""
    return (run for run in runs.values() if run.get("benchmark") == name)


def per_face(runs: Runs) -> dict[str, float]:
    """Milliseconds for one face by name, from the run with the most peers: there they took turns with ours."""
    measured = [run for run in of_benchmark(runs, "latency") if "peers" in run["values"]]
    if not measured:
        return {}
    values = max(measured, key=lambda run: len(run["values"]["peers"]))["values"]
    found = {name.partition(" ")[0]: float(values["ms"][name]["1"]) for name in values["peers"]}
    return found | {OURS: float(values["ms"]["fer-edge, int8"]["1"])}


def recognizer(
    name: str,
    detail: str,
    scores: Mapping[str, Any] | None,
    milliseconds: Mapping[str, float],
    packages: Mapping[str, int],
) -> Recognizer:
    """A row from the scores of accuracy.people (None: not measured), times and packages by name."""
    found = scores["all"] if scores is not None else {}

    def value(truth: str, *path: str) -> float | None:
        record: Any = found.get(truth, {})
        for key in path:
            record = record.get(key, {})
        measured: float | None = record.get("value")
        return measured

    return Recognizer(
        name, detail, value(PEOPLE, "mean_of_five"), value(PEOPLE, "recall", "neutral"), value(MAJORITY, "accuracy"),
        value(LABELS, "accuracy"), None if scores is None else scores.get("file_mb"), milliseconds.get(name),
        packages.get(name),
    )  # fmt: skip


def to_json(runs: Runs) -> dict[str, Any]:
    """What the table needs: the rows, and the machine of their times."""
    machines = [run["machine"] for run in of_benchmark(runs, "latency") if run.get("machine")]
    return {
        "machine": f"{machines[-1]['cpu']}, {machines[-1]['cores']} cores" if machines else "",
        "recognizers": [asdict(each) for each in collect(runs)],
    }


def markdown(stored: Mapping[str, Any]) -> str:
    """The table and what explains it, as Markdown."""
    rows = [Recognizer(**each).cells() for each in stored["recognizers"]]
    rule = ["---", *["---:"] * (len(COLUMNS) - 1)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (COLUMNS, rule, *rows))
    machine = f" Measured on {stored['machine']}." if stored["machine"] else ""
    published = " † published by its authors, on their own data." if "†" in table else ""
    note = textwrap.fill(f"{EXPLAINED}{published}{machine}", 100, break_on_hyphens=False, break_long_words=False)
    return f"{table}\n\n{note}"


def replaced(document: str, table: str) -> str:
    """The document with the table between BEGIN and END; DataError if it does not have these comments."""
    before, found, rest = document.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise DataError(f"the document has no lines {BEGIN} and {END}: put them where the table belongs")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def read_results(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The results files of a folder that the table needs, by name; DataError if it has none, or one is damaged."""
    paths = [path for path in sorted(folder.glob("*.json")) if re.match("people|latency|packages", path.stem)]
    if not paths:
        raise DataError(f"{folder} holds no results of accuracy.people, speed.latency or speed.packages")
    try:
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: a results file can't be read ({error}): run its benchmark again") from error


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", metavar="FILE",
              help="The document with the table.  [default: README.md]")  # fmt: skip
@click.option("--stored", type=click.Path(path_type=Path), default=STORED, metavar="FILE",
              help="What the table was made from.  [default: benchmarks/scorecard/recognizers.json]")  # fmt: skip
def main(folder: Path, readme: Path, stored: Path) -> None:
    """Store the rows, write the table, print it."""
    try:
        content = to_json(read_results(folder))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}: a results file is incomplete ({error!r}): run its benchmark again") from error
    document = replaced(readme.read_text(encoding="utf-8"), markdown(content))
    write_json(stored, content)
    with atomic_write(readme) as part:
        part.write_text(document, encoding="utf-8")
    click.echo(markdown(content))


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.scorecard.recognizers")

"""How steady are labels and numbers on real clips? Label changes per minute, with and without following and smoothing.

A change is counted as a viewer sees it, whatever the face's number: a face whose label differs from that of the face
at its place (overlap at least 0.3) when one was last there, at most a second ago. Every frame of a clip goes
through the pipeline once per setting; the detector runs once per frame, and its answers are used for all settings. A
table tells when each number was there.

    python -m benchmarks.accuracy.steadiness clips/*.mp4 --yunet yunet.onnx
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.console import run_main
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import Detection, Detector
from fer_edge.files import write_json
from fer_edge.framing import Image, iou
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.pipeline.options import StreamOptions
from fer_edge.pipeline.pipeline import Pipeline
from fer_edge.results import Face, FrameResult
from fer_edge.sources import open_source
from fer_edge.system import machine_info
from fer_models import default_model

SETTINGS = {
    "each frame alone": StreamOptions(track=False, smooth_s=0),
    "followed": StreamOptions(smooth_s=0),
    "followed, smoothed": StreamOptions(),
    "as live: 8 detections/s": StreamOptions(detect_hz=8, classify_interval_s=0.1),
}
DEFAULT = "followed, smoothed"
SAME_PLACE_IOU, SAME_FACE_S = 0.3, 1.0
MIN_FACE_PX, DETECT_SIZE_PX = 40, 640


class Remembered:
    """A detector that looks at every picture once."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color
        self._known: dict[int, list[Detection]] = {}

    def detect(self, image: Image) -> list[Detection]:
        """As the detector itself."""
        key = hash((image.shape, image[::2, ::2].tobytes()))
        if key not in self._known:
            self._known[key] = self._detector.detect(image)
        return self._known[key]


@dataclass
class Seen:
    """What a viewer sees of one run: label changes, face-seconds, and when each number was there."""

    changes: int = 0
    face_s: float = 0.0
    spans: dict[int, list[float]] = field(default_factory=dict)

    @property
    def per_minute(self) -> float:
        """Label changes per minute that a face is seen."""
        return 60 * self.changes / self.face_s if self.face_s else 0.0


def watch(results: Sequence[FrameResult]) -> Seen:
    """Look at the results of a clip, in order."""
    seen = Seen()
    recent: list[tuple[float, Face]] = []
    steps = [after.t - before.t for before, after in itertools.pairwise(results)]
    for result, step_s in zip(results, [*steps, float(np.median(steps or [0]))], strict=True):
        recent = [(t, face) for t, face in recent if result.t - t <= SAME_FACE_S]
        for face in result.faces:
            near = [(iou(face.box, before.box), t, before) for t, before in recent]
            near = [one for one in near if one[0] >= SAME_PLACE_IOU]
            if near:
                _overlap, _t, before = max(near, key=lambda one: (one[1], one[0]))
                seen.changes += before.emotion != face.emotion
                recent = [(t, other) for t, other in recent if other is not before]
            seen.face_s += step_s
            span = seen.spans.setdefault(face.track_id if face.track_id is not None else -1, [result.t, 0.0, 0])
            span[1:] = [result.t, span[2] + 1]
        recent += [(result.t, face) for face in result.faces]
    return seen


def play(clip: Path, detector: Detector, classifier: Classifier, options: StreamOptions) -> list[FrameResult]:
    """The results of every frame."""
    results: list[FrameResult] = []
    pipeline = Pipeline(
        open_source(clip), detector, classifier, lambda _frame, result: results.append(result), options=options
    )
    pipeline.start()
    while not pipeline.wait(1):
        pass
    pipeline.release()
    if pipeline.error is not None:
        raise pipeline.error
    return results


def measure(clips: Sequence[Path], opened: Detector, classifier: Classifier) -> Iterator[dict[str, Any]]:
    """A record per clip and setting."""
    for clip in clips:
        detector = Remembered(opened)
        for name, flow in SETTINGS.items():
            results = play(clip, detector, classifier, flow)
            seen = watch(results)
            yield {
                "detector": opened.name,
                "clip": clip.name,
                "setting": name,
                "seconds": results[-1].t if results else 0.0,
                "face_seconds": round(seen.face_s, 2),
                "changes": seen.changes,
                "changes_per_minute": round(seen.per_minute, 1),
                "numbers": len(seen.spans),
                "spans": {number: [round(value, 2) for value in span] for number, span in seen.spans.items()},
            }


def changes_table(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Label changes per minute and numbers given, a row per detector and clip, and their sums."""
    rows = []
    for detector in dict.fromkeys(record["detector"] for record in records):
        ours = [record for record in records if record["detector"] == detector]
        by_clip = {record["clip"]: [r for r in ours if r["clip"] == record["clip"]] for record in ours}
        rows += [
            [f"{detector}, {clip}", *(f"{r['changes_per_minute']:.0f} ({r['numbers']})" for r in four)]
            for clip, four in by_clip.items()
        ]
        sums = [f"{detector}, all clips"]
        for name in SETTINGS:
            those = [record for record in ours if record["setting"] == name]
            minutes = sum(record["face_seconds"] for record in those) / 60
            changes, numbers = (sum(record[key] for record in those) for key in ("changes", "numbers"))
            sums.append(f"{changes / minutes if minutes else 0:.0f} ({numbers})")
        rows.append(sums)
    title = "Label changes per minute of a seen face (numbers given)"
    return {"title": title, "columns": ["detector, clip", *SETTINGS], "rows": rows}


def spans_table(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """From when to when each number was there."""
    rows = [
        [
            f"{record['detector']}, {record['clip']}", f"{record['seconds']:.2f} s", str(number),
            f"{first:.2f} to {last:.2f} s", f"{frames:.0f}",
        ]
        for record in records
        if record["setting"] == DEFAULT
        for number, (first, last, frames) in record["spans"].items()
    ]  # fmt: skip
    columns = ["detector, clip", "last frame", "number", "seen", "frames"]
    return {"title": "When each face was there", "columns": columns, "rows": rows}


def show(table: dict[str, Any]) -> None:
    """Print it."""
    rows = [table["columns"], *table["rows"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    click.echo(f"\n{table['title']}")
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def plot(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Label changes per minute by clip and setting, a row of bars per detector."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    detectors = list(dict.fromkeys(record["detector"] for record in records))
    fig, axes = plt.subplots(len(detectors), 1, figsize=(11, 4 * len(detectors)), layout="constrained", squeeze=False)
    seen = [record for record in records if record["face_seconds"] > 0]
    for axis, detector in zip(axes[:, 0], detectors, strict=True):
        clips = list(dict.fromkeys(record["clip"] for record in seen if record["detector"] == detector))
        for offset, name in enumerate(SETTINGS):
            those = [record for record in seen if (record["detector"], record["setting"]) == (detector, name)]
            # By name: not every setting sees a face in every clip
            places = [clips.index(record["clip"]) + 0.2 * (offset - 1.5) for record in those]
            axis.bar(places, [record["changes_per_minute"] for record in those], 0.2, label=name)
        axis.set_xticks(range(len(clips)), [Path(clip).stem[:28] for clip in clips], rotation=20, ha="right")
        axis.set_ylabel(f"label changes per minute\n({detector})")
        axis.grid(alpha=0.3, axis="y")
    axes[0, 0].legend()
    fig.savefig(path, dpi=110)


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file, to measure it, too.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything here.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw it here (.png).")
def main(clips: tuple[Path, ...], yunet: Path | None, json_file: Path | None, plot_file: Path | None) -> None:
    """Measure all clips with each detector, print the tables."""
    cv2.setNumThreads(1)
    classifier = Classifier(default_model())
    detectors = [open_detector("luma", None, MIN_FACE_PX, DETECT_SIZE_PX)]
    if hasattr(cv2, "CascadeClassifier"):  # not in OpenCV 5
        detectors.append(open_detector("haar", None, MIN_FACE_PX, DETECT_SIZE_PX))
    if yunet is not None:
        detectors.append(open_detector("yunet", yunet, MIN_FACE_PX, DETECT_SIZE_PX))
    records = []
    for detector in detectors:
        for record in measure(clips, detector, classifier):
            records.append(record)
            click.echo(f"{record['detector']} {record['clip']} {record['setting']}", err=True)
    tables = [changes_table(records), spans_table(records)]
    for table in tables:
        show(table)
    if json_file is not None:
        write_json(json_file, {
            "benchmark": "steadiness", "question": "How steady are labels and numbers on real clips?",
            "tables": tables, "values": records, "machine": machine_info(),
        })  # fmt: skip
    if plot_file is not None:
        plot(records, plot_file)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.steadiness")

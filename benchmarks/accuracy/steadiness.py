"""How steady are labels and face numbers on real clips? Label changes per minute, with and without tracking.

A change is counted as a viewer sees it, whatever the number of the face: the label differs from that of the face at the
same place (overlap of at least 0.3) when it was last seen, at most a second ago. Every frame of a clip goes through the
pipeline once per setting. The detector runs once per frame, and all settings use its detections. A second table lists
when each number was visible.

    python -m benchmarks.accuracy.steadiness clips/*.mp4 --yunet yunet.onnx
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.harness.heads import head_option
from benchmarks.harness.options import model_option, results_command, yunet_option
from benchmarks.harness.plots import new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.streams import open_detectors, run_pipeline
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads
from fer_edge.console import run_main
from fer_edge.detectors.base import Detection, FramedDetector
from fer_edge.framing import Image, iou
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.options import StreamOptions
from fer_edge.results import Face, FrameResult
from fer_models import default_model

SETTINGS = {
    "each frame alone": StreamOptions(track=False, smooth_s=0),
    "tracked": StreamOptions(smooth_s=0),
    "tracked, smoothed": StreamOptions(),
    "as live: 8 detections/s": StreamOptions(detect_hz=8, classify_interval_s=0.1),
}
DEFAULT = "tracked, smoothed"
SAME_PLACE_IOU, SAME_FACE_S = 0.3, 1.0
MIN_FACE_PX, DETECT_SIZE_PX = 40, 640


class CachedDetector:
    """A detector that searches every image once."""

    def __init__(self, detector: FramedDetector) -> None:
        self._detector = detector
        self.name, self.framing, self.needs_color = detector.name, detector.framing, detector.needs_color
        self._known: dict[int, list[Detection]] = {}

    def detect(self, image: Image) -> list[Detection]:
        key = hash((image.shape, image[::2, ::2].tobytes()))
        if key not in self._known:
            self._known[key] = self._detector.detect(image)
        return self._known[key]


@dataclass
class Viewed:
    """What a viewer sees of one run.

    changes: of labels. face_s: seconds in which a face is visible, summed over faces. spans: of each number, its first
    and last time in seconds and its number of frames.
    """

    changes: int = 0
    face_s: float = 0.0
    spans: dict[int, list[float]] = field(default_factory=dict)

    @property
    def per_minute(self) -> float:
        """Label changes per minute in which a face is visible."""
        return 60 * self.changes / self.face_s if self.face_s else 0.0


def view(results: Sequence[FrameResult]) -> Viewed:
    """What a viewer sees of a clip's results."""
    seen = Viewed()
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


def measure(clips: Sequence[Path], opened: FramedDetector, classifier: Classifier) -> Iterator[dict[str, Any]]:
    """A record per clip and setting."""
    for clip in clips:
        detector = CachedDetector(opened)
        for name, options in SETTINGS.items():
            results: list[FrameResult] = []
            run_pipeline(clip, detector, classifier, options, lambda _frame, result, to=results: to.append(result))  # type: ignore[misc]
            seen = view(results)
            yield {
                "detector": opened.name,
                "clip": clip.name,
                "setting": name,
                "seconds": results[-1].t,
                "face_seconds": round(seen.face_s, 2),
                "changes": seen.changes,
                "changes_per_minute": round(seen.per_minute, 1),
                "numbers": len(seen.spans),
                "spans": {number: [round(value, 2) for value in span] for number, span in seen.spans.items()},
            }


def changes_table(records: Sequence[dict[str, Any]]) -> Table:
    """Label changes per minute and how many numbers were given: a row per detector and clip, and a sum."""
    rows = []
    for detector in dict.fromkeys(record["detector"] for record in records):
        ours = [record for record in records if record["detector"] == detector]
        for clip in dict.fromkeys(record["clip"] for record in ours):
            cells = [f"{r['changes_per_minute']:.0f} ({r['numbers']})" for r in ours if r["clip"] == clip]
            rows.append([f"{detector}, {clip}", *cells])
        sums = [f"{detector}, all clips"]
        for name in SETTINGS:
            those = [record for record in ours if record["setting"] == name]
            minutes = sum(record["face_seconds"] for record in those) / 60
            changes, numbers = (sum(record[key] for record in those) for key in ("changes", "numbers"))
            sums.append(f"{changes / minutes if minutes else 0:.0f} ({numbers})")
        rows.append(sums)
    title = "Label changes per minute in which a face is visible (face numbers given)"
    return Table(title, ["detector, clip", *SETTINGS], rows)


def spans_table(records: Sequence[dict[str, Any]]) -> Table:
    """From when to when each number was visible."""
    rows = [
        [
            f"{record['detector']}, {record['clip']}", f"{record['seconds']:.2f} s", str(number),
            f"{first:.2f} to {last:.2f} s", f"{frames:.0f}",
        ]
        for record in records
        if record["setting"] == DEFAULT
        for number, (first, last, frames) in record["spans"].items()
    ]  # fmt: skip
    columns = ["detector, clip", "last frame", "number", "visible", "frames"]
    return Table("When each face was visible", columns, rows)


def plot(results: Results) -> Any:
    """Label changes per minute by clip and setting, a row of bars per detector."""
    records = results.values
    detectors = list(dict.fromkeys(record["detector"] for record in records))
    canvas = new_figure(11, 4 * len(detectors))
    panels = canvas.subplots(len(detectors), 1, squeeze=False)
    seen = [record for record in records if record["face_seconds"] > 0]
    for axes, detector in zip(panels[:, 0], detectors, strict=True):
        clips = list(dict.fromkeys(record["clip"] for record in seen if record["detector"] == detector))
        for offset, name in enumerate(SETTINGS):
            those = [record for record in seen if (record["detector"], record["setting"]) == (detector, name)]
            # By name, because a face may be visible in some settings only
            places = [clips.index(record["clip"]) + 0.2 * (offset - 1.5) for record in those]
            axes.bar(places, [record["changes_per_minute"] for record in those], 0.2, label=name)
        axes.set_xticks(range(len(clips)), [Path(clip).stem[:28] for clip in clips], rotation=20, ha="right")
        axes.set_ylabel(f"label changes per minute\n({detector})")
        axes.grid(alpha=0.3, axis="y")
    panels[0, 0].legend()
    return canvas


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@yunet_option()
@click.option(
    "--detector", "only", type=click.Choice(["luma", "yunet", "haar"]), help="This one alone.  [default: all]"
)
@model_option
@head_option
@results_command(plot)
def main(
    clips: tuple[Path, ...], yunet: Path | None, only: str | None, model: Path | None, head: str | None
) -> Results:
    """Run all clips with each detector, print, write, draw."""
    results = Results("steadiness", "How steady are labels and numbers on real clips?", pin_threads(1))
    classifier = Classifier(model or default_model(), head=head)
    records = []
    for detector in open_detectors(yunet, None, MIN_FACE_PX, DETECT_SIZE_PX):
        if only not in (None, detector.name):
            continue
        for record in measure(clips, detector, classifier):
            records.append(record)
            click.echo(f"{record['detector']} {record['clip']} {record['setting']}", err=True)
    results.tables = [changes_table(records), spans_table(records)]
    results.values = records
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.steadiness")

"""How much smoothing and hysteresis do labels need? Steadiness on real clips against delay on the drawn person.

Every frame of a clip is detected, tracked and classified once. Each setting then smooths the same probabilities:
labels that change as a viewer sees it (as in accuracy.steadiness), and faces that turn unsure or sure again, per minute
in which a face is visible. The drawn person changes its expression at known times: how late each new one is named, and
in how many frames the acted one is.

    python -m benchmarks.accuracy.smoothing clips/*.mp4
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy.steadiness import DETECT_SIZE_PX, MIN_FACE_PX, view
from benchmarks.harness.heads import head_option
from benchmarks.harness.options import model_option, results_command
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results
from benchmarks.harness.streams import run_pipeline
from benchmarks.harness.tables import Table, percent
from benchmarks.harness.timing import pin_threads, progress
from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene, expression_at
from fer_edge.detectors import open_detector
from fer_edge.detectors.base import FramedDetector
from fer_edge.framing import to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.pipeline.options import StreamOptions
from fer_edge.results import Face, FrameResult
from fer_edge.tracking.smoothing import EVIDENCE, MARGIN, SURE_MARGIN, LabelSmoother
from fer_models import default_model
from fer_train.data.classes import canonical

FPS = 30.0  # of the drawn person
SMOOTH_S = StreamOptions().smooth_s


@dataclass(frozen=True)
class Setting:
    """As the parameters of LabelSmoother."""

    smooth_s: float = SMOOTH_S
    margin: float = MARGIN
    sure_margin: float = SURE_MARGIN
    evidence: float = EVIDENCE

    def __str__(self) -> str:
        chosen = " (as fer-edge)" if self == Setting() else ""
        return (
            f"{self.smooth_s:g} s, lead {self.margin:g}, evidence {self.evidence:g}, sure {self.sure_margin:g}{chosen}"
        )


SETTINGS = (
    *(Setting(smooth_s) for smooth_s in (0.0, 0.15, SMOOTH_S, 0.6, 1.2)),
    *(Setting(margin=margin) for margin in (0.0, 0.1, 0.25)),
    *(Setting(evidence=evidence) for evidence in (0.0, 0.25, 1.0)),
    *(Setting(sure_margin=margin) for margin in (0.0, 0.1)),
)


def raw_results(clip: Path, detector: FramedDetector, classifier: Classifier) -> list[FrameResult]:
    """A clip's tracked faces with the probabilities of each frame alone."""
    results: list[FrameResult] = []
    run_pipeline(clip, detector, classifier, StreamOptions(smooth_s=0), lambda _frame, result: results.append(result))
    return results


def drawn_results(detector: FramedDetector, classifier: Classifier) -> list[FrameResult]:
    """Two cycles of the drawn person, whose largest face is face 0."""
    results = []
    for number in range(round(2 * CYCLE_S * FPS)):
        t = number / FPS
        image = to_gray(draw_scene(t))
        found = sorted(detector.detect(image), key=lambda face: -face.box[3])[:1]
        rows = classifier.classify(image, [detector.framing.square(face.box) for face in found])
        faces = tuple(
            Face(one.box, one.score, "", 0.0, dict(zip(classifier.labels, map(float, row), strict=True)), track_id=0)
            for one, row in zip(found, rows, strict=True)
        )
        results.append(FrameResult(number, t, True, faces))
    return results


def smoothed(results: Sequence[FrameResult], setting: Setting, min_confidence: float) -> list[FrameResult]:
    """The same faces, labeled as fer-edge would with that setting."""
    smoother = LabelSmoother(setting.smooth_s, min_confidence, setting.margin, setting.sure_margin, setting.evidence)
    found = []
    for result in results:
        faces = []
        for face in result.faces:
            labels = list(face.probabilities)
            given = smoother.update(face.track_id or 0, np.array(list(face.probabilities.values())), result.t)
            confidence = float(given.probabilities[given.label])
            faces.append(replace(face, emotion=labels[given.label], confidence=confidence, unsure=given.unsure))
        smoother.keep({face.track_id or 0 for face in result.faces})
        found.append(replace(result, faces=tuple(faces)))
    return found


def switches(results: Sequence[FrameResult]) -> int:
    """How often a face turns unsure, or sure again."""
    by_face: dict[int | None, list[bool]] = {}
    for result in results:
        for face in result.faces:
            by_face.setdefault(face.track_id, []).append(face.unsure)
    return sum(before != after for seen in by_face.values() for before, after in itertools.pairwise(seen))


def delays(results: Sequence[FrameResult]) -> tuple[list[float], float]:
    """Of the drawn person: seconds until each new expression is named, infinity if it never is; the share of frames
    whose label is the acted one."""
    acted = [expression_at(result.t) for result in results]
    named = [bool(result.faces) and canonical(result.faces[0].emotion) == word
             for result, word in zip(results, acted, strict=True)]  # fmt: skip
    begins = [0, *(number for number in range(1, len(acted)) if acted[number] != acted[number - 1]), len(acted)]
    found = []
    for start, end in list(itertools.pairwise(begins))[1:]:
        late = next((number for number in range(start, end) if named[number]), None)
        found.append(float("inf") if late is None else results[late].t - results[start].t)
    return found, float(np.mean(named))


def measure(
    clips: Mapping[str, Sequence[FrameResult]], drawn: Sequence[FrameResult], min_confidence: float
) -> list[dict[str, Any]]:
    """A record per setting."""
    records = []
    for setting in SETTINGS:
        changes = turns = face_s = unsure_s = 0.0
        for results in clips.values():
            given = smoothed(results, setting, min_confidence)
            seen = view(given)
            changes, face_s, turns = changes + seen.changes, face_s + seen.face_s, turns + switches(given)
            faces = [face for result in given for face in result.faces]
            unsure_s += seen.face_s * sum(face.unsure for face in faces) / max(1, len(faces))
        late, named = delays(smoothed(drawn, setting, min_confidence))
        minutes = face_s / 60 or float("nan")
        records.append({
            "smooth_s": setting.smooth_s, "margin": setting.margin, "evidence": setting.evidence,
            "sure_margin": setting.sure_margin, "setting": str(setting), "changes_per_minute": changes / minutes,
            "unsure_changes_per_minute": turns / minutes,
            "unsure": unsure_s / face_s if face_s else float("nan"), "delay_s": float(np.median(late)),
            "never_named": int(np.isinf(late).sum()), "drawn_named": named, "face_seconds": face_s,
        })  # fmt: skip
    return records


def table(records: Sequence[Mapping[str, Any]]) -> Table:
    """A row per setting."""
    columns = ["", "label changes per minute", "turns unsure or sure per minute", "unsure", "delay of a new label",
               "never named", "drawn person named right"]  # fmt: skip
    rows = [
        [
            record["setting"], f"{record['changes_per_minute']:.1f}", f"{record['unsure_changes_per_minute']:.1f}",
            percent(record["unsure"]), f"{record['delay_s']:.2f} s", str(record["never_named"]),
            percent(record["drawn_named"]),
        ]
        for record in records
    ]  # fmt: skip
    note = (
        f"On {records[0]['face_seconds']:.0f} s of visible faces. A setting is the smoothing's time constant, the lead "
        "from which another label gains, how much of it must add up (in time constants), and how far above the "
        "threshold an unsure face is sure again. The drawn person acts "
        f"{2 * 7 - 1} new expressions in {2 * CYCLE_S:g} s."
    )
    return Table("Steadiness and delay", columns, rows, note)


def plot(results: Results) -> Any:
    """Label changes over delay, a dot per smoothing and lead."""
    canvas = new_figure(7, 4.2)
    axes = canvas.subplots()
    for record, color in zip(results.values["settings"], COLORS * 4, strict=False):
        if record["sure_margin"] == SURE_MARGIN:
            axes.plot(record["delay_s"], record["changes_per_minute"], "o", color=color)
            label = f"{record['smooth_s']:g} s, lead {record['margin']:g}, evidence {record['evidence']:g}"
            axes.annotate(label, (record["delay_s"], record["changes_per_minute"]), (5, 5),
                          textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set(xlabel="delay of a new label (s), median", ylabel="label changes per minute", ylim=(0, None))
    axes.grid(alpha=0.3)
    return canvas


@click.command(help=__doc__)
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@model_option
@head_option
@results_command(plot)
def main(clips: tuple[Path, ...], model: Path | None, head: str | None) -> Results:
    """Run all clips once, smooth them in every way, print, write, draw."""
    results = Results("smoothing", "How much smoothing and hysteresis do labels need?", pin_threads(1))
    classifier = Classifier(model or default_model(), head=head)
    detector = open_detector("luma", None, MIN_FACE_PX, DETECT_SIZE_PX)
    raw = {clip.name: raw_results(clip, detector, classifier) for clip in progress(list(clips), "clips")}
    records = measure(raw, drawn_results(detector, classifier), classifier.min_confidence)
    results.tables = [table(records)]
    results.values = {"settings": records, "min_confidence": classifier.min_confidence, "head": classifier.head}
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.accuracy.smoothing")

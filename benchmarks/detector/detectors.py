"""How good, how fast and how steady are the face detectors haar, yunet and luma?

Photographs with annotated faces give recall, boxes that touch no label, and the curve between them; clips without faces
give false alarms; clips with faces give steadiness, and whether the emotion depends on the detector. Times are taken in
turns on one clip.

    python -m benchmarks.detector.detectors --media DIR --yunet yunet.onnx --plot curve.png
"""

from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.detector.contestants import Contestant, Contestants, largest, open_contestants, times
from benchmarks.detector.drawings import draw
from benchmarks.detector.photos import MATCH_IOU, Photograph, Scores, dlib, facemask, score, wider
from benchmarks.harness.inputs import video_frames
from benchmarks.harness.options import luma_option, media_option, results_command, rounds_option, yunet_option
from benchmarks.harness.plots import COLORS, new_figure
from benchmarks.harness.results import Results, quartiles
from benchmarks.harness.tables import Table
from benchmarks.harness.timing import pin_threads
from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.framing import Image, iou, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_models import default_model

FACELESS_CLIPS = ("intel_bottle-detection.mp4", "pyfeat_no_face.mp4")
FACELESS_STILLS = ("dog.jpg", "eagle.jpg", "giraffe.jpg", "horses.jpg")
STEADY_CLIPS = ("intel_asl_again.mkv", "intel_asl_sister.mkv", "pyfeat_WolfgangLanger_Pexels.mp4")
FACE_CLIPS = (*STEADY_CLIPS, "intel_asl_book.mkv", "intel_classroom.gif", "hamilton_short.mp4")
TIMED_CLIP, TIMED_SIZE = "intel_asl_again.mkv", (320, 240)
CROWD_STEP = 10  # every tenth photograph of facemask853, many of them of crowds, is timed
DEMO_FRAMES = 100
CLIP_FRAMES = 90  # from the start of each clip with faces
MIN_LABELED_PX = 40  # smaller faces are not compared by their emotion
NO_BOXES = np.empty((0, 4), np.float32)


def false_alarms(contestants: Contestants, media: Path, step: int) -> dict[str, dict[str, int]]:
    """Boxes in use where there are no faces, by detector and still or clip (every `step`-th frame)."""
    counts: dict[str, dict[str, int]] = {name: {} for name in contestants}
    for clip in FACELESS_CLIPS:
        for frame in video_frames(media / "videos" / clip, step):
            for name, contestant in contestants.items():
                counts[name][clip] = counts[name].get(clip, 0) + len(contestant.detector.detect(frame))
    for still in FACELESS_STILLS:
        image = Photograph(media / "stills" / still, NO_BOXES, NO_BOXES).read()
        for name, contestant in contestants.items():
            counts[name][still] = len(contestant.detector.detect(image))
    return counts


def jitter(contestant: Contestant, media: Path) -> tuple[float, float]:
    """Jitter of the largest face's center in % of the box height, and the share of frames with a face.

    Jitter is half the distance of a center from the middle of its two neighbors in time, which is 0 in steady motion;
    the median over all frames of the steady clips.
    """
    jitters, seen, total = [], 0, 0
    for clip in STEADY_CLIPS:
        track: list[np.ndarray[Any, Any] | None] = []
        for frame in video_frames(media / "videos" / clip, 1, CLIP_FRAMES):
            one = largest(contestant.detector.detect(frame))
            x, y, width, height = one.box if one else (0.0, 0.0, 0.0, 0.0)
            track.append(np.array([x + width / 2, y + height / 2, height]) if one else None)
        seen, total = seen + sum(place is not None for place in track), total + len(track)
        for before, here, after in zip(track, track[1:], track[2:], strict=False):
            if before is not None and here is not None and after is not None:
                off = np.hypot(*(here - (before + after) / 2)[:2])
                if off < here[2]:  # otherwise it is another face
                    jitters.append(100 * off / 2 / here[2])
    return float(np.median(jitters)), seen / total


def share_in_demo(contestant: Contestant) -> float:
    """Share of the demo's frames, 640x480, in which the detector finds a face."""
    moments = np.arange(DEMO_FRAMES) * CYCLE_S / DEMO_FRAMES
    return float(np.mean([bool(contestant.detector.detect(draw_scene(float(t), (640, 480)))) for t in moments]))


def timed_frames(media: Path) -> list[Image]:
    """Frames of the timed clip at 320x240, BGR."""
    return [
        np.asarray(cv2.resize(frame, TIMED_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        for frame in video_frames(media / "videos" / TIMED_CLIP, 6)
    ]


def same_emotion(first: Contestant, second: Contestant, media: Path, classifier: Classifier) -> tuple[float, int]:
    """Share of the faces found by both that get the same label through either's framing; and their number."""
    same: list[bool] = []
    for clip in FACE_CLIPS:
        for frame in video_frames(media / "videos" / clip, 5, 3 * CLIP_FRAMES):
            gray, others = to_gray(frame), second.detector.detect(frame)
            for one in first.detector.detect(frame):
                other = max(others, key=lambda it: iou(it.box, one.box), default=None)
                if one.box[3] >= MIN_LABELED_PX and other is not None and iou(other.box, one.box) > MATCH_IOU:
                    squares = [first.detector.framing.square(one.box), second.detector.framing.square(other.box)]
                    a, b = classifier.classify(gray, squares).argmax(axis=1)
                    same.append(bool(a == b))
    return float(np.mean(same)), len(same)


def set_figures(scores: Scores, threshold: float) -> dict[str, Any]:
    """Of one set: recall and false boxes in use, mean overlap of the found faces, recall at fixed numbers of boxes."""
    false, recall = scores.curve()
    return {
        "faces": len(scores.found),
        "recall": round(scores.recall(threshold), 6),
        "false_boxes": scores.false_boxes(threshold),
        "mean_iou": round(scores.mean_overlap(threshold), 4),
        "recall_at_false_boxes": {
            str(count): round(float(recall[count - 1]), 4) for count in (20, 50, 100, 136, 200) if count <= len(false)
        },
    }


def plot(results: Results) -> Any:
    """Recall over boxes that touch no label, a panel per set; a dot at each detector's threshold in use."""
    by_detector: dict[str, dict[str, Scores]] = results.plotted
    titles = list(next(iter(by_detector.values())))
    canvas = new_figure(6.2 * len(titles), 4.6)
    panels = canvas.subplots(1, len(titles), squeeze=False)[0]
    for axes, title in zip(panels, titles, strict=True):
        for color, (name, by_set) in zip(COLORS, by_detector.items(), strict=False):
            scores, threshold = by_set[title], results.values["detectors"][name]["threshold"]
            axes.plot(*scores.curve(), color=color, label=name)
            axes.plot(max(scores.false_boxes(threshold), 0.7), scores.recall(threshold), "o", color=color)
        axes.set(title=title, xlabel="boxes that touch no label", ylabel="recall")
        axes.set(xscale="log", xlim=(0.6, 1500), ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    return canvas


def measure(contestants: Contestants, media: Path, step: int, rounds: int) -> Results:
    """Measure everything."""
    results = Results("detector", "How good, how fast and how steady are the face detectors?", pin_threads(1))
    detection = media / "detection"
    sets = {
        "facemask853, without mask, >= 20 px": facemask(detection / "facemask853"),
        "dlib and wider_val10, >= 24 px": wider(detection / "wider_val10") + dlib(detection, media / "stills"),
    }
    taken = times(contestants, timed_frames(media), rounds)  # first, before other work heats the machine up
    crowds = [photograph.read() for photograph in next(iter(sets.values()))[::CROWD_STEP]]
    in_crowds = times(contestants, crowds, max(1, rounds // 2))
    results.plotted = {
        name: {title: score(contestant.search, photographs) for title, photographs in sets.items()}
        for name, contestant in contestants.items()
    }
    alarms = false_alarms(contestants, media, step)
    figures: dict[str, dict[str, Any]] = {}
    for name, contestant in contestants.items():
        jitter_percent, seen = jitter(contestant, media)
        of_sets = results.plotted[name]
        figures[name] = {
            "threshold": contestant.threshold,
            "sets": {title: set_figures(scores, contestant.threshold) for title, scores in of_sets.items()},
            "false_alarms": alarms[name],
            "jitter_percent": round(jitter_percent, 3),
            "steady_clips_seen": round(seen, 4),
            "demo_found": share_in_demo(contestant),
            "ms": quartiles(taken[name]),
            "luma_time_ratio": quartiles(np.divide(taken["luma"], taken[name]).tolist()),
            "luma_time_ratio_facemask853": round(sum(in_crowds["luma"]) / sum(in_crowds[name]), 4),
        }
    if "yunet" in contestants:
        share, faces = same_emotion(contestants["luma"], contestants["yunet"], media, Classifier(default_model()))
        figures["luma"] |= {"same_emotion_as_yunet": round(share, 4), "same_emotion_faces": faces}
    results.tables.append(table(figures))
    results.values = {"detectors": figures}
    return results


def table(figures: dict[str, dict[str, Any]]) -> Table:
    """All figures, a column per detector."""
    each, luma = list(figures.values()), figures["luma"]
    rows: list[list[str]] = []
    for title in luma["sets"]:
        sets = [one["sets"][title] for one in each]
        at_50 = [one["recall_at_false_boxes"].get("50") for one in sets]
        rows.append([f"{title} ({sets[0]['faces']} faces)", *("" for _ in sets)])
        rows.append(["  recall", *(f"{one['recall']:.1%}" for one in sets)])
        rows.append(["  boxes that touch no label", *(str(one["false_boxes"]) for one in sets)])
        rows.append(["  mean overlap of the found faces", *(f"{one['mean_iou']:.3f}" for one in sets)])
        rows.append(["  recall at 50 such boxes", *("-" if value is None else f"{value:.1%}" for value in at_50)])
    rows.append(["false alarms without faces", *("" for _ in each)])
    rows += [[f"  {title}", *(str(one["false_alarms"][title]) for one in each)] for title in luma["false_alarms"]]
    rows.append(["jitter of the center, % of box height", *(f"{one['jitter_percent']:.2f}" for one in each)])
    rows.append(["  frames of these clips with a face", *(f"{one['steady_clips_seen']:.1%}" for one in each)])
    rows.append(["demo: frames with a face", *(f"{one['demo_found']:.1%}" for one in each)])
    rows.append([f"ms per frame, {TIMED_CLIP} at 320x240", *(f"{one['ms'][1]:.2f}" for one in each)])
    rows.append(["luma's time / this one's", *(f"{one['luma_time_ratio'][1]:.3f}" for one in each)])
    rows.append(["  in all, on facemask853", *(f"{one['luma_time_ratio_facemask853']:.3f}" for one in each)])
    note = ""
    if "same_emotion_as_yunet" in luma:
        share, faces = luma["same_emotion_as_yunet"], luma["same_emotion_faces"]
        note = f"Same emotion through luma's and yunet's box: {share:.1%} of {faces} faces."
    return Table("Detectors", ["", *figures], rows, note)


@click.command(help=__doc__)
@media_option
@yunet_option()
@luma_option
@click.option("--step", type=click.IntRange(1), default=5, show_default=True, metavar="N",
              help="Every Nth frame of the clips without faces.")  # fmt: skip
@rounds_option(20)
@click.option("--drawings", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Draw all boxes there.  The images show real people: keep them private.")  # fmt: skip
@results_command(plot)
def main(media: Path, yunet: Path | None, luma: Path | None, step: int, rounds: int, drawings: Path | None) -> Results:
    """Measure, print, write, draw."""
    contestants = open_contestants(yunet, luma)
    results = measure(contestants, media, step, rounds)
    if drawings is not None:
        draw(contestants, media, drawings)
    return results


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.detector.detectors")

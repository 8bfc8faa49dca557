"""How good, how fast and how steady are the face detectors? Haar, YuNet and ours, side by side, in one process.

Photographs with annotated faces give recall, boxes that touch no label and the curve between them; clips without faces
give false alarms; clips with faces give steadiness, and whether the emotion depends on whose box it was; times are
taken in turns on one clip.

    python -m benchmarks.detector.detectors --media DIR --yunet yunet.onnx --plot curve.png
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from fer_edge.console import run_main
from fer_edge.demo.scene import CYCLE_S, draw_scene
from fer_edge.detectors.base import Detection, Detector
from fer_edge.detectors.haar import HaarDetector
from fer_edge.detectors.luma import LumaDetector
from fer_edge.detectors.yunet import YunetDetector
from fer_edge.errors import DataError
from fer_edge.files import write_json
from fer_edge.framing import Image, iou, to_gray
from fer_edge.network.classifier import Classifier
from fer_edge.opencv import cv2
from fer_edge.system import machine_info
from fer_models import default_model
from fer_train.detection.evaluate import Boxes, Photograph, Scores, Search, dlib, facemask, score, wider

ANY_SIZE_PX = 10_000  # pictures are searched at their own size
MIN_PX = 16  # smaller faces are not looked for in use; of the curve, all count
FACELESS_CLIPS = ("intel_bottle-detection.mp4", "pyfeat_no_face.mp4")
FACELESS_STILLS = ("dog.jpg", "eagle.jpg", "giraffe.jpg", "horses.jpg")
STEADY_CLIPS = ("intel_asl_again.mkv", "intel_asl_sister.mkv", "pyfeat_WolfgangLanger_Pexels.mp4")
FACE_CLIPS = (*STEADY_CLIPS, "intel_asl_book.mkv", "intel_classroom.gif", "hamilton_short.mp4")
TIMED_CLIP, TIMED_SIZE = "intel_asl_again.mkv", (320, 240)
CROWD_STEP = 10  # of facemask853's photographs, many of crowds, every so many are timed
DEMO_FRAMES = 100
CLIP_FRAMES = 90  # of each clip with faces, from its start
NO_BOXES = np.empty((0, 4), np.float32)
FAINT = 0.02  # the score from which boxes take part in the curve


class FaintYunet(YunetDetector):
    """YuNet with its faint boxes."""

    SCORE_THRESHOLD = FAINT


@dataclass(frozen=True)
class Contestant:
    """A detector in use, one that gives its faint boxes for the curve, and the score from which they count in use."""

    detector: Detector
    search: Search
    threshold: float


def contestants(yunet: Path | None, luma: Path | None) -> dict[str, Contestant]:
    """All that this OpenCV and these files allow, by name."""
    found: dict[str, Contestant] = {}
    if hasattr(cv2, "CascadeClassifier"):
        haar = HaarDetector(None, MIN_PX, ANY_SIZE_PX)
        found["haar"] = Contestant(haar, haar_search(haar), 5)
    if yunet is not None:
        faint = FaintYunet(yunet, ANY_SIZE_PX)
        found["yunet"] = Contestant(YunetDetector(yunet, ANY_SIZE_PX), boxes_of(faint), YunetDetector.SCORE_THRESHOLD)
    ours = LumaDetector(luma, MIN_PX, ANY_SIZE_PX)
    terms = ours.contract.detector
    assert terms is not None
    found["luma"] = Contestant(ours, lambda image: ours.search(to_gray(image), FAINT), terms.score_threshold)
    return found


def boxes_of(detector: Detector) -> Search:
    """The detector's answers as corners and scores."""

    def search(image: Image) -> tuple[Boxes, Any]:
        found = detector.detect(image)
        boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, np.array([one.score for one in found], np.float32)

    return search


def haar_search(detector: HaarDetector) -> Search:
    """Haar's answers scored by the number of neighbours, of which use asks five."""
    cascade = detector._cascade

    def search(image: Image) -> tuple[Boxes, Any]:
        found, neighbors = cascade.detectMultiScale2(to_gray(image), scaleFactor=1.1, minNeighbors=1, minSize=(10, 10))
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return boxes, np.ravel(neighbors).astype(np.float32)

    return search


def frames(path: Path, step: int = 1, last: int | None = None) -> Iterator[Image]:
    """Every `step`-th frame of a clip, up to number `last`; DataError if there is none."""
    capture, number = cv2.VideoCapture(str(path)), 0
    while last is None or number < last:
        read, frame = capture.read()
        if not read:
            break
        if number % step == 0:
            yield np.asarray(frame, dtype=np.uint8)
        number += 1
    if not number:
        raise DataError(f"{path} can't be read as a video")


def on_photographs(rivals: dict[str, Contestant], sets: dict[str, list[Photograph]]) -> dict[str, dict[str, Scores]]:
    """Scores by detector and set."""
    return {
        name: {title: score(rival.search, photographs) for title, photographs in sets.items()}
        for name, rival in rivals.items()
    }


def false_alarms(rivals: dict[str, Contestant], media: Path, step: int) -> dict[str, dict[str, int]]:
    """Boxes in use on pictures without faces, by detector and picture or clip (every `step`-th frame)."""
    counts: dict[str, dict[str, int]] = {name: {} for name in rivals}
    for clip in FACELESS_CLIPS:
        for frame in frames(media / "videos" / clip, step):
            for name, rival in rivals.items():
                counts[name][clip] = counts[name].get(clip, 0) + len(rival.detector.detect(frame))
    for still in FACELESS_STILLS:
        picture = Photograph(media / "stills" / still, NO_BOXES, NO_BOXES).read()
        for name, rival in rivals.items():
            counts[name][still] = len(rival.detector.detect(picture))
    return counts


def largest(found: Sequence[Detection]) -> Detection | None:
    """The detection with the largest box."""
    return max(found, key=lambda one: one.box[2] * one.box[3], default=None)


def jitter(rival: Contestant, media: Path) -> tuple[float, float]:
    """How much the largest face's centre trembles, in % of the box's height, and the share of frames that had one.

    Trembling is half the distance of a centre from the middle of its neighbours in time, which steady motion leaves 0;
    the median over all frames of the steady clips.
    """
    trembles, seen, total = [], 0, 0
    for clip in STEADY_CLIPS:
        track: list[np.ndarray[Any, Any] | None] = []
        for frame in frames(media / "videos" / clip, 1, CLIP_FRAMES):
            one = largest(rival.detector.detect(frame))
            x, y, width, height = one.box if one else (0.0, 0.0, 0.0, 0.0)
            track.append(np.array([x + width / 2, y + height / 2, height]) if one else None)
        seen, total = seen + sum(place is not None for place in track), total + len(track)
        for before, here, after in zip(track, track[1:], track[2:], strict=False):
            if before is not None and here is not None and after is not None:
                off = np.hypot(*(here - (before + after) / 2)[:2])
                if off < here[2]:  # else it is another face
                    trembles.append(100 * off / 2 / here[2])
    return float(np.median(trembles)), seen / total


def in_demo(rival: Contestant) -> float:
    """Share of the demo's frames in which a face is found, at 640x480."""
    moments = np.arange(DEMO_FRAMES) * CYCLE_S / DEMO_FRAMES
    return float(np.mean([bool(rival.detector.detect(draw_scene(float(t), (640, 480)))) for t in moments]))


def timed_frames(media: Path) -> list[Image]:
    """Frames of the timed clip at 320x240, BGR."""
    return [
        np.asarray(cv2.resize(frame, TIMED_SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        for frame in frames(media / "videos" / TIMED_CLIP, 6)
    ]


def times(rivals: dict[str, Contestant], pictures: Sequence[Image], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each BGR picture, all detectors in turn on each; one thread.

    From the picture as the detector wants it (BGR for YuNet, else grey) to boxes.
    """
    pairs = [(picture, to_gray(picture)) for picture in pictures]
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(-1, rounds):  # the first round warms up
        for color, gray in pairs:
            for name, rival in rivals.items():
                elapsed = timed(rival.detector, color if rival.detector.needs_color else gray)
                if number >= 0:
                    taken[name].append(elapsed)
    return taken


def timed(detector: Detector, image: Image) -> float:
    """Milliseconds of one search."""
    started = time.perf_counter()
    detector.detect(image)
    return 1000 * (time.perf_counter() - started)


def same_emotion(first: Contestant, second: Contestant, media: Path, classifier: Classifier) -> tuple[float, int]:
    """Share of faces, found by both, that get the same label through either's framing; and how many there were."""
    same: list[bool] = []
    for clip in FACE_CLIPS:
        for frame in frames(media / "videos" / clip, 5, 3 * CLIP_FRAMES):
            gray, others = to_gray(frame), second.detector.detect(frame)
            for one in first.detector.detect(frame):
                other = max(others, key=lambda it: iou(it.box, one.box), default=None)
                if one.box[3] >= 40 and other is not None and iou(other.box, one.box) > 0.35:
                    squares = [first.detector.framing.square(one.box), second.detector.framing.square(other.box)]
                    a, b = classifier.classify(gray, squares).argmax(axis=1)
                    same.append(bool(a == b))
    return float(np.mean(same)), len(same)


def plot_curves(results: dict[str, dict[str, Scores]], rivals: dict[str, Contestant], path: Path) -> None:
    """Recall over boxes that touch no label, a panel for each set; a dot where each detector is in use."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    titles = list(next(iter(results.values())))
    figure, axes = plt.subplots(1, len(titles), figsize=(6.2 * len(titles), 4.6), squeeze=False, layout="constrained")
    for axis, title in zip(axes[0], titles, strict=True):
        for place, (name, by_set) in enumerate(results.items()):
            false, recall = by_set[title].curve()
            bound = rivals[name].threshold
            axis.plot(false, recall, color=f"C{place}", label=name)
            axis.plot(max(by_set[title].false_boxes(bound), 0.7), by_set[title].recall(bound), "o", color=f"C{place}")
        axis.set(
            title=title,
            xlabel="boxes that touch no label",
            ylabel="recall",
            xscale="log",
            xlim=(0.6, 1500),
            ylim=(0, 1),
        )
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def draw(rivals: dict[str, Contestant], media: Path, folder: Path) -> None:
    """Sheets of clips and stills with everyone's boxes, each detector in its colour, for a look at them."""
    colors = dict(zip(rivals, ((60, 60, 255), (255, 160, 0), (0, 220, 0)), strict=False))
    folder.mkdir(parents=True, exist_ok=True)
    for clip in sorted((media / "videos").iterdir()):
        chosen = list(frames(clip, 25))[:12]
        cells = [marked(frame, rivals, colors) for frame in chosen]
        cells += [np.zeros_like(cells[0])] * (-len(cells) % 4)
        sheet = np.vstack([np.hstack(cells[start : start + 4]) for start in range(0, len(cells), 4)])
        cv2.imwrite(str(folder / f"{clip.stem}.jpg"), sheet)
    for still in sorted((media / "stills").iterdir()):
        picture = cv2.imread(str(still), cv2.IMREAD_COLOR)
        if picture is not None:
            cv2.imwrite(str(folder / f"{still.stem}.jpg"), marked(np.asarray(picture, np.uint8), rivals, colors, None))


def marked(frame: Image, rivals: dict[str, Contestant], colors: dict[str, Any], width: int | None = 420) -> Image:
    """A copy of `frame` with the boxes and scores of each detector, resized to `width`."""
    drawn = frame.copy()
    for name, rival in rivals.items():
        for one in rival.detector.detect(frame):
            x, y, w, h = (round(value) for value in one.box)
            cv2.rectangle(drawn, (x, y), (x + w, y + h), colors[name], 2)
            if name == "luma":
                cv2.putText(
                    drawn, f"{one.score:.2f}", (x, y - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colors[name], 1, cv2.LINE_AA
                )
    if width is None:
        return drawn
    return np.asarray(cv2.resize(drawn, (width, round(width * frame.shape[0] / frame.shape[1]))), dtype=np.uint8)


def quartiles(values: Sequence[float]) -> list[float]:
    """25th, 50th and 75th percentile."""
    return [round(float(value), 4) for value in np.percentile(values, (25, 50, 75))]


@click.command(help=__doc__)
@click.option(
    "--media",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of videos/, stills/ and detection/ (facemask853, wider_val10, dlib_*.xml).",
)
@click.option(
    "--yunet", type=click.Path(path_type=Path), metavar="FILE", help="YuNet's ONNX file; else it is left out."
)
@click.option(
    "--luma", type=click.Path(path_type=Path), metavar="FILE", help="Our detector.  [default: the shipped one]"
)
@click.option(
    "--step", type=click.IntRange(1), default=5, show_default=True, help="Of face-free clips, every N-th frame."
)
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True, help="Turns through the timed frames.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures here too."
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw recall over false boxes here.")
@click.option(
    "--drawings",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Draw everyone's boxes on the clips and stills there (they show real people: keep them to yourself).",
)
def main(
    media: Path, yunet: Path | None, luma: Path | None, step: int, rounds: int, json_file: Path | None,
    plot: Path | None, drawings: Path | None,
) -> None:  # fmt: skip
    """Print the tables."""
    cv2.setNumThreads(1)
    rivals = contestants(yunet, luma)
    detection = media / "detection"
    sets = {
        "facemask853, without mask, >= 20 px": facemask(detection / "facemask853"),
        "dlib and wider_val10, >= 24 px": wider(detection / "wider_val10") + dlib(detection, media / "stills"),
    }
    taken = times(rivals, timed_frames(media), rounds)  # first, before the machine is warm from the rest
    crowds = [photograph.read() for photograph in next(iter(sets.values()))[::CROWD_STEP]]
    in_crowds = times(rivals, crowds, max(1, rounds // 2))
    results, alarms = on_photographs(rivals, sets), false_alarms(rivals, media, step)
    tables: dict[str, dict[str, Any]] = {}
    for name, rival in rivals.items():
        trembling, seen = jitter(rival, media)
        tables[name] = {
            "threshold": rival.threshold,
            "sets": {title: figures(scores, rival.threshold) for title, scores in results[name].items()},
            "false_alarms": alarms[name],
            "jitter_percent": round(trembling, 3),
            "steady_clips_seen": round(seen, 4),
            "demo_found": in_demo(rival),
            "ms": quartiles(taken[name]),
            "luma_time_ratio": quartiles(np.divide(taken["luma"], taken[name]).tolist()),
            "luma_time_ratio_facemask853": round(sum(in_crowds["luma"]) / sum(in_crowds[name]), 4),
        }
    if "yunet" in rivals:
        share, faces = same_emotion(rivals["luma"], rivals["yunet"], media, Classifier(default_model()))
        tables["luma"] |= {"same_emotion_as_yunet": round(share, 4), "same_emotion_faces": faces}
    tell(tables)
    if plot is not None:
        plot_curves(results, rivals, plot)
    if drawings is not None:
        draw(rivals, media, drawings)
    if json_file is not None:
        write_json(json_file, {"tables": tables, "machine": machine_info() | {"opencv": cv2.__version__}})


def figures(scores: Scores, threshold: float) -> dict[str, Any]:
    """Of one set: recall and false boxes in use, mean overlap of what was found, and the recall at fixed numbers."""
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


def share_of(value: float | None) -> str:
    """A percentage, or a dash for what is not known."""
    return "-" if value is None else f"{value:.1%}"


def tell(tables: dict[str, dict[str, Any]]) -> None:
    """Print all tables, a column a detector."""
    names = list(tables)
    rows: list[tuple[str, list[str]]] = []
    for title in tables["luma"]["sets"]:
        sets = [tables[name]["sets"][title] for name in names]
        rows.append((f"{title} ({sets[0]['faces']} faces)", ["" for _ in sets]))
        rows.append(("  recall", [f"{one['recall']:.1%}" for one in sets]))
        rows.append(("  boxes that touch no label", [str(one["false_boxes"]) for one in sets]))
        rows.append(("  mean overlap of the found", [f"{one['mean_iou']:.3f}" for one in sets]))
        rows.append(("  recall at 50 such boxes", [share_of(one["recall_at_false_boxes"].get("50")) for one in sets]))
    rows.append(("false alarms without faces", ["" for _ in names]))
    for title in tables["luma"]["false_alarms"]:
        rows.append((f"  {title}", [str(tables[name]["false_alarms"][title]) for name in names]))
    rows.append(("centre trembles, % of box height", [f"{tables[name]['jitter_percent']:.2f}" for name in names]))
    rows.append(("  frames of these clips with a face", [f"{tables[name]['steady_clips_seen']:.1%}" for name in names]))
    rows.append(("demo: frames with a face", [f"{tables[name]['demo_found']:.1%}" for name in names]))
    rows.append((f"ms a frame, {TIMED_CLIP} at 320x240", [f"{tables[name]['ms'][1]:.2f}" for name in names]))
    rows.append(("luma's time / this one's", [f"{tables[name]['luma_time_ratio'][1]:.3f}" for name in names]))
    in_crowds = [f"{tables[name]['luma_time_ratio_facemask853']:.3f}" for name in names]
    rows.append(("  the same, in all, of facemask853's pictures", in_crowds))
    width = max(len(label) for label, _ in rows)
    click.echo(" " * width + "".join(f"{name:>10}" for name in names))
    for label, cells in rows:
        click.echo(label.ljust(width) + "".join(f"{cell:>10}" for cell in cells).rstrip())
    if "same_emotion_as_yunet" in tables["luma"]:
        share, faces = tables["luma"]["same_emotion_as_yunet"], tables["luma"]["same_emotion_faces"]
        click.echo(f"same emotion through luma's and yunet's box: {share:.1%} of {faces} faces")


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.detector.detectors")

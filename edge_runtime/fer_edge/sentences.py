"""What a run saw, in words: a line per image, the current emotions, and the table at the end of a run."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fer_edge.guards.text import printable
from fer_edge.results import Face, FrameResult, LeftOut

MAX_NAMED = 5  # faces in one sentence; more are counted by emotion
MAX_SHARES = 3  # emotions in one sentence
NAME_WIDTH = 9  # of the longest usual emotion
BAR_WIDTH = 25
BLOCKS = " ▏▎▍▌▋▊▉█"  # eighths
UNSURE = "unsure"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count and its noun.

    >>> counted(1, "face"), counted(2, "face"), counted(0, "box", "boxes")
    ('1 face', '2 faces', '0 boxes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def percent(fraction: float) -> str:
    """A fraction as whole percent: "87 %"."""
    return f"{round(100 * fraction)} %"


def duration(seconds: float) -> str:
    """A duration with the units a person would use.

    >>> duration(4.21), duration(65), duration(7384), duration(200_000)
    ('4.2 s', '1 min 5 s', '2 h 3 min', '2 d 7 h')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit_s, unit, part_s, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            return f"{whole // unit_s} {unit} {whole % unit_s // part_s} {part}"
    return f"{whole} s"


def emotions_of(faces: Sequence[Face], max_named: int = MAX_NAMED) -> str:
    """The emotions of the faces of one image, from left to right; of a crowd how many faces show which.

    max_named: more faces are a crowd.

    >>> faces = [Face((80, 0, 9, 9), 0.9, "neutral", 0.61, {}), Face((0, 0, 9, 9), 0.9, "happy", 0.87, {})]
    >>> emotions_of(faces)
    'happy 87 %, neutral 61 %'
    >>> emotions_of(3 * faces)
    '3 neutral, 3 happy'
    """
    if len(faces) <= max_named:
        ordered = sorted(faces, key=lambda face: face.box[0] + face.box[2] / 2)
        return ", ".join(face.summary() for face in ordered)
    counts = Counter(UNSURE if face.unsure else face.emotion for face in faces)
    return ", ".join(f"{count} {emotion}" for emotion, count in counts.most_common())


def image_line(result: FrameResult) -> str:
    """What was seen in one image, after its name.

    >>> face = Face((0, 0, 9, 9), 0.9, "happy", 0.87, {"happy": 0.87})
    >>> image_line(FrameResult(0, 0.0, True, (face,), "photo.jpg"))
    'photo.jpg: 1 face: happy 87 %'
    >>> image_line(FrameResult(0, 0.0, True, (), "photo.jpg"))
    'photo.jpg: no face found'
    """
    found = f"{counted(len(result.faces), 'face')}: {emotions_of(result.faces)}" if result.faces else "no face found"
    return f"{printable(result.file or f'image {result.frame}')}: {found}"


def source_line(name: str, summary: Mapping[str, Any]) -> str:
    """What was seen in one of several videos, after its name: its most frequent emotions.

    >>> from fer_edge.summary import RunSummary
    >>> summary = RunSummary()
    >>> summary.add(FrameResult(0, 0.0, True, (Face((0, 0, 9, 9), 0.9, "happy", 0.87, {"happy": 0.87}),)))
    >>> source_line("clip.mp4", summary.to_dict())
    'clip.mp4: 1 face: 100 % happy'
    """
    if not summary["rows"]:
        return f"{_subject(name)} no face found"
    shares = [f"{_share(figures)} {emotion}" for emotion, figures in _by_share(summary)]
    return f"{_subject(name)} {counted(summary['faces'], 'face')}: {', '.join(shares[:MAX_SHARES])}"


def left_out_line(name: str, left_out: LeftOut, found: int, per_frame: bool = False) -> str:
    """How many faces were left out of an image, and which option includes them; "" if more were `found`.

    per_frame: `left_out` is of the frame of a stream that left out the most.

    >>> left_out_line("photo.jpg", LeftOut(small=(14.2, 17.9, 15.0)), found=1)
    'photo.jpg: 3 faces of 14 to 18 px were left out: --min-face 14 includes them'
    >>> left_out_line("clip.mp4", LeftOut(faint=(0.687,)), found=0, per_frame=True)
    'clip.mp4: up to 1 face per frame with a score of 0.68 was left out: --min-score 0.68 includes it'
    """
    if not left_out or len(left_out) < found:
        return ""
    kinds = []
    if left_out.small:
        lowest = math.floor(min(left_out.small))
        kinds.append(
            (len(left_out.small), f"of {_span(lowest, round(max(left_out.small)))} px", f"--min-face {lowest}")
        )
    if left_out.faint:
        # An option below the lowest score, in hundredths.
        low, high = (math.floor(100 * score) / 100 for score in (min(left_out.faint), max(left_out.faint)))
        noun = "a score" if low == high else "scores"
        kinds.append((len(left_out.faint), f"with {noun} of {_span(low, high)}", f"--min-score {low:g}"))
    parts = [
        f"{'up to ' * per_frame}{counted(count, 'face')}{' per frame' * per_frame} {which} "
        f"{'was' if count == 1 else 'were'} left out: {option} includes {'it' if count == 1 else 'them'}"
        for count, which, option in kinds
    ]
    return f"{_subject(name)} {'; '.join(parts)}"


def _subject(name: str) -> str:
    """A source's name with a colon: "clip.mp4:"; "demo:" has one."""
    return printable(name).removesuffix(":") + ":"


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def summary_lines(summary: Mapping[str, Any], blocks: bool, noun: str = "frame") -> list[str]:
    """The summary of a run (of `RunSummary.to_dict`) as lines: the faces, then a line per emotion with a bar.

    blocks: draw the bars with block characters; otherwise with "#". noun: what a result is of.
    """
    if not summary["rows"]:
        return [f"no face in {counted(summary['frames'], noun)}" if summary["frames"] else f"no {noun}"]
    rows = _by_share(summary)
    seconds = [duration(figures["seconds"]) if figures["seconds"] else "" for _, figures in rows]
    name_width = max(NAME_WIDTH, *(len(name) for name, _ in rows))
    seconds_width = max(map(len, seconds))
    gap = "  " if seconds_width else ""
    return [_faces_line(summary, noun)] + [
        f"{name:{name_width}}  {lasted:>{seconds_width}}{gap}{_share(figures):>5}  {_bar(figures['share'], blocks)}"
        for (name, figures), lasted in zip(rows, seconds, strict=True)
    ]


def _by_share(summary: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The emotions that occur and their figures, the most frequent first, unsure last."""
    rows = [(emotion, figures) for emotion, figures in summary["emotions"].items() if figures["rows"]]
    rows.sort(key=lambda row: -row[1]["rows"])
    return rows + ([(UNSURE, summary["unsure"])] if summary["unsure"]["rows"] else [])


def _faces_line(summary: Mapping[str, Any], noun: str) -> str:
    line = counted(summary["faces"], "face")
    if summary["faces"] > 1:
        line += f", at most {summary['most_faces']:,} at once"
    without = summary["frames"] - summary["frames_with_faces"]
    return line + (f"; {without:,} of {counted(summary['frames'], noun)} without a face" if without else "")


def _share(figures: Mapping[str, Any]) -> str:
    share = figures["share"]
    return "<1 %" if share < 0.005 else ">99 %" if 0.995 <= share < 1 else percent(share)


def _bar(share: float, blocks: bool) -> str:
    if not blocks:
        return "#" * max(1, round(BAR_WIDTH * share))
    eighths = max(1, round(8 * BAR_WIDTH * share))
    return BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()

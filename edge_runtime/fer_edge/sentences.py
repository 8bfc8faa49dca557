"""What a run saw, in words: a line per image, the emotions of now, and the table at the end of a run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fer_edge.results import Face, FrameResult

MAX_NAMED = 5  # faces in one sentence; more are counted by emotion
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


def emotions_of(faces: Sequence[Face]) -> str:
    """The emotions of the faces of one image, from left to right; of a crowd how many faces show which.

    >>> faces = [Face((80, 0, 9, 9), 0.9, "neutral", 0.61, {}), Face((0, 0, 9, 9), 0.9, "happy", 0.87, {})]
    >>> emotions_of(faces)
    'happy 87 %, neutral 61 %'
    >>> emotions_of(3 * faces)
    '3 neutral, 3 happy'
    """
    if len(faces) <= MAX_NAMED:
        ordered = sorted(faces, key=lambda face: face.box[0] + face.box[2] / 2)
        named = [f"{face.emotion} {percent(face.confidence)}" for face in ordered]
        return ", ".join(
            f"{UNSURE} ({text})" if face.unsure else text for face, text in zip(ordered, named, strict=True)
        )
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


def printable(name: str) -> str:
    """A file name on one line of a terminal: control characters and undecodable bytes escaped.

    >>> printable("a b.jpg"), printable("a\\nb.jpg")
    ('a b.jpg', 'a\\\\nb.jpg')
    """
    return name if name.isprintable() else repr(name)[1:-1]


def summary_lines(summary: Mapping[str, Any], blocks: bool) -> list[str]:
    """The summary of a run (of `RunSummary.to_dict`) as lines: the faces, then a line per emotion with a bar.

    blocks: draw the bars with block characters; otherwise with "#".
    """
    if not summary["rows"]:
        return [f"no face in {counted(summary['frames'], 'frame')}" if summary["frames"] else "no frame"]
    rows = [(emotion, figures) for emotion, figures in summary["emotions"].items() if figures["rows"]]
    rows.sort(key=lambda row: -row[1]["rows"])
    if summary["unsure"]["rows"]:
        rows.append((UNSURE, summary["unsure"]))
    seconds = ["" if figures["seconds"] is None else duration(figures["seconds"]) for _, figures in rows]
    name_width, seconds_width = max(len(name) for name, _ in rows), max(map(len, seconds))
    gap = "  " if seconds_width else ""
    return [_faces_line(summary)] + [
        f"{name:{name_width}}  {lasted:>{seconds_width}}{gap}{_share(figures):>5}  {_bar(figures['share'], blocks)}"
        for (name, figures), lasted in zip(rows, seconds, strict=True)
    ]


def _faces_line(summary: Mapping[str, Any]) -> str:
    line = f"{counted(summary['faces'], 'face')}"
    if summary["faces"] > 1:
        line += f", at most {summary['most_faces']:,} at once"
    without = summary["frames"] - summary["frames_with_faces"]
    return line + (f"; {counted(without, 'frame')} of {summary['frames']:,} without a face" if without else "")


def _share(figures: Mapping[str, Any]) -> str:
    share = figures["share"]
    return "<1 %" if share < 0.005 else ">99 %" if 0.995 <= share < 1 else percent(share)


def _bar(share: float, blocks: bool) -> str:
    if not blocks:
        return "#" * max(1, round(BAR_WIDTH * share))
    eighths = max(1, round(8 * BAR_WIDTH * share))
    return BLOCKS[8] * (eighths // 8) + BLOCKS[eighths % 8].strip()

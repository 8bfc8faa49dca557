"""The command `fer-train faces`: cut faces out of videos and photos, to sort them by label."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import echo_line, extra_required
from fer_edge.detectors import default_detector, detector_names, open_detector
from fer_edge.errors import DataError, SourceError
from fer_edge.guards.text import printable
from fer_train.commands.data_options import SETTINGS, FiniteRange, PathType, log_notes

if TYPE_CHECKING:
    from fer_train.crops.cutting import Cut, FaceCutter
    from fer_train.crops.folder import FacesFolder
    from fer_train.crops.labels import Labels
    from fer_train.crops.sources import NamedSource

MIN_FACE_PX = 40  # smaller faces are hard to label by eye


# fmt: off
@click.command(short_help="Cut faces out of videos and photos, to label them.", context_settings=SETTINGS)
@click.argument("sources", type=str, nargs=-1, required=True, metavar="SOURCE...")
@click.option("--out", type=PathType, required=True, metavar="DIR", help="Folder for the faces; created if missing.")
@click.option("--every", type=FiniteRange(0.04), metavar="SECONDS", default=1.0,
              help="From a video, take one face per person in each period of this length: the clearest.")
@click.option("--size", type=click.IntRange(48, 1024), metavar="PX", default=192,
              help="Longest side of a cut face. Training scales faces to 48 pixels; larger ones are easier to sort.")
@click.option("--labels", type=PathType, metavar="CSV",
              help="Sort by this table: columns file (or name), emotion, and maybe person. Other faces are left out.")
@click.option("--keep-aside", type=FiniteRange(0, 1, min_open=True, max_open=True), metavar="SHARE",
              help="With --labels: split into train/ and test/, with this share of the people in test/.")
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, help="Who is kept aside.")
@click.option("--detector", type=click.Choice(detector_names()), help="Face detector.",
              show_default="luma, or yunet with --detector-model")
@click.option("--detector-model", type=PathType, metavar="FILE", help="The detector's file; yunet needs one.")
@click.option("--min-face", type=click.IntRange(1), metavar="PX", default=MIN_FACE_PX,
              help="Leave smaller faces out.")
@click.option("--overwrite", is_flag=True, help="Replace the faces that an earlier run wrote to DIR.")
def faces(
    sources: Sequence[str], out: Path, every: float, size: int, labels: Path | None, keep_aside: float | None,
    seed: int, detector: str | None, detector_model: Path | None, min_face: int, overwrite: bool,
) -> None:
    """Cut faces out of videos and photos, framed as fer-edge sees them, and write them as gray PNGs.

    SOURCE is a video, a photo, a folder of these, or a folder of face tiles (train/recipes/lfw_tiles.py). Faces go to
    DIR/unsorted: move them into DIR/happy, DIR/neutral and so on, then train on DIR. contact-sheet-001.png shows them
    with the numbers of faces.csv.
    """
    if keep_aside is not None and labels is None:
        raise click.UsageError("--keep-aside needs --labels: without labels there is nothing to split evenly")
    with extra_required("fer-train", "train"):
        from fer_train.crops.cutting import FaceCutter
        from fer_train.crops.folder import FacesFolder, check_new, remove_earlier
        from fer_train.crops.labels import read_labels
        from fer_train.crops.sources import find_sources

    if not all(sources):
        raise click.UsageError("a source is empty: give a video, a photo or a folder")
    check_new(out, overwrite)
    table = None if labels is None else read_labels(labels)
    files, notes = find_sources(sources, out)
    log_notes(notes)
    if table is not None:
        table = table.for_sources([file.path for file in files])
    name = detector or default_detector(detector_model)
    cutter = FaceCutter(open_detector(name, detector_model, min_face, threads=os.cpu_count() or 1), size)
    folder, unread, without = FacesFolder(out), list[str](), list[str]()
    try:
        replaced = overwrite and out.exists() and any(out.iterdir())
        before_first = functools.partial(remove_earlier, out) if replaced else None
        left_out = _add_all(_cuts(files, cutter, every, table, unread, without), folder, table, before_first)
        if table is not None and keep_aside is not None and folder.rows:
            folder.keep_aside(table.classes, keep_aside, seed)
    finally:
        if folder.rows:  # also of an interrupted run
            folder.finish()
    if without and folder.rows:
        log_notes((f"no face was found in {len(without):,} of {len(files):,} sources, such as {without[0]}",))
    if folder.rows or not unread:
        _report(folder, cutter, left_out, table)
    if unread:
        more = f"; {len(unread)} of {len(files)} sources could not be read" if len(files) > 1 else ""
        raise SourceError(unread[0] + more)
# fmt: on


def _cuts(
    files: "Sequence[NamedSource]", cutter: "FaceCutter", every_s: float, labels: "Labels | None", unread: list[str],
    without: list[str],
) -> Iterator["Cut"]:  # fmt: skip
    """The faces of all files. Adds the errors of unreadable files to `unread`, files without a face to `without`."""
    from tqdm import tqdm

    with tqdm(total=len(files), desc="Cutting", unit=" files", disable=None) as bar:
        for file in files:
            bar.set_postfix_str(printable(Path(file.path).name))
            has_face = False
            try:
                for cut in _cuts_of(file.path, file.name, cutter, every_s, labels):
                    has_face = True
                    yield cut
                without += [file.path] * (not has_face)
            except SourceError as error:
                unread.append(str(error))
                if len(files) > 1:
                    tqdm.write(f"note: {error}", file=sys.stderr)
            bar.update()


def _cuts_of(source: str, name: str, cutter: "FaceCutter", every_s: float, labels: "Labels | None") -> Iterator["Cut"]:
    from tqdm import tqdm

    from fer_edge.media.ffmpeg_memory import own_process
    from fer_edge.sources import open_source
    from fer_train.crops.cutting import read_tiles
    from fer_train.crops.sources import RECORD_FIRST, exists, is_photo

    path = Path(source)
    if exists(source) and path.is_dir():
        tiles = read_tiles(path)
        wanted = [tile for tile in tiles.images if labels is None or labels.knows(tile)]
        for tile in tqdm(wanted, desc="Tiles", unit=" tiles", leave=False, disable=None):
            cut = cutter.tile(tiles.images[tile], tile, tile)
            if cut is not None:
                yield cut
    elif exists(source) and path.is_file() and is_photo(path):
        yield from cutter.photo(path, name)
    else:
        with own_process(), contextlib.closing(open_source(source)) as opened:
            if opened.live or opened.image_count is not None or opened.is_cropped:
                raise SourceError(f"{source} is not a video, photo or folder: {RECORD_FIRST}")
            with tqdm(total=opened.frame_count, desc=name, unit=" frames", leave=False, disable=None) as bar:
                yield from cutter.video(opened, name, every_s, bar.update)


def _add_all(
    cuts: Iterator["Cut"], folder: "FacesFolder", labels: "Labels | None", before_first: Callable[[], None] | None
) -> int:
    """Write the faces; return how many have no label and were left out.

    before_first: called before the first face is written: without one, an earlier run's faces stay.
    """
    left_out = 0
    for cut in cuts:
        label = None if labels is None else labels.of(cut)
        if labels is not None and label is None:
            left_out += 1
            continue
        if before_first is not None and not folder.rows:
            before_first()
        folder.add(cut, label.emotion, label.person) if label is not None else folder.add(cut)
    return left_out


def _report(folder: "FacesFolder", cutter: "FaceCutter", left_out: int, labels: "Labels | None") -> None:
    from fer_edge.sentences import counted  # loads cv2, which --help does without

    small = f"{counted(cutter.small, 'smaller face')} left out: a lower --min-face includes them"
    if not folder.rows:
        reason = small if cutter.small else "no face was found"
        if left_out:
            reason = f"no row of --labels names one of the {counted(left_out, 'face')} that were found"
        raise DataError(f"nothing to write to {folder.path}: {reason}")
    notes = [
        f"{files[0]}{f' and {len(files) - 1:,} more' if len(files) > 1 else ''}: {note}"
        for note, files in cutter.notes.items()
    ]
    notes += [small] * bool(cutter.small)
    if left_out:
        notes.append(f"{counted(left_out, 'face')} without a label left out")
    log_notes(tuple(notes))
    people = len({row.person for row in folder.rows})
    echo_line(
        f"wrote {counted(len(folder.rows), 'face')} of {counted(people, 'person', 'people')} to {folder.path}", err=True
    )
    if labels is None:
        echo_line(f"Next: sort {folder.path / 'unsorted'} into {folder.path}/<label>/, one folder per label", err=True)
        return
    for part in ("train", "test", ""):
        rows = [row for row in folder.rows if row.file.parts[0] == part or not part]
        if rows and (part or len(rows[0].file.parts) == 2):
            counts = [f"{sum(row.emotion == name for row in rows):,} {name}" for name in labels.classes]
            echo_line(f"{part + ': ' if part else ''}{', '.join(counts)}", err=True)

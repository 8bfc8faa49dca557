"""Read results into tables: a row per face per frame, and a row per frame."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fer_edge.analysis.files import pieces_left_out, result_files, series_of, twins
from fer_edge.analysis.parsing import FileNotes, blocks_of, other_labels
from fer_edge.analysis.resampling import Merger, interval_seconds
from fer_edge.analysis.tables import Runs, face_table, frame_table, joined
from fer_edge.errors import DataError
from fer_edge.sentences import counted, duration

MAX_LINES_NAMED = 3
MAX_DRIFT_S = 2.0  # between the time of day and t; a steady clock drifts less in a day


@dataclass(frozen=True)
class Results:
    """Results of one or several files.

    faces: a row per face per frame, in the order of the files, with the columns

        time        datetime64[ms, UTC], the time of day; NaT where the results have none
        t           float64, seconds since the first frame of its run
        frame       int64, number of the frame
        file        category, the image or source that the result names; missing for one camera or video
        id          int64, number of the face within its run; -1 without one
        x, y, w, h  float32, the face's box in pixels
        score, confidence   float32
        emotion     category, the label shown
        unsure      bool
        p_<label>   float32, a column per label
        seconds     float64, how long this result lasted: until the next one, at most 1 s; 0 for images
        run         int32, from 0: a new one starts with every start of fer-edge and with every source

    frames: a row per frame: run, frame, t, time, file, seconds, faces. A CSV has no rows for frames without faces.
    labels: the network's labels, in its order. still: whether the results are single images, which last no time.
    resampled_s: length of the intervals in seconds if the rows were merged, else None. notes: what is missing from the
    files or was left out, a sentence each. damaged: whether lines inside a file could not be read. files: those read,
    in order.
    """

    faces: pd.DataFrame
    frames: pd.DataFrame
    labels: tuple[str, ...]
    still: bool
    resampled_s: float | None
    notes: tuple[str, ...]
    damaged: bool
    files: tuple[Path, ...]


def read_results(paths: Iterable[Path | str] | Path | str, resample: str | None = None) -> pd.DataFrame:
    """Read files that `fer-edge --json` or `--csv` wrote into a tidy table, a row per face per frame.

    paths: files and folders. Pieces of a rotated output are put in order, gzip is recognized. resample: an interval
    such as "10s" or "1min"; the rows of a face in an interval are then merged while they are read, one row per emotion
    shown, with the mean of its numbers and the sum of its seconds. Use it for results of weeks.

    Returns the table described in Results.faces. Raises DataError if a file is missing, not of fer-edge, or has
    other labels than the files before it.

    >>> import json, pathlib, tempfile
    >>> from fer_edge import Face, FrameResult
    >>> face = Face((10, 20, 80, 90), 0.9, "happy", 0.8, {"happy": 0.8, "sad": 0.2}, track_id=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "faces.jsonl")
    ...     _ = path.write_text(json.dumps(FrameResult(0, 0.0, True, (face,)).to_dict()) + "\\n")
    ...     table = read_results(path)
    >>> table[["frame", "id", "emotion", "confidence"]].to_dict("records")
    [{'frame': 0, 'id': 0, 'emotion': 'happy', 'confidence': 0.800000011920929}]
    """
    return load_results(paths, resample).faces


def load_results(paths: Iterable[Path | str] | Path | str, resample: str | None = None) -> Results:
    """As read_results, with the frames and notes beside the faces.

    Raises DataError as read_results does, and for an interval that is none.
    """
    files = result_files([paths] if isinstance(paths, Path | str) else paths)
    interval_s = None if resample is None else interval_seconds(resample)
    labels: tuple[str, ...] = ()
    runs, merger, all_notes = Runs(), None if interval_s is None else Merger(interval_s), []
    tables: list[tuple[pd.DataFrame, pd.DataFrame]] = []
    before = None
    for path in files:
        all_notes.append(notes := FileNotes(path))
        if before is not None and series_of(path) != before:
            runs.end()
        before = series_of(path)
        for block in blocks_of(path, notes):
            notes.results = True
            if block.labels and set(block.labels) != set(labels or block.labels):
                raise other_labels(str(path), block.labels, labels)
            labels = labels or block.labels
            frames = frame_table(block)
            notes.bad_times += sum(time is not None for time in block.frames["time"]) - int(frames["time"].count())
            done = runs.add(frames, face_table(block, labels), notes.is_csv)
            tables.append(done if merger is None else merger.merge(*done))
        if not notes.results:
            notes.empty = True
    if all(notes.empty and not notes.is_csv for notes in all_notes):
        why = "its only line is incomplete" if all_notes[0].cut else "the run that wrote it processed no frame"
        raise DataError(f"{files[0]} holds no result: {why}")
    tables.append(runs.rest() if merger is None else merger.merge(*runs.rest()))
    faces, frames = joined(tables, labels)
    if merger is not None:
        faces, frames = merger.finish(faces, frames, labels)
    timeless = bool(len(frames)) and bool((frames["t"] == 0).all())
    still = timeless and (bool(frames["file"].notna().all()) or len(frames) > 1)  # rows of a CSV have no file
    damaged = any(notes.bad_lines for notes in all_notes)
    lines = (*_sentences(all_notes, pieces_left_out(files)), *_twin_sentences(files), *clock_sentences(frames))
    return Results(faces, frames, labels, still, interval_s, lines, damaged, tuple(files))


def _sentences(all_notes: list[FileNotes], left_out: list[Path]) -> tuple[str, ...]:
    """What the files lack, in words."""
    lines = []
    for notes in all_notes:
        if notes.empty:
            lines.append(f"{notes.path} holds no result")
        if notes.cut:
            lines.append(f"{notes.path} ends within a line, as after a power cut: that line is left out")
        if notes.bad_times:
            lines.append(f"{notes.path}: left out {counted(notes.bad_times, 'time')} of day that could not be read")
        if bad := notes.bad_lines:
            named = ", ".join(map(str, bad[:MAX_LINES_NAMED])) + (", ..." if len(bad) > MAX_LINES_NAMED else "")
            lines.append(f"{notes.path}: left out {counted(len(bad), 'line')} that could not be read (line {named})")
    if left_out:
        names = ", ".join(path.name for path in left_out[:MAX_LINES_NAMED])
        more = f" and {len(left_out) - MAX_LINES_NAMED} more" if len(left_out) > MAX_LINES_NAMED else ""
        lines.append(f"older pieces beside the results were not given: {names}{more}")
    return tuple(lines)


def _twin_sentences(files: list[Path]) -> list[str]:
    return [
        f"{lines.name} and {table.name} have one name: if they are of one run, all of it counts twice, so give one"
        for lines, table in twins(files)
    ]


def clock_sentences(frames: pd.DataFrame) -> list[str]:
    """A sentence per run, of the first few, whose time of day moved against its seconds: somebody set the clock."""
    timed = frames[frames["time"].notna()]
    if not len(timed):
        return []
    first = timed.groupby("run").head(1).set_index("run")
    passed = (timed["time"] - timed["run"].map(first["time"])).dt.total_seconds()
    drift = (passed - (timed["t"] - timed["run"].map(first["t"]))).groupby(timed["run"])
    jumps = drift.max() - drift.min()
    found = jumps[jumps > MAX_DRIFT_S].head(MAX_LINES_NAMED)
    return [
        f"run {int(run) + 1}: the clock was set by {duration(jump)} during the run, "
        "so times of day count from its first frame"
        for run, jump in zip(found.index.to_numpy(), found.to_numpy(), strict=True)
    ]

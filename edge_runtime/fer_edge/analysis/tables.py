"""Blocks of results as pandas tables; runs and durations, which need the frame after each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fer_edge.analysis.parsing import Block
from fer_edge.summary import MAX_RESULT_S

PROBABILITY = "p_"  # prefix of the columns with probabilities
CSV_MAX_FRAME_TIMES = 3.0  # a longer gap in a CSV, which leaves out frames without a face, is such frames
FRAME_COLUMNS = ("run", "frame", "t", "time", "file", "seconds", "faces")
FACE_COLUMNS = ("time", "t", "frame", "file", "id", "x", "y", "w", "h", "score", "emotion", "confidence", "unsure")
BOX_TYPES = dict.fromkeys(("x", "y", "w", "h", "score", "confidence"), np.float32)
YEARS = (1970, 2200)  # of a time of day; pandas calculates with those until 2262
Tables = tuple[pd.DataFrame, pd.DataFrame]
"""Faces, frames."""


def frame_table(block: Block) -> pd.DataFrame:
    """A row per frame of `block`: frame, t, time, file and the number of faces."""
    frames = pd.DataFrame(block.frames).astype({"frame": np.int64, "t": np.float64, "file": object})
    times = pd.to_datetime(pd.Series(block.frames["time"], dtype=object), utc=True, errors="coerce", format="ISO8601")
    frames["time"] = times.dt.as_unit("ms").where(times.dt.year.between(*YEARS))
    frames["faces"] = np.bincount(np.asarray(block.faces["frame_row"], np.int64), minlength=len(frames))
    return frames


def face_table(block: Block, labels: Sequence[str]) -> pd.DataFrame:
    """A row per face of `block`; `frame_row` is its frame's row in frame_table."""
    faces = pd.DataFrame(block.faces).astype(
        {"frame_row": np.int64, "id": np.int64, "unsure": bool, "emotion": object, **BOX_TYPES}
    )
    order = [block.labels.index(label) for label in labels if block.labels]
    values = np.asarray(block.probabilities, np.float32).reshape(len(faces), len(labels))[:, order]
    return pd.concat([faces, pd.DataFrame(values, columns=[PROBABILITY + label for label in labels])], axis=1)


class Runs:
    """Numbers the runs and measures how long each result lasted, block by block.

    A run ends where the frame number or t does not rise, or another source begins. A result lasts until the next one
    of its run, at most MAX_RESULT_S, and the last one as long as the one before it. So the last frame of a block waits
    here for the next block.
    """

    def __init__(self) -> None:
        self._run = -1
        self._waiting: Tables | None = None
        self._last_seconds = 0.0
        self._is_csv = self._ended = False

    def end(self) -> None:
        """Say that the next block belongs to another run, whatever its numbers are."""
        self._ended = True

    def add(self, frames: pd.DataFrame, faces: pd.DataFrame, is_csv: bool) -> Tables:
        """Add the next block; returns the faces and frames that are complete now, with `run` and `seconds`."""
        forced = np.zeros(len(frames), bool)
        if len(frames):
            forced[0] = self._ended or self._waiting is None
            self._ended = False
        if self._waiting is not None:
            held_faces, held_frames = self._waiting
            frames = pd.concat([held_frames, frames], ignore_index=True)
            faces = pd.concat([held_faces, faces.assign(frame_row=faces["frame_row"] + len(held_frames))])
            forced = np.concatenate([[False], forced])
        self._is_csv = is_csv
        starts = forced | _restarts(frames)
        if self._waiting is not None:
            starts[0] = False
        frames["run"] = self._run + np.cumsum(starts)
        frames["seconds"] = self._seconds(frames)
        kept, held = frames.iloc[:-1], frames.iloc[-1:].reset_index(drop=True)
        if len(frames) > 1:
            self._last_seconds = float(kept["seconds"].iloc[-1]) if starts[-1] == 0 else 0.0
            self._run = int(held["run"].iloc[0])
        elif len(frames):
            self._run = int(held["run"].iloc[0])
        done = faces[faces["frame_row"] < len(kept)]
        self._waiting = faces[faces["frame_row"] >= len(kept)].assign(frame_row=0), held
        return _with_frames(done, kept), kept[list(FRAME_COLUMNS)]

    def rest(self) -> Tables:
        """The faces and the frame that waited for another block."""
        if self._waiting is None:
            return pd.DataFrame(), pd.DataFrame()
        faces, frames = self._waiting
        frames = frames.assign(seconds=self._last_seconds)
        return _with_frames(faces, frames), frames[list(FRAME_COLUMNS)]

    def _seconds(self, frames: pd.DataFrame) -> np.ndarray:
        """How long each frame lasted; the last one's is not known yet."""
        t, run = frames["t"].to_numpy(), frames["run"].to_numpy()
        if len(t) < 2:
            return np.zeros(len(t))
        gaps = np.append(np.diff(t), 0.0)
        is_last = np.append(run[1:] != run[:-1], True)
        known = gaps[~is_last]
        longest = MAX_RESULT_S
        if self._is_csv and len(known):
            longest = min(longest, CSV_MAX_FRAME_TIMES * float(np.median(known)))
        lasted = np.clip(gaps, 0.0, longest)
        before = np.concatenate([[self._last_seconds], lasted[:-1]])
        starts = np.concatenate([[False], run[1:] != run[:-1]])
        lasted[is_last] = np.where(starts, 0.0, before)[is_last]  # of a single frame nothing is known
        return np.asarray(lasted)


def _restarts(frames: pd.DataFrame) -> np.ndarray:
    """Where a frame does not follow the one before it."""
    frame, t, file = (frames[name].to_numpy() for name in ("frame", "t", "file"))
    later = (frame[1:] <= frame[:-1]) | (t[1:] < t[:-1]) | (file[1:] != file[:-1])
    return np.concatenate([np.zeros(min(1, len(frames)), bool), later])


def _with_frames(faces: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """The faces with the columns of their frames, in the order of FACE_COLUMNS, probabilities, seconds, run."""
    row = faces["frame_row"].to_numpy()
    own = {name: frames[name].to_numpy()[row] for name in ("t", "frame", "file", "seconds", "run")}
    table = faces.drop(columns="frame_row").assign(**own)
    table["time"] = frames["time"].array[row]
    probabilities = [name for name in table.columns if name.startswith(PROBABILITY)]
    return table[[*FACE_COLUMNS, *probabilities, "seconds", "run"]]


def joined(tables: Sequence[Tables], labels: Sequence[str]) -> Tables:
    """All blocks as one table of faces and one of frames, emotions and files as categories."""
    faces = [faces for faces, _ in tables if len(faces)]
    frames = [frames for _, frames in tables if len(frames)]
    if not frames:
        empty = Runs()
        empty.add(frame_table(Block()), face_table(Block(), labels), is_csv=False)
        return empty.rest()
    all_frames = pd.concat(frames, ignore_index=True)
    all_faces = pd.concat(faces or [tables[0][0]], ignore_index=True)
    others = sorted(set(all_faces["emotion"].unique()) - set(labels))
    all_faces["emotion"] = pd.Categorical(all_faces["emotion"], categories=[*labels, *others])
    for table in (all_faces, all_frames):
        table["file"] = table["file"].astype("category")
        table["run"] = table["run"].astype(np.int32)
    return all_faces, all_frames

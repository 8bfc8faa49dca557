"""Merge the rows of an interval, so that results of weeks fit into memory."""

from collections.abc import Sequence

import pandas as pd

from fer_edge.analysis.tables import PROBABILITY, Tables
from fer_edge.errors import DataError

MIN_INTERVAL_S = 0.001
MEANS = ("x", "y", "w", "h", "score", "confidence")
FIRSTS = {"time": "min", "t": "min", "frame": "min", "file": "first"}
LASTS = {"seconds": "sum", "faces": "max", "frames": "sum", "frames_with_faces": "sum", "last_t": "max"}  # of frames


def interval_seconds(text: str) -> float:
    """The length of an interval such as "10s", "5min" or "1h" in seconds; DataError if it is none.

    >>> interval_seconds("5min")
    300.0
    """
    try:
        seconds = pd.Timedelta(float(text), "s") if text.replace(".", "", 1).isdigit() else pd.Timedelta(text)
        length = float(seconds.total_seconds())
    except (ValueError, OverflowError):
        length = float("nan")
    if not length >= MIN_INTERVAL_S:
        raise DataError(f"{text!r} is not an interval: give a number and a unit, as in 10s, 5min or 1h")
    return length


class Merger:
    """Merges the rows of a face in an interval of `interval_s` seconds, one row per emotion shown and unsure or not.

    Intervals are those of the time of day where results have one, else of t within the run.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s

    def merge(self, faces: pd.DataFrame, frames: pd.DataFrame) -> Tables:
        """Merge the rows of one block. Numbers are sums until `finish`, because an interval may go on in the next."""
        if len(faces):
            faces = self._with_interval(faces).assign(rows=1)
        if len(frames):
            seen = (frames["faces"] > 0).astype("int64")
            frames = self._with_interval(frames).assign(frames=1, frames_with_faces=seen, last_t=frames["t"])
        return self._sum_faces(faces), self._sum_frames(frames)

    def finish(self, faces: pd.DataFrame, frames: pd.DataFrame, labels: Sequence[str]) -> Tables:
        """Merge what lies on both sides of a block's end, and turn sums into means."""
        faces, frames = self._sum_faces(faces), self._sum_frames(frames)
        if len(faces):
            for name in (*MEANS, *(PROBABILITY + label for label in labels)):
                faces[name] = (faces[name] / faces["rows"]).astype("float32")
            faces = faces.sort_values(["run", "interval", "id"], kind="stable")
        faces, frames = (table.drop(columns="interval", errors="ignore") for table in (faces, frames))
        return faces.reset_index(drop=True), frames.reset_index(drop=True)

    def _with_interval(self, table: pd.DataFrame) -> pd.DataFrame:
        since_1970 = table["time"].astype("int64") / 1000
        clock = since_1970.where(table["time"].notna(), table["t"])
        return table.assign(interval=(clock // self._interval_s).astype("int64"))

    def _sum_faces(self, faces: pd.DataFrame) -> pd.DataFrame:
        if not len(faces):
            return faces
        sums = [*MEANS, *(name for name in faces.columns if name.startswith(PROBABILITY)), "seconds", "rows"]
        groups = faces.groupby(["run", "interval", "id", "emotion", "unsure"], sort=False, observed=True)
        merged = groups.agg(FIRSTS | dict.fromkeys(sums, "sum")).reset_index()
        return merged[[*(name for name in faces.columns if name != "interval"), "interval"]]

    def _sum_frames(self, frames: pd.DataFrame) -> pd.DataFrame:
        if not len(frames):
            return frames
        groups = frames.groupby(["run", "interval"], sort=False)
        return groups.agg(FIRSTS | LASTS).reset_index()

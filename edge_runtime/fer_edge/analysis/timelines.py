"""Shares of the emotions per interval of time, for all faces together and for each of those seen longest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_edge.analysis.resampling import interval_seconds
from fer_edge.analysis.results import Results
from fer_edge.analysis.summaries import UNSURE, labels_of, shown
from fer_edge.analysis.tables import PROBABILITY

GROUP = "all"  # who: all faces together
SHARE, SPREAD = "share_", "sd_"
NICE_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
MAX_POINTS = 500
MAX_INTERVALS = 1_000_000  # of one table; more would be a slip of the unit
MAX_PAUSE_S = 400 * 86400.0  # between runs: longer ones come from a clock that was not set
GAP_BETWEEN_RUNS_S = 1.0  # where runs have no time of day
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """One time axis for all runs.

    start: the time of day at second 0; None without one, then the runs follow one another. offset_s: by run, what to
    add to its `t` to get seconds on the axis. length_s: seconds from 0 to the end of the last result. starts_s: where
    each run starts.
    """

    start: pd.Timestamp | None
    offset_s: "pd.Series[float]"
    length_s: float
    starts_s: tuple[float, ...]

    def seconds(self, table: pd.DataFrame) -> Floats:
        """Where each row of `table` lies on the axis."""
        return np.asarray(table["t"].to_numpy(np.float64) + self.offset_s.reindex(table["run"]).to_numpy(np.float64))


def axis_of(table: pd.DataFrame) -> Axis:
    """The axis for a table of faces or of frames: by the time of day if every run has one."""
    runs = table.groupby("run").agg(
        first=("t", "min"), last=("t", "max"), time=("time", "min"), lasted=("seconds", "max")
    )
    if not len(runs):
        return Axis(None, pd.Series(dtype=float), 0.0, ())
    lengths = runs["last"] - runs["first"] + runs["lasted"].clip(upper=np.maximum(1.0, runs["lasted"].median()))
    start = runs["time"].min()
    begins = (runs["time"] - start).dt.total_seconds()
    pauses = np.diff(np.sort(begins.to_numpy()))
    if runs["time"].isna().any() or (len(pauses) and pauses.max() > MAX_PAUSE_S):
        start = None
        begins = (lengths + GAP_BETWEEN_RUNS_S).cumsum().shift(fill_value=0.0)
    length_s = float((begins + lengths).max())
    return Axis(start, begins - runs["first"], length_s, tuple(begins.sort_values()))


def nice_interval(length_s: float, points: int, least_s: float = 0.0) -> float:
    """The shortest usual interval that divides `length_s` into at most `points` parts, at least `least_s`.

    >>> nice_interval(3600, 500), nice_interval(9.5, 500), nice_interval(86400 * 365, 500)
    (10.0, 0.1, 86400.0)
    """
    needed = max(length_s / points, least_s)
    days = 86400.0 * max(1, int(np.ceil(needed / 86400)))
    return float(next((nice for nice in NICE_S if nice >= needed), days))


def timeline(
    table: pd.DataFrame | Results, every: str | float | None = None, faces: int = 20, points: int = MAX_POINTS
) -> pd.DataFrame:
    """Shares of the emotions per interval, for all faces and for each of those seen longest.

    table: of read_results, or Results. every: length of an interval, as "10s" or in seconds; None for the shortest
    usual one that gives at most `points` of them. faces: how many faces to list, beside all together.

    Returns a row per face and interval, also where no face was seen, with the columns

        who         "all", or "face 3" ("run 2, face 3" of several runs)
        start       float64, seconds since the first result
        time        datetime64, where results have the time of day
        seconds     float64, how long faces were seen in the interval
        share_<label>, share_unsure   float64, 0 to 1; NaN where no face was seen: a gap
        p_<label>, sd_<label>         float64, mean and standard deviation of the probability; NaN in gaps

    Raises DataError if `every` is no interval, and ValueError if it is so short that the table would not fit.

    >>> import pandas as pd
    >>> faces = pd.DataFrame({"run": 0, "t": [0.0, 1.0, 3.0], "time": pd.NaT, "id": 0, "unsure": False,
    ...     "emotion": ["happy", "sad", "sad"], "seconds": 1.0, "p_happy": [0.8, 0.3, 0.2], "p_sad": [0.2, 0.7, 0.8]})
    >>> timeline(faces, every=2)[["who", "start", "share_happy"]].head(2).to_dict("records")
    [{'who': 'all', 'start': 0.0, 'share_happy': 0.5}, {'who': 'all', 'start': 2.0, 'share_happy': 0.0}]
    """
    rows = table.faces if isinstance(table, Results) else table
    axis = axis_of(table.frames if isinstance(table, Results) else table)
    least_s = (table.resampled_s or 0.0) if isinstance(table, Results) else 0.0
    labels = labels_of(rows)
    every_s = nice_interval(axis.length_s, points, least_s)
    if every is not None:
        every_s = interval_seconds(str(every))
    count = max(1, int(np.ceil(axis.length_s / every_s - 1e-6)))
    listed = longest_seen(rows, faces)
    if count * (len(listed) + 1) > MAX_INTERVALS:
        raise ValueError(f"intervals of {every_s:g} s give {count:,} rows per face: take longer ones")
    x = axis.seconds(rows)
    names = pd.Categorical(shown(rows), categories=[*labels, UNSURE]).codes.astype(np.int64)
    values = rows[[PROBABILITY + label for label in labels]].to_numpy(np.float64)
    lasted = rows["seconds"].to_numpy(np.float64)
    several = rows["run"].nunique() > 1
    parts = [_part(GROUP, x, lasted, names, values, every_s, count, labels, least_s)]
    for run, identity in listed:
        one = ((rows["run"] == run) & (rows["id"] == identity)).to_numpy()
        who = f"run {run + 1}, face {identity}" if several else f"face {identity}"
        parts.append(_part(who, x[one], lasted[one], names[one], values[one], every_s, count, labels, least_s))
    found = pd.concat(parts, ignore_index=True)
    if axis.start is not None:
        found.insert(2, "time", axis.start + pd.to_timedelta(found["start"], "s"))
    return found


def longest_seen(faces: pd.DataFrame, count: int) -> list[tuple[int, int]]:
    """(run, id) of the faces that were seen longest."""
    seconds = faces.groupby(["run", "id"])["seconds"].sum().nlargest(count)
    return [(int(run), int(identity)) for run, identity in seconds.index]


def _part(
    who: str, x: Floats, lasted: Floats, names: npt.NDArray[np.int64], values: Floats,
    every_s: float, count: int, labels: tuple[str, ...], merged_s: float,
) -> pd.DataFrame:  # fmt: skip
    """The rows of `timeline` for one face or all. merged_s: interval of rows that were merged, which aren't split."""
    row, place, amount = _pieces(x, np.zeros_like(lasted) if merged_s else lasted, every_s, count)
    weight = np.where(lasted[row] > 0, lasted[row] if merged_s else amount, 1e-9)  # a last frame may last no time
    seconds = np.bincount(place, np.where(lasted[row] > 0, weight, 0.0), count)
    total = np.bincount(place, weight, count)
    seen = np.where(total > 0, total, np.nan)
    found: dict[str, object] = {"who": who, "start": np.arange(count) * every_s, "seconds": seconds}
    for code, label in enumerate((*labels, UNSURE)):
        mine = names[row] == code
        found[SHARE + label] = np.bincount(place[mine], weight[mine], count) / seen
    for column, label in enumerate(labels):
        value = values[row, column]
        mean = np.bincount(place, weight * value, count) / seen
        square = np.bincount(place, weight * value * value, count) / seen
        found[PROBABILITY + label] = mean
        found[SPREAD + label] = np.sqrt(np.clip(square - mean * mean, 0.0, None))
    return pd.DataFrame(found)


def _pieces(
    x: Floats, lasted: Floats, every_s: float, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]:
    """Split rows at the ends of intervals: the row, the interval and the seconds of every piece."""
    tiny = 1e-6 * every_s  # a result that ends where an interval does is not in the next one
    first = np.clip(np.floor((x + tiny) / every_s), 0, count - 1).astype(np.int64)
    last = np.clip(np.floor((x + lasted - tiny) / every_s), first, count - 1).astype(np.int64)
    number = last - first + 1
    row = np.repeat(np.arange(len(x)), number)
    place = first[row] + np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    begin = np.maximum(x[row], place * every_s)
    end = np.minimum((x + lasted)[row], (place + 1) * every_s)
    return row, place, np.clip(end - begin, 1e-9, None)

"""Sum results up: who was seen when, how long each emotion lasted, how often it changed, and how sure all that is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fer_edge.analysis.bootstrap import ShareIntervals, share_intervals
from fer_edge.analysis.results import Results
from fer_edge.analysis.tables import PROBABILITY

SCHEMA = 1
MAX_BINS = 4000  # of the bootstrap's series
MIN_BIN_S = 0.05
MAX_FACES_LISTED = 200
UNSURE = "unsure"


def labels_of(faces: pd.DataFrame) -> tuple[str, ...]:
    """The network's labels, from the names of the columns with probabilities."""
    return tuple(name.removeprefix(PROBABILITY) for name in faces.columns if name.startswith(PROBABILITY))


def shown(faces: pd.DataFrame) -> "pd.Series[Any]":
    """What was shown of each row: its emotion, or "unsure"."""
    names = faces["emotion"].astype(object)
    return names.where(~faces["unsure"], UNSURE)


def weights_of(faces: pd.DataFrame) -> "pd.Series[Any]":
    """How many frames each row stands for: 1, or `rows` of a resampled table."""
    return faces["rows"] if "rows" in faces else pd.Series(1, index=faces.index)


def summarize(results: Results | pd.DataFrame) -> dict[str, Any]:
    """Sum up a table of read_results, or the Results of load_results.

    Returns a dictionary as the command's --json writes it (docs/formats.md): the span of time, frames, faces; per
    emotion `rows`, `share` (of all rows, unsure ones apart), `share_with_unsure` (unsure rows under their leading
    label), `seconds`, and `low` and `high`, the 95 % interval of the share; `unsure`; `changes_per_minute`; and the
    faces, those seen longest first, at most 200.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"run": 0, "frame": [0, 1], "t": [0.0, 0.5], "time": pd.NaT, "file": None, "id": 0,
    ...     "emotion": ["happy", "sad"], "unsure": False, "seconds": 0.5, "p_happy": [0.8, 0.3], "p_sad": [0.2, 0.7]})
    >>> summarize(table)["emotions"]["happy"]["share"]
    0.5
    """
    faces = results.faces if isinstance(results, Results) else results
    frames = results.frames if isinstance(results, Results) else None
    labels = results.labels if isinstance(results, Results) else labels_of(faces)
    still = results.still if isinstance(results, Results) else bool((faces["seconds"] == 0).all())
    intervals = group_intervals(faces, labels)
    weights, names = weights_of(faces), shown(faces)
    identities = faces.groupby(["run", "file", "id"] if still else ["run", "id"], observed=True, dropna=False)
    listed = [] if still else _faces(faces, identities, labels)
    summary: dict[str, Any] = {
        "schema": SCHEMA,
        "labels": list(labels),
        "runs": int((faces if frames is None else frames)["run"].nunique()),
        "frames": _frame_count(faces, frames),
        "frames_with_faces": _frame_count_with_faces(faces, frames),
        "faces": len(faces) if still else identities.ngroups,
        "rows": int(weights.sum()),
        "seconds": None if still else round(float(faces["seconds"].sum()), 3),
        **_span(faces if frames is None else frames),
        "emotions": _emotions(faces, weights, names, labels, intervals, still),
        UNSURE: _figures(names == UNSURE, faces, weights, intervals, len(labels), still),
        "interval_blocks": round(intervals.blocks, 1),
        "intervals_reliable": intervals.is_reliable,
        "changes_per_minute": None if still else changes_per_minute(faces),
        "tracks": listed,
        "tracks_left_out": 0 if still else identities.ngroups - len(listed),
    }
    if isinstance(results, Results):
        summary["notes"] = list(results.notes)
    return summary


def group_intervals(faces: pd.DataFrame, labels: tuple[str, ...], leading: bool = False) -> ShareIntervals:
    """Bootstrap intervals of the shares of all labels, then unsure, over the whole group of faces.

    leading: count unsure rows under their leading label, as the error rates of a network do.
    """
    names = faces["emotion"] if leading else shown(faces)
    codes = pd.Categorical(names, categories=[*labels, UNSURE]).codes.astype(np.int64)
    bins, count = time_bins(faces)
    known = codes >= 0
    amounts = np.zeros((count, len(labels) + 1))
    np.add.at(amounts, (bins[known], codes[known]), weights_of(faces).to_numpy(np.float64)[known])
    return share_intervals(amounts)


def time_bins(faces: pd.DataFrame) -> tuple[npt.NDArray[np.int64], int]:
    """The stretch of time of every row, and how many there are: equal parts of at least MIN_BIN_S.

    Runs follow one another. Images, which have no time, are a stretch each.
    """
    if not len(faces):
        return np.empty(0, np.int64), 0
    run, t = faces["run"].to_numpy(np.int64), faces["t"].to_numpy(np.float64)
    numbers = pd.factorize(run)[0]
    lengths = pd.Series(t).groupby(numbers).agg(["min", "max"])
    spans = (lengths["max"] - lengths["min"]).to_numpy()
    if not spans.sum():
        places = pd.factorize(pd.MultiIndex.from_arrays([run, faces["frame"].to_numpy(np.int64)]))[0]
        return places.astype(np.int64), int(places.max()) + 1
    step = max(MIN_BIN_S, float(spans.sum()) / MAX_BINS)
    counts = np.floor(spans / step).astype(np.int64) + 1
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    inside = np.floor((t - lengths["min"].to_numpy()[numbers]) / step).astype(np.int64)
    return first[numbers] + inside, int(counts.sum())


def changes_per_minute(faces: pd.DataFrame) -> float | None:
    """How often the emotion shown by a face changed, per minute that faces were seen; unsure rows are passed over.

    None if no time passed, or rows were merged: they don't tell how often an emotion came back.
    """
    minutes = float(faces["seconds"].sum()) / 60
    if not minutes or "rows" in faces:
        return None
    sure = faces[~faces["unsure"]]
    ordered = sure.sort_values(["run", "id"], kind="stable")
    same_face = (ordered[["run", "id"]].to_numpy()[1:] == ordered[["run", "id"]].to_numpy()[:-1]).all(axis=1)
    emotion = ordered["emotion"].astype(object).to_numpy()
    return round(float((same_face & (emotion[1:] != emotion[:-1])).sum()) / minutes, 3)


def _figures(
    chosen: "pd.Series[bool]", faces: pd.DataFrame, weights: "pd.Series[Any]", intervals: ShareIntervals, place: int,
    still: bool,
) -> dict[str, Any]:  # fmt: skip
    total, rows = int(weights.sum()), int(weights[chosen].sum())
    return {
        "rows": rows,
        "share": round(rows / total, 6) if total else 0.0,
        "low": round(float(intervals.low[place]), 6),
        "high": round(float(intervals.high[place]), 6),
        "seconds": None if still else round(float(faces["seconds"][chosen].sum()), 3),
    }


def _emotions(
    faces: pd.DataFrame, weights: "pd.Series[Any]", names: "pd.Series[Any]", labels: tuple[str, ...],
    intervals: ShareIntervals, still: bool,
) -> dict[str, Any]:  # fmt: skip
    total = int(weights.sum())
    found = {}
    for place, label in enumerate(labels):
        figures = _figures(names == label, faces, weights, intervals, place, still)
        leading = int(weights[faces["emotion"] == label].sum())
        found[label] = figures | {"share_with_unsure": round(leading / total, 6) if total else 0.0}
    return found


def _frame_count(faces: pd.DataFrame, frames: pd.DataFrame | None) -> int:
    if frames is not None:
        return int(frames["frames"].sum()) if "frames" in frames else len(frames)
    return _frame_count_with_faces(faces, None)


def _frame_count_with_faces(faces: pd.DataFrame, frames: pd.DataFrame | None) -> int:
    if frames is not None and "frames_with_faces" in frames:  # merged rows
        return int(frames["frames_with_faces"].sum())
    return len(faces[["run", "frame"]].drop_duplicates())


def _span(table: pd.DataFrame) -> dict[str, Any]:
    """First and last time of day, and the seconds from the first to the last result of every run."""
    if not len(table):
        return {"first_time": None, "last_time": None, "watched_seconds": 0.0}
    last = "last_t" if "last_t" in table else "t"
    t = table.groupby("run", observed=True).agg(min=("t", "min"), max=(last, "max"))
    return {
        "first_time": _clock(table["time"].min()),
        "last_time": _clock(table["time"].max()),
        "watched_seconds": round(float((t["max"] - t["min"]).sum()), 3),
    }


def _clock(time: Any) -> str | None:
    return None if pd.isna(time) else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _faces(faces: pd.DataFrame, identities: Any, labels: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """A dictionary per face, those seen longest first, at most MAX_FACES_LISTED."""
    longest = identities["seconds"].sum().nlargest(MAX_FACES_LISTED, keep="first").index
    if not len(longest):
        return []
    keys = pd.MultiIndex.from_arrays([faces["run"], faces["id"]])
    chosen = faces[keys.isin(longest)]
    table = chosen.groupby(["run", "id"]).agg(
        seconds=("seconds", "sum"), first_t=("t", "min"), last_t=("t", "max"),
        first_time=("time", "min"), last_time=("time", "max"),
    )  # fmt: skip
    table["rows"] = weights_of(chosen).groupby([chosen["run"], chosen["id"]]).sum()
    by_emotion = chosen["seconds"].groupby([chosen["run"], chosen["id"], shown(chosen)]).sum()
    counts: dict[tuple[int, int], dict[str, float]] = {}
    keys_of: list[Any] = by_emotion.index.to_list()
    for (run, identity, name), seconds in zip(keys_of, by_emotion.to_numpy(), strict=True):
        counts.setdefault((run, identity), {})[name] = round(float(seconds), 3)
    return [_face(index, table.loc[index], counts[index], labels) for index in longest]


def _face(index: Any, row: Any, seconds: Mapping[str, float], labels: tuple[str, ...]) -> dict[str, Any]:
    run, identity = (int(value) for value in index)
    main = max((name for name in seconds if name != UNSURE), key=seconds.__getitem__, default=UNSURE)
    face = {
        "run": run,
        "id": identity,
        "rows": int(row["rows"]),
        "seconds": round(float(row["seconds"]), 3),
        "first_t": round(float(row["first_t"]), 3),
        "last_t": round(float(row["last_t"]), 3),
        "emotion": main,
        "emotion_seconds": {name: seconds[name] for name in (*labels, UNSURE) if name in seconds},
    }
    for name in ("first_time", "last_time"):
        if (clock := _clock(row[name])) is not None:
            face[name] = clock
    return face

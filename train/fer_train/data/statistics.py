"""What a data set holds: images per class and split, copies, and copies with different labels."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from fer_edge.guards.text import printable
from fer_train.data import FaceData, fingerprints, majority_labels
from fer_train.tables import aligned

SCHEMA = 1
MAX_CONFLICTS_SHOWN = 5


@dataclass(frozen=True)
class DataStatistics:
    """Counts of one data set. Copies are pixel-identical images.

    counts: images by split and class. within: by split, how many images are copies of an earlier one in that split.
    across: by pair of splits, how many images of the second are also in the first. conflicts: groups of copies
    with more than one label, as (place, label) pairs. constant: images of a single gray value.
    ferplus_agreement: fraction of the labels that equal the majority of FER+ votes, among faces with a majority;
    None without votes.
    """

    title: str
    counts: dict[str, dict[str, int]]
    within: dict[str, int]
    across: dict[tuple[str, str], int]
    conflicts: tuple[tuple[tuple[str, str], ...], ...]
    constant: int
    notes: tuple[str, ...]
    ferplus_agreement: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of summary.json."""
        return {
            "schema": SCHEMA,
            "data": self.title,
            "counts": self.counts,
            "duplicates_within": self.within,
            "duplicates_across": {f"{second} in {first}": count for (first, second), count in self.across.items()},
            "conflicting_labels": [[list(pair) for pair in group] for group in self.conflicts],
            "constant_images": self.constant,
            "ferplus_agreement": self.ferplus_agreement,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        totals = {split: sum(counts.values()) for split, counts in self.counts.items()}
        rows = [("", *totals)]
        for name in next(iter(self.counts.values())):
            rows.append(
                (name, *(_with_percentage(counts[name], totals[split]) for split, counts in self.counts.items()))
            )
        rows.append(("all", *(f"{total:,}         " for total in totals.values())))
        lines = [printable(self.title), "", *aligned(rows), ""]
        lines += [f"{count:,} copies within {split}" for split, count in self.within.items()]
        for (first, second), count in self.across.items():
            lines.append(f"{_with_percentage(count, totals[second]).strip()} of {second} are also in {first}")
        lines.append(f"{len(self.conflicts):,} images occur with more than one label{self._examples()}")
        if self.constant:
            lines.append(f"{self.constant:,} images are blank: every pixel has the same gray value")
        if self.ferplus_agreement is not None:
            lines.append(f"{self.ferplus_agreement:.1%} of the labels equal the FER+ majority, among faces with one")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _examples(self) -> str:
        shown = [
            " = ".join(f"{place} {label}" for place, label in group) for group in self.conflicts[:MAX_CONFLICTS_SHOWN]
        ]
        return f", for example {'; '.join(shown)}" if shown else ""


def count_statistics(data: FaceData) -> DataStatistics:
    """Count the classes, copies and conflicts of `data`."""
    places = [f"face {row}" for row in range(1, len(data) + 1)] if data.names is None else data.names
    faces = pd.DataFrame({
        "split": data.usage, "label": np.array(data.classes)[data.labels], "place": places,
        "fingerprint": fingerprints(data.images),
    })  # fmt: skip
    splits = data.splits()
    counts = pd.crosstab(faces["label"], faces["split"]).reindex(data.classes, columns=splits, fill_value=0)
    copies = faces["split"][faces.duplicated(["split", "fingerprint"])].value_counts()
    by_split = dict(list(faces.groupby("split")["fingerprint"]))
    labels_per_image = faces.groupby("fingerprint")["label"].transform("nunique")
    conflicts = faces[labels_per_image > 1].groupby("fingerprint", sort=False)
    return DataStatistics(
        title=str(data.path),
        counts={split: dict(zip(data.classes, counts[split].tolist(), strict=True)) for split in splits},
        within={split: int(copies.get(split, 0)) for split in splits},
        across={
            (first, second): int(by_split[second].isin(by_split[first]).sum())
            for first, second in combinations(splits, 2)
        },
        conflicts=tuple(tuple(zip(group["place"], group["label"], strict=True)) for _, group in conflicts),
        constant=int((np.ptp(data.images.reshape(len(data), -1), axis=1) == 0).sum()),
        notes=data.notes,
        ferplus_agreement=_ferplus_agreement(data),
    )


def _ferplus_agreement(data: FaceData) -> float | None:
    if data.votes is None:
        return None
    majority = majority_labels(data)
    agrees = (majority == data.labels)[majority >= 0]
    return float(agrees.mean()) if agrees.size else None


def _with_percentage(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(total, 1):4.1f} %)"

"""What a data set holds: images per class and split, and images that stand in it more than once."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from fer_train.data import FaceData, fingerprints, majority_labels
from fer_train.tables import aligned

SCHEMA = 1
SHOWN = 5


@dataclass(frozen=True)
class Summary:
    """Counts of one data set.

    counts: images by split and class. within: by split, how many images are copies of an earlier one of it.
    across: by pair of splits, how many images of the second stand in the first, too. conflicts: groups of identical
    images with more than one label, as (place, label) pairs. constant: images of one single grey value.
    ferplus_agreement: share of the labels that equal the majority of FER+ votes, where there is one; else None.
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
        """For summary.json."""
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
            rows.append((name, *(_share(counts[name], totals[split]) for split, counts in self.counts.items())))
        rows.append(("all", *(f"{total:,}         " for total in totals.values())))
        lines = [self.title, "", *aligned(rows), ""]
        lines += [f"{count:,} copies within {split}" for split, count in self.within.items()]
        for (first, second), count in self.across.items():
            lines.append(f"{_share(count, totals[second]).strip()} of {second} also stand in {first}")
        lines.append(f"{len(self.conflicts):,} images stand there under more than one label{self._examples()}")
        if self.constant:
            lines.append(f"{self.constant:,} images are of one grey value, so show nothing")
        if self.ferplus_agreement is not None:
            lines.append(
                f"{self.ferplus_agreement:.1%} of the labels equal the majority of FER+ votes, where there is one"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _examples(self) -> str:
        shown = [" = ".join(f"{place} {label}" for place, label in group) for group in self.conflicts[:SHOWN]]
        return f", such as {'; '.join(shown)}" if shown else ""


def summarize(data: FaceData) -> Summary:
    """Count what `data` holds."""
    groups = defaultdict[bytes, list[int]](list)
    for row, mark in enumerate(fingerprints(data.images)):
        groups[mark].append(row)
    repeated = [rows for rows in groups.values() if len(rows) > 1]
    splits = data.splits()
    within, across = Counter[str](), Counter[tuple[str, str]]()
    for rows in repeated:
        found = Counter(data.usage[rows].tolist())
        for split, count in found.items():
            within[split] += count - 1
        for first, second in combinations([split for split in splits if split in found], 2):
            across[first, second] += found[second]
    agreement = None
    if data.votes is not None:
        majority = majority_labels(data)
        agreement = float((majority == data.labels)[majority >= 0].mean()) if (majority >= 0).any() else None
    return Summary(
        title=str(data.path),
        counts={split: data.split(split).counts() for split in splits},
        within={split: within[split] for split in splits},
        across={pair: across[pair] for pair in combinations(splits, 2)},
        conflicts=tuple(
            tuple((_place(data, row), data.classes[data.labels[row]]) for row in rows)
            for rows in repeated
            if len(np.unique(data.labels[rows])) > 1
        ),
        constant=int((np.ptp(data.images.reshape(len(data), -1), axis=1) == 0).sum()),
        notes=data.notes,
        ferplus_agreement=agreement,
    )


def _place(data: FaceData, row: int) -> str:
    return f"face {row + 1}" if data.names is None else str(data.names[row])


def _share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(total, 1):4.1f} %)"

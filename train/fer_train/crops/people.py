"""Keep people aside for testing: a person's faces are all on one side."""

from collections.abc import Sequence

import numpy as np

from fer_edge.errors import DataError


def keep_aside(people: Sequence[str], labels: Sequence[int], share: float, seed: int) -> set[str]:
    """Return the people whose faces are for testing: `share` (0 to 1) of the people of each label.

    people, labels: of each face. A person counts for the rarest of their labels, so that rare labels are on both
    sides. Raises DataError if that leaves one side without faces.
    """
    counts = np.bincount(labels)
    rarest: dict[str, int] = {}
    for person, label in zip(people, labels, strict=True):
        if person not in rarest or counts[label] < counts[rarest[person]]:
            rarest[person] = label
    generator = np.random.default_rng(seed)
    aside: set[str] = set()
    for label in range(len(counts)):
        members = sorted(person for person, own in rarest.items() if own == label)
        generator.shuffle(members)
        aside.update(members[: round(share * len(members))])
    if not aside or len(aside) == len(rarest):
        names = sorted(rarest)[:3]
        raise DataError(
            f"--keep-aside {share:g} leaves one side without people: the faces are of {len(rarest)} "
            f"({', '.join(names)}{', ...' * (len(rarest) > 3)}); more people, or a column person in --labels, help"
        )
    return aside

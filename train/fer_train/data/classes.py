"""Classes by their many spellings: order them, keep, drop and merge them, and match them with a network's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fer_edge.errors import DataError
from fer_train.class_choice import ClassChoice
from fer_train.data.faces import FER2013_CLASSES, FaceData

# What FER2013's classes are called in folders and in other data sets.
SPELLINGS = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprised": "surprise",
} | {name: name for name in FER2013_CLASSES}  # fmt: skip


def canonical(name: str) -> str:
    """FER2013's name for `name` ("angry" for "Anger"), or, for a class FER2013 doesn't have, `name` in lower case."""
    plain = name.strip().casefold()
    return SPELLINGS.get(plain, plain)


def ordered_classes(names: Iterable[str]) -> dict[str, str]:
    """By canonical name, what to call each class: FER2013's first and in its order, then the others by name.

    A class that FER2013 doesn't have is called as it is spelled first.
    """
    found: dict[str, str] = {}
    for name in names:
        plain = canonical(name)
        found.setdefault(plain, plain if plain in FER2013_CLASSES else name.strip())
    known = [name for name in FER2013_CLASSES if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def mapping_of(choice: ClassChoice, data: FaceData) -> dict[str, str | None]:
    """By class of `data`, the class it becomes by `choice`, None where it is left out; DataError if one is unknown."""
    own = {canonical(name): name for name in data.classes}
    mapping: dict[str, str | None] = dict.fromkeys(data.classes)
    for name, sources in choice.items():
        for source in sources:
            found = source if source in mapping else own.get(canonical(source))
            if found is None:
                raise DataError(f"--classes names {source}, but {data.path} has {', '.join(data.classes)}")
            if mapping[found] is not None:
                raise DataError(f"--classes uses the class {found} of {data.path} twice")
            mapping[found] = name
    return mapping


def relabel(data: FaceData, classes: Sequence[str], mapping: Mapping[str, str | None]) -> FaceData:
    """`data` with its classes turned into `classes` by `mapping`; faces of classes that map to None are left out.

    `mapping` must have every class of `data`.
    """
    index = {name: place for place, name in enumerate(classes)}
    targets = [mapping[name] for name in data.classes]
    table = np.array([-1 if target is None else index[target] for target in targets], dtype=np.int64)
    labels = table[data.labels] if len(table) else data.labels
    moved = replace(data, labels=labels, classes=tuple(classes), class_mapping=dict(mapping))
    return moved if (labels >= 0).all() else moved.rows(labels >= 0)


def place(data: FaceData, classes: Sequence[str], mapping: Mapping[str, str | None], owner: str) -> FaceData:
    """`data` with the `classes` of a trained network, in its order; `owner` names the network in errors.

    mapping: what the network made of the classes it was trained on, as in FaceData.class_mapping. A class of `data`
    is placed by it; else it is the network's class of the same name, or of another spelling of that.
    Raises DataError if there is no place for a class of which `data` has faces.
    """
    if mapping and data.class_mapping == mapping and data.classes == tuple(classes):
        return data  # it has been through this mapping already
    own = {canonical(name): name for name in reversed(classes)}
    known = {canonical(name): target for name, target in mapping.items()}
    placed: dict[str, str | None] = {}
    lost = []
    for name, count in data.counts().items():
        plain = canonical(name)
        if name in mapping:
            placed[name] = mapping[name]
        elif plain in known:
            placed[name] = known[plain]
        elif name in classes or plain in own:
            placed[name] = name if name in classes else own[plain]
        else:
            placed[name] = None
            lost += [name] * (count > 0)
    if lost:
        raise DataError(
            f"{data.path} has the class{'es' * (len(lost) > 1)} {', '.join(lost)}, but {owner} was trained on "
            f"{', '.join(mapping or classes)}: give data with its classes"
        )
    moved = relabel(data, classes, placed)
    # What came before (--classes) counts as well when the source's names are asked for, as FER+ votes do.
    return replace(moved, class_mapping=_chained(data.class_mapping, placed))


def _chained(first: Mapping[str, str | None], then: Mapping[str, str | None]) -> dict[str, str | None]:
    if not first:
        return dict(then)
    return {name: None if target is None else then.get(target) for name, target in first.items()}

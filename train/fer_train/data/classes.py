"""Classes and their spellings: order, keep, drop and merge them, and align them with a network's."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fer_edge.errors import DataError
from fer_edge.guards.names import utf8_name
from fer_edge.guards.text import label_fault, printable, same_label
from fer_train.class_choice import ClassChoice
from fer_train.data.faces import FER2013_CLASSES, FaceData

MAX_SHOWN_CHARS = 40
# Names of FER2013's classes in folders and in other data sets.
SPELLINGS = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprised": "surprise",
} | {name: name for name in FER2013_CLASSES}  # fmt: skip


def canonical(name: str) -> str:
    """Return FER2013's name for a class ("angry" for "Anger"); others are stripped, in lower case, in Unicode's NFC."""
    plain = same_label(utf8_name(name) or name)  # a folder's name, which the locale may not read as UTF-8
    return SPELLINGS.get(plain, plain)


def ordered_classes(names: Iterable[str]) -> dict[str, str]:
    """Map canonical names to display names: FER2013's classes first, in its order, then the others by name.

    A class that FER2013 doesn't have keeps its first spelling. Raises DataError if a name can't be that of a class.
    """
    found: dict[str, str] = {}
    for given in names:
        name = utf8_name(given) or given
        if fault := label_fault(name):
            raise DataError(f"{printable(name[:MAX_SHOWN_CHARS])!r} can't be the name of a class: {fault}: rename it")
        plain = canonical(name)
        found.setdefault(plain, plain if plain in FER2013_CLASSES else unicodedata.normalize("NFC", name.strip()))
    known = [name for name in FER2013_CLASSES if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def resolve_choice(choice: ClassChoice, data: FaceData) -> dict[str, str | None]:
    """Map each class of `data` to its class in `choice`, or None if it is dropped.

    Raises DataError if `choice` names a class that the data doesn't have.
    """
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
    """Return `data` with `classes` instead of its own, by `mapping`; faces of classes that map to None are dropped.

    `mapping` must have every class of `data`.
    """
    index = {name: label for label, name in enumerate(classes)}
    targets = [mapping[name] for name in data.classes]
    table = np.array([-1 if target is None else index[target] for target in targets], dtype=np.int64)
    labels = table[data.labels] if len(table) else data.labels
    moved = replace(data, labels=labels, classes=tuple(classes), class_mapping=dict(mapping))
    return moved if (labels >= 0).all() else moved.rows(labels >= 0)


def align_classes(data: FaceData, classes: Sequence[str], mapping: Mapping[str, str | None], owner: str) -> FaceData:
    """Return `data` with the `classes` of a trained network, in the network's order.

    mapping: what the network made of the classes of its training data, as in FaceData.class_mapping. It decides first;
    classes that it lacks go to the network's class of the same name or of another spelling of it.
    owner: names the network in errors.

    Raises DataError if the network has no counterpart for a class of which `data` has faces.
    """
    if mapping and data.class_mapping == mapping and data.classes == tuple(classes):
        return data  # it has been through this mapping already
    own = {canonical(name): name for name in reversed(classes)}
    known = {canonical(name): target for name, target in mapping.items()}
    aligned: dict[str, str | None] = {}
    unknown = []
    for name, count in data.counts().items():
        plain = canonical(name)
        if name in mapping:
            aligned[name] = mapping[name]
        elif plain in known:
            aligned[name] = known[plain]
        elif name in classes or plain in own:
            aligned[name] = name if name in classes else own[plain]
        else:
            aligned[name] = None
            unknown += [name] * (count > 0)
    if unknown:
        raise DataError(
            f"{data.path} has the class{'es' * (len(unknown) > 1)} {', '.join(unknown)}, but {owner} was trained on "
            f"{', '.join(mapping or classes)}: give data with its classes"
        )
    moved = relabel(data, classes, aligned)
    # FER+ votes look up the source's names, so the mapping must lead there through an earlier --classes.
    return replace(moved, class_mapping=_chain(data.class_mapping, aligned))


def _chain(first: Mapping[str, str | None], then: Mapping[str, str | None]) -> dict[str, str | None]:
    if not first:
        return dict(then)
    return {name: None if target is None else then.get(target) for name, target in first.items()}

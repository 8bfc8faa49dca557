"""The state of a run in last.pt, so that a resumed run equals an uninterrupted one."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from fer_edge.errors import ModelError
from fer_train.tensor_files import is_plain, load_tensors, not_finite, save_tensors
from fer_train.training.history import EpochRecord

START_OVER = "start over with --overwrite"
# The options that a resumed run may change: how often the state is saved, when a run ends early, how it is compiled.
CHANGEABLE = ("save_every", "patience", "compiled")


class Resumable(Protocol):
    """A run whose state can be saved.

    The state has the run's `options`, `heads` (the classes of each, by name), `images` and `unlabelled` (numbers of
    training faces), `faces` (TrainingSet.fingerprint) and `unlabelled_faces` (a hash, or None), by which a run
    recognizes its own.
    """

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as torch.save can store it."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what state_dict returned."""
        ...


def stored_values(path: Path) -> dict[str, Any]:
    """The values of the command line that the run in `path` has, by parameter name, with defaults resolved.

    `labels_head` is beside them: the name that the data gave the first head, or None if --heads named it.
    Runs from before last.pt held them lack some, such as `augment` and paths. Raises ModelError if `path` is damaged.
    """
    state = _load(path)
    try:
        options, recipe = state["options"], state["options"]["recipe"]
        same = set(options) - {"recipe", "augmentation", "teachers", "init", "quantised"}
        resolved = {name: options[name] for name in same} | {
            "batch_size": recipe["batch_size"],
            "lr": recipe["learning_rate"],
            "weight_decay": recipe["weight_decay"],
            "qat": options["quantised"],
        }
        labels_head = None if options.get("heads") else next(iter(state["heads"]), None)
        return {**state.get("command", {}), **resolved, "labels_head": labels_head}
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error


def save_state(run: Resumable, path: Path) -> None:
    """Write the state of `run`, atomically; OutputError if that can't be done."""
    save_tensors(run.state_dict(), path)


def load_state(run: Resumable, path: Path) -> None:
    """Restore the state in `path`; ModelError if it has other options or data than `run`, or is damaged."""
    state = _load(path)
    try:
        if difference := _difference(state, run.state_dict()):
            raise ModelError(f"{path} was trained {difference}: give the same, or {START_OVER}")
        run.load_state_dict(state)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def _load(path: Path) -> dict[str, Any]:
    """The state in `path`; ModelError if one of its values can't be that of a run."""
    state = load_tensors(path, START_OVER)
    try:
        possible = (
            is_plain(state["options"])
            and is_plain(state.get("command", {}))
            and all(type(state[name]) is int and state[name] >= 0 for name in ("images", "unlabelled"))
            and isinstance(state["best_accuracy"], float)
            and all(isinstance(name, str) for classes in state["heads"].values() for name in classes)
            and [_epoch(record) for record in state["history"]] == list(range(1, len(state["history"]) + 1))
            and not not_finite(state)
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise _damaged(path) from error
    if not possible:
        raise _damaged(path)
    return state


def _epoch(record: Mapping[str, Any]) -> int:
    """The number of an epoch; -1 for a record that is not a row of history.csv."""
    numbers = {name: type(value) in (int, float) for name, value in record.items()}
    known = numbers.keys() == {field.name for field in fields(EpochRecord)}
    return record["epoch"] if known and all(numbers.values()) and type(record["epoch"]) is int else -1


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is not the state of a training run, or is damaged: {START_OVER}")


def _difference(was: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """How the run of the state `was` differs from the run of the state `now`; None if they are the same run."""
    if changes := _changes(was["options"], _before_added(was["options"], now["options"])):
        return f"with other options ({'; '.join(changes)})"
    if list(was["heads"]) != list(now["heads"]):
        return f"with other heads ({', '.join(was['heads'])}; now {', '.join(now['heads'])})"
    for before, after in zip(was["heads"].values(), now["heads"].values(), strict=True):
        if before != after:
            return f"on other classes ({', '.join(before)}; now {', '.join(after)})"
    for key, kind in (("images", "training"), ("unlabelled", "unlabeled")):
        if was[key] != now[key]:
            return f"on other data ({was[key]} {kind} faces, now {now[key]})"
    for key, kind in (("faces", "other faces"), ("unlabelled_faces", "other unlabeled faces")):
        if was.get(key, now[key]) != now[key]:  # runs from before last.pt held these hashes lack them
            return f"on {kind} (as many, but not the same ones, or with other labels)"
    return None


def _before_added(was: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """`now` as it was before it added epochs to the run of `was`; `now` itself if it added none."""
    ended = was.get("extended", ())
    if tuple(now.get("extended", ())) != (*ended, was.get("epochs")):
        return now
    return {name: value for name, value in now.items() if name != "extended"} | {
        name: was[name] for name in ("epochs", "extended") if name in was
    }


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between two nested sets of options, such as "epochs 48, now 36"."""
    changes = []
    for name in {**was, **now}:
        before, after = was.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += _changes(before, after)
        elif before != after and name not in CHANGEABLE:
            changes.append(f"{name} {before}, now {after}")
    return changes

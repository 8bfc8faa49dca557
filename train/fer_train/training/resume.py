"""The whole state of a training run in last.pt, so that a resumed run equals an unbroken one."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fer_edge.errors import ModelError
from fer_train.networks.checkpoint import load_tensors, save_tensors

if TYPE_CHECKING:
    from fer_train.training.trainer import Trainer

ANEW = "train anew with --overwrite"
# How often the state is saved, and how far a run may go without getting better, may change on the way.
CHANGEABLE = ("save_every", "patience", "compiled")


def save_state(trainer: "Trainer") -> None:
    """Write last.pt, whole or not at all; OutputError if that can't be done."""
    head = trainer.student.ferplus_head
    state = {
        "network": trainer.network.state_dict(),
        "average": trainer.average.state_dict(),
        "ferplus_head": None if head is None else head.state_dict(),
        "ranges": None if trainer.student.ranges is None else trainer.student.ranges.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict(),
        "history": [asdict(record) for record in trainer.history],
        "best_accuracy": trainer.best_accuracy,
        "options": asdict(trainer.options),
        "classes": list(trainer.classes),
        "images": len(trainer.labels),
        "unlabelled": trainer.batches.faces - len(trainer.labels),
    }
    save_tensors(state, trainer.out / "last.pt")


def load_state(trainer: "Trainer") -> None:
    """Take up the state in last.pt; ModelError if it belongs to other options or data."""
    from fer_train.training.trainer import EpochRecord

    path = trainer.out / "last.pt"
    state = load_tensors(path, ANEW)
    try:
        _refuse_others(trainer, state)
        trainer.network.load_state_dict(state["network"])
        trainer.average.load_state_dict(state["average"])
        if trainer.student.ferplus_head is not None:
            trainer.student.ferplus_head.load_state_dict(state["ferplus_head"])
        if trainer.student.ranges is not None:
            trainer.student.ranges.load_state_dict(state["ranges"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.schedule.load_state_dict(state["schedule"])
        trainer.history = [EpochRecord(**record) for record in state["history"]]
        trainer.best_accuracy = state["best_accuracy"]
    except (KeyError, TypeError, RuntimeError) as error:  # a checkpoint, but of something else
        raise ModelError(f"{path} is not the state of a training run: {ANEW}") from error


def _refuse_others(trainer: "Trainer", state: Mapping[str, Any]) -> None:
    path = trainer.out / "last.pt"
    if changes := _changes(state["options"], asdict(trainer.options)):
        raise ModelError(f"{path} was trained with other options ({'; '.join(changes)}): give the same, or {ANEW}")
    if state["classes"] != list(trainer.classes):
        classes = f"{', '.join(state['classes'])}; now {', '.join(trainer.classes)}"
        raise ModelError(f"{path} was trained on other classes ({classes}): give the same, or {ANEW}")
    for what, was, now in (
        ("training", state["images"], len(trainer.labels)),
        ("unlabelled", state["unlabelled"], trainer.batches.faces - len(trainer.labels)),
    ):
        if was != now:
            raise ModelError(
                f"{path} was trained on other data ({was} {what} faces, now {now}): give the same, or {ANEW}"
            )
    if (state["ferplus_head"] is None) != (trainer.student.ferplus_head is None):
        how = "without" if state["ferplus_head"] is None else "with"
        raise ModelError(f"{path} was trained {how} --ferplus: give the same, or {ANEW}")


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two nested sets of options, as "epochs 48, now 36"."""
    changes = []
    for name in {**was, **now}:
        before, after = was.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += _changes(before, after)
        elif before != after and name not in CHANGEABLE:
            changes.append(f"{name} {before}, now {after}")
    return changes

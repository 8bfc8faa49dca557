"""The command `fer-train head`: labels of your own as a further head on a trained network."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import echo_line, extra_required
from fer_edge.errors import DataError, ModelError
from fer_edge.files import write_json
from fer_edge.guards.text import command_line
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options
from fer_train.commands.head_options import NAME
from fer_train.result_folder import create_folder

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.networks.checkpoint import Checkpoint
    from fer_train.photos import Crop
    from fer_train.transfer.linear_head import LinearHead, Logits

RESULTS = ("best.pt", "metrics.json", "confusion.png", "report.html")
CHECKPOINT = Path("models/checkpoints/fer2013.pt")  # of the shipped network, in the repository
MIN_FACES = 4  # of a class: two to learn from in each of two folds
EXPECT_LESS = "expect less on people who are not in the data"
FEW_FACES = 40  # below, the interval of the accuracy is wide


# fmt: off
@click.command(short_help="Fit a head for your own labels.", context_settings=data_options.SETTINGS)
@data_options.data
@click.option("--name", required=True, metavar="NAME", help="The head's name, for --head: a-z, 0-9, _ and -.")
@click.option("--out", type=data_options.PathType, required=True, metavar="DIR",
              help="Folder for the results; created if missing.")
@click.option("--checkpoint", type=data_options.PathType, metavar="BEST.PT", show_default=str(CHECKPOINT),
              help="The trained network. That of the shipped one is in fer-edge's repository.")
@data_options.classes
@data_options.skip_bad_rows
@data_options.crop
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, help="Seed of the augmented views.")
@data_options.threads
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
def head(
    data: Path, name: str, out: Path, checkpoint: Path | None, classes: ClassChoice | None, skip_bad_rows: bool,
    crop: "Crop", seed: int, threads: int, overwrite: bool,
) -> None:
    """Fit a head for your own labels on a trained network, in minutes on a CPU.

    DATA holds a folder of faces per label, 10 or more each, as `fer-train faces` cuts them. Only the last layer is
    learned. Writes best.pt (for fer-export; the new head is its default, the network's own follow), metrics.json,
    confusion.png and report.html to DIR. The accuracy is measured on faces that were not learned from: the test
    folder's, or by cross-validation, which keeps a person's faces together where it can.
    """
    if not NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r}: use a-z, 0-9, _ and -, 32 characters at most", param_hint="--name")
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.data import read_faces
        from fer_train.networks.checkpoint import load_checkpoint, save_checkpoint
        from fer_train.plots import plot_confusion
        from fer_train.report.scores import data_section, options_section, pictures, scores_of, write_report

    started = time.monotonic()
    create_folder(out, RESULTS, overwrite)
    trunk = load_checkpoint(_checkpoint(checkpoint))
    if name in [each.name for each in trunk.heads]:
        raise ModelError(f"{checkpoint or CHECKPOINT} has a head {name} already: give another --name")
    torch.set_num_threads(threads)
    faces = _check(read_faces(data, classes=classes, skip_bad=skip_bad_rows, crop=crop))
    data_options.log_notes(faces.notes)
    fitted = _fit(trunk, faces, seed)
    data_options.log_notes(fitted.notes)
    result = _with_head(trunk, name, faces, fitted)
    save_checkpoint(result, out / "best.pt")
    write_json(out / "metrics.json", fitted.metrics | {"model": trunk.model, "head": name})
    plot_confusion(fitted.metrics, out / "confusion.png")
    sections = [
        ("Data", data_section(faces.with_notes(*fitted.notes))), ("Confusion", pictures(out, ["confusion.png"])),
        ("Network", options_section({"network": trunk.model, "weight_decay": fitted.decay, "seed": seed})),
    ]  # fmt: skip
    write_report(out / "report.html", f"Head {name} on {faces.title}", scores_of(result.heads[:1]), sections)
    _log_result(fitted.metrics, time.monotonic() - started)
    export = ["fer-export", out / "best.pt", "--out", out / "model.onnx", "--quantize", "--calibration-data", data]
    export += ["--skip-bad-rows"] * skip_bad_rows + ["--crop", crop] * (crop != "auto")
    echo_line(f"Wrote {out / 'best.pt'}. Next:", err=True)
    echo_line(f"  {command_line(export)}", err=True)
# fmt: on


@dataclass(frozen=True)
class _Fitted:
    head: "LinearHead"
    metrics: dict[str, Any]
    decay: float
    notes: tuple[str, ...]


def _checkpoint(given: Path | None) -> Path:
    if given is not None:
        return given
    beside = Path(__file__).parents[3] / CHECKPOINT  # in a checkout
    found = next((path for path in (CHECKPOINT, beside) if path.is_file()), None)
    if found is None:
        raise ModelError(f"{CHECKPOINT} is not here: get it from fer-edge's repository and name it with --checkpoint")
    return found


def _check(faces: "FaceData") -> "FaceData":
    """`faces`; DataError if there are fewer than two classes, or too few faces of one to learn from."""
    from fer_train.data import PUBLIC_TEST

    learned = faces.rows(faces.usage != PUBLIC_TEST)
    counts = learned.counts()
    few = [f"{count} of {name}" for name, count in counts.items() if count < MIN_FACES]
    if len(counts) < 2:
        raise DataError(f"{faces.path} has faces of {', '.join(counts)} only: two or more classes are needed")
    if few:
        raise DataError(
            f"{faces.path} has too few faces to learn from ({', '.join(few)}): {MIN_FACES} of each class are needed, "
            "10 and more are better; --classes leaves a class out"
        )
    return faces


def _fit(trunk: "Checkpoint", faces: "FaceData", seed: int) -> _Fitted:
    """Fit the head on all faces that are not for testing, and measure it."""
    import numpy as np

    from fer_train.data import PUBLIC_TEST
    from fer_train.networks.heads import CROSS_VALIDATION
    from fer_train.transfer.folds import make_folds, name_people
    from fer_train.transfer.linear_head import choose_decay, fit_head, trunk_features

    network = trunk.network()
    is_test = faces.usage == PUBLIC_TEST
    learned, test = faces.rows(~is_test), faces.rows(is_test)
    names = _names(learned)
    folds, together = make_folds(learned.labels, names)
    features = trunk_features(network, learned.images, seed)
    decay, logits = choose_decay(features, learned.labels, folds, len(faces.classes))
    head = fit_head(features, learned.labels, len(faces.classes), decay)
    if len(test):
        logits = head.logits(trunk_features(network, test.images, seed)[0])
        return _Fitted(head, _metrics(logits, test, PUBLIC_TEST), decay, tuple(_ambiguous(faces)))
    notes = _ambiguous(learned)
    if not together:
        notes.append(f"a person's faces are on both sides of the cross-validation: {EXPECT_LESS}")
    elif not name_people(names):
        notes.append(f"no file is named PERSON_NUMBER: if several faces are one person's, {EXPECT_LESS}")
    split = f"{CROSS_VALIDATION}, {len(np.unique(folds))} folds"
    return _Fitted(head, _metrics(logits, learned, split), decay, tuple(notes))


def _names(faces: "FaceData") -> list[str]:
    """The name of each face. Copies get the name of the first, so that they are in one fold."""
    from fer_train.data import fingerprints

    names = map(str, faces.names if faces.names is not None else range(len(faces)))
    first: dict[bytes, str] = {}
    return [first.setdefault(mark, name) for mark, name in zip(fingerprints(faces.images), names, strict=True)]


def _ambiguous(faces: "FaceData") -> list[str]:
    """A note if the same image has several labels, for example because it was copied instead of moved."""
    from fer_edge.sentences import counted
    from fer_train.data import fingerprints

    labels: dict[bytes, set[int]] = {}
    for mark, label in zip(fingerprints(faces.images), faces.labels.tolist(), strict=True):
        labels.setdefault(mark, set()).add(label)
    several = sum(len(each) > 1 for each in labels.values())
    verb = "is" if several == 1 else "are"
    return [f"{counted(several, 'face')} {verb} in more than one class: keep each in one"] if several else []


def _metrics(logits: "Logits", faces: "FaceData", split: str) -> dict[str, Any]:
    from fer_train.evaluation.metrics import (
        cross_fitted_probabilities,
        expected_calibration_error,
        fit_temperature,
        score,
        softmax,
        wilson_interval,
    )

    temperature = fit_temperature(logits, faces.labels)
    metrics = score(softmax(logits, temperature), faces.labels, faces.classes)
    metrics["ece"] = expected_calibration_error(cross_fitted_probabilities(logits, faces.labels), faces.labels)
    low, high = wilson_interval(metrics["accuracy"], metrics["images"])
    return metrics | {"accuracy_interval": [low, high], "split": split, "temperature": temperature}


def _with_head(trunk: "Checkpoint", name: str, faces: "FaceData", fitted: _Fitted) -> "Checkpoint":
    """`trunk` with the new head before its own."""
    import torch

    from fer_train.networks.heads import Head

    new = Head(
        name, faces.classes, fitted.metrics["temperature"], dataset=faces.title, truth=f"labels of {faces.title}",
        metrics=fitted.metrics, class_mapping=dict(faces.class_mapping),
    )  # fmt: skip
    rows = {"classifier.weight": fitted.head.weight, "classifier.bias": fitted.head.bias}
    state = {key: torch.cat([rows[key], value]) if key in rows else value for key, value in trunk.state_dict.items()}
    options = trunk.options | {"own_head": {"name": name, "weight_decay": fitted.decay}}
    return replace(trunk, heads=(new, *trunk.heads), state_dict=state, options=options)


def _log_result(metrics: dict[str, Any], seconds: float) -> None:
    from fer_edge.sentences import counted
    from fer_train.evaluation.metrics import recall_text

    low, high = metrics["accuracy_interval"]
    echo_line(
        f"Accuracy {metrics['accuracy']:.1%} (95 % interval {low:.0%} to {high:.0%}) on "
        f"{counted(metrics['images'], 'face')}, {metrics['split']}; {seconds:.0f} s",
        err=True,
    )
    width = max(12, *map(len, metrics["per_class"]))
    for label, row in metrics["per_class"].items():
        few = "  few: this may be luck" if row["support"] < FEW_FACES else ""
        faces = counted(row["support"], "face")
        echo_line(f"  {label:{width}} recall {recall_text(row):>6}  ({faces}){few}", err=True)

"""`fer-train search`: find good training settings with Optuna. Imports nothing heavy.

Many machines may work on one study: give each the same --storage (a database all of them reach) and --study.
"""

import csv
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import extra_required
from fer_edge.errors import FerError, ModelError, OutputError
from fer_edge.files import atomic_write, write_json
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as shared
from fer_train.commands.training_options import Given, make_trainer, train_options, with_settings
from fer_train.network_names import network_names

if TYPE_CHECKING:
    import optuna

    from fer_train.data import FaceData

CLASS_WEIGHTS = ("none", "sqrt", "balanced")
AUGMENT = ("rotation_deg", "scale", "shift", "brightness", "contrast", "erase", "aspect", "shear_deg", "blur", "noise")
NUMBERS = (
    "lr", "weight_decay", "label_smoothing", "mixup", "ema_decay", "ferplus_weight", "distill_weight",
    "distill_temperature", "batch_size",
)  # fmt: skip
NAMES = {"model": network_names(), "class_weights": CLASS_WEIGHTS}
DEFAULT_SPACE = (
    "lr=0.02:0.3:log",
    "weight_decay=1e-5:5e-3:log",
    "label_smoothing=0:0.3",
    "mixup=0:1",
    "shift=0.02:0.2",
)


@dataclass(frozen=True)
class Range:
    """A setting to vary, between `low` and `high`, evenly or in its logarithm; or one of `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggested(self, trial: "optuna.Trial") -> float | int | str:
        """The value that `trial` is to use."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.name == "batch_size":
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def parse_range(text: str) -> Range:
    """Read "lr=0.01:0.3:log", "mixup=0:1" or "model=edgeresnet,cnn4"; UsageError if it is none of them."""
    name, _, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if name in NAMES:
        choices = tuple(value.strip() for value in values.split(","))
        if unknown := [choice for choice in choices if choice not in NAMES[name]]:
            raise click.UsageError(f"--tune {text}: {unknown[0]!r} is none of {', '.join(NAMES[name])}")
        return Range(name, choices=choices)
    if name not in NUMBERS + AUGMENT:
        raise click.UsageError(f"--tune {text}: {name!r} is none of {', '.join((*NAMES, *NUMBERS, *AUGMENT))}")
    parts = re.fullmatch(r"([^:]+):([^:]+)(:log)?", values)
    try:
        low, high = (float(part) for part in parts.group(1, 2)) if parts else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    log = bool(parts and parts[3])
    if not (low < high) or (log and low <= 0):
        raise click.UsageError(f"--tune {text}: give LOW:HIGH or, with LOW above 0, LOW:HIGH:log")
    return Range(name, low, high, log)


def applied(given: Given, values: Mapping[str, Any]) -> Given:
    """The settings `given` with `values` in place of some; what augmentation is about goes into `augment`."""
    changes = "".join(f",{name}={value}" for name, value in values.items() if name in AUGMENT)
    own = {name: value for name, value in values.items() if name not in AUGMENT}
    return given | own | {"augment": given["augment"] + changes}


@click.command("search", short_help="Search for good settings with Optuna.",
               context_settings={"show_default": True, "max_content_width": 110})  # fmt: skip
@shared.data
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder for the study; made if missing, gone on with if it holds one.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), metavar="N", default=20, help="Trainings to do now, on this machine.")
@click.option("--tune", "ranges", metavar="NAME=RANGE", multiple=True, show_default=" ".join(DEFAULT_SPACE),
              help="What to vary: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B; may be repeated. Names are those of "
                   "the options below and of --augment's changes.")  # fmt: skip
@click.option("--storage", metavar="URL", show_default="DIR/study.db",
              help="Database of the study (sqlite:///FILE, postgresql://..., mysql://...).")  # fmt: skip
@click.option("--study", "name", metavar="NAME", default="fer-train", help="The study's name in the storage.")
@shared.classes
@shared.ferplus
@shared.skip_bad_rows
@with_settings
def search(
    data: Path, out: Path, trials: int, ranges: tuple[str, ...], storage: str | None, name: str,
    classes: ClassChoice | None, ferplus: Path | None, skip_bad_rows: bool, **given: Any,
) -> None:  # fmt: skip
    """Train many times with other settings, and tell which gave the best PublicTest accuracy.

    Half-way hopeless trainings are broken off. Writes trials.csv, best.json, and each training's best.pt to
    DIR/trial-NNNN. All options below that --tune doesn't vary are fer-train's.
    """
    space = [parse_range(text) for text in ranges or DEFAULT_SPACE]
    with extra_required("fer-train search", "search"):
        import optuna

        from fer_train.data import check_trainable, load_faces
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be made: {error.strerror}") from error
    faces = check_trainable(load_faces(data, ferplus, classes=classes, skip_bad=skip_bad_rows))
    shared.tell(faces.notes)
    train_options(given)  # what the command line itself has wrong is no trial's fault
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a failed trial is told in one line
    study = _opened(storage or f"sqlite:///{out / 'study.db'}", name, given["seed"])
    try:
        study.optimize(lambda trial: _train_once(trial, space, faces, given, out), n_trials=trials, catch=(ModelError,))
    finally:
        _write(study, out, data, given)


def _opened(storage: str, name: str, seed: int) -> "optuna.Study":
    import optuna
    import sqlalchemy.exc

    try:
        rdb = optuna.storages.RDBStorage(storage)
        done = len(optuna.load_study(study_name=name, storage=rdb).trials) if name in _names(rdb) else 0
        return optuna.create_study(
            storage=rdb, study_name=name, load_if_exists=True, direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed + done),  # a study gone on with must not repeat itself
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
        )  # fmt: skip
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise FerError(
            f"--storage {storage} can't be used ({reason}): give an URL such as sqlite:///study.db"
        ) from error


def _names(storage: "optuna.storages.RDBStorage") -> set[str]:
    return {study.study_name for study in storage.get_all_studies()}


def _train_once(trial: "optuna.Trial", space: list[Range], faces: "FaceData", given: Given, out: Path) -> float:
    """Train with the trial's settings; the best epoch's accuracy."""
    import optuna

    from fer_train.training.distributed import Rank
    from fer_train.training.history import EpochRecord

    values = {item.name: item.suggested(trial) for item in space}
    settings = applied(given, values)
    folder = out / f"trial-{trial.number:04}"
    folder.mkdir(exist_ok=True)
    trainer = make_trainer(faces, train_options(settings), settings, folder, Rank())

    def on_epoch(record: EpochRecord, _is_best: bool) -> None:
        trial.report(record.test_accuracy, record.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    told = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
    outcome = "failed"
    try:
        trainer.run(lambda _step, _means: None, on_epoch)
        outcome = f"{trainer.best_accuracy:.2%}"
    except optuna.TrialPruned:
        outcome = f"broken off after epoch {len(trainer.history)} at {trainer.best_accuracy:.2%}"
        raise
    except ModelError as error:
        outcome = str(error)
        raise
    finally:
        (folder / "last.pt").unlink(missing_ok=True)
        click.echo(f"trial {trial.number:3}  {told}: {outcome}", err=True)
    return trainer.best_accuracy


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write(study: "optuna.Study", out: Path, data: Path, given: Given) -> None:
    """Write trials.csv and best.json, and tell the command that trains with the best settings."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    with atomic_write(out / "trials.csv") as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["trial", "state", "accuracy", "epochs", *names])
        for trial in trials:
            cells = [trial.params.get(name, "") for name in names]
            reached = max(trial.intermediate_values.values(), default="")
            writer.writerow([trial.number, trial.state.name.lower(), reached, len(trial.intermediate_values), *cells])
    if not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]):
        return
    best = study.best_trial
    write_json(out / "best.json", {"trial": best.number, "accuracy": best.value, "settings": best.params})
    settings = applied(given, best.params)
    command = ["fer-train", "--data", data, "--epochs", settings["epochs"], "--augment", settings["augment"]]
    for name, value in best.params.items():
        if name not in AUGMENT:
            command += [f"--{name.replace('_', '-')}", value]
    click.echo(
        f"Best of {len(trials)} trials: number {best.number}, PublicTest accuracy {best.value:.2%}. Settings:\n"
        f"  {shlex.join(map(str, command))}",
        err=True,
    )

"""The command `fer-train search`: find good training settings with Optuna.

Several machines can work on one study: give each the same --study and a --storage that all of them reach.
"""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import echo_line, extra_required
from fer_edge.errors import FerError, ModelError
from fer_edge.files import write_json
from fer_edge.guards.names import utf8_name
from fer_edge.guards.text import command_line
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options
from fer_train.commands.training_options import Given, add_training_options, make_trainer, train_options, words_of
from fer_train.network_names import network_names
from fer_train.result_folder import create_folder
from fer_train.tables import save_csv

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from fer_train.data import FaceData
    from fer_train.photos import Crop

COMMAND = "command"  # a trial's attribute: the words that train it again
FACES = "faces"  # a study's attribute: the hash of what it trains on
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
    """A setting to vary: between `low` and `high`, on a linear or logarithmic scale, or among `choices`."""

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: "optuna.Trial") -> float | int | str:
        """Ask Optuna for the value that `trial` uses."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.name == "batch_size":
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """What `suggest` draws from."""
        import optuna

        if self.choices:
            return optuna.distributions.CategoricalDistribution(self.choices)
        if self.name == "batch_size":
            return optuna.distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return optuna.distributions.FloatDistribution(self.low, self.high, log=self.log)


def parse_range(text: str) -> Range:
    """Parse a --tune value such as "lr=0.01:0.3:log" or "model=edgeresnet,cnn4"; UsageError if it is malformed.

    parse_range("mixup=0:1")  # Range("mixup", 0.0, 1.0)
    """
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
    if not -math.inf < low < high < math.inf or (log and low <= 0):
        raise click.UsageError(f"--tune {text}: give LOW:HIGH or, with LOW above 0, LOW:HIGH:log")
    return Range(name, low, high, log)


def check_space(space: Sequence[Range], given: Given) -> None:
    """UsageError for a setting that is varied twice, or beyond what its option takes: such trials can't be repeated."""
    from fer_train.training.augment import parse_augmentation

    context = click.get_current_context()
    options = {str(param.name): param for param in context.command.params}
    names = [item.name for item in space]
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.UsageError(f"--tune names {twice[0]} twice")
    for item in space:
        for end in () if item.choices else (item.low, item.high):
            try:
                if item.name in AUGMENT:
                    parse_augmentation(with_values(given, {item.name: end})["augment"])
                else:
                    value = int(end) if item.name == "batch_size" else end
                    options[item.name].type.convert(value, options[item.name], context)
            except (click.UsageError, FerError) as error:
                reason = (error.message if isinstance(error, click.UsageError) else str(error)).rpartition(": ")[2]
                raise click.UsageError(f"--tune {item.name}={item.low:g}:{item.high:g}: {reason}") from error


def with_values(given: Given, values: Mapping[str, Any]) -> Given:
    """Return `given` with `values` replaced; values of augmentation are appended to `augment`."""
    changes = "".join(f",{name}={value}" for name, value in values.items() if name in AUGMENT)
    own = {name: value for name, value in values.items() if name not in AUGMENT}
    return given | own | {"augment": given["augment"] + changes}


@click.command(short_help="Search for good settings with Optuna.", context_settings=data_options.SETTINGS)
@data_options.data
@click.option("--out", type=data_options.PathType, required=True, metavar="DIR",
              help="Folder for the study; created if missing, continued if it holds one.")  # fmt: skip
@click.option("--trials", type=click.IntRange(1), metavar="N", default=20, help="Number of trainings in this call.")
@click.option("--tune", "ranges", metavar="NAME=RANGE", multiple=True, show_default=" ".join(DEFAULT_SPACE),
              help="A setting to vary: NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B. Repeat it for more settings. "
                   "NAME is an option below or a change of --augment.")  # fmt: skip
@click.option("--storage", metavar="URL", show_default="DIR/study.db",
              help="Database of the study (sqlite:///FILE, postgresql://..., mysql://...).")  # fmt: skip
@click.option("--study", "name", metavar="NAME", default="fer-train", help="The study's name in the storage.")
@data_options.classes
@data_options.ferplus
@data_options.skip_bad_rows
@data_options.crop
@add_training_options
def search(
    data: Path, out: Path, trials: int, ranges: tuple[str, ...], storage: str | None, name: str,
    classes: ClassChoice | None, ferplus: Path | None, skip_bad_rows: bool, crop: "Crop", **given: Any,
) -> None:  # fmt: skip
    """Train with many different settings, and report which gave the best PublicTest accuracy.

    With --ferplus it is the mean of the heads' accuracies, by which fer-train chooses the best epoch, too.
    Trainings that fall behind are stopped early. Writes trials.csv, best.json, and each training's best.pt in
    DIR/trial-NNNN. The training options below are those of fer-train.
    """
    space = [parse_range(text) for text in ranges or DEFAULT_SPACE]
    with extra_required("fer-train search", "search"):
        import optuna

        from fer_train.data import check_trainable, load_faces
        from fer_train.training.targets import training_set
    create_folder(out)
    faces = check_trainable(load_faces(data, ferplus, classes=classes, skip_bad=skip_bad_rows, crop=crop))
    data_options.log_notes(faces.notes)
    train_options(given)  # report a wrong command line now instead of in every trial
    check_space(space, given)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # we log one line per trial ourselves
    params = click.get_current_context().command.params
    source = {"data": data, "classes": classes, "ferplus": ferplus, "skip_bad_rows": skip_bad_rows, "crop": crop}

    def train(trial: "optuna.Trial") -> float:
        settings = with_values(given, values := {item.name: item.suggest(trial) for item in space})
        words = words_of(params, source | settings)
        trial.set_user_attr(COMMAND, ["fer-train", *words, "--out", str(out / f"best-{trial.number:04}")])
        return _train_once(trial, values, faces, settings, out)

    with _open_study(storage or _sqlite_url(out / "study.db"), name, given["seed"]) as study:
        _check_continued(study, space, training_set(faces).fingerprint())
        try:
            study.optimize(train, n_trials=trials, catch=(ModelError,))
        finally:
            _write_results(
                study, out, "PublicTest accuracy" if ferplus is None else "mean PublicTest accuracy of its heads"
            )


def _sqlite_url(path: Path) -> str:
    """The URL of a SQLite file; FerError for a name that SQLAlchemy's URLs would take for another one."""
    if utf8_name(path) != str(path) or not {"?", "%"}.isdisjoint(str(path)):
        raise FerError(f"{path} can't hold a study: name an --out of UTF-8 without ? and %, or give --storage")
    return f"sqlite:///{path}"


@contextlib.contextmanager
def _open_study(storage: str, name: str, seed: int) -> "Iterator[optuna.Study]":
    """The study, new or continued; its database is closed after the block."""
    import optuna
    import sqlalchemy.exc

    with contextlib.ExitStack() as stack:
        try:
            rdb = optuna.storages.RDBStorage(storage)
            stack.callback(rdb.engine.dispose)
            stack.callback(rdb.remove_session)
            exists = name in optuna.get_all_study_names(rdb)
            done = len(optuna.load_study(study_name=name, storage=rdb).trials) if exists else 0
            study = optuna.create_study(
                storage=rdb, study_name=name, load_if_exists=True, direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=seed + done),  # a continued study must not repeat its trials
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
            )  # fmt: skip
        except (
            sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError,
        ) as error:  # fmt: skip
            reason = str(error).splitlines()[0]
            raise FerError(
                f"--storage {storage} can't be used ({reason}): give a URL such as sqlite:///study.db"
            ) from error
        yield study


def _check_continued(study: "optuna.Study", space: Sequence[Range], faces: str) -> None:
    """FerError if the study was begun on other faces, or has settings that vary in a way that can't be continued.

    faces: TrainingSet.fingerprint.
    """
    import optuna

    what = f"the study {study.study_name} was begun"
    advice = "give the same, or another --study or --out"
    if study.user_attrs.get(FACES, faces) != faces:
        raise FerError(f"{what} on other faces: {advice}")
    study.set_user_attr(FACES, faces)
    known = {name: kind for trial in study.get_trials(deepcopy=False) for name, kind in trial.distributions.items()}
    for item in space:
        try:
            if item.name in known:
                optuna.distributions.check_distribution_compatibility(known[item.name], item.distribution())
        except ValueError as error:
            raise FerError(f"{what} with --tune {item.name}={_shown(known[item.name])}: {advice}") from error


def _shown(kind: Any) -> str:
    """An Optuna distribution as a --tune range."""
    if hasattr(kind, "choices"):
        return ",".join(map(str, kind.choices))
    return f"{kind.low:g}:{kind.high:g}{':log' * kind.log}"


def _train_once(
    trial: "optuna.Trial", values: Mapping[str, Any], faces: "FaceData", settings: Given, out: Path
) -> float:
    """Train with the trial's `settings`, `values` of which vary, and return the best epoch's accuracy."""
    import optuna

    from fer_train.training.distributed import Rank
    from fer_train.training.history import EpochRecord

    folder = out / f"trial-{trial.number:04}"
    folder.mkdir(exist_ok=True)
    trainer = make_trainer(faces, train_options(settings), settings, folder, Rank())

    def on_epoch(record: EpochRecord, _is_best: bool) -> None:
        trial.report(record.test_accuracy, record.epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    shown = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
    outcome = "failed"
    try:
        trainer.run(lambda _step, _means: None, on_epoch)
        outcome = f"{trainer.best_accuracy:.2%}"
    except optuna.TrialPruned:
        outcome = f"stopped after epoch {len(trainer.history)} at {trainer.best_accuracy:.2%}"
        raise
    except ModelError as error:
        outcome = str(error)
        raise
    finally:
        (folder / "last.pt").unlink(missing_ok=True)
        echo_line(f"trial {trial.number:3}  {shown}: {outcome}", err=True)
    return trainer.best_accuracy


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_results(study: "optuna.Study", out: Path, score: str) -> None:
    """Write trials.csv and best.json, and print the command that trains with the best settings. score: in words."""
    import optuna

    trials = study.get_trials(deepcopy=False)
    save_csv(_trials_table(trials), out / "trials.csv")
    if not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]):
        return
    best = study.best_trial
    command = best.user_attrs.get(COMMAND)
    found = {"trial": best.number, "accuracy": best.value, "settings": best.params}
    write_json(out / "best.json", found | ({"command": command} if command else {}))
    text = f"Best of {len(trials)} trials: number {best.number}, {score} {best.value:.2%}"
    echo_line(f"{text}. This trains it again:" if command else text, err=True)
    if command:
        echo_line(f"  {command_line(command)}", err=True)


def _trials_table(trials: "list[optuna.trial.FrozenTrial]") -> "pd.DataFrame":
    """Return a row per trial: number, state, best accuracy, epochs, and a column per setting."""
    import pandas as pd

    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "accuracy": max(trial.intermediate_values.values(), default=None),
            "epochs": len(trial.intermediate_values),
        }
        for trial in trials
    ]
    settings = pd.DataFrame([trial.params for trial in trials], dtype=object).sort_index(axis="columns")
    return pd.concat([pd.DataFrame(rows, columns=["trial", "state", "accuracy", "epochs"]), settings], axis="columns")

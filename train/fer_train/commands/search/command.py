"""The command `fer-train search`, which trains once per trial.

Several machines can work on one study: give each the same --study and a --storage that all of them reach.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import echo_line, extra_required
from fer_edge.errors import ModelError
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options
from fer_train.commands.search.space import DEFAULT_SPACE, check_space, parse_range, with_values
from fer_train.commands.search.study import COMMAND, check_continued, open_study, sqlite_url, write_results
from fer_train.commands.training_options import Given, add_training_options, make_trainer, train_options, words_of
from fer_train.result_folder import create_folder

if TYPE_CHECKING:
    import optuna

    from fer_train.data import FaceData
    from fer_train.photos import Crop


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
    command = click.get_current_context().command
    train_options(given)  # report a wrong command line now instead of in every trial
    check_space(space, given, command)
    create_folder(out)
    faces = check_trainable(load_faces(data, ferplus, classes=classes, skip_bad=skip_bad_rows, crop=crop))
    data_options.log_notes(faces.notes)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # we log one line per trial ourselves
    source = {"data": data, "classes": classes, "ferplus": ferplus, "skip_bad_rows": skip_bad_rows, "crop": crop}

    def train(trial: "optuna.Trial") -> float:
        settings = with_values(given, values := {item.name: item.suggest(trial) for item in space})
        words = words_of(command.params, source | settings)
        trial.set_user_attr(COMMAND, ["fer-train", *words, "--out", str(out / f"best-{trial.number:04}")])
        return _train_once(trial, values, faces, settings, out)

    with open_study(storage or sqlite_url(out / "study.db"), name, given["seed"]) as study:
        check_continued(study, space, training_set(faces).fingerprint())
        try:
            study.optimize(train, n_trials=trials, catch=(ModelError,))
        finally:
            write_results(
                study, out, "PublicTest accuracy" if ferplus is None else "mean PublicTest accuracy of its heads"
            )


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

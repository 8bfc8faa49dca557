"""The main command of fer-train: train a network and write its results."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import MainCommand, extra_required
from fer_edge.errors import FerError, OutputError
from fer_train.commands import data_options, head_options, training_log
from fer_train.commands.training_options import (
    Given,
    add_training_options,
    continued,
    make_trainer,
    train_options,
)
from fer_train.report.tensorboard import opened_board, require_tensorboard
from fer_train.result_folder import check_folder, clear_folder

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.data.loading import FerplusLabels
    from fer_train.training.trainer import Trainer

PLOTS = (
    "curves.png", "classes.png", "samples.png", "confusion.png", "reliability.png", "predictions.png", "mistakes.png",
)  # fmt: skip
RESULT_FILES = ("best.pt", "last.pt", "metrics.json", "history.csv", "report.html", *PLOTS)


# fmt: off
@click.command(cls=MainCommand, context_settings=data_options.SETTINGS)
@data_options.data
@click.option("--out", type=data_options.PathType, required=True, metavar="DIR",
              help="Folder for the results; created if missing.")
@data_options.classes
@data_options.ferplus
@click.option("--ferplus-labels", type=click.Choice(["distribution", "majority"]), default="distribution",
              help="distribution: learn the votes in addition to the labels. majority: replace the labels, and leave "
              "out faces without a majority.")
@head_options.heads
@head_options.people
@head_options.people_weight
@data_options.skip_bad_rows
@data_options.crop
@add_training_options
@click.option("--keep", type=click.Choice(["best", "last"]), default="best",
              help="The epoch that best.pt holds: the best on the test faces, or the last, which no test face chooses.")
@click.option("--save-every", type=click.IntRange(1), metavar="N", default=1,
              help="Save the state for --resume every N epochs.")
@click.option("--tensorboard", is_flag=True, help="Also write DIR/tensorboard (needs the extra [tensorboard]).")
@click.option("--resume", is_flag=True, help="Continue the run in DIR with its options; more --epochs are added.")
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
def train(**given: Any) -> None:
    """Train an emotion network on FER2013 or your own faces, and keep the epoch with the best PublicTest accuracy.

    With --ferplus the network gets a second head on FER+'s votes; --heads chooses the heads. The best epoch then has
    the highest mean over the heads, each scored against its own truth.

    Writes best.pt (for fer-export), metrics.json, history.csv, plots and report.html, which shows all of it, to DIR.
    Folders named train, validation and test become Training, PublicTest and PrivateTest; without validation, test
    becomes PublicTest. Without either, a fifth of each class is held out for testing.
    """
    if given["resume"] and given["overwrite"]:
        raise click.UsageError("--resume continues the run in DIR, --overwrite replaces it: give one of them")
    with extra_required("fer-train", "train"):
        import torch
    if given["resume"]:
        if int(os.environ.get("RANK", "0")) == 0:  # of several processes, which torchrun numbers, one holds the folder
            _check_out(given["out"], resume=True, overwrite=False)
        given = continued(click.get_current_context(), given)
    try:
        _train(given, **{name: given[name] for name in ("data", "out", "resume", "overwrite", "tensorboard")})
    except torch.OutOfMemoryError as error:
        raise FerError("the GPU has too little free memory: give a smaller --batch-size, or --device cpu") from error
# fmt: on


def _train(given: Given, data: Path, out: Path, resume: bool, overwrite: bool, tensorboard: bool) -> None:
    with extra_required("fer-train", "train"):
        from fer_train.data import check_trainable, load_faces
        from fer_train.networks.checkpoint import load_checkpoint
        from fer_train.training import distributed

    if tensorboard:
        require_tensorboard()
    ferplus, people, skip_bad_rows = given["ferplus"], given["people"], given["skip_bad_rows"]
    labels: FerplusLabels = given["ferplus_labels"]
    head_options.check_given(given["heads"], ferplus, labels, people)
    options = train_options(given)
    rank = distributed.init(options.device)
    try:
        if rank.is_first:
            _check_out(out, resume, overwrite)
        faces = check_trainable(
            load_faces(
                data,
                ferplus,
                ferplus_labels=labels,
                classes=given["classes"],
                skip_bad=skip_bad_rows,
                crop=given["crop"],
            )
        )
        others = None if people is None else head_options.load_people(people, skip_bad_rows, given["crop"])
        trainer = make_trainer(faces, options, given, out, rank, others)
        if resume:
            trainer.resume()
            load_checkpoint(out / "best.pt")  # the reports need it at the end: better to know now that it is damaged
        elif rank.is_first:
            clear_folder(out, RESULT_FILES)
        rank.barrier()
        if rank.is_first:
            training_log.log_start(faces, trainer, () if others is None else others.notes)
            _train_and_write(faces, trainer, tensorboard)
            training_log.log_result(trainer, given)
        else:
            trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    finally:
        distributed.close(rank)


def _check_out(out: Path, resume: bool, overwrite: bool) -> None:
    check_folder(out, RESULT_FILES, resume, overwrite)
    if resume and (missing := [name for name in ("last.pt", "best.pt") if not (out / name).exists()]):
        raise OutputError(f"{out} has no {missing[0]} to resume from: train without --resume")


def _train_and_write(faces: "FaceData", trainer: "Trainer", tensorboard: bool) -> None:
    """Train with progress on stderr. The results are written even if a signal or an error stops the run."""
    from fer_train.report.run import write_run

    folder = trainer.out / "tensorboard" if tensorboard else None
    try:
        with opened_board(folder, len(trainer.history)) as board:
            training_log.run_with_progress(trainer, board)
    except BaseException:
        if trainer.history:
            write_run(faces, trainer)
            training_log.log_stop(trainer)
        raise
    write_run(faces, trainer)
    training_log.log_early_stop(trainer)

"""The command `fer-train`."""

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fer_edge.console import MainCommand, extra_required, run_main
from fer_edge.errors import FerError, OutputError
from fer_edge.files import write_json
from fer_train.class_choice import ClassChoice
from fer_train.commands import data_options as shared
from fer_train.commands.convert import convert
from fer_train.commands.detector import detector, scenes
from fer_train.commands.evaluate import evaluate
from fer_train.commands.predict import predict
from fer_train.commands.search import search
from fer_train.commands.summary import summary
from fer_train.commands.training_options import make_trainer, train_options, with_settings
from fer_train.training.tensorboard import Board, opened_board, require_tensorboard

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.data.loading import FerplusLabels
    from fer_train.training.history import EpochRecord, RunningMeans
    from fer_train.training.trainer import Trainer

PICTURES = (
    "curves.png", "classes.png", "samples.png", "confusion.png", "reliability.png", "predictions.png", "mistakes.png",
)  # fmt: skip
RESULT_FILES = ("best.pt", "last.pt", "metrics.json", "history.csv", *PICTURES)
STEPS_PER_LOOK = 20  # batches between two readings of the loss, which make a GPU wait


# fmt: off
@click.command(cls=MainCommand, context_settings={"show_default": True, "max_content_width": 110})
@shared.data
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder for the results; made if missing.")
@shared.classes
@shared.ferplus
@click.option("--ferplus-labels", type=click.Choice(["distribution", "majority"]), default="distribution",
              help="distribution: teach the votes beside the labels; majority: let them replace the labels, and leave "
              "out faces on which they don't agree.")
@shared.skip_bad_rows
@with_settings
@click.option("--save-every", type=click.IntRange(1), metavar="N", default=1,
              help="Epochs between two savings of what --resume goes on from.")
@click.option("--tensorboard", is_flag=True, help="Also write DIR/tensorboard (needs the extra [tensorboard]).")
@click.option("--resume", is_flag=True, help="Go on from DIR/last.pt after a stop or a kill.")
@click.option("--overwrite", is_flag=True, help="Replace the results that DIR holds.")
def train(
    data: Path, out: Path, classes: ClassChoice | None, ferplus: Path | None, ferplus_labels: "FerplusLabels",
    skip_bad_rows: bool, resume: bool, overwrite: bool, tensorboard: bool, **given: Any,
) -> None:
    """Train a facial-emotion network on FER2013, or faces of your own, and keep the epoch that is best on PublicTest.

    Writes best.pt (for fer-export), metrics.json, history.csv and pictures to DIR. Folders train/, validation/ and
    test/ are Training, PublicTest and PrivateTest; without validation/, test/ is PublicTest. Data without either
    gives a fifth of each class for testing.
    """
    if resume and overwrite:
        raise click.UsageError("--resume goes on with what DIR holds, --overwrite replaces it: give one of them")
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.data import check_trainable, load_faces
        from fer_train.training import distributed
    if tensorboard:
        require_tensorboard()
    options = train_options(given)
    rank = distributed.init(options.device)
    try:
        if rank.is_first:
            _check_folder(out, resume, overwrite)
        faces = check_trainable(
            load_faces(data, ferplus, ferplus_labels=ferplus_labels, classes=classes, skip_bad=skip_bad_rows)
        )
        trainer = make_trainer(faces, options, given, out, rank)
        if resume:
            trainer.resume()
        elif rank.is_first:
            _clear(out)
        rank.barrier()
        if rank.is_first:
            _train_and_tell(faces, trainer, data, skip_bad_rows, tensorboard)
        else:
            trainer.run(lambda _step, _means: None, lambda _record, _is_best: None)
    except torch.OutOfMemoryError as error:
        raise FerError("the GPU has too little free memory: give a smaller --batch-size, or --device cpu") from error
    finally:
        distributed.close(rank)
# fmt: on


def _train_and_tell(faces: "FaceData", trainer: "Trainer", data: Path, skip_bad_rows: bool, tensorboard: bool) -> None:
    _describe(faces, trainer)
    with opened_board(trainer.out / "tensorboard" if tensorboard else None, len(trainer.history)) as board:
        _train(faces, trainer, board)
    _tell_result(trainer, data, skip_bad_rows)


def _check_folder(out: Path, resume: bool, overwrite: bool) -> None:
    """Make sure, before anything slow, that the results can be written to `out`."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")
    present = [name for name in RESULT_FILES if (out / name).exists()]
    if resume:
        for name in ("last.pt", "best.pt"):
            if name not in present:
                raise OutputError(f"{out} has no {name} to resume from: train without --resume")
    elif present and not overwrite:
        raise OutputError(
            f"{out} already holds {present[0]}: pass --resume to go on, --overwrite to replace it, "
            "or name another --out"
        )
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror}") from error


def _clear(out: Path) -> None:
    """Make the folder, and remove an earlier run's results: none of them may pass for one of this run."""
    out.mkdir(parents=True, exist_ok=True)
    for name in RESULT_FILES:
        (out / name).unlink(missing_ok=True)


def _describe(faces: "FaceData", trainer: "Trainer") -> None:
    import torch

    options, done = trainer.options, len(trainer.history)
    twins = int((~trainer.test_is_new).sum())
    shared.tell(faces.notes)
    click.echo(
        f"{faces.title}: {len(trainer.labels):,} training and {len(trainer.test_labels):,} test faces "
        f"({twins:,} of these also stand in training), {len(faces.classes)} classes"
        + (", with FER+ votes" if faces.votes is not None else ""),
        err=True,
    )
    click.echo(
        f"{options.model}: {trainer.network.num_parameters():,} parameters, "
        f"{trainer.network.num_macs() / 1e6:.0f} MMAC a face; {options.epochs} epochs on {options.device}"
        + (f", threads: {torch.get_num_threads()}" if options.device == "cpu" else "")
        + (f", {trainer.rank.world_size} processes" if trainer.rank.world_size > 1 else "")
        + (", bfloat16" if options.amp else ""),
        err=True,
    )
    unlabeled = trainer.batches.faces - len(trainer.labels)
    if options.teachers:
        click.echo(
            f"Learning from {len(options.teachers)} teacher{'s' if len(options.teachers) > 1 else ''}"
            + (f", also on {unlabeled:,} faces without labels" if unlabeled else ""),
            err=True,
        )
    if trainer.is_done:
        click.echo(f"All {done} epochs are trained: nothing is left to do but the reports", err=True)
    elif done:
        click.echo(f"Going on after epoch {done}", err=True)


def _train(faces: "FaceData", trainer: "Trainer", board: Board) -> None:
    """Train with progress on stderr; the reports are written even if a signal or an error ends it."""
    try:
        _train_with_progress(trainer, board)
    except BaseException:
        if trainer.history:
            _write_results(faces, trainer)
            done, every = len(trainer.history), trainer.options.save_every
            saved = done - done % every
            click.echo(
                f"Stopped after {done} of {trainer.options.epochs} epochs; {trainer.out} holds the best of them, "
                + (f"--resume goes on after epoch {saved}" if saved else "nothing to --resume was saved yet"),
                err=True,
            )
        raise
    _write_results(faces, trainer)
    if trainer.stopped_early:
        click.echo(f"{trainer.options.patience} epochs brought nothing better: stopped early", err=True)


def _train_with_progress(trainer: "Trainer", board: Board) -> None:
    from tqdm import tqdm

    total = trainer.options.epochs
    bar = tqdm(
        total=trainer.steps_per_epoch,
        bar_format="{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} batches, {remaining} left{postfix}",
        leave=False,
        disable=None,  # shown on a terminal only
        dynamic_ncols=True,
    )

    def on_step(step: int, means: "RunningMeans") -> None:
        if bar.disable:
            return
        if step == 1:
            bar.set_description_str(f"epoch {len(trainer.history) + 1:3}/{total}", refresh=False)
            bar.set_postfix_str("", refresh=False)
            bar.reset()
        if step % STEPS_PER_LOOK == 1:
            loss, accuracy = means.read()
            bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)
        bar.update()
        if step == trainer.steps_per_epoch:
            bar.refresh()  # the last look at an epoch that was quicker than the bar

    def on_epoch(record: "EpochRecord", is_best: bool) -> None:
        recent = [r.seconds for r in trainer.history[-5:]]
        left_s = (total - record.epoch) * sum(recent) / len(recent)
        bar.clear()
        board.add(record)
        click.echo(
            f"epoch {record.epoch:3}/{total}  loss {record.train_loss:.3f}  accuracy {record.train_accuracy:6.2%}"
            f"  test: loss {record.test_loss:.3f}  accuracy {record.test_accuracy:6.2%} {'*' if is_best else ' '}"
            f"  {record.seconds:.0f} s, {_duration(left_s)} left",
            err=True,
        )

    with bar:
        trainer.run(on_step, on_epoch)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _write_results(faces: "FaceData", trainer: "Trainer") -> None:
    from fer_train.data import PUBLIC_TEST
    from fer_train.evaluation.predictors import CheckpointPredictor
    from fer_train.evaluation.scoring import evaluate_predictor
    from fer_train.networks.checkpoint import load_checkpoint
    from fer_train.plots import plot_classes, plot_curves, plot_evaluation, plot_samples
    from fer_train.training.history import write_history

    out = trainer.out
    best = load_checkpoint(out / "best.pt")
    write_json(out / "metrics.json", best.metrics | {"model": best.model, "options": best.options})
    write_history(trainer.history, out / "history.csv")
    plot_curves(trainer.history, out / "curves.png")
    plot_classes(faces, out / "classes.png")
    plot_samples(faces, out / "samples.png")
    plot_evaluation(
        evaluate_predictor(CheckpointPredictor(out / "best.pt", device=trainer.options.device), faces, PUBLIC_TEST), out
    )


def _tell_result(trainer: "Trainer", data: Path, skip_bad_rows: bool) -> None:
    from fer_train.networks.checkpoint import load_checkpoint

    best, out = trainer.out / "best.pt", trainer.out
    metrics = load_checkpoint(best).metrics
    lines = [
        f"Best epoch {metrics['epoch']}: {metrics['split']} accuracy {metrics['accuracy']:.2%} "
        f"({metrics['accuracy_deduplicated']:.2%} on faces that don't stand in training), "
        f"macro-F1 {metrics['macro_f1']:.3f}, calibration error {metrics['ece']:.3f}"
    ]
    lines += [
        f"  {label:10} precision {row['precision']:6.1%}  recall {row['recall']:6.1%}  ({row['support']:,} faces)"
        for label, row in metrics["per_class"].items()
    ]
    export = ["fer-export", best, "--out", out / "model.onnx", "--quantize", "--calibration-data", data]
    export += ["--skip-bad-rows"] * skip_bad_rows
    lines += [f"Wrote {best} and its reports. Next:", f"  {shlex.join(map(str, export))}"]
    click.echo("\n".join(lines), err=True)


for command in (convert, detector, evaluate, predict, scenes, search, summary):
    train.add_command(command)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_main(train, "fer-train")


if __name__ == "__main__":
    main()

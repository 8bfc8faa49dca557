"""The command `fer-train`."""

import csv
import shlex
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from fer_edge.console import MainCommand, extra_required, run_main, telling
from fer_edge.errors import FerError, OutputError
from fer_edge.files import write_json, written_beside

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.training import EpochRecord, RunningMeans, Trainer

RESULT_FILES = ("best.pt", "last.pt", "metrics.json", "history.csv", "curves.png", "confusion.png", "classes.png")
MODELS = ("edgeresnet", "cnn4")  # the names in NETWORKS, which `--help` must not wait for (it imports torch)
STEPS_PER_LOOK = 20  # batches between two readings of the loss, which make a GPU wait


# fmt: off
@click.command(cls=MainCommand, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV",
              help="FER2013's CSV, with the columns emotion, pixels and Usage.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Folder for the results; made if missing.")
@click.option("--model", type=click.Choice(MODELS), default=MODELS[0],
              help="Network to train: edgeresnet is ours, made for int8; cnn4 is the tutorials' baseline.")
@click.option("--epochs", type=click.IntRange(1), metavar="N", default=36, help="Passes over the training faces.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", default=0, help="Seed of everything random.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              help="Where to train; auto takes a GPU if there is one.")
@click.option("--ferplus", type=click.Path(path_type=Path), metavar="CSV",
              help="FER+ votes (fer2013new.csv), taught beside the labels.")
@click.option("--batch-size", type=click.IntRange(2), metavar="N",
              show_default="the network's own", help="Faces a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), metavar="RATE",
              show_default="the network's own", help="Peak learning rate.")
@click.option("--weight-decay", type=click.FloatRange(0), metavar="X",
              show_default="the network's own", help="Weight decay.")
@click.option("--label-smoothing", type=click.FloatRange(0, 0.9), metavar="SHARE", default=0.1,
              help="Share of each target spread over all classes, 0 to 0.9.")
@click.option("--augment/--no-augment", default=True,
              help="Rotate, shift, scale, mirror, relight and erase parts of the faces.")
@click.option("--amp/--no-amp", default=None,
              show_default="where the machine is fast at it", help="Run convolutions in bfloat16.")
@click.option("--threads", type=click.IntRange(1), metavar="N", show_default="all cores", help="CPU threads.")
@click.option("--resume", is_flag=True, help="Go on from DIR/last.pt after a stop or a kill.")
@click.option("--overwrite", is_flag=True, help="Replace the results that DIR holds.")
def train(
    data: Path, out: Path, model: str, epochs: int, seed: int, device: str, ferplus: Path | None,
    batch_size: int | None, lr: float | None, weight_decay: float | None, label_smoothing: float,
    augment: bool, amp: bool | None, threads: int | None, resume: bool, overwrite: bool,
) -> None:
    """Train a facial-emotion network on FER2013 and keep the epoch that is best on PublicTest.

    Writes best.pt (for fer-export), metrics.json, history.csv and plots to DIR. Give fer2013.csv as
    it is distributed; a file without PublicTest rows gives a fifth of its faces for testing.
    """
    if resume and overwrite:
        raise click.UsageError("--resume goes on with what DIR holds, --overwrite replaces it: give one of them")
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.augment import NO_AUGMENTATION, Augmentation
        from fer_train.data import load_faces
        from fer_train.networks import NETWORKS
        from fer_train.training import Trainer, TrainOptions

    own = NETWORKS[model].recipe
    recipe = replace(
        own,
        batch_size=own.batch_size if batch_size is None else batch_size,
        learning_rate=own.learning_rate if lr is None else lr,
        weight_decay=own.weight_decay if weight_decay is None else weight_decay,
    )
    device = _device(device)
    options = TrainOptions(
        model=model, epochs=epochs, recipe=recipe, seed=seed, device=device,
        amp=_amp_is_fast(device) if amp is None else amp, label_smoothing=label_smoothing,
        augmentation=Augmentation() if augment else NO_AUGMENTATION,
    )
    if threads:
        torch.set_num_threads(threads)
    _check_folder(out, resume, overwrite)
    with telling(f"Reading {data} ..."):
        faces = load_faces(data, ferplus)
    try:
        trainer = Trainer(faces, options, out)
        if resume:
            trainer.resume()
        else:
            _clear(out)
        _describe(faces, trainer)
        _train(faces, trainer)
    except torch.OutOfMemoryError as error:
        raise FerError("the GPU has too little free memory: give a smaller --batch-size, or --device cpu") from error
    _tell_result(trainer, data)
# fmt: on


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise FerError("--device cuda: this torch sees no GPU; use --device cpu, or install torch with CUDA")
    return name


def _amp_is_fast(device: str) -> bool:
    """Whether bfloat16 pays: on GPUs, and on CPUs with matrix units for it (elsewhere it is emulated)."""
    import torch

    return device == "cuda" or bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


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
    click.echo(
        f"{faces.path.name}: {len(trainer.labels):,} training and {len(trainer.test_labels):,} test faces "
        f"({twins:,} of these also stand in training), {len(faces.classes)} classes"
        + (", with FER+ votes" if faces.votes is not None else ""),
        err=True,
    )
    click.echo(
        f"{options.model}: {trainer.network.num_parameters():,} parameters; {options.epochs} epochs on {options.device}"
        + (f", threads: {torch.get_num_threads()}" if options.device == "cpu" else "")
        + (", bfloat16" if options.amp else ""),
        err=True,
    )
    if done == options.epochs:
        click.echo(f"All {done} epochs are trained: nothing is left to do but the reports", err=True)
    elif done:
        click.echo(f"Going on after epoch {done}", err=True)


def _train(faces: "FaceData", trainer: "Trainer") -> None:
    """Train with progress on stderr; the reports are written even if a signal or an error ends it."""
    try:
        _train_with_progress(trainer)
    except BaseException:
        if trainer.history:
            _write_results(faces, trainer)
            click.echo(
                f"Stopped after {len(trainer.history)} of {trainer.options.epochs} epochs; "
                f"{trainer.out} holds the best of them, --resume goes on",
                err=True,
            )
        raise
    _write_results(faces, trainer)


def _train_with_progress(trainer: "Trainer") -> None:
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

    def on_epoch(record: "EpochRecord", is_best: bool) -> None:
        recent = [r.seconds for r in trainer.history[-5:]]
        left_s = (total - record.epoch) * sum(recent) / len(recent)
        bar.clear()
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
    from fer_train.checkpoint import load_checkpoint
    from fer_train.plots import plot_classes, plot_confusion, plot_curves
    from fer_train.training import EpochRecord

    out = trainer.out
    best = load_checkpoint(out / "best.pt")
    write_json(out / "metrics.json", best.metrics | {"model": best.model, "options": best.options})
    with written_beside(out / "history.csv") as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(EpochRecord)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(record) for record in trainer.history)
    plot_curves(trainer.history, out / "curves.png")
    plot_confusion(best.metrics, out / "confusion.png")
    plot_classes(faces, out / "classes.png")


def _tell_result(trainer: "Trainer", data: Path) -> None:
    from fer_train.checkpoint import load_checkpoint

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
    lines += [f"Wrote {best} and its reports. Next:", f"  {shlex.join(map(str, export))}"]
    click.echo("\n".join(lines), err=True)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_main(train, "fer-train")


if __name__ == "__main__":
    main()

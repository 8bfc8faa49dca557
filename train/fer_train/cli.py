"""The command `fer-train`."""

import csv
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from fer_edge.console import MainCommand, extra_required, run_main
from fer_edge.errors import DataError, FerError, OutputError

if TYPE_CHECKING:
    from fer_train.checkpoint import Checkpoint
    from fer_train.data import FaceData
    from fer_train.training import EpochRecord, Trainer, TrainOptions

RESULT_FILES = ("best.pt", "last.pt", "metrics.json", "history.csv", "curves.png", "confusion.png", "classes.png")


@click.command(cls=MainCommand, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="CSV", help="fer2013.csv (emotion, pixels, Usage).")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder for the results; made if missing.")
@click.option("--model", default="edgeresnet", help="Network to train: edgeresnet (ours, for int8) or cnn4 (the tutorials' baseline).")
@click.option("--epochs", type=click.IntRange(1), default=36, help="Passes over the training faces.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of everything random.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Where to train; auto takes a GPU if there is one.")
@click.option("--ferplus", type=click.Path(path_type=Path), metavar="CSV", help="FER+ votes (fer2013new.csv): teach them beside the labels.")
@click.option("--batch-size", type=click.IntRange(2), help="Faces a step.  [default: the network's own]")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak learning rate.  [default: the network's own]")
@click.option("--weight-decay", type=click.FloatRange(0), help="Weight decay.  [default: the network's own]")
@click.option("--label-smoothing", type=click.FloatRange(0, 0.9), default=0.1, help="Share of each target spread over all classes.")
@click.option("--augment/--no-augment", default=True, help="Rotate, shift, scale, mirror, relight and erase parts of the faces.")
@click.option("--amp/--no-amp", default=None, help="Convolutions in bfloat16.  [default: on where the machine is fast at it]")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: all cores]")
@click.option("--resume", is_flag=True, help="Go on from DIR/last.pt after a stop or a kill.")
@click.option("--overwrite", is_flag=True, help="Replace the results that DIR holds.")
def train(
    data: Path, out: Path, model: str, epochs: int, seed: int, device: str, ferplus: Path | None,
    batch_size: int | None, lr: float | None, weight_decay: float | None, label_smoothing: float,
    augment: bool, amp: bool | None, threads: int | None, resume: bool, overwrite: bool,
) -> None:  # fmt: skip
    """Train a facial-emotion network on FER2013 and keep the epoch that is best on PublicTest.

    Writes best.pt (for fer-export), metrics.json, history.csv and plots to DIR. Give fer2013.csv as
    it is distributed; a file without PublicTest rows gives a fifth of its faces for testing.
    """
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.augment import Augmentation
        from fer_train.data import load_faces
        from fer_train.networks import build_network
        from fer_train.training import Trainer, TrainOptions

    recipe = build_network(model, 2).recipe
    overrides = {"batch_size": batch_size, "learning_rate": lr, "weight_decay": weight_decay}
    recipe = replace(recipe, **{name: value for name, value in overrides.items() if value is not None})
    device = _device(device)
    options = TrainOptions(
        model=model, epochs=epochs, recipe=recipe, seed=seed, device=device,
        amp=_amp_is_fast(device) if amp is None else amp, label_smoothing=label_smoothing,
        augmentation=Augmentation() if augment else Augmentation(0, 0, 0, False, 0, 0, 0),
    )  # fmt: skip
    if threads:
        torch.set_num_threads(threads)
    _prepare_folder(out, resume, overwrite)
    click.echo(f"Reading {data} ...", err=True)
    faces = load_faces(data, ferplus)
    trainer = Trainer(faces, options, out)
    if resume:
        trainer.resume()
    _describe(faces, trainer, options)
    try:
        _train_with_progress(trainer)
    finally:
        if trainer.history:
            _write_results(out, faces, trainer)
    _tell_result(out)


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


def _prepare_folder(out: Path, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")
    if resume:
        if not (out / "last.pt").is_file():
            raise OutputError(f"{out} has no last.pt to resume from: train without --resume first")
        return
    present = [name for name in RESULT_FILES if (out / name).exists()]
    if present and not overwrite:
        raise OutputError(f"{out} already holds {present[0]}: pass --resume to go on, --overwrite to replace it, or name another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
        for name in present:
            (out / name).unlink()
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror}") from error


def _describe(faces: "FaceData", trainer: "Trainer", options: "TrainOptions") -> None:
    import torch

    test, twins = len(trainer.test_labels), int((~trainer.test_is_new).sum())
    if not test:
        raise DataError(f"{faces.path} has too few faces to hold any out for testing")
    click.echo(
        f"{faces.path.name}: {len(trainer.labels)} training and {test} test faces "
        f"({twins} of these also stand in training), {len(faces.classes)} classes"
        + (", with FER+ votes" if faces.votes is not None else ""),
        err=True,
    )
    click.echo(
        f"{options.model}: {trainer.network.num_parameters():,} parameters; {options.epochs} epochs on {options.device}"
        + (f" ({torch.get_num_threads()} threads)" if options.device == "cpu" else "")
        + (", bfloat16" if options.amp else "")
        + (f"; going on after epoch {len(trainer.history)}" if trainer.history else ""),
        err=True,
    )


def _train_with_progress(trainer: "Trainer") -> None:
    from tqdm import tqdm

    total = trainer.options.epochs
    with tqdm(total=trainer.steps_per_epoch, unit="batch", leave=False, disable=None, file=sys.stderr) as bar:

        def on_step(step: int, _steps: int, loss: float) -> None:
            if bar.disable:
                return
            if step == 1:
                bar.reset()
                bar.set_description(f"epoch {len(trainer.history) + 1}/{total}")
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            bar.update()

        def on_epoch(record: "EpochRecord", is_best: bool) -> None:
            seconds = sum(r.seconds for r in trainer.history[-5:]) / len(trainer.history[-5:])
            bar.clear()
            click.echo(
                f"epoch {record.epoch:3}/{total}  loss {record.train_loss:.4f}  accuracy {record.train_accuracy:6.2%}"
                f"  test loss {record.test_loss:.4f}  test accuracy {record.test_accuracy:6.2%}{' *' if is_best else '  '}"
                f"  {record.seconds:.0f} s, {_duration((total - record.epoch) * seconds)} left",
                err=True,
            )

        trainer.run(on_step, on_epoch)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _write_results(out: Path, faces: "FaceData", trainer: "Trainer") -> None:
    from fer_edge.files import write_json, written_beside
    from fer_train.plots import plot_classes, plot_confusion, plot_curves
    from fer_train.training import EpochRecord

    best = _best(out)
    write_json(out / "metrics.json", best.metrics | {"model": best.model, "options": best.options})
    with written_beside(out / "history.csv") as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(EpochRecord)])
        writer.writeheader()
        writer.writerows(asdict(record) for record in trainer.history)
    plot_curves(trainer.history, out / "curves.png")
    plot_confusion(best.metrics, out / "confusion.png")
    plot_classes(faces, out / "classes.png")


def _best(out: Path) -> "Checkpoint":
    from fer_train.checkpoint import load_checkpoint

    return load_checkpoint(out / "best.pt")


def _tell_result(out: Path) -> None:
    metrics = _best(out).metrics
    click.echo(
        f"best epoch {metrics['epoch']}: {metrics['split']} accuracy {metrics['accuracy']:.2%} "
        f"({metrics['accuracy_deduplicated']:.2%} on faces that don't stand in training), "
        f"macro-F1 {metrics['macro_f1']:.3f}, calibration error {metrics['ece']:.3f}",
        err=True,
    )
    for label, row in metrics["per_class"].items():
        click.echo(f"  {label:10} precision {row['precision']:6.1%}  recall {row['recall']:6.1%}  ({row['support']} faces)", err=True)
    click.echo(f"wrote {out / 'best.pt'}; next: fer-export {out / 'best.pt'} --out {out / 'model.onnx'} --quantize --calibration-data CSV", err=True)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_main(train, "fer-train")


if __name__ == "__main__":
    main()

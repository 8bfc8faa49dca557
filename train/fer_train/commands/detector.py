"""The command `fer-train detector`: train our face detector on the scenes of `fer-train scenes`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import echo_line, extra_required
from fer_edge.errors import FerError
from fer_edge.guards.text import command_line
from fer_train.commands.data_options import SETTINGS, FiniteRange, PathType
from fer_train.commands.training_options import resolve_device
from fer_train.result_folder import check_folder, clear_folder
from fer_train.tables import save_csv

if TYPE_CHECKING:
    from fer_train.detection.trainer import DetectorRecord, DetectorTrainer

RESULT_FILES = ("detector.pt", "last.pt", "history.csv")


# fmt: off
@click.command(short_help="Train our face detector `luma`.", context_settings=SETTINGS)
@click.option("--scenes", type=PathType, required=True, metavar="DIR", help="Folder that fer-train scenes made.")
@click.option("--mosaics-only", is_flag=True,
              help="Train only on the mosaics of photos, which are half of the scenes, and on close-ups, if any.")
@click.option("--out", type=PathType, required=True, metavar="DIR", help="Folder for the results; created if missing.")
@click.option("--steps", type=click.IntRange(1), metavar="N", default=20_000, help="Number of batches.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", default=16, help="Images per step.")
@click.option("--size", type=click.IntRange(64, 640), metavar="PX", default=288,
              help="Side of the largest training images, a multiple of 32; each step draws a side from PX/2 to PX.")
@click.option("--lr", type=FiniteRange(0, min_open=True), metavar="RATE", default=2e-3, help="Peak learning rate.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", default=0, help="Seed of all random numbers.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              help="Where to train; auto uses a GPU if there is one.")
@click.option("--amp/--no-amp", default=True, help="Run convolutions in bfloat16.")
@click.option("--threads", type=click.IntRange(1), metavar="N", show_default="all cores", help="Number of CPU threads.")
@click.option("--init-weights", type=PathType, metavar="FILE", help="Start from the weights of this detector.pt.")
@click.option("--resume", is_flag=True, help="Continue from DIR/last.pt; steps, size and scenes may change.")
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
def detector(
    scenes: Path, mosaics_only: bool, out: Path, steps: int, batch_size: int, size: int, lr: float, seed: int,
    device: str, amp: bool, threads: int | None, init_weights: Path | None, resume: bool, overwrite: bool,
) -> None:
    """Train our face detector `luma` on composed scenes, with FER2013's close-ups pasted on them, if there are any.

    Writes detector.pt (for fer-export detector), last.pt and history.csv to DIR.
    """
    if resume and overwrite:
        raise click.UsageError("--resume continues what DIR holds, --overwrite replaces it: give one of them")
    if resume and init_weights:
        raise click.UsageError("--resume continues with the weights in DIR: leave --init-weights out")
    if size % 32:
        raise click.BadParameter(f"{size} is not a multiple of 32", param_hint="--size")
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.detection.synthesis.pool import close_ups_of, complete_shards, load_pool
        from fer_train.detection.trainer import DetectorOptions, DetectorTrainer, load_detector

    complete_shards(scenes)  # fails before anything is made or deleted
    close_ups = close_ups_of(scenes)
    first = load_detector(init_weights)[0] if init_weights else None  # before --overwrite deletes it
    check_folder(out, RESULT_FILES, resume, overwrite)
    if not resume:
        clear_folder(out, RESULT_FILES)
    options = DetectorOptions(
        steps=steps, batch_size=batch_size, size=size, learning_rate=lr, seed=seed, device=resolve_device(device),
        amp=amp, mosaics_only=mosaics_only, close_ups=close_ups is not None,
    )
    if threads:
        torch.set_num_threads(threads)
    try:
        pool = load_pool(scenes, torch.device(options.device), mosaics_only)
        trainer = DetectorTrainer(*pool, options, out, close_ups)
        if resume:
            trainer.resume()
        elif first is not None:
            trainer.start_from(first)
        _log_start(trainer, scenes, 0 if close_ups is None else len(close_ups))
        _train(trainer)
    except torch.OutOfMemoryError as error:
        raise FerError("the GPU has too little free memory: make fewer scenes, or give --device cpu") from error
    export = ["fer-export", "detector", out / "detector.pt", "--scenes", scenes, "--out", out / "luma.onnx"]
    echo_line(f"Wrote {out / 'detector.pt'}. Next:", err=True)
    echo_line(f"  {command_line(export)}", err=True)
# fmt: on


def _log_start(trainer: "DetectorTrainer", scenes: Path, close_ups: int) -> None:
    options = trainer.options
    echo_line(
        f"luma: {trainer.network.num_parameters():,} parameters, "
        f"{len(trainer.scenes):,} {'mosaics' if options.mosaics_only else 'scenes'}"
        f"{f' and {close_ups:,} close-ups' if close_ups else ''} of {scenes}; "
        f"{options.steps - trainer.step:,} steps on {options.device}",
        err=True,
    )


def _train(trainer: "DetectorTrainer") -> None:
    """Train with a progress bar and a line per record on stderr; history.csv is rewritten with each record."""
    import pandas as pd
    from tqdm import tqdm

    with tqdm(total=trainer.options.steps, initial=trainer.step, unit="step", disable=None) as bar:

        def on_record(record: "DetectorRecord") -> None:
            bar.clear()
            echo_line(
                f"step {record.step:6}  score loss {record.score_loss:.3f}  box loss {record.box_loss:.3f}"
                f"  {record.seconds:.0f} s",
                err=True,
            )
            save_csv(pd.DataFrame(trainer.history), trainer.out / "history.csv")

        trainer.run(lambda _step: bar.update(), on_record)

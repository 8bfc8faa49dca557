"""The subcommands `fer-train scenes` and `fer-train detector`: make scenes, and train our face detector on them."""

import csv
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fer_edge.console import extra_required
from fer_edge.errors import FerError, OutputError
from fer_edge.files import atomic_write

if TYPE_CHECKING:
    from fer_train.detection.trainer import DetectorRecord, DetectorTrainer

SETTINGS = {"show_default": True, "max_content_width": 110}
RESULT_FILES = ("detector.pt", "last.pt", "history.csv")
SHARD_SIZE = 1000  # of synthesis.pool, which imports torch: --help must not wait for it
PathType = click.Path(path_type=Path)


# fmt: off
@click.command(context_settings=SETTINGS)
@click.option("--faces", type=PathType, required=True, metavar="DIR",
              help="Photos: sheets tiles_NN.jpg of 40 x 40 tiles of 128x128 pixels, and their faces in boxes.csv.")
@click.option("--teacher", type=PathType, required=True, metavar="FILE",
              help="YuNet (face_detection_yunet_2023mar.onnx of OpenCV's zoo), which labels the scenes.")
@click.option("--fer", type=PathType, metavar="CSV",
              help="FER2013's CSV: its Training faces become close-ups and get other people's shoulders.")
@click.option("--out", type=PathType, required=True, metavar="DIR", help="Folder for the scenes; made if missing.")
@click.option("--count", type=click.IntRange(1), metavar="N", default=24_000,
              help=f"Number of scenes, rounded up to files of {SHARD_SIZE}; existing files are kept.")
@click.option("--workers", type=click.IntRange(1), metavar="N", default=None,
              show_default="all cores", help="Number of processes.")
def scenes(faces: Path, teacher: Path, fer: Path | None, out: Path, count: int, workers: int | None) -> None:
    """Compose scenes with faces to train a detector on: near, far, dark, noisy and partly hidden ones.

    Each scene is 320x320 gray pixels, with the boxes of its faces and how surely they are faces. Altering heads and
    finding close-ups comes first and takes about half an hour on one core. Then 1000 scenes take 106 MB and two minutes
    on one core. A worker needs 3 GB of memory. A stopped run continues where it was. A scene depends only on its number
    and on the shipped luma, whose false alarms are used.
    """
    with extra_required("fer-train", "train"):
        from tqdm import tqdm

        from fer_train.detection.synthesis.pool import PARTS, PoolInputs, alter_heads, find_close_ups, make_pool

    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")
    shards, workers = -(-count // SHARD_SIZE), workers or os.cpu_count() or 1
    inputs = PoolInputs(faces, fer, teacher)
    with tqdm(total=PARTS, desc="heads", unit="part", disable=None) as bar:
        alter_heads(out, inputs, workers, bar.update)
    if fer is not None:
        with tqdm(total=PARTS, desc="close-ups", unit="part", disable=None) as bar:
            find_close_ups(out, inputs, workers, bar.update)
    with tqdm(total=shards * SHARD_SIZE, desc="scenes", unit="scene", disable=None) as bar:
        made = make_pool(out, shards, inputs, workers, lambda: bar.update(SHARD_SIZE))
    click.echo(f"{out} holds {shards * SHARD_SIZE:,} scenes, {made * SHARD_SIZE:,} of them new", err=True)


@click.command(context_settings=SETTINGS)
@click.option("--scenes", type=PathType, required=True, metavar="DIR", help="Folder that fer-train scenes made.")
@click.option("--mosaics-only", is_flag=True,
              help="Train only on the mosaics of photos, which are half of the scenes, and on close-ups, if any.")
@click.option("--out", type=PathType, required=True, metavar="DIR", help="Folder for the results; made if missing.")
@click.option("--steps", type=click.IntRange(1), metavar="N", default=20_000, help="Number of batches.")
@click.option("--batch-size", type=click.IntRange(1), metavar="N", default=16, help="Images per step.")
@click.option("--size", type=click.IntRange(64, 640), metavar="PX", default=288,
              help="Side of the largest training images, a multiple of 32; each step draws a side from half of it on.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), metavar="RATE", default=2e-3, help="Peak learning rate.")
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

        from fer_train.commands.training_options import chosen_device
        from fer_train.detection.synthesis.pool import close_ups_of, complete_shards, load_pool
        from fer_train.detection.trainer import DetectorOptions, DetectorTrainer, load_detector

    complete_shards(scenes)  # fails before anything is made or deleted
    close_ups = close_ups_of(scenes)
    first = load_detector(init_weights)[0] if init_weights else None  # before --overwrite deletes it
    _prepare(out, resume, overwrite)
    options = DetectorOptions(
        steps=steps, batch_size=batch_size, size=size, learning_rate=lr, seed=seed, device=chosen_device(device),
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
        click.echo(
            f"luma: {trainer.network.num_parameters():,} parameters, "
            f"{len(trainer.scenes):,} {'mosaics' if mosaics_only else 'scenes'}"
            f"{f' and {len(close_ups):,} close-ups' if close_ups else ''} of {scenes}; "
            f"{steps - trainer.step:,} steps on {options.device}",
            err=True,
        )
        _train(trainer)
    except torch.OutOfMemoryError as error:
        raise FerError("the GPU has too little free memory: make fewer scenes, or give --device cpu") from error
    click.echo(
        f"Wrote {out / 'detector.pt'}. Next:\n"
        f"  fer-export detector {out / 'detector.pt'} --scenes {scenes} --out {out / 'luma.onnx'}",
        err=True,
    )
# fmt: on


def _prepare(out: Path, resume: bool, overwrite: bool) -> None:
    """Make the folder and clear old results; OutputError if it holds results and neither flag is given."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: --out names a folder")
    present = [name for name in RESULT_FILES if (out / name).exists()]
    if resume:
        return
    if present and not overwrite:
        raise OutputError(
            f"{out} already holds {present[0]}: pass --resume to continue, --overwrite to replace it, "
            "or name another --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in RESULT_FILES:
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror}") from error


def _train(trainer: "DetectorTrainer") -> None:
    """Train with a progress bar and a line per record on stderr; history.csv is rewritten with each record."""
    from tqdm import tqdm

    with tqdm(total=trainer.options.steps, initial=trainer.step, unit="step", disable=None) as bar:

        def on_record(record: "DetectorRecord") -> None:
            bar.clear()
            click.echo(
                f"step {record.step:6}  score loss {record.score_loss:.3f}  box loss {record.box_loss:.3f}"
                f"  {record.seconds:.0f} s",
                err=True,
            )
            _write_history(trainer)

        trainer.run(lambda _step: bar.update(), on_record)


def _write_history(trainer: "DetectorTrainer") -> None:
    from fer_train.detection.trainer import DetectorRecord

    with atomic_write(trainer.out / "history.csv") as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(DetectorRecord)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(record) for record in trainer.history)

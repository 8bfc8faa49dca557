"""The command `fer-train scenes`: compose the scenes that a face detector is trained on."""

import os
from pathlib import Path

import click

from fer_edge.console import echo_line, extra_required, hold_output
from fer_train.commands.data_options import SETTINGS, PathType
from fer_train.result_folder import check_is_folder

SHARD_SIZE = 1000  # of synthesis.pool, which imports torch: --help must not wait for it


# fmt: off
@click.command(short_help="Compose scenes to train a face detector on.", context_settings=SETTINGS)
@click.option("--faces", type=PathType, required=True, metavar="DIR",
              help="Photos: sheets tiles_NN.jpg of 40 x 40 tiles of 128x128 pixels, and their faces in boxes.csv.")
@click.option("--teacher", type=PathType, required=True, metavar="FILE",
              help="YuNet (face_detection_yunet_2023mar.onnx of OpenCV's zoo), which labels the scenes.")
@click.option("--fer", type=PathType, metavar="CSV",
              help="FER2013's CSV: its Training faces become close-ups and get other people's shoulders.")
@click.option("--out", type=PathType, required=True, metavar="DIR", help="Folder for the scenes; created if missing.")
@click.option("--count", type=click.IntRange(1), metavar="N", default=24_000,
              help=f"Number of scenes, rounded up to files of {SHARD_SIZE}; existing files are kept.")
@click.option("--workers", type=click.IntRange(1), metavar="N", default=None,
              show_default="all cores", help="Number of processes.")
def scenes(faces: Path, teacher: Path, fer: Path | None, out: Path, count: int, workers: int | None) -> None:
    """Compose scenes with faces to train a detector on: near, far, dark, noisy and partly hidden ones.

    Each scene is 320x320 gray pixels, with the boxes of its faces and their certainty. Altering heads and finding
    close-ups comes first and takes about half an hour on one core. Then 1000 scenes take 106 MB and two minutes on one
    core. A worker needs 3 GB of memory. A stopped run continues where it stopped. A scene depends only on its number
    and on the shipped luma, whose false alarms are used.
    """
    with extra_required("fer-train", "train"):
        from tqdm import tqdm

        from fer_train.detection.synthesis.pool import PARTS, PoolInputs, alter_heads, find_close_ups, make_pool

    check_is_folder(out)
    hold_output(out)
    shards, workers = -(-count // SHARD_SIZE), workers or os.cpu_count() or 1
    inputs = PoolInputs(faces, fer, teacher)
    with tqdm(total=PARTS, desc="heads", unit="part", disable=None) as bar:
        alter_heads(out, inputs, workers, bar.update)
    if fer is not None:
        with tqdm(total=PARTS, desc="close-ups", unit="part", disable=None) as bar:
            find_close_ups(out, inputs, workers, bar.update)
    with tqdm(total=shards * SHARD_SIZE, desc="scenes", unit="scene", disable=None) as bar:
        made = make_pool(out, shards, inputs, workers, lambda: bar.update(SHARD_SIZE))
    echo_line(f"{out} holds {shards * SHARD_SIZE:,} scenes, {made * SHARD_SIZE:,} of them new", err=True)
# fmt: on

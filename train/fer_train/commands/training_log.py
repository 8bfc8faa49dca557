"""What a training run prints to stderr: its start, its progress, and its result."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.console import echo_line
from fer_edge.guards.text import command_line
from fer_train.commands.data_options import log_notes

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.report.tensorboard import Board
    from fer_train.training.history import EpochRecord, RunningMeans
    from fer_train.training.trainer import Trainer

LOSS_INTERVAL = 20  # batches between two readings of the loss, which wait for the GPU
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar:24}| {n_fmt}/{total_fmt} batches, {remaining} left{postfix}"


def log_start(faces: "FaceData", trainer: "Trainer", notes: tuple[str, ...] = ()) -> None:
    """Print the data, the network and the machine, and where a resumed run continues.

    notes: what reading other faces changed or skipped.
    """
    import torch

    from fer_train.training.schedule import ADDED_RATE

    options, done = trainer.options, len(trainer.history)
    copies = int((~trainer.test_is_new).sum())
    log_notes((*faces.notes, *notes))
    _log(
        f"{faces.title}: {len(trainer.labels):,} training and {trainer.test_count:,} test faces "
        f"({copies:,} of these are also in training), {len(faces.classes)} classes"
        + (", with FER+ votes" if faces.votes is not None else "")
    )
    if len(trainer.heads) > 1:
        for head in trainer.heads:
            truths = " and ".join(f"{truth.description} ({len(truth.rows):,} faces)" for truth in head.truths)
            _log(f"  head {head.name}: {len(head.classes)} classes, measured against {truths}")
    _log(
        f"{options.model}: {trainer.network.num_parameters():,} parameters, "
        f"{trainer.network.num_macs() / 1e6:.0f} MMAC per face; {options.epochs} epochs on {options.device}"
        + (f", threads: {torch.get_num_threads()}" if options.device == "cpu" else "")
        + (f", {trainer.rank.world_size} processes" if trainer.rank.world_size > 1 else "")
        + (", bfloat16" if options.amp else "")
    )
    unlabeled = trainer.batches.faces - len(trainer.labels)
    if options.teachers:
        _log(
            f"Learning from {len(options.teachers)} teacher{'s' if len(options.teachers) > 1 else ''}"
            + (f", also on {unlabeled:,} unlabeled faces" if unlabeled else "")
        )
    if options.extended:
        rate = ADDED_RATE * options.recipe.learning_rate
        first, last = options.extended[-1] + 1, options.epochs
        added = f"Epoch {last} is" if first == last else f"Epochs {first} to {last} are"
        _log(f"{added} added: the learning rate falls from {rate:g} ({ADDED_RATE:.0%} of the peak) to 0 by a cosine")
    if trainer.stopped_early:
        _log(f"No improvement in {options.patience} epochs: --patience 0 continues; only the reports are left to write")
    elif trainer.is_done:
        _log(f"All {done} epochs are trained: only the reports are left to write")
    elif done:
        _log(f"Continuing after epoch {done}")


def run_with_progress(trainer: "Trainer", board: "Board") -> None:
    """Train with a progress bar, on a terminal, and a line per epoch."""
    from tqdm import tqdm

    total = trainer.options.epochs
    # disable=None: only on a terminal
    bar = tqdm(total=trainer.steps_per_epoch, bar_format=BAR_FORMAT, leave=False, disable=None, dynamic_ncols=True)

    def on_step(step: int, means: "RunningMeans") -> None:
        if bar.disable:
            return
        if step == 1:
            bar.set_description_str(f"epoch {len(trainer.history) + 1:3}/{total}", refresh=False)
            bar.set_postfix_str("", refresh=False)
            bar.reset()
        if step % LOSS_INTERVAL == 1:
            loss, accuracy = means.read()
            bar.set_postfix_str(f"loss {loss:.3f}, accuracy {accuracy:.1%}", refresh=False)
        bar.update()
        if step == trainer.steps_per_epoch:
            bar.refresh()  # an epoch may be faster than the bar's refresh interval

    def on_epoch(record: "EpochRecord", is_best: bool) -> None:
        recent = [r.seconds for r in trainer.history[-5:]]
        left_s = (total - record.epoch) * sum(recent) / len(recent)
        bar.clear()
        board.add(record)
        _log(
            f"epoch {record.epoch:3}/{total}  loss {record.train_loss:.3f}  accuracy {record.train_accuracy:6.2%}"
            f"  test: loss {record.test_loss:.3f}  accuracy {record.test_accuracy:6.2%} {'*' if is_best else ' '}"
            f"  {record.seconds:.0f} s, {_duration(left_s)} left"
        )
        if len(trainer.scores) > 1:
            _log("  " + ", ".join(f"{name} {score:.2%}" for name, score in trainer.scores.items()))

    with bar:
        trainer.run(on_step, on_epoch)


def log_stop(trainer: "Trainer") -> None:
    """Print how far an interrupted run got, and where --resume continues."""
    done, every, kept = len(trainer.history), trainer.options.save_every, trainer.options.keep
    saved = done - done % every
    _log(
        f"Stopped after {done} of {trainer.options.epochs} epochs; {trainer.out} holds the {kept} of them, "
        + (f"--resume continues after epoch {saved}" if saved else "no state for --resume was saved yet")
    )


def log_early_stop(trainer: "Trainer") -> None:
    """Print that patience has run out, if it has."""
    if trainer.stopped_early:
        _log(f"No improvement in {trainer.options.patience} epochs: stopped early")


def log_result(trainer: "Trainer", given: Mapping[str, Any]) -> None:
    """Print the kept epoch's metrics and the command that exports it. given: the values of the command line."""
    from fer_edge.sentences import counted
    from fer_train.evaluation.metrics import recall_text
    from fer_train.networks.checkpoint import load_checkpoint

    best, out = trainer.out / "best.pt", trainer.out
    checkpoint = load_checkpoint(best)
    metrics = checkpoint.metrics
    for head in checkpoint.heads if len(checkpoint.heads) > 1 else ():
        for truth in head.metrics.get("truths", [head.metrics | {"truth": head.truth}]):
            _log(
                f"Head {head.name}, {truth['truth']}: accuracy {truth['accuracy']:.2%} of {truth['images']:,} faces, "
                f"calibration error {truth['ece']:.3f}"
            )
    _log(
        f"{trainer.options.keep.capitalize()} epoch {metrics['epoch']}: "
        f"{metrics['split']} accuracy {metrics['accuracy']:.2%} "
        f"({metrics['accuracy_deduplicated']:.2%} on faces that are not in training), "
        f"macro-F1 {metrics['macro_f1']:.3f}, calibration error {metrics['ece']:.3f}"
    )
    width = max(map(len, metrics["per_class"]))
    for label, row in metrics["per_class"].items():
        recall, faces = recall_text(row), counted(row["support"], "face")
        _log(f"  {label:{width}}  precision {row['precision']:6.1%}  recall {recall:>6}  ({faces})")
    _log(f"Wrote {best} and its reports. Next:")
    _log(f"  {command_line(_export_words(out, given))}")


def _export_words(out: Path, given: Mapping[str, Any]) -> list[object]:
    """The words of the fer-export that calibrates and measures the run in `out` with what it was trained on."""
    words = ["fer-export", out / "best.pt", "--out", out / "model.onnx", "--quantize"]
    words += ["--calibration-data", given["data"]]
    if given["ferplus"] is not None:
        words += ["--ferplus", given["ferplus"]]
        words += ["--people", given["people"]] * (given["people"] is not None)
    crop = given["crop"]
    return words + ["--skip-bad-rows"] * given["skip_bad_rows"] + ["--crop", crop] * (crop != "auto")


def _log(line: str) -> None:
    echo_line(line, err=True)


def _duration(seconds: float) -> str:
    minutes, whole_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole_seconds:02}"

"""Everything that a training run writes beside its checkpoint: metrics.json, history.csv, plots and report.html."""

from typing import TYPE_CHECKING

from fer_edge.files import write_json
from fer_train.data import PUBLIC_TEST, FaceData
from fer_train.evaluation.predictors import CheckpointPredictor
from fer_train.evaluation.scoring import evaluate_predictor
from fer_train.networks.checkpoint import Checkpoint, load_checkpoint
from fer_train.plots import EVALUATION_PLOTS, plot_classes, plot_curves, plot_evaluation, plot_samples
from fer_train.report.page import Html, details, joined, table
from fer_train.report.scores import REPORT, data_section, options_section, pictures, scores_of, write_report
from fer_train.training.history import write_history
from fer_train.training.targets import measured_faces

if TYPE_CHECKING:
    from fer_train.training.trainer import Trainer


def write_run(faces: FaceData, trainer: "Trainer") -> None:
    """Write the results of a run on `faces` to its folder; OutputError if that can't be done.

    The confusion matrix is that of metrics.json. The other plots of the test faces are drawn from a second pass, in
    the numeric format of training, since a checkpoint stores no predictions.
    """
    out = trainer.out
    best = load_checkpoint(out / "best.pt")
    metrics = best.metrics | {"model": best.model, "options": best.options}
    if len(best.heads) > 1:
        metrics["heads"] = {
            head.name: {"truth": head.truth, "labels": list(head.classes)} | head.metrics for head in best.heads
        }
    write_json(out / "metrics.json", metrics)
    write_history(trainer.history, out / "history.csv")
    plot_curves(trainer.history, best.metrics["epoch"], out / "curves.png")
    plot_classes(faces, out / "classes.png")
    plot_samples(faces, out / "samples.png")
    predictor = CheckpointPredictor(out / "best.pt", device=trainer.options.device, amp=trainer.options.amp)
    evaluation = evaluate_predictor(predictor, measured_faces(faces, trainer.heads[0]), PUBLIC_TEST)
    plot_evaluation(evaluation, out, best.metrics)
    sections = [
        ("Training", _training(trainer, best)),
        ("Data", data_section(faces) + pictures(out, ("classes.png", "samples.png"))),
        ("Test faces", pictures(out, EVALUATION_PLOTS)),
        ("Options", options_section(trainer.options.to_dict())),
    ]
    write_report(out / REPORT, f"{best.model} on {faces.title}", scores_of(best.heads), sections)


def _training(trainer: "Trainer", best: Checkpoint) -> Html:
    history = trainer.history
    seconds = sum(record.seconds for record in history)
    facts = [
        ("network", f"{best.model}, {trainer.network.num_parameters():,} parameters"),
        ("epochs", f"{len(history)} of {trainer.options.epochs}, of which {best.metrics['epoch']} was kept"),
        ("time", f"{seconds:,.0f} s on {trainer.options.device}"),
        ("faces", f"{len(trainer.labels):,} to train on, {trainer.test_count:,} to test"),
    ]
    rows = [
        [str(each.epoch), f"{each.learning_rate:.2g}", f"{each.train_loss:.3f}", f"{each.train_accuracy:.1%}",
         f"{each.test_loss:.3f}", f"{each.test_accuracy:.2%}", f"{each.seconds:.1f}"]
        for each in history
    ]  # fmt: skip
    header = ["epoch", "learning rate", "loss", "accuracy", "test loss", "test accuracy", "seconds"]
    return joined([
        table([], facts, kind="text"), pictures(trainer.out, ("curves.png",)),
        details("All epochs", table(header, rows)),
    ])  # fmt: skip

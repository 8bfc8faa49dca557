"""The options of `fer-train` and `fer-train search` that say how to train. Imports nothing heavy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_edge.console import RenamedOption, echo_line, extra_required
from fer_edge.errors import FerError, ModelError
from fer_train.class_choice import format_classes
from fer_train.commands.data_options import FiniteRange, PathType
from fer_train.network_names import network_names

if TYPE_CHECKING:
    from fer_train.data import FaceData
    from fer_train.training.distributed import Rank
    from fer_train.training.options import TrainOptions
    from fer_train.training.trainer import Trainer

QAT_LEARNING_RATE_FACTOR = 0.02  # QAT fine-tunes a trained network, so it needs a far lower learning rate
OF_ONE_CALL = ("data", "out", "resume", "overwrite")  # not taken from last.pt
# What a resumed run may change; init_weights is compared by content.
MAY_CHANGE = ("epochs", "save_every", "patience", "compiled", "threads", "tensorboard", "skip_bad_rows", "init_weights")
STORED_TYPES: dict[type, tuple[type, ...]] = {  # of an option's value in last.pt
    click.types.BoolParamType: (bool,), click.types.IntParamType: (int,), click.types.FloatParamType: (int, float),
    click.Choice: (str,), click.Path: (str,), click.types.StringParamType: (str,),
}  # fmt: skip
Given = dict[str, Any]
"""The values of OPTIONS on the command line, by parameter name."""

# fmt: off
OPTIONS = [
    click.option("--model", type=click.Choice(network_names()), metavar="NAME", default="edgeresnet",
                 help=f"Network to train: {', '.join(network_names())}. The edgeresnets are ours and made for int8; "
                      "cnn4 is the usual tutorial baseline; the others serve as teachers."),
    click.option("--epochs", type=click.IntRange(1), metavar="N", default=36,
                 help="Number of passes over the training faces."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", default=0,
                 help="Seed of all random numbers."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
                 help="Where to train; auto uses a GPU if there is one."),
    click.option("--batch-size", type=click.IntRange(2), metavar="N", show_default="the network's own",
                 help="Faces per step, over all processes."),
    click.option("--lr", type=FiniteRange(0, min_open=True), metavar="RATE", show_default="the network's own",
                 help="Peak learning rate."),
    click.option("--weight-decay", type=FiniteRange(0), metavar="X", show_default="the network's own",
                 help="Weight decay."),
    click.option("--label-smoothing", type=FiniteRange(0, 0.9), metavar="SHARE", default=0.1,
                 help="Fraction of each target that is spread over all classes, 0 to 0.9."),
    click.option("--augment", metavar="NAME[,CHANGES]", default="standard",
                 help="Augmentation: none, standard or strong, optionally with changes, as in strong,shift=0.1,flip=0 "
                      "(rotation_deg, scale, shift, flip, brightness, contrast, erase, aspect, shear_deg, blur, "
                      "noise)."),
    click.option("--mixup", type=FiniteRange(0), metavar="ALPHA", default=0.0,
                 help="Mix pairs of faces and their targets with weights from Beta(ALPHA, ALPHA); 0 is off, 1 is "
                      "strong."),
    click.option("--ferplus-weight", type=FiniteRange(0), metavar="X", default=1.0,
                 help="Weight of the loss on FER+ votes, with --ferplus and without --heads."),
    click.option("--teacher", "teachers", type=PathType, metavar="BEST.PT", multiple=True,
                 help="Also learn from this trained network. Repeat it to learn from the mean of several."),
    click.option("--distill-weight", type=FiniteRange(0, 1), metavar="SHARE", default=0.9,
                 help="Weight of the teachers' loss in the heads they teach, 0 to 1; the targets' loss has the rest."),
    click.option("--distill-temperature", type=FiniteRange(0, min_open=True), metavar="T", default=3.0,
                 help="Temperature that softens the teachers' predictions."),
    click.option("--unlabeled", "unlabeled", type=PathType, metavar="NPZ", cls=RenamedOption, former=["--unlabelled"],
                 help="More faces to learn the teachers' predictions on (images, uint8 [N, 48, 48])."),
    click.option("--init-weights", metavar="FILE|URL",
                 help="Start from torchvision's ImageNet weights (resnet18, vgg11-bn, vgg16-bn) or from a best.pt."),
    click.option("--qat", is_flag=True,
                 help="Quantization-aware training: fine-tune --init-weights BEST.PT with int8 rounding."),
    click.option("--class-weights", type=click.Choice(["none", "sqrt", "balanced"]), default="none",
                 help="Weight faces of rare classes higher in the loss; balanced gives all classes the same total."),
    click.option("--balanced-sampling", is_flag=True, help="Sample all classes equally often."),
    click.option("--ema-decay", type=FiniteRange(0, 1, max_open=True), metavar="X", default=0.999,
                 help="Decay of the moving average of the weights, which is tested and saved."),
    click.option("--patience", type=click.IntRange(0), metavar="N", default=0, show_default="never",
                 help="Stop after N epochs without improvement."),
    click.option("--amp/--no-amp", default=None, show_default="where it is faster",
                 help="Run convolutions in bfloat16."),
    click.option("--compile", "compiled", type=click.Choice(["no", "default", "reduce-overhead"]), default="no",
                 help="Use torch.compile: a slower start, faster steps. reduce-overhead also records CUDA graphs."),
    click.option("--threads", type=click.IntRange(1), metavar="N", show_default="all cores",
                 help="Number of CPU threads."),
]
# fmt: on


def words_of(params: Sequence[click.Parameter], values: Mapping[str, Any]) -> list[str]:
    """The words of a command line that gives `params` those of `values` that are not the defaults."""
    words: list[str] = []
    for param in params:
        value = values.get(str(param.name))
        if not isinstance(param, click.Option) or value is None or value == param.default or value in ((), []):
            continue
        if isinstance(value, bool):
            words += [param.opts[0]] if value else param.secondary_opts[:1]
        elif isinstance(value, Mapping):
            words += [param.opts[0], format_classes(dict(value))]
        else:
            for each in value if isinstance(value, tuple | list) else (value,):
                words += [param.opts[0], str(each)]
    return words


def add_training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate `command` with OPTIONS, in order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def train_options(given: Given) -> "TrainOptions":
    """Return the options for the trainer; FerError or UsageError if they contradict each other or this machine."""
    with extra_required("fer-train", "train"):
        import torch

        from fer_train.networks import network_class
        from fer_train.training.augment import parse_augmentation
        from fer_train.training.options import TrainOptions

    if given["unlabeled"] and not given["teachers"]:
        raise click.UsageError("--unlabeled faces are learned from teachers' predictions: give a --teacher, too")
    if given["qat"] and not given["init_weights"]:
        raise click.UsageError("--qat fine-tunes a trained network: name it with --init-weights BEST.PT")
    own = network_class(given["model"]).recipe
    if given["qat"]:
        own = replace(own, learning_rate=own.learning_rate * QAT_LEARNING_RATE_FACTOR)
    recipe = replace(
        own,
        batch_size=given["batch_size"] or own.batch_size,
        learning_rate=given["lr"] or own.learning_rate,
        weight_decay=own.weight_decay if given["weight_decay"] is None else given["weight_decay"],
    )
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    device = resolve_device(given["device"])
    if device == "cuda":
        torch.backends.cudnn.benchmark = True  # batches keep their size, so searching for the fastest kernels pays
        torch.set_float32_matmul_precision("high")
    unchanged = (
        "model", "epochs", "seed", "label_smoothing", "mixup", "ferplus_weight", "distill_weight",
        "distill_temperature", "class_weights", "balanced_sampling", "ema_decay", "patience", "compiled",
    )  # fmt: skip
    return TrainOptions(
        recipe=recipe,
        device=device,
        # bfloat16 has too few digits for int8's products
        amp=not given["qat"] and (_amp_is_fast(device) if given["amp"] is None else given["amp"]),
        quantized=given["qat"],
        augmentation=parse_augmentation(given["augment"]),
        keep=given.get("keep", TrainOptions.keep),
        save_every=given.get("save_every", TrainOptions.save_every),
        extended=tuple(given.get("extended", ())),
        heads=given.get("heads") or {},
        people_weight=given.get("people_weight", TrainOptions.people_weight),
        **{name: given[name] for name in unchanged},
    )


def plain_values(given: Given) -> Given:
    """`given` as last.pt stores it for --resume: paths absolute and as text, no values of single calls."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value.absolute())
        return [plain(each) for each in value] if isinstance(value, tuple) else value

    kept = {
        name: plain(value) for name, value in given.items() if name not in (*OF_ONE_CALL, "extended", "labels_head")
    }
    if kept.get("init_weights") and Path(kept["init_weights"]).is_file():  # otherwise a URL
        kept["init_weights"] = str(Path(kept["init_weights"]).absolute())
    return kept


def continued(context: click.Context, given: Given) -> Given:
    """`given` for --resume: what the command line doesn't name is taken from last.pt.

    The command line may name the run's own values, other files with the same content, and those of MAY_CHANGE.
    Raises UsageError, which names the options that differ, ModelError if last.pt can't be used.
    """
    from fer_train.training.resume import stored_values

    stored = stored_values(given["out"] / "last.pt")
    _check_stored(context, stored, given["out"] / "last.pt")
    result, differing = dict(given), []
    for param in context.command.params:
        name = str(param.name)
        named = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if name in OF_ONE_CALL or name not in stored:
            continue
        is_path = isinstance(param.type, click.Path)
        if not named:
            value = stored[name]
            result[name] = value
            if is_path and value is not None:
                result[name] = tuple(map(Path, value)) if isinstance(value, list) else Path(value)
        elif not is_path and name not in MAY_CHANGE and _shown(given[name]) != _shown(stored[name]):
            differing.append(f"{param.opts[0]} {_shown(stored[name])}")
    if given["epochs"] < stored["epochs"] and result["epochs"] == given["epochs"]:
        differing.append(f"--epochs {stored['epochs']}, which may only grow")
    if differing:
        raise click.UsageError(
            f"the run in {given['out']} has {', '.join(differing)}: leave that out to continue the run, or start over "
            "with --overwrite"
        )
    result["labels_head"] = stored["labels_head"]
    result["extended"] = tuple(stored.get("extended", ()))
    if result["epochs"] > stored["epochs"]:
        result["extended"] += (stored["epochs"],)
    return result


def _check_stored(context: click.Context, stored: Mapping[str, Any], path: Path) -> None:
    """ModelError if a value of last.pt is none that the command line could give."""
    for param in context.command.params:
        value = stored.get(str(param.name))
        if value in (None, {}) or param.name in OF_ONE_CALL:
            continue
        try:
            for each in value if isinstance(value, list) else [value]:
                known = next((types for kind, types in STORED_TYPES.items() if isinstance(param.type, kind)), (dict,))
                if type(each) not in known:
                    raise TypeError(type(each).__name__)
                param.type.convert(_shown(each) if isinstance(each, dict) else each, param, context)
        except (TypeError, click.BadParameter) as error:
            raise ModelError(
                f"{path} is damaged: {param.opts[0]} can't be {value!r:.80}; start over with --overwrite"
            ) from error


def _shown(value: Any) -> str:
    """A value of an option in words, which are the same for the same value; order counts."""
    if isinstance(value, Mapping):
        items = ((name, "+".join(each) if isinstance(each, tuple) else f"{each:g}") for name, each in value.items())
        return ",".join(f"{name}={each}" for name, each in items) or "not given"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return "given" if value is True else str(value or "not given")


def make_trainer(
    faces: "FaceData", options: "TrainOptions", given: Given, out: Path, rank: "Rank", people: "FaceData | None" = None
) -> "Trainer":
    """Return a trainer that writes to `out`, with the teachers, unlabeled faces and first weights that were given.

    people: faces labeled with what people would say, for the heads on votes.
    """
    from fer_edge.files import sha256_of
    from fer_train.data.npz_faces import load_npz_faces
    from fer_train.networks import Network
    from fer_train.networks.pretrained import fetch, load_initial_weights
    from fer_train.training.distillation import load_teachers
    from fer_train.training.targets import training_set
    from fer_train.training.trainer import Trainer

    lessons = training_set(
        faces, options.heads, ferplus_weight=options.ferplus_weight, people=people,
        people_weight=options.people_weight, labels_head=given.get("labels_head"),
    )  # fmt: skip
    teachers = load_teachers(given["teachers"], lessons.heads)
    unlabeled = None if given["unlabeled"] is None else load_npz_faces(given["unlabeled"])
    options = replace(options, teachers=tuple(sha256_of(path) for path in given["teachers"]))
    initial = None
    if given["init_weights"]:
        weights = fetch(given["init_weights"])
        options = replace(options, init=sha256_of(weights))

        def initial(network: Network) -> None:
            transfer = load_initial_weights(network, options.model, lessons.heads, weights)
            if rank.is_first:
                echo_line(f"{weights}: {transfer.summary()}", err=True)

    trainer = Trainer(lessons, options, out, teachers=teachers, unlabeled=unlabeled, initial=initial, rank=rank)
    trainer.command = plain_values(given)
    return trainer


def resolve_device(name: str) -> str:
    """Turn a --device of "auto", "cpu" or "cuda" into "cpu" or "cuda"; FerError for "cuda" without a GPU."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise FerError("--device cuda: torch finds no GPU; use --device cpu, or install torch with CUDA")
    return name


def _amp_is_fast(device: str) -> bool:
    """Whether bfloat16 is faster: on GPUs, and on CPUs with instructions for it. Other CPUs emulate it slowly."""
    import torch

    supported = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # torch has no public function for this
    return device == "cuda" or any(getattr(torch.cpu, name, lambda: False)() for name in supported)

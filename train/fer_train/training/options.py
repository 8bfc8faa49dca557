"""Everything that decides how a network is trained."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fer_train.networks import Recipe
from fer_train.training.augment import Augmentation

STORED_NAMES = {"quantized": "quantised"}  # field -> its key in best.pt, last.pt and metrics.json
ADDED = {"extended": (), "keep": "best"}  # fields that earlier files lack, with their defaults


@dataclass(frozen=True)
class TrainOptions:
    """How to train. Two runs with the same options and data give the same weights.

    They are equal bit for bit on a CPU with the same number of threads, and nearly equal on a GPU.

    model: name of the network. epochs: passes over the training faces.
    recipe: optimizer settings; its batch_size counts the faces of all processes together.
    amp: run convolutions in bfloat16. compiled: mode of torch.compile, or "no".
    label_smoothing: fraction of the target spread over all classes (Szegedy et al. 2016).
    ema_decay: of the moving average of the weights; the average is what is tested and kept.
    mixup: alpha of the Beta distribution that two faces and their targets are mixed by (Zhang et al. 2018); 0: off.
    class_weights: "none", "sqrt" or "balanced": how much more a face of a rare class counts in the loss.
    balanced_sampling: draw every class equally often, with replacement.
    ferplus_weight: of the loss of the head on FER+ votes, which data with votes gets if `heads` names none.
    heads: names and loss weights of the heads, in order, as in fer_train.training.targets; empty: those of the data.
    people_weight: mean weight of a face of `--people` in the losses.
    teachers: SHA-256 of each teacher's checkpoint, by which a resumed run recognizes them.
    distill_weight: weight of the teachers' loss, 0 to 1; the labels' loss has the remaining weight. Used with teachers.
    distill_temperature: divides the logits of student and teachers (Hinton et al. 2015).
    patience: stop after this many epochs without a better one; 0: never.
    keep: "best", the epoch that best.pt holds has the best test accuracy; "last": no test face chooses it.
    save_every: epochs between two versions of last.pt.
    quantized: train and test with int8's rounding (quantization-aware training).
    init: SHA-256 of the file that the initial weights came from, or "".
    extended: after how many epochs the run was to end before epochs were added to it, in order.
    """

    model: str
    epochs: int
    recipe: Recipe
    seed: int = 0
    device: str = "cpu"
    amp: bool = False
    compiled: str = "no"
    label_smoothing: float = 0.1
    ema_decay: float = 0.999
    augmentation: Augmentation = field(default_factory=Augmentation)
    mixup: float = 0.0
    class_weights: str = "none"
    balanced_sampling: bool = False
    ferplus_weight: float = 1.0
    heads: Mapping[str, float] = field(default_factory=dict)
    people_weight: float = 0.3
    teachers: tuple[str, ...] = ()
    distill_weight: float = 0.9
    distill_temperature: float = 3.0
    patience: int = 0
    keep: str = "best"
    save_every: int = 1
    quantized: bool = False
    init: str = ""
    extended: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The options as files store them: nested dictionaries by field name, or by STORED_NAMES.

        What was added later is left out where it has its default, so that runs from before it can be resumed.
        """
        stored = {STORED_NAMES.get(name, name): value for name, value in asdict(self).items()}
        return {name: value for name, value in stored.items() if name not in ADDED or value != ADDED[name]}

    def with_epochs(self, epochs: int) -> "TrainOptions":
        """The options of the same run continued to `epochs`; ValueError if these are not more.

        >>> TrainOptions("cnn4", 4, Recipe()).with_epochs(6).extended
        (4,)
        """
        if epochs <= self.epochs:
            raise ValueError(f"{epochs} epochs are not more than {self.epochs}")
        return replace(self, epochs=epochs, extended=(*self.extended, self.epochs))

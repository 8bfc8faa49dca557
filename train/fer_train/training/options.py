"""Everything that decides how a network is trained."""

from dataclasses import dataclass, field

from fer_train.networks import Recipe
from fer_train.training.augment import Augmentation


@dataclass(frozen=True)
class TrainOptions:
    """How to train. Two runs with the same options and data give the same weights.

    To the bit that holds on a CPU with the same number of threads; on a GPU they are nearly the same.

    batch_size in `recipe` counts the faces of all processes together.
    amp: run convolutions in bfloat16. compiled: mode of torch.compile, "no" for none.
    label_smoothing: share of the target spread over all classes.
    ema_decay: of the moving average of the weights; the average is what is evaluated and kept.
    mixup: alpha of the Beta distribution that two faces and their targets are mixed by (Zhang et al. 2018); 0: none.
    class_weights: "none", "sqrt" or "balanced": how much more a face of a rare class weighs in the loss.
    balanced_sampling: draw every class equally often, with replacement.
    ferplus_weight: of the cross-entropy of a second head on the FER+ vote distribution, which is
        dropped after training; used when the data has votes.
    teachers: SHA-256 of each teacher's checkpoint, which tells whether a resumed run has the same ones.
    distill_weight: of the teachers' part of the loss; the labels' cross-entropy has the rest. Used with teachers.
    distill_temperature: both sides' logits are divided by it (Hinton et al. 2015).
    patience: stop after this many epochs without a better one; 0: never.
    save_every: epochs between two writings of last.pt.
    quantised: train with int8's rounding in the forward pass, and test with it.
    init: SHA-256 of the file that the first weights came from, or "".
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
    teachers: tuple[str, ...] = ()
    distill_weight: float = 0.9
    distill_temperature: float = 3.0
    patience: int = 0
    save_every: int = 1
    quantized: bool = False
    init: str = ""

"""Average the weights of two detectors of which one was trained on from the other: better than either, at no cost.

(Wortsman et al. 2022, "Model soups".) Both must have learned from the same start, else their mean is noise.

    python train/recipes/average_detectors.py first/detector.pt second/detector.pt detector.pt
"""

from pathlib import Path

import click
import torch

from fer_edge.console import run_main
from fer_train.detection.training import load_detector, save_detector


@click.command(help=__doc__)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(first: Path, second: Path, out: Path) -> None:
    """Write the mean to `out`; what the second was trained with goes with it."""
    one, other = load_detector(first), load_detector(second)
    weights = one[0].state_dict()
    with torch.no_grad():
        for name, value in other[0].state_dict().items():
            if value.is_floating_point():
                value.lerp_(weights[name], 0.5)
    save_detector(other[0], out, other[1] | {"averaged_with_step": one[1]["step"]})


if __name__ == "__main__":
    run_main(main, "average_detectors.py")

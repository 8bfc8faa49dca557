"""Average the weights of detectors that were fine-tuned from the same one: better than each of them, and as fast.

See Wortsman et al. 2022, "Model soups". The mean of detectors with different initial weights is useless.

    python train/recipes/average_detectors.py first/detector.pt second/detector.pt detector.pt
"""

from pathlib import Path

import click
import torch

from fer_edge.console import run_main
from fer_train.detection.trainer import load_detector, save_detector


@click.command(help=__doc__)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("others", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(first: Path, others: tuple[Path, ...], out: Path) -> None:
    """Write the mean to `out`, with the last detector's training options and the steps of the others."""
    *parts, (last, options) = [load_detector(path) for path in (first, *others)]
    states = [network.state_dict() for network, _ in parts]
    with torch.no_grad():
        for name, value in last.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.stack([value, *(state[name] for state in states)]).mean(0))
    steps = [trained.get("step") for _, trained in parts]
    save_detector(last, out, options | {"averaged_with_steps": steps})


if __name__ == "__main__":
    run_main(main, "average_detectors.py")

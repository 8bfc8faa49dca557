"""The names of the networks, for `--help`, which must not wait for torch."""

import pkgutil
from pathlib import Path

OTHER_MODULES = {"base", "checkpoint", "inference", "normalization", "pretrained"}


def network_names() -> tuple[str, ...]:
    """One name for each network's file in networks/: vgg16_bn.py is vgg16-bn."""
    files = pkgutil.iter_modules([str(Path(__file__).with_name("networks"))])
    return tuple(sorted(file.name.replace("_", "-") for file in files if file.name not in OTHER_MODULES))

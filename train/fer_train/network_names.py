"""The names of the networks, for `--help`, which must not wait for torch."""

import re
from pathlib import Path

FOLDERS = [Path(__file__).with_name("networks")]
NETWORK_FILE = re.compile(r"^NETWORK = ", re.MULTILINE)


def network_names() -> tuple[str, ...]:
    """One name per network: a file in networks/ that assigns NETWORK. vgg16_bn.py is vgg16-bn."""
    files = [file for folder in FOLDERS for file in folder.glob("*.py")]
    names = [file.stem.replace("_", "-") for file in files if NETWORK_FILE.search(file.read_text(encoding="utf-8"))]
    return tuple(sorted(names))

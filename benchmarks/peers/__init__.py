"""Other emotion recognizers, run as their documentation says, on the same faces as ours.

--peer NAME, or NAME=FILE[,FILE] for a peer whose network is a file of the user. A peer that is not installed, or cannot
get its weights, raises PeerMissingError, and the benchmarks skip it with one line.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import numpy.typing as npt

from fer_train.data import FER2013_CLASSES

Faces = npt.NDArray[np.uint8]
"""Gray faces with FER2013's framing, uint8 [N, H, W]."""
Probabilities = npt.NDArray[np.float64]
"""float64 [N, classes], rows sum to 1."""

PEERS = {
    "fer": "fer_package",
    "fer-keras": "fer_package",
    "deepface": "deepface_package",
    "hsemotion-onnx": "hsemotion_package",
    "opencv-zoo": "opencv_zoo",
    "face-api": "face_api",
    "emotion-ferplus": "ferplus_onnx",
}
"""Names on the command line, and the modules here that open them."""


class PeerMissingError(Exception):
    """The peer cannot be run here; the message is a clause that says why."""


class Peer(Protocol):
    """A recognizer.

    version: of its distribution. file_mb: size of its network's file in 10^6 bytes, None if unknown. preprocessing: how
    it prepares a face, in words.
    """

    name: str
    version: str
    file_mb: float | None
    preprocessing: str

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        """Probabilities of `classes`, a row per face: FER2013's seven, or those and contempt."""
        ...


def open_peer(spec: str) -> Peer:
    """The peer of a NAME or NAME=FILE[,FILE]; PeerMissingError if it cannot be run, ValueError if it is unknown."""
    name, _, files = spec.partition("=")
    if name not in PEERS:
        raise ValueError(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
    module = importlib.import_module(f"benchmarks.peers.{PEERS[name]}")
    opener: Callable[[str, Sequence[Path]], Peer] = module.open_peer
    return opener(name, [Path(file) for file in files.split(",") if file])


def open_all(specs: Sequence[str], skip: Callable[[str], None]) -> Iterator[Peer]:
    """The peers that can be run; `skip` gets a sentence for each of the others. UsageError for unknown names."""
    for spec in specs:
        try:
            yield open_peer(spec)
        except PeerMissingError as error:
            skip(f"peer {spec.partition('=')[0]}: {error}")
        except ValueError as error:
            raise click.UsageError(f"--peer: {error}") from error


def in_our_order(
    scores: npt.ArrayLike, labels: Sequence[str], classes: Sequence[str] = FER2013_CLASSES
) -> Probabilities:
    """Scores [N, k] of a peer's `labels` as probabilities of `classes`.

    Labels match by their first three letters, since spellings differ (angry, anger; happy, happiness). Labels that are
    not among the classes (contempt, for FER2013's seven) are left out, and the others are scaled to a sum of 1.
    Contempt gets 0 from a peer that does not have it; any other missing label is a ValueError.
    """
    lowered = [label.lower()[:3] for label in labels]
    given = np.asarray(scores, dtype=np.float64)
    chosen = np.zeros((len(given), len(classes)))
    for column, name in enumerate(classes):
        if name[:3] in lowered or name != "contempt":
            chosen[:, column] = given[:, lowered.index(name[:3])]
    return np.asarray(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12))


def one_line(error: Exception, max_chars: int = 120) -> str:
    """The start of an error's message without line breaks."""
    return " ".join(str(error).split())[:max_chars]


def required(module: str, package: str) -> object:
    """Import `module`; PeerMissingError that names the package to install if that fails."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise PeerMissingError(f"pip install {package} ({one_line(error)})") from error

"""face-api (npm @vladmandic/face-api): its expression network, run by node; its weights are in the package.

--peer face-api=DIR names the node_modules folder; without it, the environment variable FER_FACE_API does. It is made by
`npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm`.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line
from fer_train.data import FER2013_CLASSES

SCRIPT = Path(__file__).with_name("face_api.cjs")
INSTALL = "npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm"
WEIGHTS = Path("@vladmandic/face-api/model/face_expression_model.bin")
PACKAGES = ("@vladmandic/face-api", "@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")


class FaceApi:
    """The package's own code on one face after the other, without its detector, since the faces are cropped."""

    name = "face-api"
    preprocessing = "resized to 112x112 RGB, less its mean color, / 255; its own code, without its detector"

    def __init__(self, node: str, modules: Path) -> None:
        self._node, self._modules = node, modules
        self.file_mb: float | None = (modules / WEIGHTS).stat().st_size / 1e6
        package = json.loads((modules / PACKAGES[0] / "package.json").read_text(encoding="utf-8"))
        self.version = str(package["version"])

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "faces.bin"
            file.write_bytes(np.ascontiguousarray(faces).tobytes())
            done = subprocess.run(
                [self._node, str(SCRIPT), str(self._modules), str(file), str(faces.shape[1])],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode:
            raise PeerMissingError(f"node can't run face-api ({one_line(RuntimeError(done.stderr))})")
        found = json.loads(done.stdout)
        return in_our_order(found["scores"], found["labels"], classes)


def open_peer(_name: str, files: Sequence[Path]) -> FaceApi:
    """Open it, and run it once, so that a package that does not work is left out before anything is measured."""
    named = files[0] if files else Path(os.environ.get("FER_FACE_API", ""))
    if not files and "FER_FACE_API" not in os.environ:
        raise PeerMissingError(f"--peer face-api=DIR names the node_modules folder that `{INSTALL}` makes")
    modules = named if named.name == "node_modules" else named / "node_modules"
    for package in PACKAGES:
        if not (modules / package).is_dir():
            raise PeerMissingError(f"{modules} does not hold {package}: {INSTALL}")
    if not (modules / WEIGHTS).is_file():
        raise PeerMissingError(f"{modules / WEIGHTS} does not exist: {INSTALL}")
    node = shutil.which("node")
    if node is None:
        raise PeerMissingError("it needs node, which is not installed")
    peer = FaceApi(node, modules)
    peer.predict(np.full((1, 48, 48), 128, dtype=np.uint8))
    return peer

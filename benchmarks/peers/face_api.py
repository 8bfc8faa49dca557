"""face-api (npm @vladmandic/face-api): its expression network, run by node; its weights are in the package.

--peer face-api=DIR names the node_modules folder; without it, the environment variable FER_FACE_API does. It is made by
`npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers import Faces, PeerMissingError, Probabilities, in_our_order, one_line
from fer_train.data import FER2013_CLASSES

SCRIPT = Path(__file__).with_name("face_api.cjs")
INSTALL = "npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm"
WEIGHTS = Path("@vladmandic/face-api/model/face_expression_model.bin")
PACKAGES = ("@vladmandic/face-api", "@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")


class FaceApi:
    """The package's own code on one face after the other, without its detector, since the faces are cropped.

    node runs it in a process that lives as long as this object, so that a time is that of the faces.
    """

    name = "face-api"
    preprocessing = "resized to 112x112 RGB, less its mean color, / 255; its own code, without its detector"

    def __init__(self, node: str, modules: Path) -> None:
        self._command = (node, str(SCRIPT), str(modules))
        self._process: subprocess.Popen[bytes] | None = None
        self._side = 0
        self._stop: Callable[[], object] | None = None
        self.file_mb: float | None = (modules / WEIGHTS).stat().st_size / 1e6
        package = json.loads((modules / PACKAGES[0] / "package.json").read_text(encoding="utf-8"))
        self.version = str(package["version"])

    def predict(self, faces: Faces, classes: Sequence[str] = FER2013_CLASSES) -> Probabilities:
        process = self._started(faces.shape[1])
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # stderr says why it ended
            process.stdin.write(len(faces).to_bytes(4, "little") + np.ascontiguousarray(faces).tobytes())
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            reason = process.stderr.read().decode(errors="replace")
            raise PeerMissingError(f"node can't run face-api ({one_line(RuntimeError(reason))})")
        found = json.loads(line)
        return in_our_order(found["scores"], found["labels"], classes)

    def _started(self, side: int) -> "subprocess.Popen[bytes]":
        """The process for faces of this side; another one than before if the side has changed."""
        if self._process is None or self._side != side:
            if self._stop is not None:
                self._stop()
            pipe = subprocess.PIPE
            process = subprocess.Popen([*self._command, str(side)], stdin=pipe, stdout=pipe, stderr=pipe)
            self._process, self._side, self._stop = process, side, weakref.finalize(self, stop, process)
        return self._process


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and close its pipes."""
    process.kill()
    with contextlib.suppress(BrokenPipeError), process:  # what it did not read
        pass


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

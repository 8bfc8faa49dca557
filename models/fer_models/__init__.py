"""The networks that ship with fer-edge (emotion classifier and face detector), their paths and their manifests.

Running them lives in fer_edge; making them lives in fer_train and fer_export.
"""

import json
from pathlib import Path
from typing import Any

__all__ = ["default_model", "detector_manifest", "detector_path", "manifest", "model_path", "shipped_sha256"]

_HERE = Path(__file__).parent


def manifest() -> dict[str, Any]:
    """The shipped classifiers: {"default": precision, "models": {precision: {"file", "sha256", "accuracy", …}}, …}.

    A model's "heads" gives per head, the default one first, {"truth", "images", "accuracy"}: accuracy 0 to 1.
    """
    values: dict[str, Any] = json.loads((_HERE / "manifest.json").read_text(encoding="utf-8"))
    return values


def model_path(precision: str) -> Path:
    """The shipped classifier of `precision`, "int8" or "fp32"; ValueError for another."""
    models = manifest()["models"]
    if precision not in models:
        raise ValueError(f"no shipped model is {precision!r}; there are {', '.join(models)}")
    return _HERE / str(models[precision]["file"])


def default_model() -> Path:
    """The classifier that `fer-edge` runs without --model."""
    return model_path(manifest()["default"])


def detector_manifest() -> dict[str, Any]:
    """The shipped detectors: {"default": precision, "models": {precision: {"file", "sha256", "bytes"}}, …}."""
    values: dict[str, Any] = json.loads((_HERE / "detector.json").read_text(encoding="utf-8"))
    return values


def detector_path(precision: str | None = None) -> Path:
    """The shipped detector of `precision`, "int8" or "fp32", None for the default; ValueError for another."""
    shipped = detector_manifest()
    name = precision or shipped["default"]
    if name not in shipped["models"]:
        raise ValueError(f"no shipped detector is {name!r}; there are {', '.join(shipped['models'])}")
    return _HERE / str(shipped["models"][name]["file"])


def shipped_sha256(path: Path) -> str | None:
    """The hex hash that the shipped file `path` must have; None for a file that does not ship with fer-edge."""
    if path.resolve().parent != _HERE.resolve():
        return None
    shipped = [*manifest()["models"].values(), *detector_manifest()["models"].values()]
    return {model["file"]: str(model["sha256"]) for model in shipped}.get(path.name)

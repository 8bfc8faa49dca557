"""The emotion networks that ship with fer-edge, and where they lie."""

import json
from pathlib import Path
from typing import Any

__all__ = ["default_model", "manifest", "model_path"]

_HERE = Path(__file__).parent


def manifest() -> dict[str, Any]:
    """What is shipped: {"default": precision, "models": {precision: {"file", "sha256", "bytes", "accuracy", …}}, …}."""
    values: dict[str, Any] = json.loads((_HERE / "manifest.json").read_text(encoding="utf-8"))
    return values


def model_path(precision: str) -> Path:
    """The shipped file of that precision, "int8" or "fp32"; ValueError for another."""
    models = manifest()["models"]
    if precision not in models:
        raise ValueError(f"no shipped model is {precision!r}; there are {', '.join(models)}")
    return _HERE / str(models[precision]["file"])


def default_model() -> Path:
    """The file that `fer-edge` runs unless it is given another."""
    return model_path(manifest()["default"])

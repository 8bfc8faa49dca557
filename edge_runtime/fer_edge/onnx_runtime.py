"""The only module that imports onnxruntime: without its telemetry, and with a one-line error if it can't be loaded."""

from fer_edge.errors import FerError
from fer_edge.guards.shortages import shortage

try:
    import onnxruntime
except ImportError as error:
    advice = shortage(error) or "pip install --force-reinstall onnxruntime"
    raise FerError(f"onnxruntime can't be loaded ({error}): {advice}") from error
if getattr(onnxruntime, "__file__", None) is None:  # a folder with what was left of it
    raise FerError("onnxruntime can't be loaded (its files are incomplete): pip install --force-reinstall onnxruntime")

# ORT_DISABLE_TELEMETRY, which the package sets when it is imported, turns everything off. It comes too late if a
# program has imported onnxruntime before us: this then stops all later events.
onnxruntime.disable_telemetry_events()

__all__ = ["onnxruntime"]

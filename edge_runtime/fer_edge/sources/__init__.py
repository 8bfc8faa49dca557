"""Where frames come from: cameras, video files, pictures, folders, URLs, the drawn demo, Python iterables."""

from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.factory import open_source
from fer_edge.sources.iterable import IterableSource

__all__ = ["IterableSource", "Source", "SourceFrame", "open_source"]

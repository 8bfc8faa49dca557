"""Where frames come from: cameras, video files, pictures, folders, URLs, the drawn demo, Python iterables."""

from fer_edge.sources.base import Grab, Source
from fer_edge.sources.factory import open_source
from fer_edge.sources.iterable import IterableSource

__all__ = ["Grab", "IterableSource", "Source", "open_source"]

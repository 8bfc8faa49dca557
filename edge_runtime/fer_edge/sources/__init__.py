"""Where frames come from: cameras, video files, images, folders, URLs, the drawn demo, CSV faces, Python iterables.

`base` is the interface, `factory` opens a source by name, `reconnect` keeps live sources going. What happens to a frame
after `read` lives in `pipeline`; drawing the demo's person lives in `demo`.
"""

from fer_edge.sources.base import Source, SourceFrame
from fer_edge.sources.factory import open_source
from fer_edge.sources.iterable import IterableSource

__all__ = ["IterableSource", "Source", "SourceFrame", "open_source"]

"""Where results go: JSON lines, CSV, annotated video or pictures, a window."""

from fer_edge.sinks.base import Published, Sink, SinkRunner

__all__ = ["Published", "Sink", "SinkRunner"]

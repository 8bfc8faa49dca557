"""Where results go: JSON lines, CSV, annotated video or images, a window.

`base` is the interface and the thread that feeds a sink, `rotation` bounds the outputs of long runs, `overlay` draws
with what `drawing` holds, `video` writes videos through the program `ffmpeg` or, without it, through OpenCV.
What a result is lives in `fer_edge.results`; reports at the end of a run live in `cli`.
"""

from fer_edge.sinks.base import Published, Sink, SinkRunner

__all__ = ["Published", "Sink", "SinkRunner"]

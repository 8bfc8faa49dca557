"""Where results go: JSON lines, CSV, annotated video or images, a window.

`base` is the interface and the thread that feeds a sink, `rotation` bounds the outputs of long runs, `overlay` draws
with what `drawing` holds, `video` writes videos through the program `ffmpeg` or, without it, through OpenCV,
`animation` writes short GIF and WebP files. The window: `window` acts on the keys of `keys`, `views` decides what is
shown of a video or of images, `panel` draws help and notices, `display` is the process that owns the screen.
What a result is lives in `fer_edge.results`; reports at the end of a run live in `cli`.
"""

from fer_edge.sinks.base import Published, Sink, SinkRunner

__all__ = ["Published", "Sink", "SinkRunner"]

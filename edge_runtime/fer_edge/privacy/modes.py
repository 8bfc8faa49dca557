"""What `--blur` and `StreamOptions.blur` may hide. Imports nothing: the command line reads it."""

BLUR_MODES = ("faces", "all")


def check_blur(mode: str | None) -> None:
    """Raise ValueError unless `mode` is "faces", "all" or None."""
    if mode is not None and mode not in BLUR_MODES:
        raise ValueError(f"blur={mode!r}: use 'faces', 'all' or None")

"""The detector options that the command line shows: no imports, so that `--help` stays fast."""

DEFAULT_MIN_FACE_PX = 40
DEFAULT_DETECT_SIZE_PX = 640  # longer frames are searched at this size: a detector's cost grows with the area

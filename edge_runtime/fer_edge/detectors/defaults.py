"""The detector options that the command line shows: no imports, so that `--help` stays fast."""

SMALLEST_FACE_PX = 10  # no detector here finds smaller ones
DEFAULT_MIN_FACE_PX = 20
# Longer frames are searched at this size, because a detector's cost grows with the area. Photos show smaller faces than
# cameras do, and may take longer.
DEFAULT_DETECT_SIZE_PX = 640
IMAGE_DETECT_SIZE_PX = 1920

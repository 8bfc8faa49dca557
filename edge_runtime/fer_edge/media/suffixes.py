"""Names of image files: those that are read, those that are written, and those that can't be read."""

import re

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif", ".avif",
        ".jp2", ".pgm", ".ppm", ".pbm", ".pnm",
    }
)  # fmt: skip
"""Of the files of a folder that are read as images; animations give their first image."""

WRITTEN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

VIDEO_SUFFIXES = frozenset({".gif", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mjpeg", ".mjpg", ".ts", ".mpg"})

PHONE_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".hif", ".jxl"})
"""Photos that OpenCV can't decode: fer-train refuses them, so that no class silently loses them."""

UNREAD_SUFFIXES = frozenset(
    {
        ".heic", ".heics", ".heif", ".hif", ".jxl", ".jxr", ".psd", ".svg", ".ico", ".exr", ".hdr", ".tga", ".apng",
        ".mpo", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".pfm", ".pam", ".pxm", ".pic",
        ".sr", ".ras", ".j2k", ".j2c", ".jpx", ".jpf", ".avifs", ".pcx", ".qoi", ".wdp", ".xbm",
    }
)  # fmt: skip
"""Images that OpenCV can't decode, or not reliably: a folder's are counted and named."""

START_BYTES = 18


def starts_as_image(head: bytes) -> bool:
    """Whether the first START_BYTES of a file are those of an image, whatever its name.

    >>> starts_as_image(b"\\xff\\xd8\\xff\\xe0"), starts_as_image(b"a,b,c")
    (True, False)
    """
    start = rb"\xff\xd8\xff|\x89PNG|GIF8|BM.{12}[\x0c\x28\x6c\x7c]\0\0\0|II\*\0|MM\0\*|RIFF....WEBP|"
    boxes = rb"\0\0\0\x0cjP  |....ftyp(?:avif|avis|heic|heix|mif1|msf1)"
    return re.match(start + boxes, head, re.DOTALL) is not None

"""Names of image files: those that are read, those that are written, and those that can't be read."""

IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif", ".avif", ".jp2",
        ".pgm", ".ppm", ".pbm", ".pnm",
    }
)  # fmt: skip
"""Of the files of a folder that are read as images; animations give their first image."""

WRITTEN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})

PHONE_SUFFIXES = frozenset({".heic", ".heif", ".hif", ".jxl"})
"""Photos that OpenCV can't decode: fer-train refuses them, so that no class silently loses them."""

UNREAD_SUFFIXES = frozenset(
    {
        ".heic", ".heif", ".hif", ".jxl", ".jxr", ".psd", ".svg", ".ico", ".exr", ".hdr", ".tga", ".apng", ".mpo",
        ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw",
    }
)  # fmt: skip
"""Images that OpenCV can't decode, or not reliably: a folder's are counted and named."""

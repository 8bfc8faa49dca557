"""Playlists and descriptions of streams, recognized by their first bytes: FFmpeg would open whatever they name."""

import re

HEAD_BYTES = 1024
_HEAD = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:#EXTM3U|ffconcat\s|<\?xml[^>]*>\s*(?:<!--.*?-->\s*)*<(?:MPD|ASX|smil)|<(?:MPD|ASX|smil)"
    rb"|v=0\r?\no=|\[playlist\]|\[Reference\])",
    re.IGNORECASE | re.DOTALL,
)


def is_playlist(head: bytes) -> bool:
    """True if a file that starts with `head` names other files or streams: m3u8, ffconcat, DASH, SDP, ASX, PLS.

    >>> is_playlist(b"#EXTM3U" + bytes(9)), is_playlist(b"RIFF")
    (True, False)
    """
    return _HEAD.match(head) is not None
